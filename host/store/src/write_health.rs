//! Whether writes work, as the last of them found out.
//!
//! A database may answer every read and refuse every write: its disk is full, it is a standby, another process holds its lock.
//! So what counts is what became of writes, and while they fail, a probe writes again and again, until it succeeds.

use cqar_domain::causes::ToldCauses;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::error::Error;

/// Whether writes work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriteHealth {
    /// None was tried yet.
    #[default]
    Unproven,
    /// The last one was committed.
    Working,
    /// The last one failed, through no fault of its own.
    Failing {
        /// Why.
        reason: String,
    },
}

/// What became of the last writes.
#[derive(Debug, Default)]
pub(crate) struct WriteMonitor {
    health: watch::Sender<WriteHealth>,
    told: Mutex<ToldCauses>,
}

impl WriteMonitor {
    pub(crate) fn health(&self) -> WriteHealth {
        self.health.borrow().clone()
    }

    /// Waits until writes fail, and says why.
    pub(crate) async fn failing(&self) -> String {
        let mut health = self.health.subscribe();
        loop {
            if let WriteHealth::Failing { reason } = &*health.borrow_and_update() {
                return reason.clone();
            }
            if health.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until writes are not known to work.
    pub(crate) async fn in_doubt(&self) {
        // The sender is this very struct.
        let _ = self.health.subscribe().wait_for(|health| *health != WriteHealth::Working).await;
    }

    /// A write was committed.
    pub(crate) fn worked(&self) {
        let before = self.health.borrow().clone();
        if before == WriteHealth::Working {
            return;
        }
        self.told.lock().clear();
        self.health.send_replace(WriteHealth::Working);
        if matches!(before, WriteHealth::Failing { .. }) {
            tracing::info!("database_writes_work_again");
        }
    }

    /// A write failed. What the database refused for the write's own sake says nothing about others.
    pub(crate) fn failed(&self, error: &Error) {
        let Some(cause) = error.cause_of_failed_writes() else { return };
        let reason = error.to_string();
        if self.told.lock().is_news(&cause) {
            tracing::warn!(reason, "database_writes_fail");
        }
        self.health.send_if_modified(|health| {
            let failing = WriteHealth::Failing { reason };
            let is_news = *health != failing;
            *health = failing;
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_fails_for_a_reason_of_its_own_says_nothing_about_others() {
        let monitor = WriteMonitor::default();
        assert_eq!(monitor.health(), WriteHealth::Unproven);
        monitor.failed(&Error::TooManyWrites { waiting: 3 });
        assert_eq!(monitor.health(), WriteHealth::Unproven);
        monitor.failed(&Error::Deadline { limit: Duration::from_secs(5) });
        assert!(matches!(monitor.health(), WriteHealth::Failing { reason } if reason.contains("5000 ms")));
        monitor.worked();
        assert_eq!(monitor.health(), WriteHealth::Working);
    }
}
