//! The follower of the log, one for each process: it keeps the caches in step, and says how far they are.
//!
//! Invariants: the sink gets whole revisions, in order, without a gap; `applied` moves only after the sink took them;
//! and what is handed over by the writer is used only where it follows what was applied. Everything else comes from the
//! log, so a lost wake-up or a full queue costs time, never an event.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use cqar_domain::{
    entity::Revision,
    event::{EventLog, LogBounds, LogSink, LoggedEvent, PortError},
};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    log_follower::{LogFollower, TailFault},
    page::continues,
    recent::RecentEvents,
};

/// How the log is followed.
#[derive(Debug, Clone)]
pub struct LogTailerSettings {
    /// How often the log is looked at when nothing wakes the follower; also the longest pause after a failed read.
    pub poll: Duration,
    /// After how long a read of the log counts as failed.
    pub read_timeout: Duration,
    /// How many events are read from the log at a time, here and by the watchers.
    pub page_events: u32,
    /// How many bytes of the newest events are kept in memory for the watchers.
    pub recent_bytes: usize,
    /// How many commits may wait to be applied. Those beyond are read from the log.
    pub queued_commits: usize,
    /// How often a watcher is told of progress when nothing passes its filter.
    pub progress_interval: Duration,
}

impl Default for LogTailerSettings {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            read_timeout: Duration::from_secs(10),
            // An event has one or two kilobytes: half a megabyte at a time.
            page_events: 256,
            recent_bytes: 8 << 20,
            queued_commits: 256,
            progress_interval: Duration::from_secs(5),
        }
    }
}

/// How the tailer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTailerHealth {
    /// The last applied revision.
    pub applied: Revision,
    /// Why it does not get on, if the last attempt to read the log failed.
    pub fault: Option<LogFault>,
}

/// Why the log is not followed just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFault {
    /// In words.
    pub reason: String,
    /// Whether it is another log, or does not go on as it did: what was applied says nothing about it any more.
    pub is_diverged: bool,
}

/// The log does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// For how long: since it answered last.
    pub duration: Duration,
    /// See [`LogFault::is_diverged`].
    pub is_diverged: bool,
}

/// The log as this process follows it.
pub struct LogTailer {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) settings: LogTailerSettings,
    pub(crate) recent: Mutex<RecentEvents>,
    pub(crate) stopped: CancellationToken,
    pub(crate) log_id: Uuid,
    /// As it was read last.
    pub(crate) oldest: AtomicI64,
    applied: AtomicI64,
    applied_watch: watch::Sender<Revision>,
    commits: mpsc::Sender<Vec<LoggedEvent>>,
    fault: Mutex<Option<LogFault>>,
    /// Whether there is a fault: all that a call that finds none has to look at.
    is_away: AtomicBool,
    answered: Mutex<Instant>,
    metrics: Metrics,
}

impl LogTailer {
    /// Starts to follow the log at its newest revision, which the sink is told first. The task ends on the token.
    pub async fn start(
        log: Arc<dyn EventLog>,
        sink: Arc<dyn LogSink>,
        settings: LogTailerSettings,
        metrics: &Registry,
        tracker: &TaskTracker,
        token: CancellationToken,
    ) -> Result<Arc<Self>, PortError> {
        // First what may fail now and not later: then it can be started again.
        let LogBounds { log_id, newest, oldest } = log.bounds().await?;
        let metrics = Metrics::register(metrics).map_err(PortError::new)?;
        sink.apply(&[], newest);
        metrics.applied.set(newest);
        let (commits, queue) = mpsc::channel(settings.queued_commits.max(1));
        let tailer = Arc::new(Self {
            recent: Mutex::new(RecentEvents::after(newest, settings.recent_bytes)),
            log,
            settings,
            stopped: token,
            log_id,
            oldest: AtomicI64::new(oldest),
            applied: AtomicI64::new(newest),
            applied_watch: watch::Sender::new(newest),
            commits,
            fault: Mutex::new(None),
            is_away: AtomicBool::new(false),
            answered: Mutex::new(Instant::now()),
            metrics,
        });
        tracker.spawn(LogFollower { tailer: Arc::clone(&tailer), sink, commits: queue }.run());
        Ok(tailer)
    }

