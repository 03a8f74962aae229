//! What is counted: metrics for all plugins, and the figures of each for the operator.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::error::CallError;

/// The metrics of the host.
#[derive(Clone)]
pub(crate) struct Metrics {
    durations: HistogramVec,
    errors: IntCounterVec,
    pub(crate) generation: IntGaugeVec,
    pub(crate) swaps: IntCounterVec,
    pub(crate) rejections: IntCounterVec,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let buckets = prometheus::exponential_buckets(2e-6, 4.0, 13)?;
        let durations = HistogramOpts::new(
            "cqar_plugin_call_duration_seconds",
            "How long calls of plugins took, by plugin and exported function",
        );
        let metrics = Self {
            durations: HistogramVec::new(durations.buckets(buckets), &["plugin", "export"])?,
            errors: counter("cqar_plugin_errors_total", "Calls that did not end well, by kind", &["plugin", "kind"])?,
            generation: IntGaugeVec::new(
                Opts::new("cqar_plugin_generation", "Activations since the start; 0 while nothing serves"),
                &["plugin"],
            )?,
            swaps: counter("cqar_plugin_swaps_total", "Generations that were activated", &["plugin"])?,
            rejections: counter(
                "cqar_plugin_rejections_total",
                "Files that the gate refused, by step",
                &["plugin", "step"],
            )?,
        };
        registry.register(Box::new(metrics.durations.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.generation.clone()))?;
        registry.register(Box::new(metrics.swaps.clone()))?;
        registry.register(Box::new(metrics.rejections.clone()))?;
        Ok(metrics)
    }

    /// The histogram of one function.
    pub(crate) fn duration(&self, plugin: &str, export: &str) -> Histogram {
        self.durations.with_label_values(&[plugin, export])
    }

    /// Forgets a plugin that is gone, but for what adds up.
    pub(crate) fn forget(&self, plugin: &str) {
        // An error means that there was none.
        let _ = self.generation.remove_label_values(&[plugin]);
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// The figures of one plugin, over all its generations.
pub(crate) struct Stats {
    plugin: Arc<str>,
    metrics: Metrics,
    calls: AtomicI64,
    failed_calls: AtomicI64,
    last_failure: Mutex<String>,
}

impl Stats {
    pub(crate) fn new(plugin: &str, metrics: &Metrics) -> Self {
        Self {
            plugin: plugin.into(),
            metrics: metrics.clone(),
            calls: AtomicI64::new(0),
            failed_calls: AtomicI64::new(0),
            last_failure: Mutex::default(),
        }
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Calls, those that failed, and why the last of them did.
    pub(crate) fn figures(&self) -> (i64, i64, String) {
        let count = |counter: &AtomicI64| counter.load(Ordering::Relaxed);
        (count(&self.calls), count(&self.failed_calls), self.last_failure.lock().clone())
    }

    pub(crate) fn called(&self, export: &'static str, took: Duration, error: Option<&CallError>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let Some(error) = error else { return };
        self.metrics.errors.with_label_values(&[&*self.plugin, error.kind()]).inc();
        // What moved is the registry, and the call is made again: the plugin did nothing wrong.
        if matches!(error, CallError::Moved) {
            return;
        }
        self.failed_calls.fetch_add(1, Ordering::Relaxed);
        let took_ms = took.as_secs_f64() * 1000.0;
        tracing::warn!(plugin = &*self.plugin, export, took_ms, %error, "plugin call failed");
        self.note_failure(format!("{export} {error}"));
    }

    /// Why the plugin gave no answer, where its call itself ended well.
    pub(crate) fn note_failure(&self, message: String) {
        *self.last_failure.lock() = message;
    }
}
