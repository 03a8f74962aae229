//! The server, from start to shutdown: read from top to bottom, it is what is wired to what.

mod greet;
mod listeners;
mod process_metrics;
mod reload;
mod settings;
mod shutdown;

use std::{
    convert::Infallible,
    fmt::Display,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use cqar_api::{Startup, auth::Callers, listen::ListenMetrics};
use cqar_cache::{L2, metrics::CacheMetrics};
use cqar_domain::{
    event::{EventLog, LogSink},
    id::SystemIds,
    time::SystemClock,
};
use cqar_events::{
    log_tailer::{LogTailer, LogTailerSettings},
    relay::Relay,
};
use cqar_plugins::PluginHost;
use cqar_proto::convert;
use cqar_registry::{Caches, Registry, RegistryParts, RegistrySettings, StoreLookup, WriteContext};
use cqar_store::Store;
use prometheus::Registry as Metrics;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::settings::store_settings;
use self::{
    greet::{Addresses, MissingPlugin},
    listeners::{Ports, PortsTls},
    reload::{Reloaded, Reloader},
    shutdown::{Phases, Shutdown, end_parts},
};
use crate::{
    cli::error::chain,
    config::{LoadOptions, Loaded, sections::Config},
    starter,
    telemetry::{LogLevel, Telemetry},
};

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
pub async fn run(loaded: Loaded, load: LoadOptions, options: ServeOptions) -> anyhow::Result<()> {
    let Config { service, log, tracing, .. } = &loaded.config;
    let telemetry = Telemetry::start(service, log, tracing)?;
    for warning in &loaded.warnings {
        tracing::warn!(warning = %warning, "configuration_warning");
    }
    let shutdown = Shutdown::on_signals(Phases::of(&loaded.config))?;
    let whole = async {
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let outcome = serve(&loaded, load, &options, telemetry.level(), &shutdown, &tracker, &token).await;
        if let Err(error) = &outcome {
            tracing::error!(error = chain(error), "serve_failed");
        }
        // Where it failed before it served, its parts still run.
        end_parts(&tracker, &token).await;
        tracing::info!("stopped");
        let _ = tokio::task::spawn_blocking(|| telemetry.flush()).await;
        outcome
    };
    tokio::select! {
        outcome = whole => outcome,
        () = shutdown.cut() => Err(anyhow::anyhow!("cut off before it had ended")),
    }
}

async fn serve(
    loaded: &Loaded,
    load: LoadOptions,
    options: &ServeOptions,
    log_level: LogLevel,
    shutdown: &Shutdown,
    tracker: &TaskTracker,
    token: &CancellationToken,
) -> anyhow::Result<()> {
    // The calls end before the parts that they rest on: a write that was committed is only answered once the tailer has
    // applied it.
    let calls = TaskTracker::new();
    // Its default action would end the process; from here on it is kept until someone asks for it.
    let hangups = signal(SignalKind::hangup())?;
    let (ended, mut failures) = watch::channel(None);
    let start = Start { config: &loaded.config, options, tracker, token, calls: &calls, shutdown, ended: &ended };
    // Whatever the start waits for, it is not waited for when the server is told to end, nor when one of its ports fails.
    let started = tokio::select! {
        started = start.start() => Some(started?),
        () = shutdown.draining.cancelled() => None,
        _ = failures.changed() => return Err(failed(&failures)),
    };
    let Some(Started { store, plugins, registry, callers, tls, connections, metrics }) = started else {
        tracing::info!("stopped_while_starting");
        shutdown.close();
        return Ok(());
    };
    let applies_to = Reloaded { callers, tls, connections, registry, store: Arc::clone(&store), plugins, log_level };
    let reloader = Reloader::new(load, loaded.clone(), applies_to, &metrics)?;
    let until = token.clone();
    tracker.spawn(async move { until.run_until_cancelled_owned(Box::pin(reloader.run(hangups))).await });

    let outcome = tokio::select! {
        () = shutdown.closing.cancelled() => Ok(()),
        // The sender lives on in this function, so a change is an end.
        _ = failures.changed() => Err(failed(&failures)),
    };
    shutdown.close();
    calls.close();
    let limit = loaded.config.server.shutdown_timeout;
    if timeout(limit, calls.wait()).await.is_err() {
        // What goes on beyond the time is cut off with the process.
        tracing::warn!(timeout = ?limit, "calls_cut_off");
    }
    end_parts(tracker, token).await;
    // A call that was cut off may keep its connection, and a database that does not answer all of them: the process ends all the same.
    store.close().await;
    outcome
}

fn failed(failures: &watch::Receiver<Option<String>>) -> anyhow::Error {
    anyhow::anyhow!("{}", failures.borrow().clone().unwrap_or_default())
}

/// What a start is made from.
struct Start<'a> {
    config: &'a Config,
    options: &'a ServeOptions,
    tracker: &'a TaskTracker,
    token: &'a CancellationToken,
    calls: &'a TaskTracker,
    shutdown: &'a Shutdown,
    /// Where a server that ends by itself says why.
    ended: &'a watch::Sender<Option<String>>,
}

