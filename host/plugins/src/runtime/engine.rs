//! The WebAssembly engine, and the clock that interrupts.

use std::{
    hash::{Hash as _, Hasher},
    thread,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use wasmtime::{
    Config,
    component::{Component, HasSelf, Linker},
};

use super::{
    bindings::cqar::plugin::{log, registry, types},
    sandbox::Sandbox,
};
use crate::{error::StartError, hash::Hash};

/// A loop yields, and a deadline is noticed, this often. With 10 ms a neighbour's p99 was 101 ms, with 1 ms 4 ms.
pub(crate) const EPOCH: Duration = Duration::from_millis(1);

/// What the compiler's engine and the server's must agree on.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // The component model's own concurrency costs 1.6 µs a call, and no plugin has a use for it.
        .concurrency_support(false);
    config
}

/// An engine that compiles, for the compiler's process.
pub(crate) fn compiler() -> wasmtime::Result<wasmtime::Engine> {
    let mut config = config();
    // One thread, as one limit of processor time.
    config.parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

/// The engine, with what every plugin is linked to. It cannot compile.
pub(crate) struct Engine {
    wasm: wasmtime::Engine,
    linker: Linker<Sandbox>,
}

impl Engine {
    /// Starts the engine, and the thread that is its clock. The thread ends with the engine.
    pub(crate) fn start() -> Result<Self, StartError> {
        let failed = |error: wasmtime::Error| StartError::Engine(error.root_cause().to_string());
        let wasm = wasmtime::Engine::new(config().enable_compiler(false)).map_err(failed)?;
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
        Ok(Self { wasm, linker })
    }

    pub(crate) const fn linker(&self) -> &Linker<Sandbox> {
        &self.linker
    }

    /// Names what can be loaded: artefacts of an engine of another version, configuration or processor have another.
    pub(crate) fn compatibility() -> Result<Hash, StartError> {
        let engine = compiler().map_err(|error| StartError::Engine(error.root_cause().to_string()))?;
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Hash::from_bytes(hasher.0.finalize().into()))
    }

    /// Loads what the compiler made of a component; None if it was one of another version.
    pub(crate) async fn load(&self, artefact: impl AsRef<[u8]> + Send + 'static) -> Option<Component> {
        let engine = self.wasm.clone();
        let loading = spawn_blocking(move || {
            #[expect(
                unsafe_code,
                reason = "The bytes are what the compiler of this program wrote: they were read once, from a folder that only the \
                    server's user may write, and their SHA-256 is the one that was written with them. wasmtime itself refuses what \
                    another version or configuration compiled."
            )]
            let loaded = unsafe { Component::deserialize(&engine, artefact.as_ref()) };
            loaded.ok()
        });
        loading.await.ok().flatten()
    }
}

/// Hashes as [`std::hash::Hash`] feeds it, the same in every process of one build.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash itself is taken from the digest.
    fn finish(&self) -> u64 {
        0
    }
}
