//! What the caches count.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The counters of both levels, registered once.
#[derive(Debug, Clone)]
pub struct CacheMetrics {
    hits: IntCounterVec,
    misses: IntCounterVec,
    l1: L1Families,
    l2: L2Metrics,
}

/// How often answers of one kind were found in L1. The reader counts, for it alone knows whether an answer that was
/// found is still true now.
#[derive(Debug, Clone)]
pub struct LookupCounters {
    hits: IntCounter,
    misses: IntCounter,
}

/// What the caches of the process count, by cache.
#[derive(Debug, Clone)]
struct L1Families {
    bytes: IntGaugeVec,
    answers: IntGaugeVec,
    evictions: IntCounterVec,
    not_admitted: IntCounterVec,
}

/// What one cache of the process counts.
#[derive(Debug, Clone)]
pub struct L1Metrics {
    pub(crate) bytes: IntGauge,
    pub(crate) answers: IntGauge,
    pub(crate) evictions: IntCounter,
    pub(crate) not_admitted: IntCounter,
}

/// What L2 counts.
#[derive(Debug, Clone)]
pub struct L2Metrics {
    pub(crate) hits: IntCounter,
    pub(crate) misses: IntCounter,
    pub(crate) not_asked: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) dropped: IntCounter,
    pub(crate) serving: IntGauge,
    pub(crate) watermark: IntGauge,
}

impl L1Families {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["cache"])?;
            registry.register(Box::new(gauges.clone())).map(|()| gauges)
        };
        let counters = |name: &str, help: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &["cache"])?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        Ok(Self {
            bytes: gauges("cqar_cache_bytes", "Size of a cache of the process.")?,
            answers: gauges("cqar_cache_answers", "Answers in a cache of the process.")?,
            evictions: counters("cqar_cache_eviction_total", "Answers dropped for want of room, or for their age.")?,
            not_admitted: counters(
                "cqar_cache_not_admitted_total",
                "Answers not kept, because a change was applied while they were loaded.",
            )?,
        })
    }

    fn of(&self, cache: &'static str) -> L1Metrics {
        L1Metrics {
            bytes: self.bytes.with_label_values(&[cache]),
            answers: self.answers.with_label_values(&[cache]),
            evictions: self.evictions.with_label_values(&[cache]),
            not_admitted: self.not_admitted.with_label_values(&[cache]),
        }
    }
}

impl CacheMetrics {
    /// Registers the metrics. Fails if they are registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_entity = |name: &str, help: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &["entity"])?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let asked = IntCounterVec::new(
            Opts::new("cqar_cache_l2_lookup_total", "Values looked up in Redis, by outcome."),
            &["outcome"],
        )?;
        registry.register(Box::new(asked.clone()))?;
        Ok(Self {
            hits: by_entity("cqar_cache_hit_total", "Answers found in the process's cache.")?,
            misses: by_entity("cqar_cache_miss_total", "Answers not found in the process's cache.")?,
            l1: L1Families::register(registry)?,
            l2: L2Metrics {
                hits: asked.with_label_values(&["hit"]),
                misses: asked.with_label_values(&["miss"]),
                not_asked: asked.with_label_values(&["not_asked"]),
                failures: counter("cqar_cache_l2_failure_total", "Calls to Redis that failed or took too long.")?,
                dropped: counter(
                    "cqar_cache_l2_dropped_total",
                    "Values not sent to Redis: away, or too many waiting.",
                )?,
                serving: gauge("cqar_cache_l2_serving", "Whether Redis serves, 0 or 1.")?,
                watermark: gauge("cqar_cache_l2_watermark", "The revision through which Redis has seen the log.")?,
            },
        })
    }

    /// The counters of look-ups in L1 for one kind of answer, such as `asset` or `resolve`.
    pub fn lookups(&self, entity: &'static str) -> LookupCounters {
        LookupCounters {
            hits: self.hits.with_label_values(&[entity]),
            misses: self.misses.with_label_values(&[entity]),
        }
    }

    /// What one cache of the process counts.
    pub fn l1(&self, cache: &'static str) -> L1Metrics {
        self.l1.of(cache)
    }

    /// What L2 counts.
    pub fn l2(&self) -> L2Metrics {
        self.l2.clone()
    }
}

impl LookupCounters {
    /// Counts what a look-up came to, and hands it on.
    pub fn count<V>(&self, found: Option<V>) -> Option<V> {
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.inc();
        found
    }
}
