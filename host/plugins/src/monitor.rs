//! What is learnt of the calls of one generation: figures, failures, and whether it is to be taken back.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cqar_domain::time::Clock;
use cqar_proto::v1;
use parking_lot::Mutex;
use prometheus::Histogram;
use tokio::sync::Notify;

use crate::{error::CallError, failure_window::FailureWindow, hash::Hash, replay::CallRing, stats::Stats};

/// The last failures are shown: what an operator reads.
const MAX_FAILURES: usize = 10;

/// The calls of one generation.
pub(crate) struct CallMonitor {
    /// Its label in the metrics.
    generation: String,
    stats: Arc<Stats>,
    ring: CallRing,
    window: FailureWindow,
    /// Tells the watcher that a generation is failing.
    failing: Arc<Notify>,
    failures: Mutex<VecDeque<v1::PluginFailure>>,
    memory_peak_bytes: AtomicUsize,
    instances: AtomicI64,
    /// Whether it looks up, and so may wait for the registry.
    looks_up: bool,
    clock: Arc<dyn Clock>,
}

impl CallMonitor {
    /// The monitor of a component, with the figures that its plugin's generations share.
    pub(crate) fn new(
        hash: &Hash,
        looks_up: bool,
        stats: &Arc<Stats>,
        failing: &Arc<Notify>,
        clock: &Arc<dyn Clock>,
    ) -> Arc<Self> {
        stats.begin_generation(&hash.short());
        Arc::new(Self {
            generation: hash.short(),
            stats: Arc::clone(stats),
            ring: CallRing::default(),
            window: FailureWindow::default(),
            failing: Arc::clone(failing),
            failures: Mutex::default(),
            memory_peak_bytes: AtomicUsize::new(0),
            instances: AtomicI64::new(0),
            looks_up,
            clock: Arc::clone(clock),
        })
    }

    /// Where its calls are recorded.
    pub(crate) fn ring(&self) -> &CallRing {
        &self.ring
    }

    /// The histogram of one function.
    pub(crate) fn duration(&self, export: &str) -> Histogram {
        self.stats.metrics().duration(self.stats.plugin(), &self.generation, export)
    }

    /// Whether it is the plugin that failed.
    pub(crate) fn is_of_plugin(&self, error: &CallError) -> bool {
        error.is_of_plugin(self.looks_up)
    }

    /// Notes how a call ended; `input` is what it was asked, for a call that failed.
    pub(crate) fn called(
        &self,
        export: &'static str,
        took: Duration,
        error: Option<&CallError>,
        input: impl FnOnce() -> String,
    ) {
        self.stats.called(export, &self.generation, took, error);
        if let Some(error) = error.filter(|error| !matches!(error, CallError::Moved)) {
            self.note_failure(export, error.to_string());
        }
        let failed = error.is_some_and(|error| self.is_of_plugin(error));
        // A call that it had no part in says nothing of it, neither good nor bad.
        if error.is_some() && !failed {
            return;
        }
        let input = failed.then(input);
        if self.window.note(input.as_deref()) {
            self.failing.notify_one();
        }
    }

    /// Why the plugin gave no answer, also where its call itself ended well.
    pub(crate) fn note_failure(&self, export: &str, reason: String) {
        let fail_time = Some(self.clock.now().into());
        let mut failures = self.failures.lock();
        failures.truncate(MAX_FAILURES - 1);
        failures.push_front(v1::PluginFailure { fail_time, export: export.to_owned(), reason });
    }

    /// Notes that a call ended well, and its answer is not taken in.
    pub(crate) fn not_taken_in(&self, export: &str, error: &CallError) {
        self.stats.error(&self.generation, error);
        self.note_failure(export, error.to_string());
    }

    /// Why it is to be taken back, if it is.
    pub(crate) fn failing(&self) -> Option<String> {
        if !self.window.is_failing() {
            return None;
        }
        let (calls, failed) = self.window.figures();
        let last = self.failures.lock().front().map(|it| format!("{} {}", it.export, it.reason)).unwrap_or_default();
        Some(format!("{failed} of its last {calls} calls failed; the last: {last}"))
    }

    /// The last failures, the newest first.
    pub(crate) fn failures(&self) -> Vec<v1::PluginFailure> {
        self.failures.lock().iter().cloned().collect()
    }

    /// The last failure in a line; empty if there was none.
    pub(crate) fn last_failure(&self) -> String {
        self.failures.lock().front().map(|it| format!("{} {}", it.export, it.reason)).unwrap_or_default()
    }

    /// Notes how many bytes an instance had after a call.
    pub(crate) fn memory(&self, bytes: usize) {
        if self.memory_peak_bytes.fetch_max(bytes, Ordering::Relaxed) < bytes {
            self.stats.metrics().memory_peak(self.stats.plugin(), &self.generation, bytes);
        }
    }

    pub(crate) fn memory_peak_bytes(&self) -> i64 {
        i64::try_from(self.memory_peak_bytes.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }

    /// Counts an instance, for as long as the answer lives.
    pub(crate) fn instance(self: &Arc<Self>) -> InstanceCount {
        self.instances.fetch_add(1, Ordering::Relaxed);
        self.stats.metrics().instances.with_label_values(&[self.stats.plugin()]).inc();
        InstanceCount(Arc::clone(self))
    }

    pub(crate) fn instances(&self) -> i64 {
        self.instances.load(Ordering::Relaxed)
    }

    /// Counts a call that waits for a place, for as long as the answer lives.
    pub(crate) fn waiting(&self) -> WaitingCount<'_> {
        self.stats.metrics().waiting.with_label_values(&[self.stats.plugin()]).inc();
        WaitingCount(self)
    }
}

impl Drop for CallMonitor {
    fn drop(&mut self) {
        self.stats.end_generation(&self.generation);
    }
}

/// An instance that is counted.
pub(crate) struct InstanceCount(Arc<CallMonitor>);

impl Drop for InstanceCount {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
        self.0.stats.metrics().instances.with_label_values(&[self.0.stats.plugin()]).dec();
    }
}

/// A waiting call that is counted.
pub(crate) struct WaitingCount<'a>(&'a CallMonitor);

impl Drop for WaitingCount<'_> {
    fn drop(&mut self) {
        self.0.stats.metrics().waiting.with_label_values(&[self.0.stats.plugin()]).dec();
    }
}
