//! How far the server is: starting, and what it waits for; serving; draining, when nobody is to send it more; closing, when no more
//! is taken.

use std::sync::Arc;

use cqar_proto::v1::Component;
use cqar_registry::{Registry, Staleness};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::health::Readiness;

/// What the ports answer from before there is a registry. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Startup(Arc<Inner>);

struct Inner {
    registry: watch::Sender<Option<Registry>>,
    waits_for: Mutex<String>,
    draining: CancellationToken,
    closing: CancellationToken,
}

/// How the server is, for probes.
pub(crate) struct Condition {
    pub(crate) readiness: Readiness,
    /// How each part is; none before there are any.
    pub(crate) components: Vec<Component>,
    /// Why it is not ready, where it is none of the parts.
    pub(crate) reason: Option<(&'static str, String)>,
    /// Whether what is cached is all that is served.
    pub(crate) serves_cache_alone: bool,
}

impl Startup {
    /// A server that starts, until it is told that it serves. From `draining` on it says that it is not ready, and serves on; from `closing`
    /// on it takes no more calls.
    pub fn new(draining: CancellationToken, closing: CancellationToken) -> Self {
        let waits_for = Mutex::new("the server starts".to_owned());
        Self(Arc::new(Inner { registry: watch::Sender::new(None), waits_for, draining, closing }))
    }

    /// What is waited for, in words.
    pub fn waits_for(&self, what: impl Into<String>) {
        *self.0.waits_for.lock() = what.into();
    }

    /// From now on the registry answers.
    pub fn serves(&self, registry: Registry) {
        self.0.registry.send_replace(Some(registry));
    }

    /// Resolves when the registry answers; none if the server closes before.
    pub(crate) async fn started(&self) -> Option<Registry> {
        let mut registry = self.0.registry.subscribe();
        let started = self.0.closing.run_until_cancelled(registry.wait_for(Option::is_some)).await;
        // The sender lives as long as this.
        started?.ok()?.clone()
    }

    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    pub(crate) fn condition(&self) -> Condition {
        let registry = self.0.registry.borrow().clone();
        let components = registry.as_ref().map(Registry::components).unwrap_or_default();
        let not_ready = |reason| Condition {
            readiness: Readiness::NotReady,
            components: components.clone(),
            reason: Some(reason),
            serves_cache_alone: false,
        };
        match registry {
            _ if self.0.draining.is_cancelled() || self.0.closing.is_cancelled() => {
                not_ready(("shutdown", "the server drains".to_owned()))
            }
            None => not_ready(("start", self.0.waits_for.lock().clone())),
            Some(registry) => Condition {
                readiness: Readiness::of(&components),
                serves_cache_alone: registry.staleness() != Staleness::Current,
                components,
                reason: None,
            },
        }
    }
}
