//! The configuration, read again while the server runs: when a file changed, and on SIGHUP.
//!
//! What is wrong is refused as a whole, and what served before goes on. What is right is applied as far as it can be without a restart;
//! the rest is named. The environment never changes in a running process, but the files of secrets that it names do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cqar_api::{auth::Callers, listen::ListenMetrics};
use cqar_plugins::PluginHost;
use cqar_registry::Registry;
use cqar_store::Store;
use prometheus::{IntCounterVec, Opts};
use tokio::{
    signal::unix::Signal,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{listeners::PortsTls, settings, warn_of_absent_plugins};
use crate::{
    config::{
        self, LoadOptions, Loaded, changed,
        keys::{self, Effect},
        rules,
    },
    telemetry::LogLevel,
};

/// How often the files are looked at: a key that was taken away is refused within two of these. Network mounts and the volumes of
/// Kubernetes tell of no changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// A file that is being written may read as a whole one for a moment: what is new counts once it held for so long.
const SETTLE: Duration = Duration::from_millis(200);

/// How long reading the files may take: a mount may hang.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What takes other settings while it runs.
pub struct Reloaded {
    pub callers: Callers,
    pub tls: PortsTls,
    pub connections: ListenMetrics,
    pub registry: Registry,
    pub store: Arc<Store>,
    pub plugins: Arc<PluginHost>,
    pub log_level: LogLevel,
}

/// Reads the configuration again, and applies it.
pub struct Reloader {
    load: LoadOptions,
    /// As the server was started.
    started: Loaded,
    /// As it was read last.
    current: Loaded,
    /// Why it was refused, if it was.
    refused: Option<String>,
    target: Reloaded,
    reloads: IntCounterVec,
}

impl Reloader {
    /// Of what was loaded so.
    pub fn new(
        load: LoadOptions,
        loaded: Loaded,
        target: Reloaded,
        metrics: &prometheus::Registry,
    ) -> Result<Self, prometheus::Error> {
        let reloads = IntCounterVec::new(
            Opts::new("cqar_config_reloads_total", "How often a changed configuration was applied, or refused."),
            &["outcome"],
        )?;
        for outcome in ["applied", "refused"] {
            reloads.with_label_values(&[outcome]);
        }
        metrics.register(Box::new(reloads.clone()))?;
        Ok(Self { load, started: loaded.clone(), current: loaded, refused: None, target, reloads })
    }

    /// Reads it again and again, without end.
    pub async fn run(mut self, mut hangups: Signal) {
        loop {
            let is_asked = tokio::select! {
                Some(()) = hangups.recv() => true,
                () = sleep(INTERVAL) => false,
            };
            self.reload(is_asked).await;
        }
    }

    async fn reload(&mut self, is_asked: bool) {
        let read = self.read().await;
        let is_new = match &read {
            Ok(loaded) => self.refused.is_some() || !changed(&self.current.sources, &loaded.sources).is_empty(),
            Err(refused) => self.refused.as_ref() != Some(refused),
        };
        if !is_new && (!is_asked || read.is_ok()) {
            if is_asked {
                tracing::info!("configuration_unchanged");
            }
            return;
        }
        sleep(SETTLE).await;
        let again = self.read().await;
        let holds = match (&read, &again) {
            (Ok(read), Ok(again)) => changed(&read.sources, &again.sources).is_empty(),
            (Err(read), Err(again)) => read == again,
            _ => false,
        };
        // Whoever writes it is not done: it is read again at the next turn.
        if !holds {
            return;
        }
        match again.and_then(|loaded| self.apply(loaded)) {
            Ok(()) => self.refused = None,
            Err(refused) => {
                self.reloads.with_label_values(&["refused"]).inc();
                tracing::error!(reason = refused, "configuration_refused: what served before goes on");
                self.refused = Some(refused);
            }
        }
    }

    async fn read(&self) -> Result<Loaded, String> {
        let load = self.load.clone();
        let read = timeout(READ_TIMEOUT, spawn_blocking(move || config::load(&load))).await;
        let read = read.map_err(|_| format!("its files cannot be read within {} s", READ_TIMEOUT.as_secs()))?;
        let loaded = read.map_err(|error| error.to_string())?.map_err(|refused| refused.to_string())?;
        // A volume that is not mounted looks the same: absence takes nothing back.
        match self.current.files.iter().find(|file| !loaded.files.contains(file)) {
            Some(gone) => Err(format!("{} was there, and is gone", gone.display())),
            None => Ok(loaded),
        }
    }

    fn apply(&mut self, loaded: Loaded) -> Result<(), String> {
        let Reloaded { callers, tls, connections, registry, store, plugins, log_level } = &self.target;
        // What needs a restart is as it was: the rest must be right together with that.
        let config = self.started.config.with_reloaded(&loaded.config);
        if let Some((key, message)) = rules::violations(&config, true).first() {
            return Err(format!("{key}: {message}"));
        }
        let contents = &config.contents;
        // It may listen to the world since someone had a key.
        if contents.callers.is_empty() && !callers.is_empty() {
            return Err(
                "auth.api_keys: somebody must have a key while the server runs, or everyone could call: restart it"
                    .to_owned(),
            );
        }
        // Everything is checked before the first of it is applied.
        let mut shown = Vec::new();
        for (name, tls, identity) in [("grpc", &tls.grpc, &contents.grpc_tls), ("http", &tls.http, &contents.http_tls)]
        {
            if let (Some(tls), Some(identity)) = (tls, identity) {
                let checked = tls.check(identity).map_err(|error| format!("server.tls_cert_file: {error}"))?;
                shown.push((name, tls, checked));
            }
        }
        for (port, tls, checked) in shown {
            tls.replace(checked);
            connections.show_certificate(port, tls);
        }
        callers.replace(contents.callers.clone());
        registry.set_read_limits(settings::read_limits(&config.server));
        store.set_max_waiting_writes(config.database.max_waiting_writes);
        plugins.reconfigure(settings::plugin_settings(&config.plugins));
        warn_of_absent_plugins(plugins);

        let of = |names: &BTreeSet<String>, wanted: Effect, of_plugins: bool| {
            let is_wanted = |name: &&String| {
                let effect = keys::holding(name).map(|key| key.effect);
                effect == Some(wanted) && (wanted == Effect::AtStart || name.starts_with("plugins.") == of_plugins)
            };
            names.iter().filter(is_wanted).cloned().collect::<Vec<_>>().join(", ")
        };
        let new = changed(&self.current.sources, &loaded.sources);
        let applied = of(&new, Effect::Reloads, false);
        // The gate says what becomes of it: `plugin_changed`.
        let tried_by_plugins = of(&new, Effect::Reloads, true);
        let needs_restart = of(&changed(&self.started.sources, &loaded.sources), Effect::AtStart, false);
        // Before the new level may hide it.
        if needs_restart.is_empty() {
            tracing::info!(applied, tried_by_plugins, "configuration_reloaded");
        } else {
            tracing::warn!(
                applied,
                tried_by_plugins,
                needs_restart,
                "configuration_reloaded: what needs a restart is as before"
            );
        }
        log_level.set(&config.log.level).map_err(|error| format!("{error:#}"))?;
        self.reloads.with_label_values(&["applied"]).inc();
        self.current = loaded;
        Ok(())
    }
}
