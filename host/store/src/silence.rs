//! Connections that a silence leaves in doubt.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// When a statement went without an answer. Connections from before are not used again: what silenced one has, as a rule, cut all
/// of them, and each would cost its user the whole deadline to find that out.
#[derive(Debug)]
pub(crate) struct Silence {
    epoch: Instant,
    /// Milliseconds after `epoch`; 0 for never.
    last: AtomicU64,
}

impl Default for Silence {
    fn default() -> Self {
        Self { epoch: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Silence {
    /// Notes that it is so now.
    pub(crate) fn note(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    /// Whether it leaves a connection of this age usable: one that was made after it.
    pub(crate) fn spares(&self, age: Duration) -> bool {
        let made = self.now().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let last = self.last.load(Ordering::Relaxed);
        last == 0 || made > last
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}