/// A server that serves.
struct Started {
    store: Arc<Store>,
    plugins: Arc<PluginHost>,
    registry: Registry,
    callers: Callers,
    tls: PortsTls,
    connections: ListenMetrics,
    metrics: Metrics,
}

impl Start<'_> {
    async fn start(self) -> anyhow::Result<Started> {
        let Start { config, options, tracker, token, calls, .. } = self;
        let metrics = Metrics::new();
        process_metrics::register(&metrics)?;
        let Shutdown { draining, closing, .. } = self.shutdown;
        let startup = Startup::new(draining.clone(), closing.clone());
        let callers = Callers::new(config.contents.callers.clone());
        let tls = settings::ports_tls(&config.contents)?;
        let connections = ListenMetrics::register(&metrics)?;
        // The ports first: health is answered from the first second, and whoever starts a second server learns of it before
        // anything else is touched.
        let addresses = self.listen(&startup, &callers, &tls, &connections, &metrics).await?;

        let mut patience = Patience::new(&startup, config);
        let store = self.open_store(&mut patience, &metrics).await?;
        let (probed, until) = (Arc::clone(&store), token.clone());
        tracker.spawn(async move { until.run_until_cancelled_owned(probed.probe_writes()).await });

        startup.waits_for("the plugins are tried");
        let plugins = PluginHost::start(
            settings::host_config(&config.plugins),
            Arc::new(StoreLookup::new(Arc::clone(&store))),
            Arc::new(SystemClock),
            &metrics,
            tracker,
            token.clone(),
        )
        .await?;

        warn_of_absent_plugins(&plugins);

        startup.waits_for("the event log is read");
        let cache_metrics = CacheMetrics::new(&metrics)?;
        let caches = settings::cache_bounds(&config.cache).map(|bounds| Caches::new(bounds, &cache_metrics, tracker));
        let log: Arc<dyn EventLog> = store.clone();
        let sink: Arc<dyn LogSink> = match &caches {
            Some(caches) => caches.clone(),
            None => Arc::new(()),
        };
        let tailer = loop {
            let (log, sink, settings) = (log.clone(), sink.clone(), LogTailerSettings::default());
            match patience.attempt(LogTailer::start(log, sink, settings, &metrics, tracker, token.clone())).await {
                Ok(Ok(tailer)) => break tailer,
                // The database went away since it was opened.
                Ok(Err(error)) => patience.wait(anyhow::Error::new(error)).await?,
                Err(late) => patience.wait(late).await?,
            }
        };
        let l2 = settings::l2_settings(&config.cache)
            .map(|settings| L2::start(settings, log.clone(), tailer.subscribe(), cache_metrics.l2(), tracker, token));
        let relay = settings::relay_settings(&config.eventbus)
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
            plugins: plugins.clone(),
            relay,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            settings: RegistrySettings {
                read_limits: settings::read_limits(&config.server),
                version: env!("CARGO_PKG_VERSION"),
            },
            tracker: calls.clone(),
        });

        if let Some(starter) = &options.starter {
            startup.waits_for("the starter dataset is loaded");
            load_starter(&registry, starter).await?;
        }
        // Only told: the start does not fail for it.
        let unserved = unserved_symbologies(&registry, &config.plugins.dir).await.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "symbologies_not_looked_up");
            Vec::new()
        });
        startup.serves(registry.clone());
        let Addresses { grpc, http, metrics: scraped } = addresses;
        let database = store_settings(&config.database).redacted_url();
        tracing::info!(%grpc, %http, metrics = scraped.map(tracing::field::display), %database, "serving");
        if callers.is_empty() {
            tracing::warn!(%grpc, "no_api_keys: everyone on this machine may call, and nobody else");
        }
        if options.starter.is_some() {
            greet::greet(&addresses, &unserved)?;
        }
        Ok(Started { store, plugins, registry, callers, tls, connections, metrics })
    }

    /// Takes the ports, and answers there.
    async fn listen(
        &self,
        startup: &Startup,
        callers: &Callers,
        tls: &PortsTls,
        connections: &ListenMetrics,
        metrics: &Metrics,
    ) -> anyhow::Result<Addresses> {
        let Ports { grpc, http, metrics: scraped } = Ports::bind(self.config, tls).await?;
        let addresses = Addresses {
            grpc: grpc.listener.local_addr()?,
            http: http.listener.local_addr()?,
            metrics: scraped.as_ref().map(|port| port.listener.local_addr()).transpose()?,
        };
        let (settings, all_metrics) = (settings::grpc_settings(self.config, callers.clone()), metrics.clone());
        let (of_grpc, counted) = (startup.clone(), connections.clone());
        let serving = async move { cqar_api::serve_grpc(grpc, of_grpc, settings, &all_metrics, &counted).await };
        spawn(self.calls, self.ended, &self.shutdown.closing, "gRPC", Box::pin(serving));
        // Probes and scrapers are answered until the last call has ended.
        let (of_http, counted, until) = (startup.clone(), connections.clone(), self.token.clone());
        let serving = async move {
            cqar_api::serve_http(http, of_http, &counted, until).await;
            Ok(())
        };
        spawn::<Infallible>(self.tracker, self.ended, self.token, "HTTP", serving);
        if let Some(port) = scraped {
            let (all_metrics, counted, until) = (metrics.clone(), connections.clone(), self.token.clone());
            let serving = async move {
                cqar_api::serve_metrics(port, all_metrics, &counted, until).await;
                Ok(())
            };
            spawn::<Infallible>(self.tracker, self.ended, self.token, "metrics", serving);
        }
        let Addresses { grpc, http, metrics } = addresses;
        tracing::info!(%grpc, %http, metrics = metrics.map(tracing::field::display), "listening");
        Ok(addresses)
    }

    /// Opens the database. One that cannot be reached yet, or is not migrated yet, is waited for.
    async fn open_store(&self, patience: &mut Patience<'_>, metrics: &Metrics) -> anyhow::Result<Arc<Store>> {
        let settings = store_settings(&self.config.database);
        let store = loop {
            match patience.attempt(Store::open(&settings, Arc::new(SystemClock), metrics)).await {
                Ok(Ok(store)) => break store,
                Ok(Err(error)) if !error.may_come() => return Err(error.into()),
                Ok(Err(error)) => patience.wait(error.into()).await?,
                Err(late) => patience.wait(late).await?,
            }
        };
        loop {
            let migrated = if settings.is_sqlite() {
                // The embedded database belongs to this server alone. PostgreSQL is migrated by whoever runs it.
                store.migrate_up().await.map(drop)
            } else {
                store.check_migrations().await
            };
            match migrated {
                Ok(()) => return Ok(Arc::new(store)),
                Err(error) if !error.may_come() => return Err(error.into()),
                Err(error) => patience.wait(error.into()).await?,
            }
        }
    }
}

