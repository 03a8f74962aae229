//! What is counted: metrics for all plugins, and the figures of each for the operator.

use std::{
    collections::BTreeMap,
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
    memory_peak: IntGaugeVec,
    pub(crate) instances: IntGaugeVec,
    pub(crate) waiting: IntGaugeVec,
    pub(crate) generation: IntGaugeVec,
    pub(crate) swaps: IntCounterVec,
    pub(crate) rejections: IntCounterVec,
    pub(crate) rollbacks: IntCounterVec,
    /// How many have series of the name.
    alive: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let buckets = prometheus::exponential_buckets(2e-6, 4.0, 13)?;
        let durations = HistogramOpts::new(
            "cqar_plugin_call_duration_seconds",
            "How long calls of plugins took, by plugin, generation and exported function",
        );
        let generation = &["plugin", "generation"];
        let metrics = Self {
            durations: HistogramVec::new(durations.buckets(buckets), &["plugin", "generation", "export"])?,
            errors: counter(
                "cqar_plugin_errors_total",
                "Calls that did not end well, by kind: deadline, timeout, memory, trap and others",
                &["plugin", "generation", "kind"],
            )?,
            memory_peak: gauge(
                "cqar_plugin_memory_peak_bytes",
                "The most memory that an instance of a generation had",
                generation,
            )?,
            instances: gauge("cqar_plugin_instances", "Instances, running and idle", &["plugin"])?,
            waiting: gauge("cqar_plugin_waiting_calls", "Calls that wait for a place", &["plugin"])?,
            generation: gauge(
                "cqar_plugin_generation",
                "Activations since the start; 0 while nothing serves",
                &["plugin"],
            )?,
            swaps: counter("cqar_plugin_swaps_total", "Generations that were activated", &["plugin"])?,
            rejections: counter(
                "cqar_plugin_rejections_total",
                "Files that the gate refused, by step",
                &["plugin", "step"],
            )?,
            rollbacks: counter("cqar_plugin_rollbacks_total", "Generations that were taken back", &["plugin"])?,
            alive: Arc::default(),
        };
        registry.register(Box::new(metrics.durations.clone()))?;
        for counter in [&metrics.errors, &metrics.swaps, &metrics.rejections, &metrics.rollbacks] {
            registry.register(Box::new(counter.clone()))?;
        }
        for gauge in [&metrics.memory_peak, &metrics.instances, &metrics.waiting, &metrics.generation] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
    }

    /// The histogram of one function.
    pub(crate) fn duration(&self, plugin: &str, generation: &str, export: &str) -> Histogram {
        self.durations.with_label_values(&[plugin, generation, export])
    }

    /// Notes the most memory that an instance had.
    pub(crate) fn memory_peak(&self, plugin: &str, generation: &str, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.memory_peak.with_label_values(&[plugin, generation]).set(bytes);
    }

    /// Forgets a plugin that is gone, but for what adds up.
    fn forget(&self, plugin: &str) {
        for gauge in [&self.generation, &self.instances, &self.waiting] {
            // An error means that there was none.
            let _ = gauge.remove_label_values(&[plugin]);
        }
    }

    /// Forgets a generation that nothing calls any more: a plugin that is swapped often would else leave a series for each.
    fn forget_generation(&self, plugin: &str, generation: &str) {
        let labels = &std::collections::HashMap::from([("plugin", plugin), ("generation", generation)]);
        for export in ["validate", "parse", "format", "normalize-assets", "read-listing", "transform"] {
            let _ = self.durations.remove_label_values(&[plugin, generation, export]);
        }
        let _ = self.memory_peak.remove(labels);
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

/// The figures of one plugin, over all its generations.
pub(crate) struct Stats {
    plugin: Arc<str>,
    metrics: Metrics,
    calls: AtomicI64,
    failed_calls: AtomicI64,
    /// How many monitors have each label: a component may be tried again while it serves.
    generations: Mutex<BTreeMap<String, usize>>,
}

impl Drop for Stats {
    fn drop(&mut self) {
        let mut alive = self.metrics.alive.lock();
        // One that was removed and is back has its own, while calls of the old one run on.
        if let Some(count) = alive.get_mut(&*self.plugin) {
            *count -= 1;
            if *count == 0 {
                alive.remove(&*self.plugin);
                self.metrics.forget(&self.plugin);
            }
        }
    }
}

impl Stats {
    pub(crate) fn new(plugin: &str, metrics: &Metrics) -> Self {
        *metrics.alive.lock().entry(plugin.to_owned()).or_default() += 1;
        let (calls, failed_calls) = (AtomicI64::new(0), AtomicI64::new(0));
        Self { plugin: plugin.into(), metrics: metrics.clone(), calls, failed_calls, generations: Mutex::default() }
    }

    /// Notes that something has this label.
    pub(crate) fn begin_generation(&self, generation: &str) {
        *self.generations.lock().entry(generation.to_owned()).or_default() += 1;
    }

    /// Notes that something with this label is gone, and its series with the last.
    pub(crate) fn end_generation(&self, generation: &str) {
        let mut generations = self.generations.lock();
        if let Some(count) = generations.get_mut(generation) {
            *count -= 1;
            if *count == 0 {
                generations.remove(generation);
                self.metrics.forget_generation(&self.plugin, generation);
            }
        }
    }

    pub(crate) fn plugin(&self) -> &str {
        &self.plugin
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Calls, and those that failed.
    pub(crate) fn figures(&self) -> (i64, i64) {
        (self.calls.load(Ordering::Relaxed), self.failed_calls.load(Ordering::Relaxed))
    }

    /// Counts an error.
    pub(crate) fn error(&self, generation: &str, error: &CallError) {
        self.metrics.errors.with_label_values(&[&*self.plugin, generation, error.kind()]).inc();
    }

    pub(crate) fn called(&self, export: &'static str, generation: &str, took: Duration, error: Option<&CallError>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let Some(error) = error else { return };
        self.error(generation, error);
        // What moved is the registry, and the call is made again: the plugin did nothing wrong.
        if matches!(error, CallError::Moved) {
            return;
        }
        self.failed_calls.fetch_add(1, Ordering::Relaxed);
        let took_ms = took.as_secs_f64() * 1000.0;
        tracing::warn!(plugin = &*self.plugin, export, took_ms, %error, "plugin call failed");
    }
}
