//! The one WebAssembly engine: compiling, and the clock that interrupts.

use std::{sync::Arc, thread, time::Duration};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use wasmtime::{
    Config,
    component::{Component, HasSelf, Linker},
};

use crate::{
    bindings::cqar::plugin::{log, registry, types},
    error::StartError,
    sandbox::Sandbox,
};

/// A loop yields, and a deadline is noticed, this often. With 10 ms a neighbour's p99 was 101 ms, with 1 ms 4 ms.
const EPOCH: Duration = Duration::from_millis(1);
/// Interpreters take 7 to 9 s on two cores that are free.
const COMPILE_TIMEOUT: Duration = Duration::from_mins(2);
/// Components up to this size, which compile in a second, never wait for larger ones.
const SMALL_BYTES: usize = 2 << 20;
/// Small components compiled at the same time, each on one thread: two, so that one slow one is no jam, and the rest of
/// the machine goes on serving.
const SMALL_PLACES: usize = 2;

/// Why bytes are no component.
pub(crate) enum CompileError {
    /// They are none.
    Invalid(String),
    /// It is not known: the time was up.
    Late(String),
}

/// The engine, with what every plugin is linked to.
pub(crate) struct Engine {
    wasm: wasmtime::Engine,
    linker: Linker<Sandbox>,
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Engine {
    /// Starts the engine, and the thread that is its clock. The thread ends with the engine.
    pub(crate) fn start() -> Result<Self, StartError> {
        let failed = |error: wasmtime::Error| StartError::Engine(error.root_cause().to_string());
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            // The component model's own concurrency costs 1.6 µs a call, and no plugin has a use for it.
            .concurrency_support(false)
            // Rayon's workers would finish a large component before they begin a small one.
            .parallel_compilation(false);
        let wasm = wasmtime::Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&wasm);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        types::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |it| it).map_err(failed)?;
        log::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |it| it).map_err(failed)?;
        registry::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |it| it).map_err(failed)?;

        let clock = wasm.weak();
        let ticks = move || {
            while let Some(engine) = clock.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(EPOCH);
            }
        };
        thread::Builder::new()
            .name("plugin-epochs".into())
            .spawn(ticks)
            .map_err(|error| StartError::Engine(error.to_string()))?;
        Ok(Self { wasm, linker, small: Arc::new(Semaphore::new(SMALL_PLACES)), large: Arc::new(Semaphore::new(1)) })
    }

    pub(crate) const fn linker(&self) -> &Linker<Sandbox> {
        &self.linker
    }

    /// Compiles a component on a thread that may block. A bounded number runs at a time; the others wait.
    pub(crate) async fn compile(&self, bytes: Bytes) -> Result<Component, CompileError> {
        let places = if bytes.len() <= SMALL_BYTES { &self.small } else { &self.large };
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return Err(CompileError::Late("the server stops".into()));
        };
        let engine = self.wasm.clone();
        let compiling = spawn_blocking(move || {
            // Held by the thread: a compilation that was given up still takes its place until it ends.
            let _place = place;
            Component::from_binary(&engine, &bytes).map_err(|error| CompileError::Invalid(format!("{error:#}")))
        });
        match timeout(COMPILE_TIMEOUT, compiling).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(CompileError::Invalid(error.to_string())),
            Err(_) => Err(CompileError::Late(format!("took longer than {} s", COMPILE_TIMEOUT.as_secs()))),
        }
    }

    /// Loads what this engine compiled before; None if it was another version of the engine.
    pub(crate) async fn load(&self, artefact: Bytes) -> Option<Component> {
        let engine = self.wasm.clone();
        let loading = spawn_blocking(move || {
            #[expect(
                unsafe_code,
                reason = "The bytes are what serialize() of this host gave: they lie in a directory that only the \
                    server writes, and their SHA-256 was compared with the one noted when they were written. wasmtime \
                    itself refuses what another version or configuration compiled."
            )]
            let loaded = unsafe { Component::deserialize(&engine, &artefact) };
            loaded.ok()
        });
        loading.await.ok().flatten()
    }
}
