//! The gate: what a file must pass before it serves. Every step is limited, and is named where it fails.

mod cases;
pub(crate) mod interface;
pub(crate) mod manifest;
mod swap;
mod trial;

use std::sync::Arc;

use arc_swap::ArcSwap;
use cqar_domain::{
    id::EntityType,
    lookup::Lookup,
    time::{Clock, Timestamp},
};
use cqar_proto::v1::ReplayReport;
use serde_json::Value;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use wasmtime::component::{Component, InstancePre};

use self::{cases::Case, manifest::Manifest, trial::Trial};
use crate::{
    compile::{CompileError, Compiler},
    config::{Limits, PluginSettings},
    directory::{disk::Disk, scan::Beside},
    error::CallError,
    generation::{Generation, Policy, PoolSettings},
    generation_store::{ComponentFile, GenerationStore},
    hash::Hash,
    monitor::CallMonitor,
    plugin_config::{Mode, PluginConfig, ReplayPolicy},
    replay::{self, Replay},
    runtime::{
        bindings::exports::cqar::plugin::lifecycle,
        engine::Engine,
        instance_pool::Template,
        log_rate::LogRate,
        memory_budget::{CodeMemory, MemoryAccount, MemoryBudget},
        sandbox::{self, Sandbox, Scope},
        wasi,
    },
    stats::Stats,
    text::clean,
    trust::{self, TrustedKey, Untrusted},
};

/// Long enough for a signature of WIT, with its records, twice.
const MAX_REASON_BYTES: usize = 4000;
/// Components that are run at the same time to be tried: each has an instance or two.
const TRIALS: usize = 4;

/// Contents that may become a generation.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: Arc<str>,
    /// Of the component.
    pub(crate) hash: Hash,
    /// Of all contents.
    pub(crate) contents: Hash,
    /// None if the file is no WebAssembly.
    pub(crate) component: Option<Arc<ComponentFile>>,
    pub(crate) bytes: u64,
    /// What the file beside it says; the error says why it says nothing.
    pub(crate) config: Result<PluginConfig, String>,
    /// The texts of the files beside it.
    pub(crate) beside: Beside<String>,
    /// Whether it is what served last, from the data directory.
    pub(crate) is_record: bool,
}

/// Why a candidate does not serve.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    pub(crate) step: &'static str,
    pub(crate) reason: String,
    pub(crate) fault: Fault,
    /// Whether the same contents are tried again.
    pub(crate) is_retried: bool,
    /// What a replay found, if it was the reason.
    pub(crate) replay: Option<Box<ReplayReport>>,
}

/// What the generations of one plugin share.
#[derive(Clone)]
pub(crate) struct PluginShared {
    pub(crate) stats: Arc<Stats>,
    pub(crate) memory: Arc<MemoryAccount>,
    pub(crate) logs: Arc<LogRate>,
}

/// Whose fault it is that a candidate does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its own: it is a bad file, and changes nothing.
    File,
    /// The machine's: a full disk, a database that is away. It may be a rule all the same.
    Machine,
}

/// What a candidate says that it is.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// The writes that must not pass without it; of no type, if it only watches them, or is no validator.
    pub(crate) judges: Vec<EntityType>,
}

/// What candidates are tried with.
pub(crate) struct Gate {
    pub(crate) engine: Engine,
    pub(crate) compiler: Compiler,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What the server's configuration says, as it is now.
    pub(crate) configured: ArcSwap<PluginSettings>,
    /// Tells the watcher that it is another.
    pub(crate) reconfigured: Notify,
    pub(crate) trusted_keys: Option<Vec<TrustedKey>>,
    pub(crate) budget: Arc<MemoryBudget>,
    pub(crate) store: Arc<GenerationStore>,
    pub(crate) listing_place: Arc<Semaphore>,
    pub(crate) trials: Semaphore,
    /// Tells the watcher that a generation is failing.
    pub(crate) failing: Arc<Notify>,
    pub(crate) tracker: TaskTracker,
}

