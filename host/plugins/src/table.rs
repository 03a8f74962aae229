//! The table of plugins: what the watcher publishes, and requests see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{self, plugin::State};
use tokio::sync::{Semaphore, watch};

use crate::{gate::PluginShared, generation::Generation};

/// How a plugin stands: the facts of `cqar.v1.Plugin`.
pub type PluginStatus = v1::Plugin;

/// One plugin, and the generation that serves.
pub(crate) struct Plugin {
    pub(crate) serving: Option<Arc<Generation>>,
    /// What served before, since the start.
    pub(crate) previous: Option<Arc<Generation>>,
    pub(crate) required: bool,
    /// Which writes it might have to judge, while nothing of it serves that could.
    pub(crate) missing_for: Option<Writes>,
    /// Whether something is to come of it yet.
    pub(crate) is_pending: bool,
    /// All but the figures, which change with every call.
    pub(crate) status: PluginStatus,
    pub(crate) shared: PluginShared,
}

/// Which writes a plugin might have to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Nobody knows yet.
    OfAllTypes,
    /// Those of these types.
    Of(Vec<EntityType>),
}

/// All plugins.
#[derive(Default)]
pub(crate) struct Plugins {
    pub(crate) by_name: BTreeMap<String, Plugin>,
    /// Why the directory cannot be read, if it cannot.
    pub(crate) directory_failure: Option<String>,
    /// Whether it was ever listed: before that, nobody knows which rules lie there.
    pub(crate) is_listed: bool,
}

/// All plugins as they serve now, and how often that changed.
pub(crate) struct PluginTable {
    plugins: ArcSwap<Plugins>,
    /// Counts what was published.
    version: watch::Sender<u64>,
    /// Writes that may wait for a plugin that is being tried, and for how long.
    pub(crate) waiting: Semaphore,
    pub(crate) settle_timeout: Duration,
}

/// As many as one connection of the server's has. More are refused at once.
const MAX_WAITING: usize = 1024;

impl PluginTable {
    pub(crate) fn new(settle_timeout: Duration) -> Self {
        let (plugins, version) = (ArcSwap::default(), watch::Sender::new(0));
        Self { plugins, version, waiting: Semaphore::new(MAX_WAITING), settle_timeout }
    }

    /// Makes this what requests see from now on.
    pub(crate) fn publish(&self, plugins: Plugins) {
        self.plugins.store(Arc::new(plugins));
        self.version.send_modify(|version| *version += 1);
    }

    /// What requests see now.
    pub(crate) fn load(&self) -> Arc<Plugins> {
        self.plugins.load_full()
    }

    /// Counts the changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

impl Plugin {
    /// Whether it might have to judge a write of this type, and nothing of it serves that could.
    pub(crate) fn is_missing_for(&self, entity_type: EntityType) -> bool {
        match &self.missing_for {
            None => false,
            Some(Writes::OfAllTypes) => true,
            Some(Writes::Of(types)) => types.contains(&entity_type),
        }
    }

    /// Why it does not serve, or not with the newest bytes.
    pub(crate) fn reason(&self) -> String {
        match (self.status.state(), self.status.reason.as_str()) {
            (State::Disabled, _) if self.required => {
                "its operator took it out of service, and the server's configuration requires it".into()
            }
            (State::Disabled, _) => "its operator took it out of service".into(),
            (State::Missing, _) => "there is no file of that name in the plugin directory".into(),
            (State::Pending, "") => "its file is being tried".into(),
            (_, reason) => reason.to_owned(),
        }
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn problem(&self) -> Option<String> {
        match self.status.state() {
            State::Serving if self.status.reason.is_empty() => None,
            State::Serving => Some(self.status.reason.clone()),
            State::Unspecified => None,
            State::Disabled if !self.required => None,
            State::Pending if self.serving.is_some() || self.missing_for.is_none() => None,
            State::Pending | State::Missing | State::Rejected | State::Disabled => {
                Some(format!("does not serve: {}", self.reason()))
            }
            State::ServingLastGood => Some(format!("the last good generation serves: {}", self.reason())),
        }
    }
}
