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

use crate::{
    error::Error,
    from_row::from_row,
    log_block::BlockRow,
    snapshot::{Snapshot, StateId},
    value::Value,
};

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
    /// The venue's assets of a code, in whichever segment.
    VenueCode(&'a VenueId, &'a str),
    /// What refers to an entity.
    Referrers(&'a EntityKey),
    /// The venue's markets in a segment.
    Segment(&'a VenueId, &'a Segment),
}

/// What the reads of a snapshot depend on.
#[derive(Debug)]
pub struct Footprint {
    /// The state that was read.
    state: StateId,
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
        Entity::VenueAsset(bound) => visit(&Dependence::VenueCode(&bound.venue_id, &bound.code)),
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
    "SELECT revision, commit_us FROM event_log WHERE revision >= $1 AND idx = 0 ORDER BY revision LIMIT $2";
const READ_COMMITS: &str = "SELECT revision, idx, is_compressed, events FROM event_log \
    WHERE (revision, idx) >= ($1, $2) AND revision <= $3 ORDER BY revision, idx LIMIT $4";

struct CommitRow {
    revision: Revision,
    commit_us: i64,
}

from_row!(CommitRow { revision, commit_us });

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
        self.footprint = Some(self.empty_footprint());
    }

    /// What was noted; of who kept none, that it may have been anything.
    pub fn take_footprint(&mut self) -> Footprint {
        let unknown = Footprint { is_unbounded: true, ..self.empty_footprint() };
        self.footprint.take().unwrap_or(unknown)
    }

    fn empty_footprint(&self) -> Footprint {
        Footprint { state: self.state, hasher: self.recent.hasher(), noted: HashSet::new(), is_unbounded: false }
    }

    /// Whether reads that left the footprint may be answered otherwise now.
    pub async fn has_changed(&mut self, footprint: &Footprint) -> Result<bool, Error> {
        let since = footprint.state;
        if self.state == since {
            return Ok(false);
        }
        // A log that went back lost what was read.
        if footprint.is_unbounded || self.state.revision < since.revision {
            return Ok(true);
        }
        let metrics = self.metrics.clone();
        let _timer = metrics.time("changes");
        let begin = vec![Value::Int(since.revision), Value::Int(MAX_COMMITS)];
        let commits: Vec<CommitRow> = self.tx.all(COMMITS, begin).await?;
        let mut commits = commits.into_iter().peekable();
        // The state that was read is still in the log, or is the empty one.
        let is_there =
            |commit: &CommitRow| commit.revision == since.revision && Some(commit.commit_us) == since.commit_us;
        if commits.next_if(is_there).is_none() && since.revision > 0 {
            return Ok(true);
        }
        let commits: Vec<CommitRow> = commits.collect();
        // What is no longer in the log, or is not read for there is too much of it, may have been anything.
        if !commits.iter().map(|commit| commit.revision).eq(since.revision + 1..=self.state.revision) {
            return Ok(true);
        }
        let own = |commit: &CommitRow| {
            let time = Timestamp::from_micros(commit.commit_us).ok()?;
            self.recent.find(commit.revision, time)
        };
        let (mut others, mut own_touched) = (Vec::new(), false);
        for commit in &commits {
            match own(commit) {
                Some(own) => own_touched |= own.touched.iter().any(|hash| footprint.noted.contains(hash)),
                None => others.push(commit.revision),
            }
        }
        if own_touched {
            return Ok(true);
        }
        let mut left = MAX_EVENTS;
        for revisions in others.chunk_by(|a, b| a + 1 == *b) {
            let (Some(first), Some(last)) = (revisions.first(), revisions.last()) else { continue };
            if self.is_touched_in_log(footprint, (*first, *last), &mut left).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the events of some revisions, the first to the last, touch something, or are more than are left to look at.
    async fn is_touched_in_log(
        &mut self,
        footprint: &Footprint,
        (first, last): (Revision, Revision),
        left: &mut usize,
    ) -> Result<bool, Error> {
        let mut next = LogPosition::start_of(first);
        loop {
            let values =
                vec![Value::Int(next.revision), Value::Index(next.index), Value::Int(last), Value::Int(ROWS_AT_ONCE)];
            let rows = self.tx.all::<BlockRow>(READ_COMMITS, values).await?;
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