impl Gate {
    /// Places for trials: those of clients' calls are not taken.
    pub(crate) fn trial_places() -> Semaphore {
        Semaphore::new(TRIALS)
    }

    /// Tries a candidate, which may serve then in place of what serves now. What it says that it is, is sent as soon as it is known.
    pub(crate) async fn pass(
        &self,
        candidate: &Candidate,
        shared: &PluginShared,
        serving: Option<&Generation>,
        described: mpsc::Sender<Described>,
    ) -> Result<Arc<Generation>, Rejection> {
        if !manifest::is_name(&candidate.name) {
            return Err(at("name")("a plugin's file must be named as a slug: a-z, 0-9, _ and -".into()));
        }
        let config =
            candidate.config.as_ref().map_err(|error| at("config")(format!("{}.toml: {error}", candidate.name)))?;
        self.trust(candidate).await?;
        self.quarantine(candidate)?;
        let limits = config.limits(&self.configured.load().limits).map_err(at("config"))?;
        let (component, code) = self.compile(candidate).await?;
        let version = interface::version(&component).map_err(at("interface"))?;
        let component = self.engine.linker().instantiate_pre(&component).map_err(|error| {
            let unknown = interface::unknown_imports(&component);
            at("link")(if unknown.is_empty() { format!("{error:#}") } else { unknown })
        })?;
        let kind = interface::kind(version, &component).map_err(at("interface"))?;
        if !kind.0.judges_writes() {
            // An error means that the server stops.
            let _ = described.send(Described { judges: Vec::new() }).await;
        }
        // What serves needs its own until then.
        let of_serving = serving.map_or(0, |it| it.limits.memory_bytes);
        shared.memory.guarantee(limits.memory_bytes.max(of_serving)).map_err(machine("memory"))?;
        // Nobody closes it.
        let _trial = self.trials.acquire().await;
        let now = self.clock.now();
        let mut template = Self::template(candidate, config, (component, code), shared).map_err(wasm("interface"))?;
        let mut manifest = self.describe(&template, now, &limits).await?;
        if manifest.kind != kind {
            let (says, is) = (manifest.kind.name(), kind.name());
            return Err(at("describe")(format!("the manifest's kind is {says}, but the component is a {is}")));
        }
        if !manifest.unknown_fields.is_empty() {
            let fields = manifest.unknown_fields.join(", ");
            tracing::warn!(plugin = %candidate.name, fields, "manifest_fields_unknown");
        }
        // Before the operator's word narrows it: what that drops is meant.
        let swap = self.compare(candidate, config, &manifest);
        swap::allowed(kind, config).map_err(at("config"))?;
        swap::narrow(&mut manifest, config).map_err(at("config"))?;
        if kind.0.judges_writes() {
            let judges = if config.mode == Mode::Enforce { manifest.subscriptions.clone() } else { Vec::new() };
            // An error means that the server stops.
            let _ = described.send(Described { judges }).await;
        }
        // What is granted now, whatever was when it served last.
        let configured = self.configured.load_full();
        let granted = config.grants.as_ref().or_else(|| configured.grants.get(&*candidate.name));
        swap::granted(&manifest, granted, &candidate.name).map_err(at("grants"))?;
        swap.map_err(at("swap"))?;
        if manifest.looks_up {
            template.lookup = Some(Arc::clone(&self.lookup));
        }
        self.configure(&template, now, &limits).await?;

        let inert_imports =
            interface::imports(&template.component).into_iter().filter(|name| wasi::is_inert(name)).collect();
        let (looks_up, configured) = (manifest.looks_up, template.settings.clone());
        let monitor = CallMonitor::new(&candidate.hash, looks_up, &shared.stats, &self.failing, &self.clock);
        let settings = PoolSettings {
            limits: &limits,
            places: Arc::new(Semaphore::new(limits.concurrency)),
            listing_place: &self.listing_place,
            monitor: &monitor,
            budget: &self.budget,
            tracker: &self.tracker,
        };
        let interfaces = kind.0.interfaces(&Arc::new(template), &settings).map_err(wasm("interface"))?;
        let cases = self.cases(candidate).await?;
        Trial { interfaces: &*interfaces, manifest: &manifest, now }.run(kind, &cases).await?;
        let recorded = serving.map(|it| it.monitor.ring().calls()).unwrap_or_default();
        let Replay { report, answered } = replay::replay(recorded, &*interfaces, &monitor, now).await;
        monitor.ring().replace(answered);
        let is_first = candidate.is_record || self.store.record(&candidate.name).is_none_or(|it| it.current.is_none());
        if config.replay == ReplayPolicy::RefuseChanges && !is_first {
            swap::unchanged(&report)
                .map_err(|reason| Rejection { replay: Some(Box::new(report.clone())), ..at("replay")(reason) })?;
        }
        let generation = Generation {
            name: Arc::clone(&candidate.name),
            hash: candidate.hash,
            contents: candidate.contents,
            manifest,
            inert_imports,
            interfaces,
            monitor,
            limits,
            policy: Policy { order: config.order, mode: config.mode, failure: config.failure },
            settings: configured,
            replay: (!is_first).then_some(report),
        };
        Ok(Arc::new(generation))
    }

