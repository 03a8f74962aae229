//! The gate: what a file must pass before it serves. Every step is limited, and is named where it fails.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use cqar_domain::{
    lookup::Lookup,
    time::{Clock, Timestamp},
};
use serde_json::Value;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use tokio_util::task::TaskTracker;
use wasmtime::component::{Component, InstancePre};

use crate::{
    bindings::exports::cqar::plugin::lifecycle,
    config::Limits,
    engine::{CompileError, Engine},
    error::CallError,
    generation::{Exports, Generation, Shared},
    hash::Hash,
    lane::Template,
    last_good::LastGood,
    manifest::{self, Manifest},
    sample,
    sandbox::{self, Sandbox, Scope},
    stats::Stats,
    text::clean,
    wasi, wit,
};

/// Long enough for a signature of WIT, with its records, twice.
const MAX_REASON_BYTES: usize = 4000;

/// What every WebAssembly binary begins with (WebAssembly Core Specification, 5.5.16).
const MAGIC: &[u8] = b"\0asm";

/// Bytes that may become a generation.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: Arc<str>,
    pub(crate) hash: Hash,
    pub(crate) bytes: Bytes,
}

/// Why a candidate does not serve.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    pub(crate) step: &'static str,
    pub(crate) reason: String,
    /// Whether the same bytes may pass at another time: the machine was busy, or its disk full.
    pub(crate) may_pass: bool,
}

/// What candidates are tried with.
pub(crate) struct Gate {
    pub(crate) engine: Engine,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: BTreeMap<String, Value>,
    pub(crate) limits: Limits,
    pub(crate) last_good: Arc<LastGood>,
    pub(crate) listing_place: Arc<Semaphore>,
    pub(crate) tracker: TaskTracker,
}

impl Gate {
    /// Tries a candidate, and keeps its bytes if it may serve.
    pub(crate) async fn pass(&self, candidate: &Candidate, stats: &Arc<Stats>) -> Result<Arc<Generation>, Rejection> {
        if !manifest::is_name(&candidate.name) {
            return Err(at("name")("a plugin's file must be named as a slug: a-z, 0-9, _ and -".into()));
        }
        let (component, compiled) = self.compile(candidate).await?;
        let version = wit::version(&component).map_err(at("interface"))?;
        let component = self.engine.linker().instantiate_pre(&component).map_err(wasm("link"))?;
        let kind = wit::kind(version, &component).map_err(at("interface"))?;

        let now = self.clock.now();
        let mut template = self.template(candidate, component).map_err(wasm("interface"))?;
        let manifest = self.describe(&template, now).await?;
        if manifest.kind != kind {
            let (says, is) = (manifest.kind.name(), kind.name());
            return Err(at("describe")(format!("the manifest's kind is {says}, but the component is a {is}")));
        }
        if !manifest.unknown_fields.is_empty() {
            let fields = manifest.unknown_fields.join(", ");
            tracing::warn!(plugin = %candidate.name, fields, "manifest_fields_unknown");
        }
        if manifest.looks_up {
            template.lookup = Some(Arc::clone(&self.lookup));
        }
        self.configure(&template, now).await?;

        let inert_imports = wit::imports(&template.component).into_iter().filter(|name| wasi::is_inert(name)).collect();
        let shared = Shared { limits: &self.limits, listing_place: &self.listing_place, stats, tracker: &self.tracker };
        let artefact = compiled.then(|| template.component.component().serialize().ok()).flatten();
        let exports = Exports::new(kind, &Arc::new(template), &shared).map_err(wasm("interface"))?;
        sample::try_out(&exports, &candidate.name, now).await.map_err(call("sample"))?;
        if compiled {
            self.keep(candidate, &manifest, artefact).await?;
        }
        let name = Arc::clone(&candidate.name);
        Ok(Arc::new(Generation { name, hash: candidate.hash, manifest, inert_imports, exports }))
    }

    /// The component, and whether it had to be compiled.
    async fn compile(&self, candidate: &Candidate) -> Result<(Component, bool), Rejection> {
        if candidate.bytes.is_empty() {
            return Err(at("compile")("the file is empty".into()));
        }
        if !candidate.bytes.starts_with(MAGIC) {
            return Err(at("compile")("the file is not WebAssembly: it does not begin with its magic number".into()));
        }
        let (last_good, hash) = (Arc::clone(&self.last_good), candidate.hash);
        let artefact = spawn_blocking(move || last_good.artefact(&hash)).await.ok().flatten();
        if let Some(artefact) = artefact
            && let Some(component) = self.engine.load(artefact.into()).await
        {
            return Ok((component, false));
        }
        let compiled = self.engine.compile(candidate.bytes.clone()).await;
        let component = compiled.map_err(|error| match error {
            CompileError::Invalid(reason) => at("compile")(reason),
            CompileError::Late(reason) => Rejection { may_pass: true, ..at("compile")(reason) },
        })?;
        Ok((component, true))
    }

    fn template(&self, candidate: &Candidate, component: InstancePre<Sandbox>) -> wasmtime::Result<Template> {
        let settings = self.settings.get(&*candidate.name);
        Ok(Template {
            plugin: Arc::clone(&candidate.name),
            hash: candidate.hash,
            lifecycle: lifecycle::GuestIndices::new(&component)?,
            component,
            lookup: None,
            settings: settings.map_or_else(|| "{}".to_owned(), Value::to_string),
        })
    }

    async fn describe(&self, template: &Template, now: Timestamp) -> Result<Manifest, Rejection> {
        let limits = &self.limits;
        let (mut store, instance) = template.instance(now, limits).await.map_err(call("instantiate"))?;
        let guest = template.lifecycle.load(&mut store, &instance).map_err(wasm("interface"))?;
        sandbox::begin(&mut store, &Scope::at(now), limits.setup_deadline, limits);
        let described = timeout(limits.setup_deadline, guest.call_describe(&mut store)).await;
        let document = sandbox::end(&mut store, described).map_err(call("describe"))?;
        Manifest::read(&document, &template.plugin).map_err(at("describe"))
    }

    async fn configure(&self, template: &Template, now: Timestamp) -> Result<(), Rejection> {
        let (mut store, instance) = template.instance(now, &self.limits).await.map_err(call("instantiate"))?;
        template.configure(&mut store, &instance, now, &self.limits).await.map_err(call("configure"))
    }

    async fn keep(
        &self,
        candidate: &Candidate,
        manifest: &Manifest,
        artefact: Option<Vec<u8>>,
    ) -> Result<(), Rejection> {
        let (last_good, candidate, manifest) = (Arc::clone(&self.last_good), candidate.clone(), manifest.clone());
        let keeping = spawn_blocking(move || {
            last_good.keep(&candidate.name, &candidate.hash, &candidate.bytes, &manifest, artefact.as_deref())
        });
        let kept = keeping.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let refused = |error| at("keep")(format!("its bytes cannot be kept for a restart: {error}"));
        kept.map_err(|error| Rejection { may_pass: true, ..refused(error) })
    }
}

fn at(step: &'static str) -> impl Fn(String) -> Rejection {
    move |reason| Rejection { step, reason: clean(&reason, MAX_REASON_BYTES), may_pass: false }
}

fn wasm(step: &'static str) -> impl Fn(wasmtime::Error) -> Rejection {
    move |error| at(step)(format!("{error:#}"))
}

fn call(step: &'static str) -> impl Fn(CallError) -> Rejection {
    move |error| Rejection { may_pass: error.may_pass(), ..at(step)(error.to_string()) }
}
