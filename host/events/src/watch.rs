//! Streams of the log for watchers: from any kept position, then live, with marks of progress.
//!
//! A watcher pulls. It is served from the newest events in memory where they reach back far enough and from the log where
//! they do not, so a slow one is caught up and never skipped, and none of them makes another wait.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use cqar_domain::{
    entity::Revision,
    event::{LogPage, LogPosition, LoggedEvent, PortError},
    id::{EntityType, VenueId},
};
use futures::{Stream, stream};
use tokio::{sync::watch, time::sleep};

use crate::{log_tailer::LogTailer, page::follows};

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchStart {
    /// With the revision after the applied one.
    Now,
    /// With the oldest event that is kept.
    Oldest,
    /// With this position, inclusive.
    At(LogPosition),
}

/// Which events to send: those that pass every part. An empty part passes all.
#[derive(Debug, Clone, Default)]
pub struct WatchFilter {
    /// Only of these types.
    pub entity_types: HashSet<EntityType>,
    /// Only of entities with these ids.
    pub entity_ids: HashSet<String>,
    /// Only of these venues and what belongs to them.
    pub venues: HashSet<VenueId>,
}

impl WatchFilter {
    /// Whether the event passes.
    pub fn passes(&self, event: &LoggedEvent) -> bool {
        (self.entity_types.is_empty() || self.entity_types.contains(&event.key.entity_type()))
            && (self.venues.is_empty() || event.venue.as_ref().is_some_and(|venue| self.venues.contains(venue)))
            && (self.entity_ids.is_empty() || self.entity_ids.contains(&event.key.id()))
    }
}

/// One step of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchItem {
    /// The next event that passes the filter.
    Event(LoggedEvent),
    /// Every event up to and with this revision that passes the filter was sent.
    Progress(Revision),
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The position is no longer kept.
    #[error("the log is kept from revision {oldest} on")]
    Compacted {
        /// The oldest revision that is kept.
        oldest: Revision,
    },
    /// The position is beyond the revision that comes next.
    #[error("the newest revision is {newest}")]
    Future {
        /// The newest revision of the log.
        newest: Revision,
    },
    /// The log could not be read. What was sent stays true; the watcher may go on from there.
    #[error("the event log cannot be read: {0}")]
    Unavailable(#[from] PortError),
    /// The server stops.
    #[error("the server stops")]
    Stopping,
}

