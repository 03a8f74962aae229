//! The host: starts everything, and hands out what serves.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cqar_domain::{lookup::Lookup, relay::Transforms, time::Clock};
use cqar_proto::v1::{self, PluginEvent};
use tokio::{
    sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    compile::Compiler,
    config::{HostConfig, PluginSettings},
    directory::{
        disk::Disk,
        operations::{Command, OperateError, Operation},
        scan,
        watcher::{Channels, Watcher},
    },
    error::{CallError, StartError},
    gate::Gate,
    generation::Generation,
    generation_store::GenerationStore,
    kinds::case::CaseInput,
    plugin_set::PluginSet,
    replay::RecordedCall,
    runtime::{
        engine::Engine,
        memory_budget::MemoryBudget,
        sandbox::{Purpose, Scope},
    },
    stats::Metrics,
    table::{PluginStatus, PluginTable},
    transforms::EnabledTransforms,
};

/// The plugin host.
pub struct PluginHost {
    table: Arc<PluginTable>,
    gate: Arc<Gate>,
    transforms: Arc<EnabledTransforms>,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<PluginEvent>,
    clock: Arc<dyn Clock>,
    /// One case at a time, as each may have the memory of a listing.
    evaluation: Arc<Semaphore>,
    tracker: TaskTracker,
}

/// What becomes of plugins, for those who watch it: more than happens in the time of a slow connection.
const MAX_EVENTS: usize = 256;
/// How long a case waits for the one before.
const EVALUATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls that are captured together, but for the first, which may have more alone: clients refuse answers of more than 4 MiB.
const MAX_CAPTURED_BYTES: usize = 3 << 20;

/// What a plugin answered to a case.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// As JSON: `{"ok": …}` or `{"err": …}`.
    pub output: String,
    /// SHA-256 of the component, in hex.
    pub hash: String,
    /// How long it took.
    pub took: Duration,
}

/// Why a plugin gave no answer to a case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EvaluateError {
    /// Nothing of that name was seen.
    #[error("no file of such a plugin was seen")]
    NotFound,
    /// Nothing of it serves.
    #[error("it does not serve: {0}")]
    NotServing(String),
    /// The case cannot be read.
    #[error("{0}")]
    Case(String),
    /// The call did not end well.
    #[error("{0}")]
    Failed(CallError),
}

