//! What may happen very often is told now and then.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets something be told at most so often.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Option<(Instant, u64)>>);

impl Throttle {
    /// Whether it is told now; if so, how often it happened since it was told last, this time included.
    pub(crate) fn is_due(&self) -> Option<u64> {
        let mut told = self.0.lock();
        match &mut *told {
            Some((last, untold)) if last.elapsed() < INTERVAL => {
                *untold += 1;
                None
            }
            told => {
                let untold = told.map_or(0, |(_, untold)| untold);
                *told = Some((Instant::now(), 0));
                Some(untold + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_told_at_once_and_then_how_often_it_was_not() {
        let throttle = Throttle::default();
        assert_eq!([throttle.is_due(), throttle.is_due(), throttle.is_due()], [Some(1), None, None]);
        advance(INTERVAL).await;
        assert_eq!([throttle.is_due(), throttle.is_due()], [Some(3), None]);
    }
}
