//! The task that follows the log: it looks for what is new when it is woken, told, or nothing was heard for a while.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cqar_domain::{
    entity::Revision,
    event::{LogSink, LoggedEvent, PortError},
};
use futures::{
    FutureExt,
    future::{BoxFuture, Fuse, FusedFuture},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{backoff::Backoff, log_tailer::LogTailer, page::read_whole_revisions};

/// Why the log could not be followed just now. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailFault {
    #[error("the event log cannot be read: {0}")]
    Read(#[from] PortError),
    #[error("the event log did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("this database has another event log now ({found}): restart this server")]
    OtherLog { found: Uuid },
    #[error("the event log does not go on after revision {after}")]
    Gap { after: Revision },
}

impl TailFault {
    /// Whether the log itself is not what it was.
    pub(crate) fn is_diverged(&self) -> bool {
        match self {
            Self::Read(_) | Self::TimedOut(_) => false,
            Self::OtherLog { .. } | Self::Gap { .. } => true,
        }
    }
}

/// What the last read brought.
struct WholeRevisions {
    events: Vec<LoggedEvent>,
    may_have_more: bool,
}

/// The task.
pub(crate) struct LogFollower {
    pub(crate) tailer: Arc<LogTailer>,
    pub(crate) sink: Arc<dyn LogSink>,
    pub(crate) commits: mpsc::Receiver<Vec<LoggedEvent>>,
}

impl LogFollower {
    /// Reads run beside the queue of commits, so that a slow read delays no writer that hands its events over.
    pub(crate) async fn run(mut self) {
        let tailer = Arc::clone(&self.tailer);
        let mut backoff = Backoff::up_to(tailer.settings.poll);
        let mut reading: Fuse<BoxFuture<'_, Result<WholeRevisions, TailFault>>> = Fuse::terminated();
        let mut appended = tailer.log.wait_for_append();
        let poll = sleep(tailer.settings.poll);
        tokio::pin!(poll);
        // After a failed read, only the clock starts another.
        let (mut wanted, mut pausing) = (false, false);
        loop {
            if wanted && !pausing && reading.is_terminated() {
                wanted = false;
                reading = read_on(&tailer).boxed().fuse();
            }
            tokio::select! {
                () = tailer.stopped.cancelled() => return,
                Some(events) = self.commits.recv() => wanted |= !tailer.apply(&*self.sink, events),
                read = &mut reading => {
                    let outcome = read.and_then(|read| self.take(read));
                    let pause = match &outcome {
                        Ok(more) => {
                            wanted |= more;
                            backoff.reset();
                            tailer.settings.poll
                        }
                        Err(_) => backoff.delay(),
                    };
                    if pausing && outcome.is_ok() {
                        // What the old one listened to may have gone with the database.
                        appended = tailer.log.wait_for_append();
                    }
                    pausing = outcome.is_err();
                    tailer.note(outcome.err());
                    poll.as_mut().reset(Instant::now() + pause);
                }
                told = &mut appended => {
                    // Told of its own commit, which was handed over, it has nothing to read.
                    wanted |= told.is_none_or(|revision| revision > tailer.applied());
                    appended = tailer.log.wait_for_append();
                }
                () = &mut poll, if reading.is_terminated() => reading = read_on(&tailer).boxed().fuse(),
            }
        }
    }

    /// Applies what was read, and says whether there may be more.
    fn take(&self, read: WholeRevisions) -> Result<bool, TailFault> {
        if self.tailer.apply(&*self.sink, read.events) {
            Ok(read.may_have_more)
        } else {
            Err(TailFault::Gap { after: self.tailer.applied() })
        }
    }
}

async fn read_on(tailer: &LogTailer) -> Result<WholeRevisions, TailFault> {
    let limit = tailer.settings.read_timeout;
    let read = async {
        let after = tailer.applied();
        let bounds = tailer.log.bounds().await?;
        if bounds.log_id != tailer.log_id {
            return Err(TailFault::OtherLog { found: bounds.log_id });
        }
        tailer.oldest.store(bounds.oldest, Ordering::Relaxed);
        if bounds.newest <= after {
            return Ok(WholeRevisions { events: Vec::new(), may_have_more: false });
        }
        let events = read_whole_revisions(&*tailer.log, after, tailer.settings.page_events).await?;
        let Some(last) = events.last() else { return Err(TailFault::Gap { after }) };
        let may_have_more = last.position.revision < bounds.newest;
        Ok(WholeRevisions { events, may_have_more })
    };
    timeout(limit, read).await.unwrap_or(Err(TailFault::TimedOut(limit)))
}