    /// Refuses what nobody signed that is trusted, where that is asked for.
    async fn trust(&self, candidate: &Candidate) -> Result<(), Rejection> {
        let (Some(keys), Some(component)) = (self.trusted_keys.clone(), candidate.component.clone()) else {
            return Ok(());
        };
        let signature = candidate.beside.signature.clone();
        let verify = move || Ok(trust::verify(&keys, &component, signature.as_deref()));
        let verified = Disk::default().run(verify).await.unwrap_or_else(|error| Err(Untrusted::Unread(error)));
        verified.map_err(|untrusted| match untrusted {
            Untrusted::Unsigned(what_to_do) => at("trust")(what_to_do),
            Untrusted::Unread(error) => machine("trust")(error.to_string()),
        })
    }

    /// Refuses what was rolled back.
    fn quarantine(&self, candidate: &Candidate) -> Result<(), Rejection> {
        let Some(record) = self.store.record(&candidate.name) else { return Ok(()) };
        match record.quarantined.iter().find(|it| it.contents == candidate.contents) {
            None => Ok(()),
            Some(quarantined) => Err(at("quarantine")(format!(
                "{}; put another file there, or try it again by `cqar plugin lift {}`",
                quarantined.reason, candidate.name
            ))),
        }
    }

    /// The cases of the component, and those beside it.
    async fn cases(&self, candidate: &Candidate) -> Result<Vec<Case>, Rejection> {
        let Some(component) = candidate.component.clone() else { return Ok(Vec::new()) };
        let section = Disk::default().run(move || cases::section(&component)).await;
        let section = section.map_err(|error| machine("cases")(error.to_string()))?;
        let of_section = section.map(|text| String::from_utf8_lossy(&text).into_owned());
        let beside = candidate.beside.cases.as_deref();
        let mut all = Vec::new();
        for (text, place) in
            [(of_section.as_deref(), "its section cqar:tests"), (beside, "the file of tests beside it")]
        {
            let Some(text) = text else { continue };
            all.append(&mut cases::read(text).map_err(|error| at("cases")(format!("{place}: {error}")))?);
        }
        Ok(all)
    }

    /// Refuses what would take a rule away.
    fn compare(&self, candidate: &Candidate, config: &PluginConfig, manifest: &Manifest) -> Result<(), String> {
        let record = self.store.record(&candidate.name).and_then(|record| record.current);
        match record.filter(|record| record.hash != candidate.hash && !config.forces(&candidate.hash)) {
            Some(record) => swap::compare(&record, manifest, &candidate.name, &candidate.hash),
            None => Ok(()),
        }
    }

