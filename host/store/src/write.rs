//! Writes: the change, its events, the revision and what its request was answered, in one transaction.
//!
//! Invariant: writers are serial, and commit order is revision order. A write transaction begins by locking the one-row
//! counter, and everything that it checks it reads after that. The increment is kept only if an event is written, and no
//! event is written without it, so the log has no gap and no revision twice.

use std::hash::RandomState;

use cqar_domain::{
    entities::Entity,
    entity::Revision,
    event::{Event, EventType, LogPosition, LoggedEvent},
    finding::Finding,
    id::{EntityKey, Segment, VenueId},
    time::Timestamp,
};
use cqar_proto::v1;
use prost::Message;
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use crate::{
    database::Database,
    error::Error,
    growth::Growth,
    insert::insert,
    log_block,
    recent::{RecentCommit, RecentCommits},
    snapshot::{Snapshot, id_value},
    tables::TABLES,
    value::{MAX_KEYS, Value, one_of},
    writers::WriterTurn,
};

/// One entity's change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The entity as it is stored; none if it is created.
    pub before: Option<Entity>,
    /// The entity as it becomes; none if nothing is left of it. The store sets its revision and times.
    pub after: Option<Entity>,
    /// From when the change holds in the world, where that is another time than its commit's.
    pub effective_time: Option<Timestamp>,
    /// Why it is made, as the client says; may be empty.
    pub reason: String,
    /// The validators that judged it.
    pub judged_by: Vec<String>,
    /// What they warned of.
    pub warnings: Vec<Finding>,
}

/// Who makes a write, and when.
#[derive(Debug, Clone)]
pub struct WriteAttribution {
    /// The name of the key, or of the embedded default.
    pub actor: String,
    /// The client's id of the request.
    pub request_id: Option<Uuid>,
    /// The time of the commit.
    pub time: Timestamp,
}

/// The write transaction. It is the only one until it ends; dropping it takes everything back.
#[derive(Debug)]
pub struct WriteTransaction {
    pub(crate) snapshot: Snapshot,
    /// Keeps this process's other writers waiting in order.
    pub(crate) turn: WriterTurn,
    pub(crate) written: Option<Written>,
    pub(crate) database: Database,
}

/// What a write leaves once it is committed.
#[derive(Debug)]
pub(crate) struct Written {
    events: Vec<LoggedEvent>,
    commit: RecentCommit,
    growth: Growth,
}

/// What a committed write left.
#[derive(Debug)]
pub struct Committed {
    /// The revision: a new one, or the newest if nothing changed.
    pub revision: Revision,
    /// The events, in order.
    pub events: Vec<LoggedEvent>,
}

const SAVE_IMPORT_WATERMARK: &str = "INSERT INTO import_watermarks (venue_id, segment, observed_us) VALUES ($1, $2, $3) \
    ON CONFLICT (venue_id, segment) DO UPDATE SET observed_us = excluded.observed_us";

