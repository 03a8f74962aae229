//! An event log in memory, for interleavings that a database cannot be made to show, and a sink that remembers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use cqar_domain::{
    entity::Revision,
    event::{EventLog, EventType, LogBounds, LogPage, LogPosition, LogSink, LoggedEvent, PortError},
    id::{AssetId, EntityKey, IdSource, SystemIds, VenueId},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

/// An event of a new asset.
pub(crate) fn event(revision: Revision, index: i32) -> LoggedEvent {
    LoggedEvent {
        position: LogPosition { revision, index },
        event_type: EventType::from_name("asset_created").unwrap(),
        key: EntityKey::Asset(AssetId::new(&SystemIds)),
        venue: None,
        body: format!("body of {revision}.{index}").into_bytes().into(),
    }
}

/// An event of a venue.
pub(crate) fn venue_event(revision: Revision, venue: &str) -> LoggedEvent {
    let venue: VenueId = venue.parse().unwrap();
    LoggedEvent {
        event_type: EventType::from_name("venue_created").unwrap(),
        key: EntityKey::Venue(venue.clone()),
        venue: Some(venue),
        ..event(revision, 0)
    }
}

/// A log whose reads can be made to wait or to fail.
pub(crate) struct MemoryLog {
    pub(crate) events: Mutex<Vec<LoggedEvent>>,
    pub(crate) oldest: Mutex<Revision>,
    pub(crate) id: Mutex<Uuid>,
    pub(crate) fails: AtomicBool,
    pub(crate) reads: AtomicUsize,
    pub(crate) gate: Semaphore,
    appended: Notify,
}

impl MemoryLog {
    /// How many may read at once. Whoever takes all permits makes every read wait.
    pub(crate) const READERS: u32 = 100;

    pub(crate) fn with(events: Vec<LoggedEvent>) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::new(events),
            oldest: Mutex::new(1),
            id: Mutex::new(SystemIds.uuid()),
            fails: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            gate: Semaphore::new(Self::READERS as usize),
            appended: Notify::new(),
        })
    }

    /// Commits a revision, silently.
    pub(crate) fn commit(&self, events: &[LoggedEvent]) {
        self.events.lock().extend_from_slice(events);
    }

    /// Tells whoever follows that another process wrote.
    pub(crate) fn notify_append(&self) {
        self.appended.notify_waiters();
        self.appended.notify_one();
    }
}

/// A sink that remembers what it was given.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<(Vec<LogPosition>, Revision)>>);

impl LogSink for Recorder {
    fn apply(&self, events: &[LoggedEvent], through: Revision) {
        self.0.lock().push((events.iter().map(|event| event.position).collect(), through));
    }
}

impl Recorder {
    pub(crate) fn positions(&self) -> Vec<LogPosition> {
        self.0.lock().iter().flat_map(|(positions, _)| positions.clone()).collect()
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn bounds(&self) -> Result<LogBounds, PortError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(PortError::new("away"));
        }
        let newest = self.events.lock().last().map_or(0, |event| event.position.revision);
        Ok(LogBounds { log_id: *self.id.lock(), oldest: *self.oldest.lock(), newest })
    }

    async fn read(&self, from: LogPosition, limit: u32) -> Result<LogPage, PortError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await.unwrap();
        let oldest = *self.oldest.lock();
        let events = self.events.lock();
        let mut kept = events.iter().filter(|event| event.position.revision >= oldest && event.position >= from);
        let events = kept.by_ref().take(limit as usize).cloned().collect();
        Ok(LogPage { events, has_more: kept.next().is_some() })
    }

    async fn wait_for_append(&self) -> Option<Revision> {
        self.appended.notified().await;
        None
    }
}
