//! The host: starts everything, and hands out what serves.

use std::{fs, sync::Arc};

use cqar_domain::{lookup::Lookup, relay::Transforms, time::Clock};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    compile::Compiler,
    config::HostConfig,
    directory::{scan, watcher::Watcher},
    error::StartError,
    gate::Gate,
    generation_store::GenerationStore,
    plugin_set::PluginSet,
    runtime::engine::Engine,
    stats::Metrics,
    table::{PluginStatus, PluginTable},
    transforms::EnabledTransforms,
};

/// The plugin host.
pub struct PluginHost {
    table: Arc<PluginTable>,
    transforms: Arc<EnabledTransforms>,
}

impl PluginHost {
    /// Starts the host, and waits until every plugin that is there serves or was refused, within `start_timeout`.
    pub async fn start(
        config: HostConfig,
        lookup: Arc<dyn Lookup>,
        clock: Arc<dyn Clock>,
        metrics: &prometheus::Registry,
        tracker: &TaskTracker,
        token: CancellationToken,
    ) -> Result<Arc<Self>, StartError> {
        let metrics = Metrics::register(metrics)?;
        let unreadable = |source| StartError::Directory { path: config.dir.clone(), source };
        fs::create_dir_all(&config.dir).and_then(|()| scan::list(&config.dir)).map_err(unreadable)?;
        let gate = Gate {
            engine: Engine::start()?,
            compiler: Compiler::start(&config.compiler, Engine::compatibility()?)?,
            lookup: Arc::clone(&lookup),
            clock: Arc::clone(&clock),
            settings: config.settings,
            limits: config.limits,
            grants: config.grants,
            store: Arc::new(GenerationStore::open(&config.data_dir)?),
            listing_place: Arc::new(Semaphore::new(1)),
            trials: Gate::trial_places(),
            tracker: tracker.clone(),
        };
        let table = Arc::new(PluginTable::new(config.settle_timeout));
        let mut watcher = Watcher::new(
            config.dir,
            config.required.into_iter().collect(),
            Arc::new(gate),
            Arc::clone(&table),
            metrics,
            token,
        );
        watcher.start().await;
        let (settled, mut settles) = watch::channel(false);
        tracker.spawn(watcher.run(settled));
        if timeout(config.start_timeout, settles.wait_for(|settled| *settled)).await.is_err() {
            tracing::warn!(waited = ?config.start_timeout, "some plugins are still being tried");
        }
        let transforms = Arc::new(EnabledTransforms::new(config.transforms, Arc::clone(&table), lookup, clock));
        Ok(Arc::new(Self { table, transforms }))
    }

    /// All plugins as they serve now. One request works with one snapshot.
    pub fn snapshot(&self) -> PluginSet {
        PluginSet::of(&self.table)
    }

    /// How every plugin stands, in the order of their names.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.snapshot().statuses()
    }

    /// Counts the changes of what [`Self::list`] says, figures apart: to wait for one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.table.subscribe()
    }

    /// The enabled transforms, for the relay.
    pub fn transforms(&self) -> Arc<dyn Transforms> {
        self.transforms.clone()
    }

    /// What does not stand as it should, for the operator; None if all is well.
    pub fn degraded(&self) -> Option<String> {
        let plugins = self.table.load();
        let of_plugins =
            plugins.by_name.iter().filter_map(|(name, plugin)| Some(format!("{name}: {}", plugin.problem()?)));
        let problems: Vec<String> =
            plugins.directory_failure.iter().cloned().chain(of_plugins).chain(self.transforms.problems()).collect();
        if problems.is_empty() { None } else { Some(problems.join("; ")) }
    }
}
