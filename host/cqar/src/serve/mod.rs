//! The server, from start to shutdown: read from top to bottom, it is what is wired to what.

mod greet;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use cqar_api::{ApiKeys, GrpcSettings};
use cqar_cache::{L2, L2Settings, metrics::CacheMetrics};
use cqar_domain::{
    event::{EventLog, LogSink},
    id::SystemIds,
    time::SystemClock,
};
use cqar_events::{
    log_tailer::{LogTailer, LogTailerSettings},
    relay::{Credentials, Relay, RelaySettings},
};
use cqar_plugins::{CompilerConfig, HostConfig, Limits, PluginHost, SETTLE_TIMEOUT, START_TIMEOUT, TimeLimit};
use cqar_proto::convert;
use cqar_registry::{Caches, Registry, RegistryParts, RegistrySettings, StoreLookup, WriteContext};
use cqar_store::{Store, StoreSettings};
use prometheus::Registry as Metrics;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::greet::{Addresses, MissingPlugin};
use crate::{
    cli::error::chain,
    config::{
        Loaded,
        sections::{self, Config, Trust},
    },
    starter,
    telemetry::Telemetry,
};

/// How long the parts may take to end when no call is left. The slowest of them waits for an answer of NATS.
const PARTS_TIMEOUT: Duration = Duration::from_secs(5);

/// What `cqar serve` was asked for beyond the configuration.
#[derive(Debug)]
pub struct ServeOptions {
    /// The starter dataset, if it is to be loaded.
    pub starter: Option<Starter>,
}

/// Where a starter dataset is.
#[derive(Debug)]
pub enum Starter {
    /// In the binary.
    CompiledIn,
    /// In a directory.
    Directory(PathBuf),
}

/// Serves until SIGTERM or SIGINT. What was logged and traced is flushed however it ends.
pub async fn run(loaded: Loaded, options: ServeOptions) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&loaded.config.log, &loaded.config.tracing)?;
    for warning in &loaded.warnings {
        tracing::warn!(variable = warning.variable, nearest = warning.nearest, "unknown_variable");
    }
    let tracker = TaskTracker::new();
    let token = CancellationToken::new();
    let outcome = serve(&loaded.config, &options, &tracker, &token).await;
    if let Err(error) = &outcome {
        tracing::error!(error = chain(error), "serve_failed");
    }
    // Where it failed before it served, its parts still run.
    end_parts(&tracker, &token).await;
    tracing::info!("stopped");
    let _ = tokio::task::spawn_blocking(|| telemetry.flush()).await;
    outcome
}

async fn serve(
    config: &Config,
    options: &ServeOptions,
    tracker: &TaskTracker,
    token: &CancellationToken,
) -> anyhow::Result<()> {
    // The calls end before the parts that they rest on: a write that was committed is only answered once the tailer has
    // applied it.
    let (calls, stopping) = (TaskTracker::new(), token.child_token());
    let signals = stop_on_signals(stopping.clone())?;
    tracker.spawn(signals);
    let starting = Start { config, options, tracker, token, calls: &calls, stopping: &stopping }.start();
    // Whatever the start waits for, it is not waited for when the server is told to end.
    let Some(started) = stopping.run_until_cancelled(starting).await else {
        tracing::info!("stopped_while_starting");
        return Ok(());
    };
    let Started { store, mut failures, _ended } = started?;

    let outcome = tokio::select! {
        () = stopping.cancelled() => Ok(()),
        // The sender lives on in this function, so a change is an end.
        _ = failures.changed() => Err(anyhow::anyhow!("{}", failures.borrow().clone().unwrap_or_default())),
    };
    let timeout = config.server.shutdown_timeout;
    tracing::info!(?timeout, "draining");
    stopping.cancel();
    calls.close();
    if tokio::time::timeout(timeout, calls.wait()).await.is_err() {
        // What goes on beyond the time is cut off with the process.
        tracing::warn!(?timeout, "calls_cut_off");
    }
    end_parts(tracker, token).await;
    // A call that was cut off may keep its connection.
    let _ = tokio::time::timeout(PARTS_TIMEOUT, store.close()).await;
    outcome
}

