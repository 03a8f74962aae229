//! What reads depend on: who planned by them need not read them again after a change that alters none of it.
//!
//! Invariant: a method of [`Snapshot`] notes what its answer depends on, and every change that alters the answer touches something
//! that was noted (a test tries each method with changes of each type). What is no part of the log (answered requests, watermarks of
//! imports) is not noted: who reads it compares it.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash, RandomState},
};

use cqar_domain::{
    entities::Entity,
    entity::Revision,
    event::{LogPosition, LoggedEvent},
    id::{EntityKey, Segment, VenueId},
};
use cqar_proto::{convert, v1};
use prost::Message;

use crate::{database::Value, error::Error, log::READ, log_block::BlockRow, snapshot::Snapshot};

/// Something that an answer can depend on, and a change can touch.
#[derive(Hash)]
pub(crate) enum Dependence<'a> {
    /// An entity, there or not.
    Entity(&'a EntityKey),
    /// Who has a unique key.
    UniqueKey(&'a str),
    /// The assets of a symbol.
    AssetSymbol(&'a str),
    /// The instruments of a canonical code.
    Code(&'a str),
    /// The venue's markets of a symbol or alias.
    Symbol(&'a VenueId, &'a str),
    /// What refers to an entity.
    Referrers(&'a EntityKey),
    /// The venue's markets in a segment.
    Segment(&'a VenueId, &'a Segment),
}

/// What the reads of a snapshot depend on.
#[derive(Debug, Default)]
pub struct Footprint {
    hasher: RandomState,
    /// Hashes: where two are the same, something is read again in vain.
    noted: HashSet<u64>,
    /// Whether it depends on more than can be said.
    is_unbounded: bool,
}

impl Footprint {
    fn note(&mut self, dependence: &Dependence<'_>) {
        self.noted.insert(self.hasher.hash_one(dependence));
    }

    fn has(&self, dependence: &Dependence<'_>) -> bool {
        self.noted.contains(&self.hasher.hash_one(dependence))
    }

    /// Whether a change touches something of it; the entity is the one before it, or after.
    fn is_touched_by(&self, entity: &Entity) -> bool {
        let key = entity.key();
        self.has(&Dependence::Entity(&key))
            || entity.unique_keys().iter().any(|(_, key)| self.has(&Dependence::UniqueKey(key.as_str())))
            || entity.references().iter().any(|(_, target)| self.has(&Dependence::Referrers(target)))
            || match entity {
                Entity::Asset(asset) => self.has(&Dependence::AssetSymbol(&asset.symbol)),
                Entity::Instrument(instrument) => self.has(&Dependence::Code(&instrument.code)),
                Entity::Market(market) => {
                    self.has(&Dependence::Segment(&market.venue_id, &market.segment))
                        || market.symbols().any(|symbol| self.has(&Dependence::Symbol(&market.venue_id, symbol)))
                }
                _ => false,
            }
    }
}

/// So many events are looked through for changes, a tenth of a second's worth; after more of them all is read again.
const MAX_EVENTS: usize = 4096;
/// The rows of the log that are in memory at a time.
const ROWS_AT_ONCE: i64 = 16;

fn is_touched(footprint: &Footprint, event: &LoggedEvent) -> Result<bool, Error> {
    let corrupt =
        |reason: String| Error::Corrupt { table: "event_log", reason: format!("{}: {reason}", event.position) };
    let event = v1::Event::decode(event.body.clone()).map_err(|error| corrupt(error.to_string()))?;
    for side in [event.before, event.after].into_iter().flatten() {
        let entity = convert::stored(side).map_err(|found| corrupt(format!("{found:?}")))?;
        if footprint.is_touched_by(&entity) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Snapshot {
    /// Notes what is read from now on.
    pub fn keep_footprint(&mut self) {
        self.footprint = Some(Footprint::default());
    }

    /// What was noted.
    pub fn take_footprint(&mut self) -> Footprint {
        self.footprint.take().unwrap_or_else(|| Footprint { is_unbounded: true, ..Footprint::default() })
    }

    /// Whether reads that left the footprint at a revision may be answered otherwise now.
    pub async fn has_changed(&mut self, footprint: &Footprint, since: Revision) -> Result<bool, Error> {
        if self.revision == since {
            return Ok(false);
        }
        if footprint.is_unbounded {
            return Ok(true);
        }
        let _timer = self.metrics.time("changes");
        let (mut next, mut looked_at) = (LogPosition::start_of(since + 1), 0);
        while looked_at < MAX_EVENTS {
            let values = vec![Value::Int(next.revision), Value::Index(next.index), Value::Int(ROWS_AT_ONCE)];
            let rows = self.tx.all::<BlockRow>(READ, values).await?;
            // What is no longer in the log may have been anything.
            if looked_at == 0 && rows.first().is_none_or(|row| row.start() != next) {
                return Ok(true);
            }
            let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < ROWS_AT_ONCE);
            for row in rows {
                next = row.next();
                for event in row.read()? {
                    looked_at += 1;
                    if is_touched(footprint, &event)? {
                        return Ok(true);
                    }
                }
            }
            if is_last {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn note<'a>(&mut self, dependences: impl IntoIterator<Item = Dependence<'a>>) {
        if let Some(footprint) = &mut self.footprint {
            dependences.into_iter().for_each(|dependence| footprint.note(&dependence));
        }
    }

    /// Notes that an answer depends on more than can be said.
    pub(crate) fn note_all(&mut self) {
        if let Some(footprint) = &mut self.footprint {
            footprint.is_unbounded = true;
        }
    }
}
