//! Calls of one interface of one generation: places, instances that are kept, limits, and what becomes of both.
//!
//! An instance is used again only after a call that ended well. After a trap, a failure, a wrong answer, a deadline or
//! a cancelled call nobody knows what its memory holds, and it is thrown away.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use cqar_domain::{lookup::Lookup, time::Timestamp};
use parking_lot::Mutex;
use prometheus::Histogram;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use super::{
    bindings::{cqar::plugin::types::Failure, exports::cqar::plugin::lifecycle},
    chunk::OutputBudget,
    log_rate::LogRate,
    lookups::RecordedLookup,
    memory_budget::{CodeMemory, EvictIdle, MemoryAccount},
    sandbox::{self, Sandbox, Scope},
};
use crate::{
    config::Limits,
    error::CallError,
    hash::Hash,
    kinds::case::{self, CaseInput},
    monitor::{CallMonitor, InstanceCount},
    replay::{self, RecordedCall},
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, cleaned, some},
};

/// An interface that plugins export, and how it is found in an instance.
pub(crate) trait Interface: Sized + Send + Sync + 'static {
    /// Where its functions are in the component.
    type Indices: Send + Sync + 'static;

    /// Its functions in an instance.
    fn load(indices: &Self::Indices, store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self>;
}

/// One call of a function of an interface.
pub(crate) trait Call<G>: Clone + Send + Sized + 'static {
    /// The function's name.
    const EXPORT: &'static str;
    /// Whether what it returns may be as large as a venue's listing, which takes a while to read.
    const LARGE: bool = false;
    /// Whether it returns a list of variants of which some have no contents.
    const ANSWERS_VARIANTS: bool = false;
    /// What the function returns.
    type Raw: Send + Serialize + 'static;
    /// What the caller gets.
    type Answer: Send + 'static;

    /// Calls it.
    fn run<'a>(
        &'a self,
        guest: &'a G,
        store: &'a mut Store<Sandbox>,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Raw, Failure>>> + Send + 'a;

    /// The document that it begins with.
    fn context(&self) -> &str;

    /// Its other argument, as a case has it.
    fn input(&self) -> Value;

    /// Reads what it returned; the error says why that is no answer.
    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String>;
}

/// What every instance of a generation is made from.
pub(crate) struct Template {
    pub(crate) plugin: Arc<str>,
    pub(crate) hash: Hash,
    pub(crate) component: InstancePre<Sandbox>,
    pub(crate) _code: CodeMemory,
    pub(crate) lifecycle: lifecycle::GuestIndices,
    pub(crate) memory: Arc<MemoryAccount>,
    pub(crate) logs: Arc<LogRate>,
    pub(crate) lookup: Option<Arc<dyn Lookup>>,
    pub(crate) settings: String,
}