/// What a start is made from.
struct Start<'a> {
    config: &'a Config,
    options: &'a ServeOptions,
    tracker: &'a TaskTracker,
    token: &'a CancellationToken,
    calls: &'a TaskTracker,
    stopping: &'a CancellationToken,
}

/// A server that serves.
struct Started {
    store: Arc<Store>,
    /// Why one of the servers ended by itself.
    failures: watch::Receiver<Option<String>>,
    _ended: watch::Sender<Option<String>>,
}

impl Start<'_> {
    async fn start(self) -> anyhow::Result<Started> {
        let Start { config, options, tracker, token, calls, stopping } = self;
        // The ports first: whoever starts a second server learns of it before anything else is touched.
        let listeners = Listeners::bind(config).await?;
        let metrics = Metrics::new();
        let store = open_store(&config.database, &metrics).await?;
        let (probed, until) = (Arc::clone(&store), token.clone());
        tracker.spawn(async move { until.run_until_cancelled_owned(probed.probe_writes()).await });

        let plugins = PluginHost::start(
            host_config(&config.plugins),
            Arc::new(StoreLookup::new(Arc::clone(&store))),
            Arc::new(SystemClock),
            &metrics,
            tracker,
            token.clone(),
        )
        .await?;

        let cache_metrics = CacheMetrics::new(&metrics)?;
        let max_bytes = config.cache.max_bytes as u64;
        let caches = config.cache.enabled.then(|| Caches::new(max_bytes, &cache_metrics, tracker));
        let log: Arc<dyn EventLog> = store.clone();
        let sink: Arc<dyn LogSink> = match &caches {
            Some(caches) => caches.clone(),
            None => Arc::new(()),
        };
        let tailer =
            LogTailer::start(log.clone(), sink, LogTailerSettings::default(), &metrics, tracker, token.clone()).await?;
        let l2 = l2_settings(&config.cache)
            .map(|settings| L2::start(settings, log.clone(), tailer.subscribe(), cache_metrics.l2(), tracker, token));
        let relay = relay_settings(&config.eventbus)
            .map(|settings| {
                let transforms = plugins.transforms();
                Relay::start(
                    settings,
                    log,
                    store.clone(),
                    transforms,
                    tailer.subscribe(),
                    &metrics,
                    tracker,
                    token.clone(),
                )
            })
            .transpose()?;
        let registry = Registry::new(RegistryParts {
            store: store.clone(),
            tailer,
            caches,
            l2,
            plugins,
            relay,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            settings: RegistrySettings {
                min_revision_timeout: config.server.min_revision_timeout,
                version: env!("CARGO_PKG_VERSION"),
            },
            tracker: calls.clone(),
        });

        if let Some(starter) = &options.starter {
            load_starter(&registry, starter).await?;
        }
        let unserved = unserved_symbologies(&registry, &config.plugins.dir).await?;
        let addresses = listeners.addresses()?;
        let (ended, failures) = watch::channel(None);
        let (settings, all_metrics) = (grpc_settings(config), metrics.clone());
        let (listener, of_grpc, stop) = (listeners.grpc, registry.clone(), stopping.clone());
        let grpc = async move { cqar_api::serve_grpc(listener, of_grpc, settings, &all_metrics, stop).await };
        spawn(calls, &ended, stopping, "gRPC", grpc);
        spawn(calls, &ended, stopping, "HTTP", cqar_api::serve_http(listeners.http, registry, stopping.clone()));
        spawn(
            calls,
            &ended,
            stopping,
            "metrics",
            cqar_api::serve_metrics(listeners.metrics, metrics, stopping.clone()),
        );
        let Addresses { grpc, http, metrics } = addresses;
        tracing::info!(%grpc, %http, %metrics, database = %store_settings(&config.database).redacted_url(), "serving");
        if config.auth.api_keys.is_empty() {
            tracing::warn!(%grpc, "no_api_keys: everyone on this machine may call, and nobody else");
        }
        if options.starter.is_some() {
            greet::greet(&addresses, &unserved)?;
        }
        Ok(Started { store, failures, _ended: ended })
    }
}