impl WriteTransaction {
    /// The state after the lock, and after what was written so far.
    pub fn reads(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    /// The newest committed revision.
    pub fn base_revision(&self) -> Revision {
        self.snapshot.state.revision
    }

    /// Writes the changes, one for each entity, and their events. May be called once; returns the changes with revision
    /// and times set.
    pub async fn write(
        &mut self,
        mut changes: Vec<Change>,
        attribution: &WriteAttribution,
    ) -> Result<Vec<Change>, Error> {
        if changes.is_empty() {
            return Ok(changes);
        }
        let revision = self.snapshot.state.revision + 1;
        for change in &mut changes {
            let before = change.before.as_ref().map(|before| *before.meta());
            if let Some(after) = &mut change.after {
                let meta = after.meta_mut();
                meta.revision = revision;
                meta.create_time = before.and_then(|before| before.create_time).or(Some(attribution.time));
                meta.update_time = Some(attribution.time);
            }
        }
        let logging = Logging::start(&changes, revision, attribution, self.snapshot.recent.hasher());
        // Out with what is no more, then in with what is new: a key may pass from one entity to another.
        self.delete_unique_keys(&changes).await?;
        self.delete_aliases(&changes).await?;
        self.delete_list_references(&changes).await?;
        self.delete(&changes).await?;
        self.insert_entities(&changes).await?;
        self.insert_aliases(&changes).await?;
        self.insert_list_references(&changes).await?;
        self.insert_unique_keys(&changes).await?;
        self.note_referred(&changes).await?;
        let (written, rows) = logging.finish().await?;
        self.written = Some(written);
        self.insert("insert_events", "event_log", &log_block::COLUMNS, rows.into_iter(), "").await?;
        self.check_references(&changes).await?;
        let set_revision = self.snapshot.tx.dialect().set_revision();
        let set = vec![Value::Int(revision), Value::Int(attribution.time.micros())];
        self.snapshot.tx.execute(set_revision, set).await?;
        Ok(changes)
    }

    /// Remembers of which moment a listing of the segment was imported.
    pub async fn save_import_watermark(
        &mut self,
        venue: &VenueId,
        segment: &Segment,
        at: Timestamp,
    ) -> Result<(), Error> {
        let values = vec![Value::Text(venue.to_string()), Value::Text(segment.to_string()), Value::Int(at.micros())];
        self.snapshot.tx.execute(SAVE_IMPORT_WATERMARK, values).await.map(drop)
    }

    /// Makes it last. On an error the outcome may be unknown: a repetition with the same request id tells.
    pub async fn commit(self) -> Result<Committed, Error> {
        let Self { snapshot, turn, written, database } = self;
        {
            let _timer = snapshot.metrics.time("commit");
            snapshot.tx.commit().await?;
        }
        let committed = match written {
            Some(Written { events, commit, growth }) => {
                let revision = commit.revision;
                snapshot.recent.add(commit);
                growth.analyze(database);
                Committed { revision, events }
            }
            None => Committed { revision: snapshot.state.revision, events: Vec::new() },
        };
        drop(turn);
        Ok(committed)
    }

    /// Takes everything back.
    pub async fn rollback(self) {
        self.snapshot.tx.rollback().await;
    }

    async fn delete(&mut self, changes: &[Change]) -> Result<(), Error> {
        let gone: Vec<EntityKey> = changes
            .iter()
            .filter(|change| change.after.is_none())
            .filter_map(|c| c.before.as_ref().map(Entity::key))
            .collect();
        // What refers goes before what is referred to.
        for table in TABLES.into_iter().rev() {
            let of_table = gone.iter().filter(|key| key.entity_type() == table.entity_type);
            self.delete_where(table.name, "id", &of_table.map(id_value).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_where(&mut self, table: &str, column: &str, ids: &[Value]) -> Result<(), Error> {
        for ids in ids.chunks(MAX_KEYS) {
            let _timer = self.snapshot.metrics.time("delete");
            let (has_id, ids) = one_of(self.snapshot.tx.dialect(), column, 1, ids.to_vec())?;
            self.snapshot.tx.execute(format!("DELETE FROM {table} WHERE {has_id}"), ids).await?;
        }
        Ok(())
    }

    async fn insert_entities(&mut self, changes: &[Change]) -> Result<(), Error> {
        for table in TABLES {
            let updates: Vec<String> =
                table.columns.iter().skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
            let conflict = format!("ON CONFLICT (id) DO UPDATE SET {}", updates.join(", "));
            for (operation, is_new, conflict) in [("insert", true, ""), ("update", false, conflict.as_str())] {
                let of_kind = changes.iter().filter(|change| change.before.is_none() == is_new);
                let of_kind = of_kind.filter_map(|change| change.after.as_ref());
                let mut entities: Vec<&Entity> =
                    of_kind.filter(|entity| entity.key().entity_type() == table.entity_type).collect();
                entities.sort_by_key(|entity| (table.write_order)(entity));
                let rows = entities.into_iter().filter_map(table.values);
                self.insert(operation, table.name, table.columns, rows, conflict).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn insert(
        &mut self,
        operation: &'static str,
        table: &str,
        columns: &[&str],
        rows: impl Iterator<Item = Vec<Value>> + Send,
        conflict: &str,
    ) -> Result<(), Error> {
        let Snapshot { tx, metrics, .. } = &mut self.snapshot;
        insert(tx, metrics, operation, table, columns, rows, conflict).await
    }
}

/// What changes leave, and the rows of their events.
type Logged = (Written, Vec<Vec<Value>>);

/// Makes the events of many changes beside the database's work, which waits for nobody.
enum Logging {
    Beside(JoinHandle<Result<Logged, Error>>),
    Done(Result<Logged, Error>),
}

/// So many changes have events that take longer to encode and to compress than a thread takes to begin.
const MANY_CHANGES: usize = 256;

impl Logging {
    fn start(changes: &[Change], revision: Revision, attribution: &WriteAttribution, hasher: RandomState) -> Self {
        if changes.len() < MANY_CHANGES {
            return Self::Done(logged(changes, revision, attribution, &hasher));
        }
        let (changes, attribution) = (changes.to_vec(), attribution.clone());
        Self::Beside(spawn_blocking(move || logged(&changes, revision, &attribution, &hasher)))
    }

    async fn finish(self) -> Result<Logged, Error> {
        match self {
            Self::Done(logged) => logged,
            Self::Beside(task) => match task.await {
                Ok(logged) => logged,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // It is cancelled with the runtime alone.
                    Err(_) => Err(Error::ConnectionLost),
                },
            },
        }
    }
}

fn logged(
    changes: &[Change],
    revision: Revision,
    attribution: &WriteAttribution,
    hasher: &RandomState,
) -> Result<Logged, Error> {
    let events = changes.iter().zip(0i32..).filter_map(|(change, index)| {
        let position = LogPosition { revision, index };
        logged_event(change, position, attribution)
    });
    let events: Vec<LoggedEvent> = events.collect();
    let rows = log_block::rows(&events, attribution.time)?;
    let touched = RecentCommits::touched_by(hasher, changes);
    let commit = RecentCommit { revision, time: attribution.time, touched };
    Ok((Written { events, commit, growth: Growth::of(changes) }, rows))
}

/// None for a change of nothing into nothing.
fn logged_event(change: &Change, position: LogPosition, attribution: &WriteAttribution) -> Option<LoggedEvent> {
    let event = Event {
        position,
        event_type: EventType::of(change.before.as_ref(), change.after.as_ref())?,
        actor: attribution.actor.clone(),
        request_id: attribution.request_id,
        reason: change.reason.clone(),
        changed_fields: changed_fields(change),
        commit_time: attribution.time,
        effective_time: change.effective_time,
        before: change.before.clone(),
        after: change.after.clone(),
        judged_by: change.judged_by.clone(),
        warnings: change.warnings.clone(),
    };
    let entity = event.entity()?;
    Some(LoggedEvent {
        position,
        event_type: event.event_type,
        key: entity.key(),
        venue: entity.venue().cloned(),
        body: v1::Event::from(&event).encode_to_vec().into(),
    })
}

fn changed_fields(change: &Change) -> Vec<&'static str> {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => before.changed_fields(after),
        _ => Vec::new(),
    }
}