    /// The id of the log.
    pub const fn log_id(&self) -> Uuid {
        self.log_id
    }

    /// The oldest revision that the log keeps, as it was looked at last.
    pub fn oldest(&self) -> Revision {
        self.oldest.load(Ordering::Relaxed)
    }

    /// The last revision that is applied: no read of this process answers with what was true before it.
    pub fn applied(&self) -> Revision {
        self.applied.load(Ordering::Acquire)
    }

    /// Hands over the events of a commit, which saves reading them from the log. Never waits: if the queue is full, they
    /// are discarded, and read from the log later.
    pub fn committed(&self, events: Vec<LoggedEvent>) {
        if self.commits.try_send(events).is_err() {
            self.metrics.commits_dropped.inc();
        }
    }

    /// Waits until a revision is applied, at most so long, and says whether it is.
    pub async fn wait_for(&self, revision: Revision, within: Duration) -> bool {
        if self.applied() >= revision {
            return true;
        }
        let mut applied = self.subscribe();
        matches!(timeout(within, applied.wait_for(|applied| *applied >= revision)).await, Ok(Ok(_)))
    }

    /// The applied revision, as it moves.
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.applied_watch.subscribe()
    }

    /// The current health.
    pub fn health(&self) -> LogTailerHealth {
        LogTailerHealth { applied: self.applied(), fault: self.fault.lock().clone() }
    }

    /// Applies whole revisions that follow what is applied; older ones among them are skipped. False if they do not
    /// follow.
    pub(crate) fn apply(&self, sink: &dyn LogSink, mut events: Vec<LoggedEvent>) -> bool {
        let applied = self.applied();
        let known = events.partition_point(|event| event.position.revision <= applied);
        let events = events.split_off(known);
        let Some(through) = events.last().map(|event| event.position.revision) else { return true };
        if !continues(applied, &events) {
            return false;
        }
        sink.apply(&events, through);
        // Before `applied` moves: a watcher looks for everything up to it here.
        self.recent.lock().push(events);
        self.applied.store(through, Ordering::Release);
        self.applied_watch.send_replace(through);
        self.metrics.applied.set(through);
        true
    }

    /// For how long the log has not answered, while it does not. Costs nothing while it does.
    pub fn outage(&self) -> Option<Outage> {
        if !self.is_away.load(Ordering::Acquire) {
            return None;
        }
        let is_diverged = self.fault.lock().as_ref()?.is_diverged;
        Some(Outage { duration: self.answered.lock().elapsed(), is_diverged })
    }

    pub(crate) fn note(&self, fault: Option<TailFault>) {
        match fault {
            Some(_) => self.metrics.read_errors.inc(),
            None => *self.answered.lock() = Instant::now(),
        }
        let fault = fault.map(|it| LogFault { reason: it.to_string(), is_diverged: it.is_diverged() });
        let before = std::mem::replace(&mut *self.fault.lock(), fault.clone());
        self.is_away.store(fault.is_some(), Ordering::Release);
        match (before, fault) {
            // It is tried again every second: only what is new is told.
            (Some(before), Some(fault)) if before == fault => {}
            (_, Some(LogFault { reason: error, .. })) => {
                tracing::warn!(error, applied = self.applied(), "log_not_read");
            }
            (Some(_), None) => tracing::info!(applied = self.applied(), "log_read_again"),
            (None, None) => {}
        }
    }
}