/// Ends what the calls rested on: the tailer, the relay, the plugins.
async fn end_parts(tracker: &TaskTracker, token: &CancellationToken) {
    token.cancel();
    tracker.close();
    if tokio::time::timeout(PARTS_TIMEOUT, tracker.wait()).await.is_err() {
        tracing::warn!(timeout = ?PARTS_TIMEOUT, "parts_cut_off");
    }
}

/// A server that ends before it is told to, by an error or a panic, takes the others with it.
fn spawn<E: std::fmt::Display + Send + 'static>(
    tracker: &TaskTracker,
    ended: &watch::Sender<Option<String>>,
    stopping: &CancellationToken,
    name: &'static str,
    server: impl Future<Output = Result<(), E>> + Send + 'static,
) {
    let (ended, stopping) = (ended.clone(), stopping.clone());
    let serving = tracker.spawn(server);
    tracker.spawn(async move {
        let why = match serving.await {
            Ok(Ok(())) if stopping.is_cancelled() => return,
            Ok(Ok(())) => "nobody told it to".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let _ = ended.send(Some(format!("the {name} server ended: {why}")));
    });
}

/// Handlers are in place before anything else happens, so that a signal during the start is not lost.
fn stop_on_signals(token: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = token.cancelled() => return,
        }
        token.cancel();
    })
}

struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    metrics: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let host = config.listen_host();
        let server = &config.server;
        Ok(Self {
            grpc: bind(host, server.grpc_port, "server.grpc_port").await?,
            http: bind(host, server.http_port, "server.http_port").await?,
            metrics: bind(host, server.metrics_port, "server.metrics_port").await?,
        })
    }

    fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.local_addr()?,
            http: self.http.local_addr()?,
            metrics: self.metrics.local_addr()?,
        })
    }
}

async fn bind(host: &str, port: u16, key: &str) -> anyhow::Result<TcpListener> {
    let host = host.trim_matches(['[', ']']);
    TcpListener::bind((host, port)).await.with_context(|| {
        let variable = key.to_uppercase().replace('.', "_");
        format!("cannot listen on {host}:{port} ({key}); stop what listens there, or set {variable} to another port")
    })
}

async fn open_store(database: &sections::Database, metrics: &Metrics) -> anyhow::Result<Arc<Store>> {
    let settings = store_settings(database);
    let store = Store::open(&settings, Arc::new(SystemClock), metrics).await?;
    if settings.is_sqlite() {
        // The embedded database belongs to this server alone. PostgreSQL is migrated by whoever runs it.
        store.migrate_up().await?;
    } else {
        store.check_migrations().await?;
    }
    Ok(Arc::new(store))
}

/// How to reach the configured database.
pub fn store_settings(database: &sections::Database) -> StoreSettings {
    StoreSettings {
        url: database.url.expose().to_owned(),
        max_connections: database.max_conns.get(),
        acquire_timeout: database.acquire_timeout,
        connect_timeout: database.connect_timeout,
        query_timeout: database.query_timeout,
        max_waiting_writes: database.max_waiting_writes,
        statement_cache: database.statement_cache,
    }
}

fn host_config(plugins: &sections::Plugins) -> HostConfig {
    let settings: BTreeMap<String, serde_json::Value> =
        plugins.settings.iter().map(|(name, settings)| (name.clone(), settings.clone().into())).collect();
    HostConfig {
        dir: plugins.dir.clone(),
        data_dir: plugins.data_dir.clone(),
        required: plugins.required.clone(),
        transforms: plugins.transforms.clone(),
        settings,
        grants: plugins.grants.clone(),
        compiler: CompilerConfig {
            // The file that lies on the disk may be another build by now.
            program: "/proc/self/exe".into(),
            cache_dir: if plugins.compiled_dir.as_os_str().is_empty() {
                plugins.data_dir.join("compiled")
            } else {
                plugins.compiled_dir.clone()
            },
            memory_bytes: plugins.compile_memory as u64,
        },
        memory_budget_bytes: plugins.memory_budget,
        trusted_keys: (plugins.trust == Trust::Signed).then(|| plugins.trusted_keys.clone()),
        start_timeout: START_TIMEOUT,
        settle_timeout: SETTLE_TIMEOUT,
        limits: Limits {
            call: TimeLimit { guest: plugins.deadline, total: plugins.call_timeout },
            memory_bytes: plugins.memory,
            reuse_bytes: plugins.reuse_memory,
            output_bytes: plugins.output,
            concurrency: plugins.concurrency.get(),
            ..Limits::default()
        },
    }
}

