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
    time::Timestamp,
};
use cqar_proto::{convert, v1};
use prost::Message;

use crate::{database::Value, error::Error, log_block::BlockRow, snapshot::Snapshot};

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

    /// Whether a change touches something of it; the entity is the one before it, or after.
    fn is_touched_by(&self, entity: &Entity) -> bool {
        let mut is_touched = false;
        dependences_of(entity, |dependence| is_touched |= self.noted.contains(&self.hasher.hash_one(dependence)));
        is_touched
    }
}

/// All that may be answered otherwise once the entity is changed, or is what something was changed to.
pub(crate) fn dependences_of(entity: &Entity, mut visit: impl FnMut(&Dependence<'_>)) {
    visit(&Dependence::Entity(&entity.key()));
    entity.unique_keys().iter().for_each(|(_, key)| visit(&Dependence::UniqueKey(key.as_str())));
    entity.references().iter().for_each(|(_, target)| visit(&Dependence::Referrers(target)));
    match entity {
        Entity::Asset(asset) => visit(&Dependence::AssetSymbol(&asset.symbol)),
        Entity::Instrument(instrument) => visit(&Dependence::Code(&instrument.code)),
        Entity::Market(market) => {
            visit(&Dependence::Segment(&market.venue_id, &market.segment));
            market.symbols().for_each(|symbol| visit(&Dependence::Symbol(&market.venue_id, symbol)));
        }
        _ => {}
    }
}

/// So many events of other servers are looked through for changes, a tenth of a second's worth; after more of them all is read again.
const MAX_EVENTS: usize = 4096;
/// So many commits are looked through.
const MAX_COMMITS: i64 = 1024;
/// The rows of the log that are in memory at a time.
const ROWS_AT_ONCE: i64 = 16;

const COMMITS: &str =
    "SELECT revision, commit_us FROM event_log WHERE revision > $1 AND idx = 0 ORDER BY revision LIMIT $2";
const READ_COMMIT: &str = "SELECT revision, idx, is_compressed, events FROM event_log \
    WHERE revision = $1 AND idx >= $2 ORDER BY idx LIMIT $3";

#[derive(sqlx::FromRow)]
struct CommitRow {
    revision: Revision,
    commit_us: i64,
}

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
        self.footprint = Some(Footprint { hasher: self.recent.hasher(), ..Footprint::default() });
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
        let metrics = self.metrics.clone();
        let _timer = metrics.time("changes");
        let commits: Vec<CommitRow> = self.tx.all(COMMITS, vec![Value::Int(since), Value::Int(MAX_COMMITS)]).await?;
        // What is no longer in the log, or is not read for there is too much of it, may have been anything.
        if !commits.iter().map(|commit| commit.revision).eq(since + 1..=self.revision) {
            return Ok(true);
        }
        let mut left = MAX_EVENTS;
        for CommitRow { revision, commit_us } in commits {
            let own = Timestamp::from_micros(commit_us).ok().and_then(|time| self.recent.find(revision, time));
            let is_touched = match own {
                Some(commit) => commit.touched.iter().any(|hash| footprint.noted.contains(hash)),
                None => self.is_touched_in_log(footprint, revision, &mut left).await?,
            };
            if is_touched {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the events of a revision touch something, or are more than are left to look at.
    async fn is_touched_in_log(
        &mut self,
        footprint: &Footprint,
        revision: Revision,
        left: &mut usize,
    ) -> Result<bool, Error> {
        let mut next = LogPosition::start_of(revision);
        loop {
            let values = vec![Value::Int(revision), Value::Index(next.index), Value::Int(ROWS_AT_ONCE)];
            let rows = self.tx.all::<BlockRow>(READ_COMMIT, values).await?;
            let is_last = i64::try_from(rows.len()).is_ok_and(|rows| rows < ROWS_AT_ONCE);
            for row in rows {
                next = row.next();
                for event in row.read()? {
                    let Some(fewer) = left.checked_sub(1) else { return Ok(true) };
                    *left = fewer;
                    if is_touched(footprint, &event)? {
                        return Ok(true);
                    }
                }
            }
            if is_last {
                return Ok(false);
            }
        }
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