/// Opens what is known over restarts. Who may write there can take a rule out of service: where plugins must be `signed`, nobody else
/// may.
fn open_store(dir: &Path, signed: bool) -> Result<GenerationStore, StartError> {
    let store = GenerationStore::open(dir)?;
    scan::directory(dir, signed).map_err(|source| StartError::DataDirectory { path: dir.into(), source })?;
    Ok(store)
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
        let dir = config.dir.clone();
        let listed = Disk::default().run(move || fs::create_dir_all(&dir).and_then(|()| scan::list(&dir))).await;
        listed.map_err(unreadable)?;
        let (dir, signed) = (config.data_dir.clone(), config.trusted_keys.is_some());
        let store = Disk::default().run(move || Ok(open_store(&dir, signed))).await;
        let store = store.map_err(|source| StartError::DataDirectory { path: config.data_dir.clone(), source })??;
        let (compiler, engine) = (config.compiler.clone(), Engine::compatibility()?);
        let compiler = Disk::default()
            .run(move || Ok(Compiler::start(&compiler, engine)))
            .await
            .map_err(|source| StartError::CompiledDirectory { path: config.compiler.cache_dir.clone(), source })??;
        let gate = Gate {
            engine: Engine::start()?,
            compiler,
            lookup: Arc::clone(&lookup),
            clock: Arc::clone(&clock),
            configured: ArcSwap::from_pointee(config.plugins),
            reconfigured: Notify::new(),
            store: Arc::new(store),
            listing_place: Arc::new(Semaphore::new(1)),
            trusted_keys: config.trusted_keys,
            budget: MemoryBudget::new(config.memory_budget_bytes),
            trials: Gate::trial_places(),
            failing: Arc::default(),
            tracker: tracker.clone(),
        };
        let table = Arc::new(PluginTable::new(config.settle_timeout));
        // Operators wait for one another.
        let (commands, received) = mpsc::channel(1);
        let events = broadcast::Sender::new(MAX_EVENTS);
        let channels = Channels { commands: received, events: events.clone(), token };
        let gate = Arc::new(gate);
        let mut watcher = Watcher::new(
            config.dir,
            config.required.into_iter().collect(),
            Arc::clone(&gate),
            Arc::clone(&table),
            metrics,
            channels,
        );
        watcher.start().await;
        let (settled, mut settles) = watch::channel(false);
        tracker.spawn(watcher.run(settled));
        if timeout(config.start_timeout, settles.wait_for(|settled| *settled)).await.is_err() {
            tracing::warn!(waited = ?config.start_timeout, "some plugins are still being tried");
        }
        let transforms = EnabledTransforms::new(config.transforms, Arc::clone(&table), lookup, Arc::clone(&clock));
        let transforms = Arc::new(transforms);
        Ok(Arc::new(Self {
            table,
            gate,
            transforms,
            commands,
            events,
            clock,
            evaluation: Arc::new(Semaphore::new(1)),
            tracker: tracker.clone(),
        }))
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

    /// Does what an operator wants with a plugin.
    pub async fn operate(&self, name: &str, operation: Operation) -> Result<(), OperateError> {
        let (reply, done) = oneshot::channel();
        let command = Command { name: name.to_owned(), operation, reply };
        self.commands.send(command).await.map_err(|_| OperateError::Stopping)?;
        done.await.map_err(|_| OperateError::Stopping)?
    }

    /// Has the server's configuration say this from now on. Each plugin that it concerns is tried anew with it, and serves with what it
    /// had until that passed the gate.
    pub fn reconfigure(&self, plugins: PluginSettings) {
        self.gate.configured.store(Arc::new(plugins));
        self.gate.reconfigured.notify_one();
    }

    /// Of which plugins the server's configuration says something, and no file was seen: a name that may be misspelt.
    pub fn configured_in_vain(&self) -> Vec<String> {
        let (configured, plugins) = (self.gate.configured.load(), self.table.load());
        let names: BTreeSet<&String> = configured.settings.keys().chain(configured.grants.keys()).collect();
        names.into_iter().filter(|name| !plugins.by_name.contains_key(*name)).cloned().collect()
    }

    /// What becomes of plugins from now on.
    pub fn events(&self) -> broadcast::Receiver<PluginEvent> {
        self.events.subscribe()
    }

    /// Asks the generation that serves; nothing comes of its answer.
    pub async fn evaluate(&self, name: &str, case: &str) -> Result<Evaluated, EvaluateError> {
        let generation = self.serving(name)?;
        let input: CaseInput = serde_json::from_str(case).map_err(|error| EvaluateError::Case(error.to_string()))?;
        let mut scope = Scope::trial(input.now().unwrap_or_else(|| self.clock.now()));
        if !input.lookups.is_empty() {
            scope.purpose = Purpose::Replay(Arc::from(input.lookups.as_slice()));
        }
        let busy = |_| EvaluateError::Failed(CallError::Busy(EVALUATION_TIMEOUT));
        // Nobody closes it.
        let place = timeout(EVALUATION_TIMEOUT, Arc::clone(&self.evaluation).acquire_owned()).await.map_err(busy)?;
        let (started, interfaces) = (Instant::now(), Arc::clone(&generation.interfaces));
        // The place is taken for as long as it runs, though its caller leaves.
        let running = self.tracker.spawn(async move {
            let _place = place;
            interfaces.evaluate(&input, scope).await
        });
        let ended = running.await.unwrap_or_else(|error| Err(CallError::BadAnswer(error.to_string())));
        let output = ended.map_err(|error| match error {
            CallError::Case(why) => EvaluateError::Case(why),
            error => EvaluateError::Failed(error),
        })?;
        let hash = generation.hash.to_string();
        Ok(Evaluated { output: output.to_string(), hash, took: started.elapsed() })
    }

    /// The newest recorded calls of a plugin, of one exported function or any.
    pub fn capture(&self, name: &str, export: &str, count: usize) -> Result<Vec<v1::CapturedCall>, EvaluateError> {
        let generation = self.serving(name)?;
        let of_export = |call: &RecordedCall| export.is_empty() || call.input.export == export;
        let calls = generation.monitor.ring().calls().into_iter().filter(of_export).take(count);
        let captured = |call: RecordedCall| v1::CapturedCall {
            case: cqar_proto::document::json(&call.input),
            output: call.output.to_string(),
            hash: generation.hash.to_string(),
            settings: generation.settings.clone(),
        };
        let mut bytes = 0;
        let has_room = |call: &v1::CapturedCall| {
            let is_first = bytes == 0;
            bytes += call.case.len() + call.output.len() + call.settings.len();
            is_first || bytes <= MAX_CAPTURED_BYTES
        };
        Ok(calls.map(captured).take_while(has_room).collect())
    }

    fn serving(&self, name: &str) -> Result<Arc<Generation>, EvaluateError> {
        let plugins = self.table.load();
        let plugin = plugins.by_name.get(name).ok_or(EvaluateError::NotFound)?;
        plugin.serving.clone().ok_or_else(|| EvaluateError::NotServing(plugin.reason()))
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
