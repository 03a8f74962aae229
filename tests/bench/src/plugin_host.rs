//! The plugin host in this process, on a folder of its own.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use cqar_domain::{
    event::PortError,
    id::EntityKey,
    lookup::{FoundDocument, FoundDocuments, IndexKey, Lookup, LookupError, ReadSet},
    time::SystemClock,
};
use cqar_plugins::{
    CompilerConfig, HostConfig, MEMORY_BUDGET_BYTES, PluginHost, PluginSettings, SETTLE_TIMEOUT, START_TIMEOUT,
};
use cqar_tests::server::binary;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A host that runs.
pub(crate) struct RunningHost {
    folder: TempDir,
    pub(crate) plugins: Arc<PluginHost>,
    tracker: TaskTracker,
    token: CancellationToken,
}

impl RunningHost {
    /// With these components in the directory.
    pub(crate) async fn start(plugins: &[(&str, Vec<u8>)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("cqar-bench-").tempdir()?;
        let dir = folder.path().join("plugins");
        fs::create_dir(&dir)?;
        for (name, bytes) in plugins {
            fs::write(dir.join(format!("{name}.wasm")), bytes)?;
        }
        let config = HostConfig {
            dir,
            data_dir: folder.path().join("data"),
            required: Vec::new(),
            transforms: Vec::new(),
            plugins: PluginSettings::default(),
            compiler: CompilerConfig {
                program: binary(),
                cache_dir: folder.path().join("compiled"),
                memory_bytes: 2 << 30,
            },
            start_timeout: START_TIMEOUT,
            settle_timeout: SETTLE_TIMEOUT,
            memory_budget_bytes: MEMORY_BUDGET_BYTES,
            trusted_keys: None,
        };
        let (tracker, token, metrics) = (TaskTracker::new(), CancellationToken::new(), prometheus::Registry::new());
        let clock = Arc::new(SystemClock);
        let host = PluginHost::start(config, Arc::new(NoLookups), clock, &metrics, &tracker, token.clone()).await?;
        Ok(Self { folder, plugins: host, tracker, token })
    }

    /// Puts a build there as a careful operator does, and waits until it serves.
    pub(crate) async fn swap(&self, name: &str, bytes: &[u8]) -> anyhow::Result<Duration> {
        let dir = self.folder.path().join("plugins");
        let partial = dir.join(format!(".{name}.partial"));
        fs::write(&partial, bytes)?;
        let mut changes = self.plugins.changes();
        let generation = |host: &PluginHost| host.list().into_iter().find(|it| it.name == name).map(|it| it.generation);
        let before = generation(&self.plugins);
        let began = Instant::now();
        fs::rename(&partial, dir.join(format!("{name}.wasm")))?;
        while generation(&self.plugins) == before {
            changes.changed().await?;
        }
        Ok(began.elapsed())
    }

    /// Ends every task of it.
    pub(crate) async fn stop(self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The guests ask for no look-ups, and are granted none.
struct NoLookups;

#[async_trait]
impl Lookup for NoLookups {
    async fn get(&self, _: &[EntityKey], _: usize) -> Result<Vec<Option<FoundDocument>>, LookupError> {
        Err(nothing())
    }

    async fn find(&self, _: &[IndexKey], _: usize) -> Result<Vec<FoundDocuments>, LookupError> {
        Err(nothing())
    }

    async fn read_again(&self, _: &ReadSet) -> Result<ReadSet, LookupError> {
        Err(nothing())
    }
}

fn nothing() -> LookupError {
    LookupError::Unavailable(PortError::new("nothing may be looked up"))
}
