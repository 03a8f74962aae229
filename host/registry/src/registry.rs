//! What the use cases are made of.

use std::{sync::Arc, time::Duration};

use cqar_cache::L2;
use cqar_domain::{
    entity::Revision,
    id::IdSource,
    time::{Clock, Timestamp},
};
use cqar_events::{
    log_tailer::LogTailer,
    relay::Relay,
    watch::{WatchError, WatchFilter, WatchItem, WatchStart},
};
use cqar_plugins::PluginHost;
use cqar_store::Store;
use futures::Stream;
use parking_lot::RwLock;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{caches::Caches, error::Error, unresolved::UnresolvedSymbols};

/// The registry. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// An answer, and the revision that it reflects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revisioned<T> {
    /// The revision, taken before anything was looked up: the answer may reflect later ones too.
    pub revision: Revision,
    /// The answer.
    pub value: T,
}

/// How the use cases behave.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// How long reads wait, and for how long what they answer holds.
    pub read_limits: ReadLimits,
    /// The version that `GetStatus` shows.
    pub version: &'static str,
}

/// How long reads wait, and for how long what they answer holds. It may be changed while the registry serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// How long a read with `min_revision` waits for it.
    pub min_revision_timeout: Duration,
    /// For how long after the database last answered what is cached is served.
    pub stale_reads: Duration,
}

/// What the registry is put together from.
pub struct RegistryParts {
    /// The database.
    pub store: Arc<Store>,
    /// The log as this process follows it.
    pub tailer: Arc<LogTailer>,
    /// The caches of this process, which the tailer keeps in step; none if caching is off.
    pub caches: Option<Arc<Caches>>,
    /// The cache in Redis, if there is one.
    pub l2: Option<Arc<L2>>,
    /// The plugins.
    pub plugins: Arc<PluginHost>,
    /// The relay to the event bus, if there is one.
    pub relay: Option<Arc<Relay>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
    /// How to behave.
    pub settings: RegistrySettings,
    /// Where writes run.
    pub tracker: TaskTracker,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) tailer: Arc<LogTailer>,
    pub(crate) caches: Option<Arc<Caches>>,
    pub(crate) l2: Option<Arc<L2>>,
    pub(crate) plugins: Arc<PluginHost>,
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) read_limits: RwLock<ReadLimits>,
    pub(crate) version: &'static str,
    pub(crate) tracker: TaskTracker,
    pub(crate) unresolved: UnresolvedSymbols,
    pub(crate) started: Timestamp,
}

impl Registry {
    /// Puts the parts together.
    pub fn new(parts: RegistryParts) -> Self {
        let RegistryParts { store, tailer, caches, l2, plugins, relay, clock, ids, settings, tracker } = parts;
        let started = clock.now();
        let unresolved = UnresolvedSymbols::default();
        let RegistrySettings { read_limits, version } = settings;
        let inner = Inner {
            store,
            tailer,
            caches,
            l2,
            plugins,
            relay,
            clock,
            ids,
            read_limits: RwLock::new(read_limits),
            version,
            tracker,
            unresolved,
            started,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Streams the log from a position on, then live.
    pub fn watch(
        &self,
        start: WatchStart,
        filter: WatchFilter,
    ) -> impl Stream<Item = Result<WatchItem, WatchError>> + Send + use<> {
        self.inner.tailer.watch(start, filter)
    }

    /// Which log it is. Revisions of different logs never compare.
    pub fn log_id(&self) -> Uuid {
        self.inner.tailer.log_id()
    }

    /// From now on reads have these limits.
    pub fn set_read_limits(&self, limits: ReadLimits) {
        *self.inner.read_limits.write() = limits;
    }

    /// Makes the ids that clients do not choose.
    pub fn ids(&self) -> &dyn IdSource {
        self.inner.ids.as_ref()
    }

    /// The applied revision, which everything that is looked up from now on reflects; waits until it has reached what
    /// the caller needs.
    pub(crate) async fn wait_for_revision(&self, wanted: Revision) -> Result<Revision, Error> {
        self.inner.wait_for_revision(wanted).await
    }
}

impl Inner {
    /// See [`Registry::wait_for_revision`].
    pub(crate) async fn wait_for_revision(&self, wanted: Revision) -> Result<Revision, Error> {
        let tailer = &self.tailer;
        if wanted <= tailer.applied() {
            return Ok(tailer.applied());
        }
        let within = self.read_limits.read().min_revision_timeout;
        if !tailer.wait_for(wanted, within).await {
            return Err(Error::RevisionNotReached { wanted, applied: tailer.applied() });
        }
        Ok(tailer.applied())
    }
}
