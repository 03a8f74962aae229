//! Those that may not call: what they are told, counted and logged.

use std::{net::SocketAddr, sync::Arc};

use cqar_proto::v1::ErrorReason;
use prometheus::{IntCounterVec, Opts, Registry};
use tonic::{Code, Status};

use super::scopes::Scope;
use crate::{status_builder::StatusBuilder, throttle::Throttle};

/// Why a call is not let through.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nothing says who calls.
    KeyMissing,
    /// Nobody has the key.
    KeyUnknown,
    /// Nobody is called by what the certificate says, and there is no key.
    CertificateUnknown,
    /// The key was valid until before now.
    Expired { name: Arc<str> },
    /// The caller may not do that.
    Scope { name: Arc<str>, scope: Scope, service: &'static str },
    /// The caller does too much at once.
    Limit(Status),
}

impl Refusal {
    /// In the metric.
    const fn reason(&self) -> &'static str {
        match self {
            Self::KeyMissing => "key_missing",
            Self::KeyUnknown => "key_unknown",
            Self::CertificateUnknown => "certificate_unknown",
            Self::Expired { .. } => "expired",
            Self::Scope { .. } => "scope",
            Self::Limit(_) => "limit",
        }
    }

    fn status(self) -> Status {
        let unauthenticated =
            |reason, message: &str| StatusBuilder::new(Code::Unauthenticated, reason, message).into_status();
        match self {
            Self::KeyMissing => unauthenticated(
                ErrorReason::ApiKeyMissing,
                "an API key is needed, as `authorization: Bearer KEY` or `x-api-key: KEY`",
            ),
            Self::KeyUnknown => unauthenticated(ErrorReason::ApiKeyUnknown, "the API key is not known"),
            Self::CertificateUnknown => unauthenticated(
                ErrorReason::CertificateUnknown,
                "nobody is known by a name of the client certificate, and no API key was sent",
            ),
            Self::Expired { name } => {
                let message = format!("the key of {name} has expired; ask the operator for another one");
                unauthenticated(ErrorReason::ApiKeyExpired, &message)
            }
            Self::Scope { name, scope, service } => {
                let (scope, service) = (scope.name(), service.rsplit('.').next().unwrap_or(service));
                let message = format_args!("{name} may not do that: it needs the scope {scope}, or {scope}:{service}");
                StatusBuilder::new(Code::PermissionDenied, ErrorReason::ScopeMissing, message)
                    .with("scope", scope)
                    .with("service", service)
                    .into_status()
            }
            Self::Limit(status) => status,
        }
    }
}

/// What is counted and logged of those that may not. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    counted: IntCounterVec,
    told: Arc<Throttle>,
}

impl Refusals {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("cqar_auth_failures_total", "Calls that were not let through, by the reason");
        let counted = IntCounterVec::new(options, &["reason"])?;
        registry.register(Box::new(counted.clone()))?;
        for reason in ["key_missing", "key_unknown", "certificate_unknown", "expired", "scope", "limit"] {
            counted.with_label_values(&[reason]);
        }
        Ok(Self { counted, told: Arc::default() })
    }

    /// Counts a refusal, has it logged now and then, and says what the caller is told.
    pub(super) fn refuse(&self, refusal: Refusal, peer: Option<SocketAddr>) -> Status {
        let reason = refusal.reason();
        self.counted.with_label_values(&[reason]).inc();
        let status = refusal.status();
        if let Some(refused) = self.told.is_due() {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(reason, peer, refused, message = status.message(), "calls_refused");
        }
        status
    }
}