impl Template {
    /// An instance that is not configured.
    pub(crate) async fn instance(
        &self,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(Store<Sandbox>, Instance), CallError> {
        let (plugin, lookup) = (Arc::clone(&self.plugin), self.lookup.clone());
        // The one that reads listings is bounded by itself.
        let memory = (!limits.is_listing).then(|| Arc::clone(&self.memory));
        let logs = Arc::clone(&self.logs);
        let mut store = Sandbox::store(self.component.engine(), plugin, &self.hash, lookup, memory, logs, limits);
        sandbox::begin(&mut store, &Scope::at(now), limits.setup, limits);
        let started = timeout(limits.setup.total, self.component.instantiate_async(&mut store)).await;
        let instance = sandbox::end(&mut store, started)?;
        Ok((store, instance))
    }

    /// Gives an instance its settings.
    pub(crate) async fn configure(
        &self,
        store: &mut Store<Sandbox>,
        instance: &Instance,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), CallError> {
        let setup = |error: wasmtime::Error| CallError::Setup(error.root_cause().to_string());
        let guest = self.lifecycle.load(&mut *store, instance).map_err(setup)?;
        sandbox::begin(store, &Scope::at(now), limits.setup, limits);
        let configured = timeout(limits.setup.total, guest.call_configure(&mut *store, &self.settings)).await;
        sandbox::end(store, configured)?.map_err(|problems| {
            let problems = problems.into_iter().map(|it| format!("{}: {} ({})", it.path, it.message, it.code));
            CallError::Setup(format!("the settings are refused: {}", cleaned(some(problems), MAX_MESSAGE_BYTES)))
        })
    }
}

/// An instance that waits for its next call.
struct IdleInstance<G> {
    store: Store<Sandbox>,
    guest: G,
    _counted: InstanceCount,
}

/// What came of a call that ran to its end.
struct Ran<T> {
    value: T,
    /// The look-ups that it made, if they were recorded, and were not too large for that.
    lookups: Option<Vec<RecordedLookup>>,
}

/// Calls of one interface that wait for a place: as many as one connection of the server's has. More fail at once.
const MAX_WAITING: usize = 1024;

/// The calls of one interface of one generation.
pub(crate) struct InstancePool<G: Interface> {
    template: Arc<Template>,
    indices: G::Indices,
    limits: Limits,
    places: Arc<Semaphore>,
    /// Calls that may wait for a place.
    waiting: Semaphore,
    idle: Mutex<Vec<IdleInstance<G>>>,
    monitor: Arc<CallMonitor>,
    durations: Vec<(&'static str, Histogram)>,
    tracker: TaskTracker,
}

impl<G: Interface> InstancePool<G> {
    /// The pool of an interface with these functions. `places` bounds the calls that run at a time.
    pub(crate) fn new(
        template: Arc<Template>,
        indices: G::Indices,
        limits: Limits,
        places: Arc<Semaphore>,
        exports: &[&'static str],
        monitor: &Arc<CallMonitor>,
        tracker: &TaskTracker,
    ) -> Arc<Self> {
        let durations = exports.iter().map(|&export| (export, monitor.duration(export))).collect();
        Arc::new(Self {
            template,
            indices,
            limits,
            places,
            waiting: Semaphore::new(MAX_WAITING),
            idle: Mutex::default(),
            monitor: Arc::clone(monitor),
            durations,
            tracker: tracker.clone(),
        })
    }

    /// Makes a call. Who waits for a place leaves with the caller; a call that runs does so to its end, even if the caller is
    /// gone, so that a client that cancels costs no instance.
    pub(crate) async fn call<C: Call<G>>(self: &Arc<Self>, call: C, scope: Scope) -> Result<C::Answer, CallError> {
        let started = Instant::now();
        let place = match self.place().await {
            Ok(place) => place,
            Err(error) => {
                self.ended::<C>(started, Some(&error), String::new);
                return Err(error);
            }
        };
        let pool = Arc::clone(self);
        let running = async move { pool.counted(call, scope, place, started).await };
        DetachOnDrop { running: Some(Box::pin(running)), tracker: self.tracker.clone() }.await
    }

    /// Makes one of the calls of a request, which takes in so much of what all of them answer.
    pub(crate) async fn call_within<C: Call<G>>(
        self: &Arc<Self>,
        call: C,
        scope: Scope,
        budget: &mut OutputBudget,
        bytes: impl FnOnce(&C::Answer) -> usize,
    ) -> Result<C::Answer, CallError> {
        let answer = self.call(call, scope).await?;
        budget.take(bytes(&answer)).inspect_err(|error| self.monitor.not_taken_in(C::EXPORT, error))?;
        Ok(answer)
    }

    async fn counted<C: Call<G>>(
        &self,
        call: C,
        mut scope: Scope,
        _place: OwnedSemaphorePermit,
        started: Instant,
    ) -> Result<C::Answer, CallError> {
        let ring = self.monitor.ring();
        scope.is_recorded = !C::LARGE && ring.is_due(started);
        let is_recorded = scope.is_recorded;
        let asked = call.clone();
        let read = move |call: C, returned: Result<C::Raw, Failure>| {
            let output = is_recorded.then(|| case::output(&returned, C::ANSWERS_VARIANTS));
            Ok((Self::accept(call, returned), output))
        };
        let ran = self.run(call, &scope, read).await;
        let (answer, output, lookups) = match ran {
            Ok(Ran { value: (Ok(answer), output), lookups }) => (Ok(answer), output, lookups),
            Ok(Ran { value: (Err(error), output), lookups }) => (Err(error), output, lookups),
            Err(error) => (Err(error), None, Some(Vec::new())),
        };
        let error = answer.as_ref().err();
        // Of megabytes it would take longer than a thread of the runtime is to be held.
        let of_large = if C::LARGE && error.is_some() {
            let asked = asked.clone();
            spawn_blocking(move || Hash::of(asked.input().to_string().as_bytes()).to_string()).await.ok()
        } else {
            None
        };
        self.ended::<C>(started, error, || of_large.unwrap_or_else(|| asked.input().to_string()));
        let is_of_plugin = error.is_none_or(|error| self.monitor.is_of_plugin(error));
        if is_recorded
            && is_of_plugin
            && let Some(lookups) = lookups
        {
            let input = CaseInput {
                export: C::EXPORT.to_owned(),
                call: serde_json::from_str(asked.context()).unwrap_or_default(),
                input: asked.input(),
                lookups,
            };
            let failed = || replay::failed(answer.as_ref().err());
            ring.push(RecordedCall::new(input, output.unwrap_or_else(failed)), Instant::now());
        }
        answer
    }

    /// Notes how a call ended, and how long it took with its waiting.
    fn ended<C: Call<G>>(&self, started: Instant, error: Option<&CallError>, input: impl FnOnce() -> String) {
        let took = started.elapsed();
        if let Some((_, durations)) = self.durations.iter().find(|(export, _)| *export == C::EXPORT) {
            durations.observe(took.as_secs_f64());
        }
        self.monitor.called(C::EXPORT, took, error, input);
    }

    /// Makes a call that is none of a client's: what it returned, as JSON. It takes no place from those that are, and is not
    /// counted.
    pub(crate) async fn evaluate<C: Call<G>>(self: &Arc<Self>, call: C, scope: Scope) -> Result<Value, CallError> {
        let pool = Arc::clone(self);
        let running = Box::pin(async move {
            let output = |call: C, returned: Result<C::Raw, Failure>| {
                let output = case::output(&returned, C::ANSWERS_VARIANTS);
                Self::accept(call, returned).map(drop).or_else(|error| match error {
                    // That it failed is an answer to be shown.
                    CallError::Failure { .. } => Ok(()),
                    error => Err(error),
                })?;
                Ok(output)
            };
            pool.run(call, &scope, output).await.map(|ran| ran.value)
        });
        DetachOnDrop { running: Some(running), tracker: self.tracker.clone() }.await
    }

    fn accept<C: Call<G>>(call: C, returned: Result<C::Raw, Failure>) -> Result<C::Answer, CallError> {
        let raw = returned.map_err(|failure| CallError::Failure {
            code: cleaned(failure.code, MAX_CODE_BYTES),
            message: cleaned(failure.message, MAX_MESSAGE_BYTES),
            retryable: failure.retryable,
        })?;
        call.accept(raw).map_err(|why| CallError::BadAnswer(cleaned(why, MAX_MESSAGE_BYTES)))
    }

    /// A place, which is waited for within bounds of number and time.
    async fn place(&self) -> Result<OwnedSemaphorePermit, CallError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(CallError::TooManyWaiting) };
        let _counted = self.monitor.waiting();
        let busy = CallError::Busy(self.limits.queue_timeout);
        match timeout(self.limits.queue_timeout, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(busy),
        }
    }

