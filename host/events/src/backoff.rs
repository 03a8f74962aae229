//! How long to wait before the next attempt: twice as long each time, up to a limit.

use std::time::Duration;

/// Short enough that a hiccup is not noticed.
const FIRST: Duration = Duration::from_millis(50);

/// A growing delay.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest }
    }

    /// The delay before the next attempt.
    pub(crate) fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        delay
    }

    /// Starts over: the last attempt got somewhere.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST.min(self.longest);
    }
}