fn l2_settings(cache: &sections::Cache) -> Option<L2Settings> {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let host = given(&cache.host).filter(|_| cache.enabled)?;
    Some(L2Settings {
        username: given(&cache.username),
        password: given(cache.password.expose()),
        database: cache.db,
        timeout: cache.timeout,
        ..L2Settings::at(host, cache.port.get())
    })
}

fn relay_settings(bus: &sections::EventBus) -> Option<RelaySettings> {
    if bus.servers.is_empty() {
        return None;
    }
    let credentials = match (bus.token.expose(), bus.username.as_str()) {
        ("", "") => Credentials::None,
        ("", user) => {
            Credentials::UserAndPassword { user: user.to_owned(), password: bus.password.expose().to_owned() }
        }
        (token, _) => Credentials::Token(token.to_owned()),
    };
    Some(RelaySettings {
        servers: bus.servers.clone(),
        credentials,
        stream: bus.stream.clone(),
        subject_prefix: bus.subject_prefix.clone(),
        duplicate_window: bus.duplicate_window,
        replicas: bus.replicas,
        ..RelaySettings::default()
    })
}

fn grpc_settings(config: &Config) -> GrpcSettings {
    let keys = config.auth.api_keys.iter().map(|key| (key.key.expose(), key.name.as_str()));
    GrpcSettings {
        max_request_bytes: config.server.max_request_bytes,
        batch_memory_bytes: config.server.batch_memory,
        reflection_requires_key: config.server.reflection_requires_key,
        keys: ApiKeys::new(keys),
        trace_sample_rate: if config.tracing.enabled { config.tracing.sample_rate } else { 0.0 },
    }
}

/// Why the starter's entities are created, for who reads the log.
const STARTER_REASON: &str = "loaded at the start by --starter";

/// As `cqar import starter` does, from within: what is there already stays as it is.
async fn load_starter(registry: &Registry, starter: &Starter) -> anyhow::Result<()> {
    let (dir, named) = match starter {
        Starter::CompiledIn => (None, "the starter dataset".to_owned()),
        Starter::Directory(dir) => (Some(dir.as_path()), dir.display().to_string()),
    };
    let request = starter::read(dir)?;
    let mutations = convert::mutations(request.mutations, STARTER_REASON, registry.ids())
        .map_err(cqar_registry::Error::Invalid)
        .with_context(|| named.clone())?;
    let request = WriteContext {
        actor: "starter".to_owned(),
        method: "/cqar.v1.RegistryService/Apply",
        request_id: None,
        body_hash: Vec::new(),
        validate_only: false,
        held: None,
    };
    let loaded = registry.apply(request, mutations).await.with_context(|| named)?;
    tracing::info!(changed = loaded.value.changed, revision = loaded.revision, "starter_loaded");
    Ok(())
}

/// The venues whose symbology plugin does not serve, each logged with the way to mend it.
async fn unserved_symbologies(registry: &Registry, plugins: &Path) -> anyhow::Result<Vec<MissingPlugin>> {
    let unserved = registry.unserved_symbologies().await?;
    let missing: Vec<MissingPlugin> =
        unserved.into_iter().map(|(venue, plugin)| MissingPlugin::new(&venue, plugin, plugins)).collect();
    for missing in &missing {
        tracing::warn!(venue = missing.venue, plugin = missing.plugin, mend = missing.mend, "symbology_not_serving");
    }
    Ok(missing)
}
