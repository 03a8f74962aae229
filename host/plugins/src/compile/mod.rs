//! Compiling: in a child process, so that no file can take the server's memory or time.
//!
//! A module of 64 KB can ask a compiler for gigabytes, or for hours. The child (`cqar compile`, [`child`]) limits itself before it
//! reads a byte; what it ends with is kept by the file's hash ([`cache`]), the good and the bad alike, so that neither a start nor a
//! rescan compiles twice, nor dies twice. The child bounds resources and is no sandbox: its output is trusted machine code.
//!
//! Large files wait for large ones, and small ones for small ones: a thread each, which also is the child's parent for the kernel, so
//! that the child ends with it.

mod cache;
pub(crate) mod child;
mod free_memory;
mod process;
mod weight;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::spawn_blocking,
    time::timeout,
};

pub(crate) use self::cache::CompiledCache;
use self::process::{Job, JobOutcome};
use crate::{error::StartError, generation_store::ComponentFile, hash::Hash};

/// Components up to this size, which compile in a second, never wait for larger ones.
const SMALL_BYTES: u64 = 2 << 20;
/// How long a component may take in all, with those before it. Three of the largest, each at its limit.
const PATIENCE: Duration = Duration::from_mins(30);

/// How much machine code is read at a time: each has up to 128 MiB, and a start reads that of every plugin.
const READS: usize = 2;
/// How long that may take, with those before it.
const READ_PATIENCE: Duration = Duration::from_mins(1);

/// How components are compiled.
#[derive(Debug, Clone)]
pub struct CompilerConfig {
    /// The program whose command `compile` is the compiler. `/proc/self/exe` is this program, whatever lies on the disk by now.
    pub program: PathBuf,
    /// Where results are kept. It must belong to the user of this process, and be closed to all others.
    pub cache_dir: PathBuf,
    /// The address space that the compiler may take. Less, where the control group has less to give.
    pub memory_bytes: u64,
}

/// Why there is no machine code.
#[derive(Debug, Clone)]
pub(crate) enum CompileError {
    /// The file is to blame: it is none, or asks for too much. Remembered.
    Refused(String),
    /// It is not known: the machine had too little of something, or the compiler was stopped.
    MayPass(String),
}

/// Machine code on its way from the folder to the engine, and its turn, which is over with this.
pub(crate) struct Artefact {
    bytes: Vec<u8>,
    _reading: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Artefact {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The queues of the compiler.
pub(crate) struct Compiler {
    reads: Arc<Semaphore>,
    cache: Arc<CompiledCache>,
    small: mpsc::UnboundedSender<Job>,
    large: mpsc::UnboundedSender<Job>,
}

impl Compiler {
    /// Opens the cache for artefacts that `engine` can load, and starts the threads, which end with this.
    pub(crate) fn start(config: &CompilerConfig, engine: Hash) -> Result<Self, StartError> {
        let cache = Arc::new(CompiledCache::open(&config.cache_dir, engine, config.memory_bytes)?);
        let start = |name| {
            // One job for each plugin at most, of which a directory has 256.
            let (sender, jobs) = mpsc::unbounded_channel();
            let started = process::start_worker(name, config, &cache, jobs);
            started.map(|()| sender).map_err(|error| StartError::Engine(error.to_string()))
        };
        Ok(Self {
            reads: Arc::new(Semaphore::new(READS)),
            small: start("compile-small")?,
            large: start("compile-large")?,
            cache,
        })
    }

    /// What the component was compiled to: kept from before, or compiled now.
    pub(crate) async fn artefact(&self, hash: Hash, component: Arc<ComponentFile>) -> Result<Artefact, CompileError> {
        if let Some(artefact) = self.kept(hash).await? {
            return Ok(artefact);
        }
        let stopped = |_| CompileError::MayPass("the server stops".into());
        let queue = if component.bytes() <= SMALL_BYTES { &self.small } else { &self.large };
        let (reply, outcome) = oneshot::channel::<JobOutcome>();
        queue.send(Job { hash, component, reply }).map_err(|_| CompileError::MayPass("the server stops".into()))?;
        let late =
            |_| CompileError::MayPass(format!("took longer than {} min, others included", PATIENCE.as_secs() / 60));
        timeout(PATIENCE, outcome).await.map_err(late)?.map_err(stopped)??;
        let kept = self.kept(hash).await?;
        kept.ok_or_else(|| CompileError::MayPass("what it was compiled to is gone already".into()))
    }

    /// What is kept of a component.
    async fn kept(&self, hash: Hash) -> Result<Option<Artefact>, CompileError> {
        let (cache, turn) = (Arc::clone(&self.cache), Arc::clone(&self.reads).acquire_owned());
        let read = async {
            // Nobody closes it.
            let reading = turn.await.ok()?;
            // A disk that does not answer keeps the turn, so that no more than these wait for it.
            let get = move || Some(cache.get(&hash)?.map(|bytes| Artefact { bytes, _reading: reading }));
            spawn_blocking(get).await.ok().flatten()
        };
        match timeout(READ_PATIENCE, read).await {
            Ok(kept) => kept.transpose().map_err(CompileError::Refused),
            Err(_) => Err(CompileError::MayPass("the disk of the compiled components does not answer".into())),
        }
    }

    /// Forgets that a file was refused, so that it is compiled anew.
    pub(crate) fn forget_refusal(&self, hash: &Hash) {
        self.cache.forget_refusal(hash);
    }
}
