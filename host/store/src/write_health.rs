//! Whether writes work, as the last of them found out.
//!
//! A database may answer every read and refuse every write: its disk is full, it is a standby, another process holds its lock.
//! So what counts is what became of writes, and while they fail, a probe writes again and again, until it succeeds. It may
//! also refuse some: on a full disk, what finds room in a page goes through. So one success does not make it well.

use std::time::Duration;

use cqar_domain::causes::ToldCauses;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use crate::error::Error;

/// Whether writes work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriteHealth {
    /// None was tried yet.
    #[default]
    Unproven,
    /// They are committed, and have been for some seconds.
    Working,
    /// One failed lately, through no fault of its own.
    Failing {
        /// Why.
        reason: String,
    },
}

/// For so long after a failure writes do not count as working.
const RECENT: Duration = Duration::from_secs(5);
/// What became of the last writes.
#[derive(Debug, Default)]
pub(crate) struct WriteMonitor {
    /// What the last write found out.
    last: watch::Sender<WriteHealth>,
    told: Mutex<Told>,
}

/// What was logged, and the last failure.
#[derive(Debug, Default)]
struct Told {
    causes: ToldCauses,
    /// Whether writes failed, and it was not told yet that they work again.
    fails: bool,
    failure: Option<(Instant, String)>,
}

impl WriteMonitor {
    pub(crate) fn health(&self) -> WriteHealth {
        match &self.told.lock().failure {
            Some((at, reason)) if at.elapsed() < RECENT => WriteHealth::Failing { reason: reason.clone() },
            _ => self.last.borrow().clone(),
        }
    }

    /// Waits until the last write failed, and says why.
    pub(crate) async fn failing(&self) -> String {
        let mut last = self.last.subscribe();
        loop {
            if let WriteHealth::Failing { reason } = &*last.borrow_and_update() {
                return reason.clone();
            }
            if last.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until writes are not known to work, or were not a moment ago.
    pub(crate) async fn in_doubt(&self) {
        let is_in_doubt = |health: &WriteHealth| *health != WriteHealth::Working || self.told.lock().fails;
        // The sender is this very struct.
        let _ = self.last.subscribe().wait_for(is_in_doubt).await;
    }

    /// A write was committed. That they work again is told when none has failed for a moment, and what fails then is news.
    pub(crate) fn worked(&self) {
        let works_again = {
            let mut told = self.told.lock();
            let is_recent = told.failure.as_ref().is_some_and(|(at, _)| at.elapsed() < RECENT);
            let works_again = told.fails && !is_recent;
            if works_again {
                told.fails = false;
                told.causes.clear();
            }
            works_again
        };
        self.last.send_if_modified(|last| std::mem::replace(last, WriteHealth::Working) != WriteHealth::Working);
        if works_again {
            tracing::info!("database_writes_work_again");
        }
    }

    /// A write failed. What the database refused for the write's own sake says nothing about others; what took too long may have
    /// been too large, or no other would be quicker: the probe finds out.
    pub(crate) fn failed(&self, error: &Error) {
        if error.is_overlong() {
            self.last.send_if_modified(|last| {
                let is_known = *last == WriteHealth::Working;
                if is_known {
                    *last = WriteHealth::Unproven;
                }
                is_known
            });
        } else {
            self.probe_failed(error);
        }
    }

    /// The probe failed, which writes next to nothing.
    pub(crate) fn probe_failed(&self, error: &Error) {
        let Some(cause) = error.cause_of_failed_writes() else { return };
        let reason = error.to_string();
        {
            let mut told = self.told.lock();
            told.failure = Some((Instant::now(), reason.clone()));
            told.fails = true;
            if told.causes.is_news(&cause) {
                tracing::warn!(reason, "database_writes_fail");
            }
        }
        self.last.send_replace(WriteHealth::Failing { reason });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn writes_work_when_they_have_for_a_while_and_what_fails_for_a_reason_of_its_own_says_nothing() {
        let monitor = WriteMonitor::default();
        assert_eq!(monitor.health(), WriteHealth::Unproven);
        monitor.failed(&Error::TooManyWrites { waiting: 3 });
        assert_eq!(monitor.health(), WriteHealth::Unproven);
        monitor.worked();
        assert_eq!(monitor.health(), WriteHealth::Working);

        monitor.failed(&Error::Deadline { limit: Duration::from_secs(5) });
        let is_failing = || matches!(monitor.health(), WriteHealth::Failing { reason } if reason.contains("5000 ms"));
        assert!(is_failing());
        monitor.worked();
        assert!(is_failing(), "a moment ago one failed");
        assert!(monitor.told.lock().fails && !monitor.told.lock().causes.is_news("deadline"));
        advance(RECENT).await;
        assert_eq!(monitor.health(), WriteHealth::Working);
        monitor.in_doubt().await;
        monitor.worked();
        assert!(
            !monitor.told.lock().fails && monitor.told.lock().causes.is_news("deadline"),
            "the next failure is news"
        );
    }
}
