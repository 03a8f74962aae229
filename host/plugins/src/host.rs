//! The host: starts everything, and hands out what serves.

use std::{fs, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cqar_domain::{
    lookup::Lookup,
    relay::{TransformFailure, Transforms},
    time::Clock,
};
use cqar_proto::v1::plugin::State;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::HostConfig,
    engine::Engine,
    error::StartError,
    gate::Gate,
    last_good::LastGood,
    scan,
    set::{Plugin, PluginSet, PluginStatus, Plugins},
    stats::Metrics,
    transform::EnabledTransforms,
    watcher::Watcher,
};

/// How long the start waits for the plugins that are there. An interpreter that compiles for longer joins later.
const START: Duration = Duration::from_secs(10);

/// The plugin host.
pub struct PluginHost {
    board: Arc<Board>,
    lookup: Arc<dyn Lookup>,
    clock: Arc<dyn Clock>,
    transforms: Vec<String>,
    /// Why the last batch of events stopped, if it did.
    held: Mutex<Option<TransformFailure>>,
}

/// Where the watcher publishes what serves.
pub(crate) struct Board {
    plugins: ArcSwap<Plugins>,
    /// Counts what was published.
    version: watch::Sender<u64>,
}

impl Board {
    /// Makes this what requests see from now on.
    pub(crate) fn publish(&self, plugins: Plugins) {
        self.plugins.store(Arc::new(plugins));
        self.version.send_modify(|version| *version += 1);
    }
}

impl PluginHost {
    /// Starts the host, and waits until every plugin that is there serves or was refused, 10 s at most.
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
            lookup: Arc::clone(&lookup),
            clock: Arc::clone(&clock),
            settings: config.settings,
            limits: config.limits,
            last_good: Arc::new(LastGood::open(&config.data_dir)?),
            listing_place: Arc::new(Semaphore::new(1)),
            tracker: tracker.clone(),
        };
        let board = Arc::new(Board { plugins: ArcSwap::default(), version: watch::Sender::new(0) });
        let watcher = Watcher::new(
            config.dir,
            config.required.into_iter().collect(),
            Arc::new(gate),
            Arc::clone(&board),
            metrics,
            token,
        );
        let (settled, mut settles) = watch::channel(false);
        tracker.spawn(watcher.run(settled));
        if timeout(START, settles.wait_for(|settled| *settled)).await.is_err() {
            tracing::warn!(waited_s = START.as_secs(), "some plugins are still being tried");
        }
        Ok(Arc::new(Self { board, lookup, clock, transforms: config.transforms, held: Mutex::default() }))
    }

    /// All plugins as they serve now. One request works with one snapshot.
    pub fn snapshot(&self) -> PluginSet {
        PluginSet { plugins: self.board.plugins.load_full() }
    }

    /// How every plugin stands, in the order of their names.
    pub fn list(&self) -> Vec<PluginStatus> {
        self.snapshot().statuses()
    }

    /// Counts the changes of what [`Self::list`] says, figures apart: to wait for one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.version.subscribe()
    }

    /// The enabled transforms, for the relay.
    pub fn transforms(self: &Arc<Self>) -> Arc<dyn Transforms> {
        Arc::new(EnabledTransforms {
            host: Arc::clone(self),
            lookup: Arc::clone(&self.lookup),
            clock: Arc::clone(&self.clock),
            versions: Mutex::new(self.board.version.subscribe()),
        })
    }

    /// What does not stand as it should, for the operator; None if all is well.
    pub fn degraded(&self) -> Option<String> {
        let snapshot = self.snapshot();
        let plugins = &snapshot.plugins;
        let mut troubles: Vec<String> = plugins.directory_failure.iter().cloned().collect();
        troubles
            .extend(plugins.by_name.iter().filter_map(|(name, plugin)| Some(format!("{name}: {}", trouble(plugin)?))));
        for name in &self.transforms {
            if let Err(reason) = snapshot.transform(name) {
                troubles.push(format!("{name}: the transform is enabled and does not serve: {reason}"));
            }
        }
        if let Some(held) = &*self.held.lock() {
            troubles.push(format!("{}: holds the events: {}", held.plugin, held.message));
        }
        if troubles.is_empty() { None } else { Some(troubles.join("; ")) }
    }

    /// The names of the enabled transforms, in order.
    pub(crate) fn enabled_transforms(&self) -> &[String] {
        &self.transforms
    }

    /// Notes how a batch of events ended.
    pub(crate) fn transforms_ended(&self, failure: Option<&TransformFailure>) {
        let mut held = self.held.lock();
        match (&*held, failure) {
            (None, Some(failure)) => {
                tracing::error!(plugin = failure.plugin, reason = failure.message, "a transform holds the events");
            }
            (Some(_), None) => tracing::info!("no transform holds the events any more"),
            _ => {}
        }
        if let Some(failure) = failure
            && let Some(plugin) = self.board.plugins.load().by_name.get(&failure.plugin)
        {
            plugin.stats.note_failure(failure.message.clone());
        }
        *held = failure.cloned();
    }
}

/// What is wrong with a plugin, if anything is.
fn trouble(plugin: &Plugin) -> Option<String> {
    match plugin.status.state() {
        State::Serving | State::Unspecified => None,
        State::Pending if plugin.serving.is_some() || !plugin.required => None,
        State::Pending | State::Missing | State::Rejected => Some(format!("does not serve: {}", plugin.reason())),
        State::ServingLastGood => Some(format!("the last good generation serves: {}", plugin.reason())),
    }
}
