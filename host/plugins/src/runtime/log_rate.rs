//! How much one plugin may log.

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines a second, and as many at once after a while: enough to read, too few to drown the server's own.
const PER_SECOND: f64 = 100.0;

/// The rate of one plugin, over all its instances.
pub(crate) struct LogRate(Mutex<Bucket>);

struct Bucket {
    lines: f64,
    filled: Instant,
    dropped: u64,
}

/// Whether a line may be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Yes; so many before it were dropped.
    Yes { dropped: u64 },
    /// No.
    No,
}

impl LogRate {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket { lines: PER_SECOND, filled: now, dropped: 0 }))
    }

    /// Takes a line.
    pub(crate) fn take(&self, now: Instant) -> Admitted {
        let mut bucket = self.0.lock();
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.lines = since.mul_add(PER_SECOND, bucket.lines).min(PER_SECOND);
        bucket.filled = now;
        if bucket.lines < 1.0 {
            bucket.dropped += 1;
            return Admitted::No;
        }
        bucket.lines -= 1.0;
        Admitted::Yes { dropped: std::mem::take(&mut bucket.dropped) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_cut_and_said_and_the_next_second_has_its_lines() {
        let now = Instant::now();
        let rate = LogRate::new(now);
        let admitted = (0..1000).filter(|_| rate.take(now) != Admitted::No).count();
        assert_eq!(admitted, 100);
        assert_eq!(rate.take(now + Duration::from_secs(1)), Admitted::Yes { dropped: 900 });
    }
}