impl LogTailer {
    /// Streams the log from a position on, then live, until an error, which is the last item. A mark of progress comes
    /// after each batch, at once where there is nothing to send, and whenever nothing was sent for a while.
    pub fn watch(
        self: &Arc<Self>,
        start: WatchStart,
        filter: WatchFilter,
    ) -> impl Stream<Item = Result<WatchItem, WatchError>> + Send + use<> {
        let applied = self.subscribe();
        // "Now" is when the caller asked, not when the stream is first polled.
        let next = (start == WatchStart::Now).then(|| LogPosition::start_of(self.applied() + 1));
        let watcher =
            Watcher { tailer: Arc::clone(self), start, filter, applied, next, progress: None, ready: VecDeque::new() };
        stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.step().await {
                Ok(item) => Some((Ok(item), Some(watcher))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

struct Watcher {
    tailer: Arc<LogTailer>,
    start: WatchStart,
    filter: WatchFilter,
    applied: watch::Receiver<Revision>,
    /// The position to go on with, once it is found in the log.
    next: Option<LogPosition>,
    /// The last mark that was sent.
    progress: Option<Revision>,
    /// At most a page, and a mark.
    ready: VecDeque<WatchItem>,
}

impl Watcher {
    async fn step(&mut self) -> Result<WatchItem, WatchError> {
        let mut next = match self.next {
            Some(next) => next,
            None => self.find_start().await?,
        };
        loop {
            if let Some(item) = self.ready.pop_front() {
                self.next = Some(next);
                return Ok(item);
            }
            let applied = *self.applied.borrow_and_update();
            if next.revision <= applied {
                next = self.fill(next, applied).await?;
            } else if self.progress.is_none() {
                self.mark(next.revision - 1);
            } else {
                let idle = self.tailer.settings.progress_interval;
                tokio::select! {
                    () = self.tailer.stopped.cancelled() => return Err(WatchError::Stopping),
                    // The sender lives in the tailer, which this holds: it cannot be gone.
                    _ = self.applied.changed() => {}
                    () = sleep(idle) => self.mark(next.revision - 1),
                }
            }
        }
    }

    async fn find_start(&self) -> Result<LogPosition, WatchError> {
        let bounds = self.tailer.log.bounds().await?;
        match self.start {
            WatchStart::Now => Ok(LogPosition::start_of(bounds.newest + 1)),
            WatchStart::Oldest => Ok(LogPosition::start_of(bounds.oldest)),
            WatchStart::At(at) if at.revision < bounds.oldest => Err(WatchError::Compacted { oldest: bounds.oldest }),
            WatchStart::At(at) if at.revision > bounds.newest + 1 => Err(WatchError::Future { newest: bounds.newest }),
            WatchStart::At(at) => Ok(at),
        }
    }

    /// Reads a page of what is applied, and says where to go on.
    async fn fill(&mut self, next: LogPosition, applied: Revision) -> Result<LogPosition, WatchError> {
        let page = self.tailer.settings.page_events;
        let recent = self.tailer.recent.lock().read(next, page as usize);
        let (mut events, mut has_more) = if let Some(events) = recent {
            let is_full = events.len() >= page as usize;
            (events, is_full)
        } else {
            let LogPage { events, has_more } = self.tailer.log.read(next, page).await?;
            (events.into_iter().map(Arc::new).collect(), has_more)
        };
        let read = events.len();
        events.truncate(events.partition_point(|event| event.position.revision <= applied));
        has_more &= events.len() == read;
        // Where the watcher started within a revision, its index may be beyond the end of that revision.
        if let Some(first) = events.first()
            && !follows(next, first.position)
        {
            let oldest = self.tailer.log.bounds().await?.oldest;
            return Err(WatchError::Compacted { oldest });
        }
        let last = events.last().map(|event| event.position);
        let passing = events.into_iter().filter(|event| self.filter.passes(event));
        self.ready.extend(passing.map(|event| WatchItem::Event(Arc::unwrap_or_clone(event))));
        Ok(match last {
            Some(last) if has_more => {
                self.mark(last.revision - 1);
                last.next()
            }
            _ => {
                self.mark(applied);
                LogPosition::start_of(applied + 1)
            }
        })
    }

    /// Adds a mark of progress, unless one further on was sent.
    fn mark(&mut self, through: Revision) {
        if self.progress.is_none_or(|sent| sent <= through) {
            self.progress = Some(through);
            self.ready.push_back(WatchItem::Progress(through));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use futures::{FutureExt, StreamExt};
    use prometheus::Registry;
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;
    use crate::{
        log_tailer::LogTailerSettings,
        testing::{MemoryLog, Recorder, event, venue_event},
    };

    async fn started(log: &Arc<MemoryLog>, settings: LogTailerSettings) -> (Arc<LogTailer>, CancellationToken) {
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let tailer = LogTailer::start(
            log.clone(),
            Arc::new(Recorder::default()),
            settings,
            &Registry::new(),
            &tracker,
            token.clone(),
        )
        .await
        .unwrap();
        (tailer, token)
    }

    /// Commits revisions of one event each, and has them applied.
    async fn commit(log: &MemoryLog, tailer: &LogTailer, revisions: impl IntoIterator<Item = Revision>) {
        for revision in revisions {
            log.commit(&[event(revision, 0)]);
            tailer.committed(vec![event(revision, 0)]);
            assert!(tailer.wait_for(revision, Duration::from_secs(5)).await);
        }
    }

    /// The positions up to a mark of progress.
    async fn until_progress(
        stream: &mut (impl Stream<Item = Result<WatchItem, WatchError>> + Unpin),
        through: Revision,
    ) -> Vec<LogPosition> {
        let mut positions = Vec::new();
        loop {
            match stream.next().await.unwrap().unwrap() {
                WatchItem::Event(event) => positions.push(event.position),
                WatchItem::Progress(revision) if revision >= through => return positions,
                WatchItem::Progress(_) => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_from_a_position_sends_it_and_all_after_it_and_then_lives() {
        let log = MemoryLog::with(vec![event(1, 0), event(2, 0), event(2, 1), event(3, 0)]);
        let (tailer, _) = started(&log, LogTailerSettings { page_events: 2, ..LogTailerSettings::default() }).await;
        let at = LogPosition { revision: 2, index: 1 };
        let mut stream = pin!(tailer.watch(WatchStart::At(at), WatchFilter::default()));
        assert_eq!(until_progress(&mut stream, 3).await, [at, LogPosition::start_of(3)]);
        commit(&log, &tailer, [4]).await;
        assert_eq!(until_progress(&mut stream, 4).await, [LogPosition::start_of(4)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_beyond_its_revision_goes_on_with_the_next_one() {
        let log = MemoryLog::with(vec![event(1, 0), event(2, 0)]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        let mut stream =
            pin!(tailer.watch(WatchStart::At(LogPosition { revision: 1, index: 7 }), WatchFilter::default()));
        assert_eq!(until_progress(&mut stream, 2).await, [LogPosition::start_of(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn now_is_when_the_watch_was_asked_for_and_a_mark_says_that_it_stands() {
        let log = MemoryLog::with(vec![event(1, 0)]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        let mut early = pin!(tailer.watch(WatchStart::Now, WatchFilter::default()));
        commit(&log, &tailer, [2]).await;
        assert_eq!(until_progress(&mut early, 2).await, [LogPosition::start_of(2)]);
        let mut late = pin!(tailer.watch(WatchStart::Now, WatchFilter::default()));
        assert_eq!(late.next().now_or_never().unwrap().unwrap().unwrap(), WatchItem::Progress(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_filtered_out_still_makes_progress() {
        let log = MemoryLog::with(vec![event(1, 0), venue_event(2, "kraken"), venue_event(3, "binance"), event(4, 0)]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        let venues = HashSet::from(["binance".parse().unwrap()]);
        let mut stream = pin!(tailer.watch(WatchStart::Oldest, WatchFilter { venues, ..WatchFilter::default() }));
        assert_eq!(until_progress(&mut stream, 4).await, [LogPosition::start_of(3)]);
        commit(&log, &tailer, [5]).await;
        assert_eq!(stream.next().await.unwrap().unwrap(), WatchItem::Progress(5));
        let before = tokio::time::Instant::now();
        assert_eq!(stream.next().await.unwrap().unwrap(), WatchItem::Progress(5));
        assert_eq!(before.elapsed(), LogTailerSettings::default().progress_interval);
    }

    #[tokio::test(start_paused = true)]
    async fn filters_pass_what_each_of_them_passes() {
        let kraken = venue_event(1, "kraken");
        let filter = |ids: &[&str], types: &[EntityType]| WatchFilter {
            entity_ids: ids.iter().map(ToString::to_string).collect(),
            entity_types: types.iter().copied().collect(),
            ..WatchFilter::default()
        };
        assert!(filter(&["kraken", "okx"], &[]).passes(&kraken));
        assert!(filter(&["kraken"], &[EntityType::Venue]).passes(&kraken));
        assert!(!filter(&["kraken"], &[EntityType::Chain]).passes(&kraken));
        assert!(!filter(&["okx"], &[]).passes(&kraken));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_watcher_is_caught_up_from_the_log() {
        let log = MemoryLog::with(vec![event(1, 0)]);
        let settings = LogTailerSettings { recent_bytes: 1000, page_events: 4, ..LogTailerSettings::default() };
        let (tailer, _) = started(&log, settings).await;
        let mut stream = pin!(tailer.watch(WatchStart::Oldest, WatchFilter::default()));
        assert_eq!(until_progress(&mut stream, 1).await, [LogPosition::start_of(1)]);
        commit(&log, &tailer, 2..=50).await;
        let sent = until_progress(&mut stream, 50).await;
        assert_eq!(sent, (2..=50).map(LogPosition::start_of).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_applied_is_sent() {
        let log = MemoryLog::with(vec![event(1, 0)]);
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        log.commit(&[event(2, 0)]);
        let mut stream = pin!(tailer.watch(WatchStart::Oldest, WatchFilter::default()));
        assert!(matches!(stream.next().await.unwrap().unwrap(), WatchItem::Event(e) if e.position.revision == 1));
        assert_eq!(stream.next().await.unwrap().unwrap(), WatchItem::Progress(1));
        assert!(matches!(stream.next().await.unwrap().unwrap(), WatchItem::Event(e) if e.position.revision == 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_is_not_kept_or_not_made_yet_is_out_of_range() {
        let log = MemoryLog::with((1..=5).map(|revision| event(revision, 0)).collect());
        *log.oldest.lock() = 3;
        let (tailer, _) = started(&log, LogTailerSettings::default()).await;
        let first = async |at| {
            pin!(tailer.watch(WatchStart::At(LogPosition::start_of(at)), WatchFilter::default())).next().await
        };
        assert!(matches!(first(2).await, Some(Err(WatchError::Compacted { oldest: 3 }))));
        assert!(matches!(first(7).await, Some(Err(WatchError::Future { newest: 5 }))));
        assert!(matches!(first(6).await, Some(Ok(WatchItem::Progress(5)))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_compaction_overtakes_is_told() {
        let log = MemoryLog::with((1..=9).map(|revision| event(revision, 0)).collect());
        let (tailer, _) = started(&log, LogTailerSettings { page_events: 2, ..LogTailerSettings::default() }).await;
        let mut stream = pin!(tailer.watch(WatchStart::Oldest, WatchFilter::default()));
        stream.next().await.unwrap().unwrap();
        *log.oldest.lock() = 8;
        let end = loop {
            if let Err(error) = stream.next().await.unwrap() {
                break error;
            }
        };
        assert!(matches!(end, WatchError::Compacted { oldest: 8 }));
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_ends_when_the_server_stops() {
        let log = MemoryLog::with(vec![]);
        let (tailer, token) = started(&log, LogTailerSettings::default()).await;
        let mut stream = pin!(tailer.watch(WatchStart::Now, WatchFilter::default()));
        assert_eq!(stream.next().await.unwrap().unwrap(), WatchItem::Progress(0));
        token.cancel();
        assert!(matches!(stream.next().await, Some(Err(WatchError::Stopping))));
    }
}
