//! The writers of this process, one after the other.
//!
//! Invariant: who waits is bounded in number and in time. Whoever holds the turn gives it back within the deadlines of the
//! statements that it runs; if more than these add up, those who waited too long are refused, and say so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus::IntGauge;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::sleep,
};

use crate::{error::Error, write_health::WriteMonitor};

/// Two whole imports, which are the longest writes.
const TURN_DEADLINE: Duration = Duration::from_secs(20);

/// Those who write, and those who wait for it.
#[derive(Debug)]
pub(crate) struct Writers {
    turn: Arc<Mutex<()>>,
    waiting: AtomicUsize,
    most: AtomicUsize,
    gauge: IntGauge,
}

/// The right to write, until it is dropped.
#[derive(Debug)]
pub(crate) struct WriterTurn {
    _guard: OwnedMutexGuard<()>,
}

/// One who waits, as the gauge counts.
struct Counted<'a>(&'a IntGauge);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A place among those who wait. Who goes away gives it back.
struct Place<'a>(&'a Writers);

impl Writers {
    pub(crate) fn new(most: usize, gauge: IntGauge) -> Self {
        Self { turn: Arc::default(), waiting: AtomicUsize::new(0), most: AtomicUsize::new(most), gauge }
    }

    /// From now on so many may wait. Those who wait already stay.
    pub(crate) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Waits for the turn, in order. While writes fail, one at a time tries, and nobody waits behind it. Dropping the future
    /// leaves the queue.
    pub(crate) async fn take_turn(&self, health: &WriteMonitor) -> Result<WriterTurn, Error> {
        let turn = || Arc::clone(&self.turn);
        if let Ok(guard) = turn().try_lock_owned() {
            return Ok(WriterTurn { _guard: guard });
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(self);
        if waiting >= self.most.load(Ordering::Relaxed) {
            return Err(Error::TooManyWrites { waiting });
        }
        self.gauge.inc();
        let _counted = Counted(&self.gauge);
        tokio::select! {
            biased;
            guard = turn().lock_owned() => Ok(WriterTurn { _guard: guard }),
            reason = health.failing() => Err(Error::WritesFail { reason }),
            () = sleep(TURN_DEADLINE) => Err(Error::TurnTooLate { limit: TURN_DEADLINE }),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_and_one_more_is_refused_and_who_leaves_makes_room() {
        let (writers, health) = (writers(), WriteMonitor::default());
        let turn = writers.take_turn(&health).await.unwrap();
        let mut first = Box::pin(writers.take_turn(&health));
        let mut second = Box::pin(writers.take_turn(&health));
        for waiting in [&mut first, &mut second] {
            assert!(poll_once(waiting).is_none());
        }
        assert!(matches!(writers.take_turn(&health).await, Err(Error::TooManyWrites { waiting: 2 })));
        drop(first);
        let mut third = Box::pin(writers.take_turn(&health));
        assert!(poll_once(&mut third).is_none(), "there is room again");
        drop(turn);
        drop(second.await.unwrap());
        third.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_nor_behind_an_attempt_while_writes_fail() {
        let (writers, health) = (writers(), WriteMonitor::default());
        let turn = writers.take_turn(&health).await.unwrap();
        assert!(matches!(writers.take_turn(&health).await, Err(Error::TurnTooLate { .. })));
        let mut waiting = Box::pin(writers.take_turn(&health));
        assert!(poll_once(&mut waiting).is_none());
        health.failed(&Error::Deadline { limit: TURN_DEADLINE });
        assert!(matches!(waiting.await, Err(Error::WritesFail { .. })));
        drop(turn);
        drop(writers.take_turn(&health).await.unwrap());
    }

    fn writers() -> Writers {
        Writers::new(2, IntGauge::new("waiting", "Waiting").unwrap())
    }

    /// Polls once: none if it waits.
    fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
