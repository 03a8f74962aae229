//! The health of the registry and of its parts.

use std::time::Duration;

use cqar_cache::L2Health;
use cqar_events::relay::{Relay, RelayHealth, RelayState};
use cqar_proto::v1::{self, component::State};
use cqar_store::WriteHealth;

use crate::{Registry, Revisioned};

/// The most unresolved symbols that the status shows.
const SHOWN_SYMBOLS: usize = 100;

/// How what is answered stands to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// The database answers.
    Current,
    /// It does not, and what is cached is served.
    Stale {
        /// For how long.
        age: Duration,
    },
    /// It has not for too long, or has another log than what is cached is of.
    Expired,
}

impl Registry {
    /// The log, the parts, and what clients asked for in vain. Asks nobody: who wants to know what is wrong is told, whatever
    /// is wrong.
    pub fn status(&self) -> Revisioned<v1::GetStatusResponse> {
        let inner = &self.inner;
        let mut unresolved = inner.unresolved.list();
        unresolved.truncate(SHOWN_SYMBOLS);
        let revision = inner.tailer.applied();
        let value = v1::GetStatusResponse {
            log_id: inner.tailer.log_id().to_string(),
            revision,
            oldest_revision: inner.tailer.oldest(),
            version: inner.version.to_owned(),
            start_time: Some(inner.started.into()),
            components: self.components(),
            unresolved,
        };
        Revisioned { revision, value }
    }

    /// How what is answered stands to the database.
    pub fn staleness(&self) -> Staleness {
        let Some(outage) = self.inner.tailer.outage() else { return Staleness::Current };
        // Without a cache nothing is answered.
        if self.inner.caches.is_none()
            || outage.is_diverged
            || outage.duration >= self.inner.read_limits.read().stale_reads
        {
            Staleness::Expired
        } else {
            Staleness::Stale { age: outage.duration }
        }
    }

    /// How each part is. Only the database makes the server unfit to serve, and not at once: all replicas share it, and what they have
    /// in their caches holds for a while.
    pub fn components(&self) -> Vec<v1::Component> {
        vec![self.database(), self.l2_cache(), self.event_bus(), self.plugin_host()]
    }

    fn database(&self) -> v1::Component {
        let health = self.inner.tailer.health();
        match (health.fault, self.inner.store.write_health()) {
            (Some(fault), _) => match self.staleness() {
                Staleness::Current | Staleness::Stale { .. } => component("database", State::Degraded, fault.reason),
                Staleness::Expired => component("database", State::Failed, fault.reason),
            },
            (None, WriteHealth::Failing { reason }) => {
                component("database", State::Degraded, format!("reads work, writes fail: {reason}"))
            }
            (None, WriteHealth::Unproven) => {
                component("database", State::Degraded, "whether writes work is being tried".to_owned())
            }
            (None, WriteHealth::Working) => component("database", State::Ok, format!("revision {}", health.applied)),
        }
    }

    fn l2_cache(&self) -> v1::Component {
        match self.inner.l2.as_ref().map(|l2| l2.health()) {
            None => component("cache", State::Off, String::new()),
            Some(L2Health::Serving { watermark }) => {
                component("cache", State::Ok, format!("has seen the log through revision {watermark}"))
            }
            Some(L2Health::Away { reason }) => component("cache", State::Degraded, reason),
        }
    }

    fn event_bus(&self) -> v1::Component {
        let Some(RelayHealth { state, message, lag_revisions, .. }) = self.inner.relay.as_deref().map(Relay::health)
        else {
            return component("eventbus", State::Off, String::new());
        };
        let lag = lag_revisions.map(|lag| format!("{lag} revisions behind"));
        match state {
            RelayState::Ok => component("eventbus", State::Ok, lag.unwrap_or_default()),
            RelayState::Standby => component("eventbus", State::Ok, message),
            RelayState::Waiting | RelayState::Held | RelayState::Refused => {
                let why = [Some(format!("{}: {message}", state.name())), lag].into_iter().flatten();
                component("eventbus", State::Degraded, why.collect::<Vec<_>>().join("; "))
            }
        }
    }

    fn plugin_host(&self) -> v1::Component {
        match self.inner.plugins.degraded() {
            None => component("plugins", State::Ok, format!("{} known", self.inner.plugins.list().len())),
            Some(why) => component("plugins", State::Degraded, why),
        }
    }
}

fn component(name: &str, state: State, message: String) -> v1::Component {
    v1::Component { name: name.to_owned(), state: state.into(), message }
}
