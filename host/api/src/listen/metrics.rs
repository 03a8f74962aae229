//! What is counted of a port's connections.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{connection::Ended, tls::ServerTls};

/// The metrics of all ports.
#[derive(Debug, Clone)]
pub struct ListenMetrics {
    open: IntGaugeVec,
    limit: IntGaugeVec,
    accepted: IntCounterVec,
    refused: IntCounterVec,
    ended: IntCounterVec,
    accept_errors: IntCounterVec,
    blocked_answers: IntCounterVec,
    certificate_expiry: IntGaugeVec,
}

impl ListenMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &["port"]);
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &["port"]);
        let by_reason = |name, help| IntCounterVec::new(Opts::new(name, help), &["port", "reason"]);
        let metrics = Self {
            open: gauge("cqar_connections", "Open connections")?,
            limit: gauge("cqar_connections_limit", "The most connections that are open at once")?,
            accepted: counter("cqar_connections_accepted_total", "Connections that were accepted")?,
            refused: by_reason("cqar_connections_refused_total", "Connections that never served, by the reason")?,
            ended: by_reason("cqar_connections_ended_total", "Connections that ended, by the reason")?,
            accept_errors: counter("cqar_accept_errors_total", "How often no connection could be accepted")?,
            blocked_answers: counter(
                "cqar_answers_blocked_total",
                "Answers that were cut off because their client took nothing of them",
            )?,
            certificate_expiry: gauge(
                "cqar_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that a port shows expires, in seconds since 1970",
            )?,
        };
        for gauge in [&metrics.open, &metrics.limit, &metrics.certificate_expiry] {
            registry.register(Box::new(gauge.clone()))?;
        }
        for counter in
            [&metrics.accepted, &metrics.refused, &metrics.ended, &metrics.accept_errors, &metrics.blocked_answers]
        {
            registry.register(Box::new(counter.clone()))?;
        }
        Ok(metrics)
    }

    /// When what a port shows expires.
    pub fn show_certificate(&self, port: &'static str, tls: &ServerTls) {
        self.certificate_expiry.with_label_values(&[port]).set(tls.expires());
    }

    /// Those of one port, there from the first scrape on.
    pub(super) fn of(&self, port: &'static str) -> PortMetrics {
        let ended = Ended::ALL.map(|why| (why, self.ended.with_label_values(&[port, why.name()])));
        PortMetrics {
            open: self.open.with_label_values(&[port]),
            limit: self.limit.with_label_values(&[port]),
            accepted: self.accepted.with_label_values(&[port]),
            over_limit: self.refused.with_label_values(&[port, "limit"]),
            no_handshake: self.refused.with_label_values(&[port, "tls_handshake"]),
            ended,
            accept_errors: self.accept_errors.with_label_values(&[port]),
            blocked_answers: self.blocked_answers.with_label_values(&[port]),
        }
    }
}

/// The metrics of one port.
#[derive(Debug)]
pub(super) struct PortMetrics {
    pub(super) open: IntGauge,
    pub(super) limit: IntGauge,
    pub(super) accepted: IntCounter,
    /// Closed at once, since there were as many as there may be.
    pub(super) over_limit: IntCounter,
    /// Closed as TLS could not be agreed on, or not in time.
    pub(super) no_handshake: IntCounter,
    pub(super) accept_errors: IntCounter,
    pub(super) blocked_answers: IntCounter,
    ended: [(Ended, IntCounter); Ended::ALL.len()],
}

impl PortMetrics {
    /// Counts the end of a connection.
    pub(super) fn ended(&self, why: Ended) {
        for (_, counter) in self.ended.iter().filter(|(each, _)| *each == why) {
            counter.inc();
        }
    }
}
