//! Events: what a write leaves in the log, and how the log is read.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::{
    entities::{Entity, market::MarketStatus},
    entity::Revision,
    finding::Finding,
    id::{EntityKey, EntityType, VenueId},
    time::Timestamp,
};

/// The kind of change that an event records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ChangeKind {
    Created,
    Updated,
    StatusChanged,
    Delisted,
    Deleted,
    Undeleted,
}

/// The type of an event, `<entity>_<kind>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType {
    entity: EntityType,
    kind: ChangeKind,
}

impl EventType {
    /// The type of the event that turns `before` into `after`. None if neither is there.
    pub fn of(before: Option<&Entity>, after: Option<&Entity>) -> Option<Self> {
        let entity = after.or(before)?.key().entity_type();
        let kind = match (before, after) {
            (None, _) => ChangeKind::Created,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(Entity::Market(a)), Some(Entity::Market(b))) if a.status != b.status => match b.status {
                MarketStatus::Delisted => ChangeKind::Delisted,
                _ => ChangeKind::StatusChanged,
            },
            (Some(a), Some(b)) => match (a.meta().delete_time, b.meta().delete_time) {
                (None, Some(_)) => ChangeKind::Deleted,
                (Some(_), None) => ChangeKind::Undeleted,
                _ => ChangeKind::Updated,
            },
        };
        Some(Self { entity, kind })
    }

    /// The entity's type.
    pub const fn entity_type(self) -> EntityType {
        self.entity
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        use ChangeKind::{Created, Deleted, Delisted, StatusChanged, Undeleted, Updated};
        EntityType::ALL
            .into_iter()
            .flat_map(|entity| {
                [Created, Updated, StatusChanged, Delisted, Deleted, Undeleted].map(|kind| Self { entity, kind })
            })
            .find(|event_type| event_type.to_string() == name)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.entity, self.kind) {
            (EntityType::Market, ChangeKind::Created) => "listed",
            (_, ChangeKind::Created) => "created",
            (_, ChangeKind::Updated) => "updated",
            (_, ChangeKind::StatusChanged) => "status_changed",
            (_, ChangeKind::Delisted) => "delisted",
            (_, ChangeKind::Deleted) => "deleted",
            (_, ChangeKind::Undeleted) => "undeleted",
        };
        write!(f, "{}_{kind}", self.entity)
    }
}

/// The place of an event in the log: the revision of its transaction, and its index within, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The transaction's revision.
    pub revision: Revision,
    /// The index among its events.
    pub index: i32,
}

impl LogPosition {
    /// The first position of a revision.
    pub const fn start_of(revision: Revision) -> Self {
        Self { revision, index: 0 }
    }

    /// The position right after this one; the log may have nothing there.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { revision: self.revision, index: self.index + 1 }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.revision, self.index)
    }
}

/// One change of one entity, as a write makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log.
    pub position: LogPosition,
    /// Its type.
    pub event_type: EventType,
    /// Who made the change.
    pub actor: String,
    /// The client's request id.
    pub request_id: Option<Uuid>,
    /// Why the change was made, as the client says; may be empty.
    pub reason: String,
    /// The names of the fields that differ.
    pub changed_fields: Vec<&'static str>,
    /// When it was committed.
    pub commit_time: Timestamp,
    /// From when the change holds in the world, where that is another time.
    pub effective_time: Option<Timestamp>,
    /// The entity before; none for a creation.
    pub before: Option<Entity>,
    /// The entity after; none for a deletion that leaves nothing.
    pub after: Option<Entity>,
    /// The validators that judged it, as `name@hash`.
    pub judged_by: Vec<String>,
    /// What they warned of without refusing.
    pub warnings: Vec<Finding>,
}

impl Event {
    /// The entity after, or before if it is gone.
    pub fn entity(&self) -> Option<&Entity> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// One row of the event log, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its place.
    pub position: LogPosition,
    /// Its type.
    pub event_type: EventType,
    /// The entity that changed.
    pub key: EntityKey,
    /// The venue that the entity is or belongs to.
    pub venue: Option<VenueId>,
    /// The encoded `cqar.v1.Event`, entity before and after included.
    pub body: Bytes,
}

/// Events as they follow each other in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The events, in order.
    pub events: Vec<LoggedEvent>,
    /// Whether more may follow; then there is at least one here.
    pub has_more: bool,
}

/// Which log it is, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// The log's id: made with the first migration, renewed by a restore. Revisions of different logs never compare.
    pub log_id: Uuid,
    /// The oldest revision that is kept; 1 for an empty log.
    pub oldest: Revision,
    /// The newest revision; 0 for an empty log.
    pub newest: Revision,
}

/// What lies behind a trait of this crate could not answer now: the database is away, say.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PortError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl PortError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The event log, to be read. Its rows are never changed.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Which log it is, and what it holds.
    async fn bounds(&self) -> Result<LogBounds, PortError>;

    /// A page of the events from a position on, inclusive, in order: at most `limit`, and no more than some megabytes of them.
    async fn read(&self, from: LogPosition, limit: u32) -> Result<LogPage, PortError>;

    /// Resolves when another process may have written to the log, and says up to which revision, if that is known. May never
    /// resolve: whoever waits polls as well.
    async fn wait_for_append(&self) -> Option<Revision>;
}

/// What follows the log in this process: the cache of what reads return.
pub trait LogSink: Send + Sync {
    /// Takes the events of whole revisions, in order and without a gap, `through` being the last of them. When it
    /// returns, no read answers with what was true before them.
    fn apply(&self, events: &[LoggedEvent], through: Revision);
}

/// Nothing is kept.
impl LogSink for () {
    fn apply(&self, _: &[LoggedEvent], _: Revision) {}
}