    async fn run<C: Call<G>, T: Send + 'static>(
        &self,
        call: C,
        scope: &Scope,
        read: impl FnOnce(C, Result<C::Raw, Failure>) -> Result<T, CallError> + Send + 'static,
    ) -> Result<Ran<T>, CallError> {
        let idle = self.idle.lock().pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instance(scope.now).await?,
        };
        let time = if scope.is_live() { self.limits.call } else { self.limits.setup };
        sandbox::begin(&mut instance.store, scope, time, &self.limits);
        let ends = Instant::now() + time.total;
        let ended = timeout_at(ends, call.run(&instance.guest, &mut instance.store)).await;
        let memory_bytes = instance.store.data().memory_bytes();
        self.monitor.memory(memory_bytes);
        let returned = sandbox::end(&mut instance.store, ended)?;
        let answered = returned.is_ok();
        let value = if C::LARGE {
            let reading = spawn_blocking(move || read(call, returned));
            match timeout_at(ends, reading).await {
                Ok(Ok(value)) => value?,
                Ok(Err(error)) => return Err(CallError::BadAnswer(error.to_string())),
                Err(_) => return Err(CallError::Timeout { limit: time.total, tail: String::new() }),
            }
        } else {
            // At most `output_bytes`, of which most was counted and cut before it is looked at.
            read(call, returned)?
        };
        let lookups = instance.store.data_mut().lookups.take_recorded();
        if answered && memory_bytes <= self.limits.reuse_bytes {
            let mut idle = self.idle.lock();
            if idle.len() < self.limits.concurrency {
                idle.push(instance);
            }
        }
        Ok(Ran { value, lookups })
    }

    async fn instance(&self, now: Timestamp) -> Result<IdleInstance<G>, CallError> {
        let (mut store, instance) = self.template.instance(now, &self.limits).await?;
        self.template.configure(&mut store, &instance, now, &self.limits).await?;
        let guest = G::load(&self.indices, &mut store, &instance)
            .map_err(|error| CallError::Setup(error.root_cause().to_string()))?;
        Ok(IdleInstance { store, guest, _counted: self.monitor.instance() })
    }
}

impl<G: Interface> EvictIdle for InstancePool<G> {
    fn evict_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }
}

/// Runs in the caller's task, and in one of its own from when the caller goes away.
struct DetachOnDrop<F: Future<Output: Send> + Send + 'static> {
    running: Option<Pin<Box<F>>>,
    tracker: TaskTracker,
}

impl<F: Future<Output: Send> + Send + 'static> Future for DetachOnDrop<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let polled = running.as_mut().poll(context);
        if polled.is_ready() {
            self.running = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for DetachOnDrop<F> {
    fn drop(&mut self) {
        if let (Some(running), Ok(runtime)) = (self.running.take(), tokio::runtime::Handle::try_current()) {
            self.tracker.spawn_on(running, &runtime);
        }
    }
}
