//! How the relay is, for health, logs and metrics.

use std::time::Duration;

use cqar_domain::{
    causes::ToldCauses,
    entity::Revision,
    event::{EventType, LogPosition},
};
use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::fault::RelayFault;

/// What the relay does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayState {
    /// It publishes, or has nothing to publish.
    Ok,
    /// NATS or the database is away. It goes on by itself when they are back.
    Waiting,
    /// Another server on this database publishes.
    Standby,
    /// A transform gives no answer. It goes on when the transform was mended or disabled.
    Held,
    /// Nothing is published until an operator acts.
    Refused,
}

impl RelayState {
    const ALL: [Self; 5] = [Self::Ok, Self::Waiting, Self::Standby, Self::Held, Self::Refused];

    /// The name in metrics and health.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Waiting => "waiting",
            Self::Standby => "standby",
            Self::Held => "held",
            Self::Refused => "refused",
        }
    }
}

/// How the relay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayHealth {
    /// What it does now.
    pub state: RelayState,
    /// Why, unless it is [`RelayState::Ok`].
    pub message: String,
    /// How many revisions are not on the stream as a whole. None while another server publishes, and until it is known.
    pub lag_revisions: Option<i64>,
    /// The last event that this server saw acknowledged.
    pub published: Option<LogPosition>,
}

/// Written by the relay's task, read by anyone.
pub(super) struct SharedStatus {
    now: Mutex<CurrentStatus>,
    metrics: Metrics,
}

struct CurrentStatus {
    state: RelayState,
    message: String,
    told: ToldCauses,
    published: Option<LogPosition>,
    /// Everything before it is on the stream, or was dropped by a transform. None until that is known.
    done_before: Option<LogPosition>,
}

impl SharedStatus {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let status = Self {
            now: Mutex::new(CurrentStatus {
                state: RelayState::Waiting,
                message: "starting".to_owned(),
                told: ToldCauses::default(),
                published: None,
                done_before: None,
            }),
            metrics: Metrics::register(registry)?,
        };
        status.show_state(RelayState::Waiting);
        Ok(status)
    }

    pub(super) fn health(&self, applied: Revision) -> RelayHealth {
        let now = self.now.lock();
        RelayHealth {
            state: now.state,
            message: now.message.clone(),
            lag_revisions: now.lag(applied),
            published: now.published,
        }
    }

    /// The position before which every event is on the stream, or was dropped by a transform.
    pub(super) fn done_before(&self) -> Option<LogPosition> {
        self.now.lock().done_before
    }

    pub(super) fn set(&self, state: RelayState, message: &str) {
        let is_news = {
            let mut now = self.now.lock();
            if now.state == state && now.message == message {
                return;
            }
            now.state = state;
            message.clone_into(&mut now.message);
            match state {
                RelayState::Ok | RelayState::Standby => {
                    now.told.clear();
                    true
                }
                RelayState::Waiting | RelayState::Held | RelayState::Refused => now.told.is_news(message),
            }
        };
        self.show_state(state);
        if !is_news {
            return;
        }
        match state {
            RelayState::Ok | RelayState::Standby => tracing::info!(state = state.name(), reason = message, "relay"),
            RelayState::Waiting | RelayState::Held => tracing::warn!(state = state.name(), reason = message, "relay"),
            RelayState::Refused => tracing::error!(state = state.name(), reason = message, "relay"),
        }
    }

    pub(super) fn fault(&self, fault: &RelayFault) {
        match fault {
            // Transient: the next session succeeds, or reports a fault of its own.
            RelayFault::Diverged(reason) => {
                self.metrics.resyncs.inc();
                tracing::info!(reason, "relay reads the end of the stream again");
            }
            RelayFault::Away(_) | RelayFault::Database(_) => self.set(RelayState::Waiting, &fault.to_string()),
            RelayFault::Held { .. } => self.set(RelayState::Held, &fault.to_string()),
            RelayFault::Refused(_) => self.set(RelayState::Refused, &fault.to_string()),
        }
    }

    /// Nothing is known of what is done.
    pub(super) fn begin(&self) {
        self.now.lock().done_before = None;
    }

    /// Moves the position before which every event is on the stream, or was dropped by a transform.
    pub(super) fn advance(&self, done_before: LogPosition) {
        self.now.lock().done_before = Some(done_before);
    }

    /// A message was acknowledged.
    pub(super) fn published(&self, position: LogPosition, event_type: EventType, took: Duration) {
        self.now.lock().published = Some(position);
        self.metrics.published.with_label_values(&[event_type.to_string()]).inc();
        self.metrics.ack_duration.observe(took.as_secs_f64());
    }

    /// A message was not acknowledged.
    pub(super) fn not_published(&self) {
        self.metrics.publish_errors.inc();
    }

    pub(super) fn show_lag(&self, applied: Revision) {
        self.metrics.lag.set(self.now.lock().lag(applied).unwrap_or_default());
    }

    fn show_state(&self, state: RelayState) {
        for other in RelayState::ALL {
            self.metrics.state.with_label_values(&[other.name()]).set(i64::from(other == state));
        }
    }
}

impl CurrentStatus {
    fn lag(&self, applied: Revision) -> Option<i64> {
        let done_before = self.done_before.filter(|_| self.state != RelayState::Standby)?;
        Some((applied - (done_before.revision - 1)).max(0))
    }
}

struct Metrics {
    state: IntGaugeVec,
    lag: IntGauge,
    published: IntCounterVec,
    publish_errors: IntCounter,
    resyncs: IntCounter,
    ack_duration: Histogram,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        // From a local server's tenth of a millisecond to the time after which an answer counts as lost.
        let buckets = prometheus::exponential_buckets(0.000_1, 2.0, 16)?;
        let metrics = Self {
            state: IntGaugeVec::new(Opts::new("cqar_relay_state", "1 for what the relay does now."), &["state"])?,
            lag: IntGauge::new("cqar_relay_lag_revisions", "Revisions that are not on the stream as a whole.")?,
            published: IntCounterVec::new(
                Opts::new(
                    "cqar_event_published_total",
                    "Messages that the stream acknowledged, by the type of their event.",
                ),
                &["event_type"],
            )?,
            publish_errors: IntCounter::new(
                "cqar_event_publish_errors_total",
                "Messages that the stream did not acknowledge; each is published again.",
            )?,
            resyncs: IntCounter::new(
                "cqar_relay_resyncs_total",
                "How often the end of the stream was read again because it was not as predicted.",
            )?,
            ack_duration: Histogram::with_opts(
                HistogramOpts::new("cqar_relay_ack_duration_seconds", "From publishing to the acknowledgement.")
                    .buckets(buckets),
            )?,
        };
        registry.register(Box::new(metrics.state.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.published.clone()))?;
        registry.register(Box::new(metrics.publish_errors.clone()))?;
        registry.register(Box::new(metrics.resyncs.clone()))?;
        registry.register(Box::new(metrics.ack_duration.clone()))?;
        Ok(metrics)
    }
}