/// How long to wait for what may come, and for what.
struct Patience<'a> {
    startup: &'a Startup,
    /// Where it is, without its password.
    database: String,
    timeout: Duration,
    ends: Instant,
    said: String,
}

/// The shortest time that is given to an attempt.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);
/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(500);

impl<'a> Patience<'a> {
    fn new(startup: &'a Startup, config: &Config) -> Self {
        let (database, timeout) = (store_settings(&config.database).redacted_url(), config.server.start_timeout);
        // Before it is known what is wrong with it: the first attempt may hang.
        startup.waits_for(format!("waiting for the database: {database} has not answered yet"));
        Self { startup, database, timeout, ends: Instant::now() + timeout, said: String::new() }
    }

    /// Tries something for no longer than the time that is left.
    async fn attempt<T>(&self, attempt: impl Future<Output = T>) -> anyhow::Result<T> {
        let limit = self.ends.saturating_duration_since(Instant::now()).max(MIN_ATTEMPT);
        timeout(limit, attempt).await.map_err(|_| {
            anyhow::anyhow!("the database {} does not answer; check the way there, and that it is up", self.database)
        })
    }

    /// Waits a moment before it is tried again, unless the time is over.
    async fn wait(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        if Instant::now() >= self.ends {
            return Err(error.context(format!("waited {} s (server.start_timeout)", self.timeout.as_secs())));
        }
        let reason = chain(&error);
        if reason != self.said {
            tracing::warn!(reason, timeout = ?self.timeout, "waiting_for_database");
            self.startup.waits_for(format!("waiting for the database: {reason}"));
            self.said = reason;
        }
        sleep(RETRY).await;
        Ok(())
    }
}

/// A server that ends before it is told to, by an error or a panic, takes the others with it.
fn spawn<E: Display + Send + 'static>(
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

/// What the configuration says of a plugin acts once there is one of that name, and it may be misspelt.
fn warn_of_absent_plugins(plugins: &PluginHost) {
    for plugin in plugins.configured_in_vain() {
        tracing::warn!(plugin, "plugin_configured_and_absent: its settings or grants act on nothing");
    }
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