    /// The machine code, and the memory that it takes.
    async fn compile(&self, candidate: &Candidate) -> Result<(Component, CodeMemory), Rejection> {
        let Some(component) = &candidate.component else {
            return Err(at("compile")(match candidate.bytes {
                0 => "the file is empty".into(),
                _ => "the file is not WebAssembly: it does not begin with its magic number".into(),
            }));
        };
        let rejection = |error| match error {
            CompileError::Refused(reason) => at("compile")(reason),
            CompileError::MayPass(reason) => machine("compile")(reason),
        };
        let artefact = self.compiler.artefact(candidate.hash, Arc::clone(component)).await.map_err(rejection)?;
        let code = self.budget.code(artefact.as_ref().len()).map_err(machine("memory"))?;
        let component = self.engine.load(artefact).await.ok_or_else(|| {
            machine("compile")("what the compiler made cannot be loaded: is it of another build?".into())
        })?;
        Ok((component, code))
    }

    fn template(
        candidate: &Candidate,
        config: &PluginConfig,
        (component, code): (InstancePre<Sandbox>, CodeMemory),
        shared: &PluginShared,
    ) -> wasmtime::Result<Template> {
        let of_server = || candidate.beside.server.clone().unwrap_or_else(|| "{}".to_owned());
        Ok(Template {
            plugin: Arc::clone(&candidate.name),
            hash: candidate.hash,
            lifecycle: lifecycle::GuestIndices::new(&component)?,
            component,
            _code: code,
            memory: Arc::clone(&shared.memory),
            logs: Arc::clone(&shared.logs),
            lookup: None,
            settings: config.settings.clone().map_or_else(of_server, |settings| Value::Object(settings).to_string()),
        })
    }

    async fn describe(&self, template: &Template, now: Timestamp, limits: &Limits) -> Result<Manifest, Rejection> {
        let (mut store, instance) = template.instance(now, limits).await.map_err(call("instantiate"))?;
        let guest = template.lifecycle.load(&mut store, &instance).map_err(wasm("interface"))?;
        sandbox::begin(&mut store, &Scope::at(now), limits.setup, limits);
        let described = timeout(limits.setup.total, guest.call_describe(&mut store)).await;
        let document = sandbox::end(&mut store, described).map_err(call("describe"))?;
        Manifest::read(&document, &template.plugin).map_err(at("describe"))
    }

    async fn configure(&self, template: &Template, now: Timestamp, limits: &Limits) -> Result<(), Rejection> {
        let (mut store, instance) = template.instance(now, limits).await.map_err(call("instantiate"))?;
        template.configure(&mut store, &instance, now, limits).await.map_err(call("configure"))
    }
}

/// The file's fault.
fn at(step: &'static str) -> impl Fn(String) -> Rejection {
    move |reason| Rejection {
        step,
        reason: clean(&reason, MAX_REASON_BYTES),
        fault: Fault::File,
        is_retried: false,
        replay: None,
    }
}

/// The machine's fault.
pub(crate) fn machine(step: &'static str) -> impl Fn(String) -> Rejection {
    move |reason| Rejection { fault: Fault::Machine, is_retried: true, ..at(step)(reason) }
}

fn wasm(step: &'static str) -> impl Fn(wasmtime::Error) -> Rejection {
    move |error| at(step)(format!("{error:#}"))
}

/// Of a call that looks nothing up. What takes too long is tried again, as it may have been the machine; but it is taken for the
/// file's fault, so that a loop is a bad file.
fn call(step: &'static str) -> impl Fn(CallError) -> Rejection {
    move |error| {
        let fault = if matches!(error, CallError::MemoryBudget) { Fault::Machine } else { Fault::File };
        Rejection { fault, is_retried: error.may_pass(), ..at(step)(error.to_string()) }
    }
}
