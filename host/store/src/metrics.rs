//! How long the database takes.

use std::{borrow::Cow, time::Instant};

use prometheus::{HistogramOpts, HistogramVec, IntGauge, PullingGauge, Registry};

use crate::database::Pools;

/// `cqar_db_query_duration_seconds{operation}`, `cqar_db_writes_waiting`, and of the connections
/// `cqar_db_pool_active_connections` and `cqar_db_pool_max_connections`.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    durations: HistogramVec,
    /// How many writes wait for their turn.
    pub(crate) writes_waiting: IntGauge,
}

/// Observes the time from its making to its drop.
pub(crate) struct Timer<'a>(&'a Metrics, Cow<'static, str>, Instant);

impl Metrics {
    pub(crate) fn new(registry: &Registry, pools: &Pools) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new("cqar_db_query_duration_seconds", "Time of one operation on the database")
            // From a look-up in SQLite's page cache to a query that waits for its time limit.
            .buckets(prometheus::exponential_buckets(0.000_05, 2.5, 14)?);
        let histogram = HistogramVec::new(options, &["operation"])?;
        registry.register(Box::new(histogram.clone()))?;
        let writes_waiting = IntGauge::new("cqar_db_writes_waiting", "Writes that wait for their turn")?;
        registry.register(Box::new(writes_waiting.clone()))?;
        let (active, most) = (pools.clone(), pools.clone());
        let gauge = |name, help, value| PullingGauge::new(name, help, value).map(Box::new);
        let help = "Connections to the database that are in use, the listener's apart";
        registry.register(gauge(
            "cqar_db_pool_active_connections",
            help,
            Box::new(move || f64::from(active.active())),
        )?)?;
        let help = "The most connections to the database, the listener's apart";
        registry.register(gauge("cqar_db_pool_max_connections", help, Box::new(move || f64::from(most.most())))?)?;
        Ok(Self { durations: histogram, writes_waiting })
    }

    pub(crate) fn time(&self, operation: impl Into<Cow<'static, str>>) -> Timer<'_> {
        Timer(self, operation.into(), Instant::now())
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.0.durations.with_label_values(&[&*self.1]).observe(self.2.elapsed().as_secs_f64());
    }
}