struct Metrics {
    applied: IntGauge,
    read_errors: IntCounter,
    commits_dropped: IntCounter,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            applied: IntGauge::new("cqar_feed_applied_revision", "The last revision applied in this process.")?,
            read_errors: IntCounter::new("cqar_feed_read_errors_total", "Reads of the event log that failed.")?,
            commits_dropped: IntCounter::new(
                "cqar_feed_commits_dropped_total",
                "Commits that found the queue full and were read from the log instead.",
            )?,
        };
        registry.register(Box::new(metrics.applied.clone()))?;
        registry.register(Box::new(metrics.read_errors.clone()))?;
        registry.register(Box::new(metrics.commits_dropped.clone()))?;
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use cqar_domain::{
        event::LogPosition,
        id::{IdSource, SystemIds},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{MemoryLog, Recorder, event};

    const SOON: Duration = Duration::from_secs(5);

    async fn started(log: &Arc<MemoryLog>, settings: LogTailerSettings) -> (Arc<LogTailer>, Arc<Recorder>) {
        let sink = Arc::new(Recorder::default());
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let tailer =
            LogTailer::start(log.clone(), sink.clone(), settings, &Registry::new(), &tracker, token).await.unwrap();
        (tailer, sink)
    }

    #[tokio::test(start_paused = true)]
    async fn it_starts_at_the_newest_revision_and_tells_the_sink() {
        let log = MemoryLog::with(vec![event(1, 0), event(2, 0)]);
        let (tailer, sink) = started(&log, LogTailerSettings::default()).await;
        assert_eq!(tailer.applied(), 2);
        assert_eq!(*sink.0.lock(), [(vec![], 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_follows_is_applied_without_reading_the_log() {
        let log = MemoryLog::with(vec![]);
        let (tailer, sink) = started(&log, LogTailerSettings::default()).await;
        let revision = [event(1, 0), event(1, 1)];
        log.commit(&revision);
        tailer.committed(revision.to_vec());
        assert!(tailer.wait_for(1, SOON).await);
        assert_eq!(log.reads.load(SeqCst), 0);
        assert_eq!(*sink.0.lock(), [(vec![], 0), (revision.map(|e| e.position).to_vec(), 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_comes_before_its_predecessor_is_applied_after_it() {
        let log = MemoryLog::with(vec![]);
        let (tailer, sink) = started(&log, LogTailerSettings::default()).await;
        log.commit(&[event(1, 0), event(2, 0)]);
        tailer.committed(vec![event(2, 0)]);
        assert!(tailer.wait_for(2, SOON).await);
        tailer.committed(vec![event(1, 0)]);
        log.commit(&[event(3, 0)]);
        tailer.committed(vec![event(3, 0)]);
        assert!(tailer.wait_for(3, SOON).await);
        assert_eq!(sink.positions(), [1, 2, 3].map(LogPosition::start_of));
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_process_wrote_is_applied_when_the_log_grows() {
        let log = MemoryLog::with(vec![]);
        let settings = LogTailerSettings { poll: Duration::from_hours(1), ..LogTailerSettings::default() };
        let (tailer, _) = started(&log, settings).await;
        log.commit(&[event(1, 0)]);
        log.notify_append();
        assert!(tailer.wait_for(1, SOON).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_is_polled_when_nothing_wakes_it() {
        let log = MemoryLog::with(vec![]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        log.commit(&[event(1, 0)]);
        assert!(tailer.wait_for(1, SOON).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_revision_larger_than_a_page_is_applied_as_a_whole() {
        let log = MemoryLog::with(vec![]);
        let settings = LogTailerSettings { page_events: 3, ..LogTailerSettings::default() };
        let (tailer, sink) = started(&log, settings).await;
        log.commit(&[event(1, 0), event(1, 1), event(2, 0)]);
        log.commit(&(0..7).map(|index| event(3, index)).collect::<Vec<_>>());
        log.commit(&[event(4, 0)]);
        log.notify_append();
        assert!(tailer.wait_for(4, SOON).await);
        assert_eq!(sink.positions().len(), 11);
        assert!(sink.0.lock().iter().all(|(positions, _)| positions.first().is_none_or(|first| first.index == 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_read_holds_up_no_commit() {
        let log = MemoryLog::with(vec![]);
        let (tailer, sink) = started(&log, LogTailerSettings::default()).await;
        let held = log.gate.acquire_many(MemoryLog::READERS).await.unwrap();
        log.commit(&[event(1, 0)]);
        log.notify_append();
        while log.reads.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        tailer.committed(vec![event(1, 0)]);
        assert!(tailer.wait_for(1, SOON).await);
        drop(held);
        log.commit(&[event(2, 0)]);
        assert!(tailer.wait_for(2, SOON).await, "the read that was late is used for what is new in it");
        assert_eq!(sink.positions(), [1, 2].map(LogPosition::start_of));
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_cannot_be_read_is_shown_and_tried_again() {
        let log = MemoryLog::with(vec![]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        log.fails.store(true, SeqCst);
        log.commit(&[event(1, 0)]);
        assert!(!tailer.wait_for(1, SOON).await);
        let fault = LogFault { reason: "the event log cannot be read: away".to_owned(), is_diverged: false };
        assert_eq!(tailer.health().fault, Some(fault));
        let outage = tailer.outage().unwrap();
        assert!(outage.duration >= SOON && !outage.is_diverged, "{outage:?}");
        log.fails.store(false, SeqCst);
        assert!(tailer.wait_for(1, SOON).await);
        assert_eq!(tailer.health(), LogTailerHealth { applied: 1, fault: None });
        assert_eq!(tailer.outage(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_is_another_one_now_is_not_followed() {
        let log = MemoryLog::with(vec![]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        *log.id.lock() = SystemIds.uuid();
        log.commit(&[event(1, 0)]);
        assert!(!tailer.wait_for(1, SOON).await);
        assert!(tailer.health().fault.unwrap().reason.contains("another event log"));
        assert!(tailer.outage().unwrap().is_diverged);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_loses_nothing() {
        let log = MemoryLog::with(vec![]);
        let settings = LogTailerSettings { queued_commits: 1, ..LogTailerSettings::default() };
        let (tailer, sink) = started(&log, settings).await;
        for revision in 1..=20 {
            log.commit(&[event(revision, 0)]);
            tailer.committed(vec![event(revision, 0)]);
        }
        assert!(tailer.wait_for(20, SOON).await);
        assert_eq!(sink.positions().len(), 20);
        assert!(tailer.metrics.commits_dropped.get() > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Each step commits a revision of so many events, hands over one of those committed so far or none, and lets
        /// the follower run or not.
        #[test]
        fn whatever_is_handed_over_the_sink_gets_each_revision_whole_and_in_order(
            steps in proptest::collection::vec((1..5i32, proptest::option::of(0..8usize), any::<bool>()), 1..30),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let log = MemoryLog::with(vec![]);
                let settings = LogTailerSettings { page_events: 3, queued_commits: 4, ..LogTailerSettings::default() };
                let (tailer, sink) = started(&log, settings).await;
                let mut revisions: Vec<Vec<LoggedEvent>> = Vec::new();
                for (size, handed_over, runs) in steps {
                    let revision = i64::try_from(revisions.len()).unwrap() + 1;
                    let events: Vec<_> = (0..size).map(|index| event(revision, index)).collect();
                    log.commit(&events);
                    revisions.push(events);
                    if let Some(events) = handed_over.and_then(|back| revisions.iter().rev().nth(back)) {
                        tailer.committed(events.clone());
                    }
                    if runs {
                        tokio::task::yield_now().await;
                    }
                }
                let newest = i64::try_from(revisions.len()).unwrap();
                assert!(tailer.wait_for(newest, SOON).await);
                let all: Vec<_> = revisions.concat().iter().map(|event| event.position).collect();
                assert_eq!(sink.positions(), all);
                for (positions, through) in sink.0.lock().iter() {
                    assert_eq!(positions.last().map_or(*through, |last| last.revision), *through);
                }
            });
        }
    }
}
