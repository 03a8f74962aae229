//! The health of the registry and of its parts.

use cqar_cache::L2Health;
use cqar_events::relay::{Relay, RelayHealth, RelayState};
use cqar_proto::v1::{self, component::State};
use cqar_store::WriteHealth;

use crate::{Registry, Revisioned};

/// The most unresolved symbols that the status shows.
const SHOWN_SYMBOLS: usize = 100;

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
            version: inner.settings.version.to_owned(),
            start_time: Some(inner.started.into()),
            components: self.components(),
            unresolved,
        };
        Revisioned { revision, value }
    }

    /// How each part is. Only the database makes the server unfit to serve.
    pub fn components(&self) -> Vec<v1::Component> {
        vec![self.database(), self.l2_cache(), self.event_bus(), self.plugin_host()]
    }

    fn database(&self) -> v1::Component {
        let health = self.inner.tailer.health();
        match (health.fault, self.inner.store.write_health()) {
            (Some(fault), _) => component("database", State::Failed, fault),
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
            None => component("l2_cache", State::Off, String::new()),
            Some(L2Health::Serving { watermark }) => {
                component("l2_cache", State::Ok, format!("has seen the log through revision {watermark}"))
            }
            Some(L2Health::Away { reason }) => component("l2_cache", State::Degraded, reason),
        }
    }

    fn event_bus(&self) -> v1::Component {
        let Some(RelayHealth { state, message, lag_revisions, .. }) = self.inner.relay.as_deref().map(Relay::health)
        else {
            return component("event_bus", State::Off, String::new());
        };
        let lag = lag_revisions.map(|lag| format!("{lag} revisions behind"));
        match state {
            RelayState::Ok => component("event_bus", State::Ok, lag.unwrap_or_default()),
            RelayState::Standby => component("event_bus", State::Ok, message),
            RelayState::Waiting | RelayState::Held | RelayState::Refused => {
                let why = [Some(format!("{}: {message}", state.name())), lag].into_iter().flatten();
                component("event_bus", State::Degraded, why.collect::<Vec<_>>().join("; "))
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
