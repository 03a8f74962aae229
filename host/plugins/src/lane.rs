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
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    bindings::{cqar::plugin::types::Failure, exports::cqar::plugin::lifecycle},
    config::Limits,
    error::CallError,
    hash::Hash,
    sandbox::{self, Sandbox, Scope},
    stats::Stats,
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
pub(crate) trait Call<G>: Send + Sized + 'static {
    /// The function's name.
    const EXPORT: &'static str;
    /// What the function returns.
    type Raw: Send;
    /// What the caller gets.
    type Answer: Send;

    /// Calls it.
    fn run<'a>(
        &'a self,
        guest: &'a G,
        store: &'a mut Store<Sandbox>,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Raw, Failure>>> + Send + 'a;

    /// Reads what it returned; the error says why that is no answer.
    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String>;
}

/// What every instance of a generation is made from.
pub(crate) struct Template {
    pub(crate) plugin: Arc<str>,
    pub(crate) hash: Hash,
    pub(crate) component: InstancePre<Sandbox>,
    pub(crate) lifecycle: lifecycle::GuestIndices,
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
        let mut store = Sandbox::store(self.component.engine(), plugin, &self.hash, lookup, limits);
        sandbox::begin(&mut store, &Scope::at(now), limits.setup_deadline, limits);
        let started = timeout(limits.setup_deadline, self.component.instantiate_async(&mut store)).await;
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
        sandbox::begin(store, &Scope::at(now), limits.setup_deadline, limits);
        let configured = timeout(limits.setup_deadline, guest.call_configure(&mut *store, &self.settings)).await;
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
}

/// The calls of one interface of one generation.
pub(crate) struct Lane<G: Interface> {
    template: Arc<Template>,
    indices: G::Indices,
    limits: Limits,
    places: Arc<Semaphore>,
    warm: Mutex<Vec<IdleInstance<G>>>,
    stats: Arc<Stats>,
    durations: Vec<(&'static str, Histogram)>,
    tracker: TaskTracker,
}

impl<G: Interface> Lane<G> {
    /// The lane of an interface with these functions. `places` bounds the calls that run at a time.
    pub(crate) fn new(
        template: Arc<Template>,
        indices: G::Indices,
        limits: Limits,
        places: Arc<Semaphore>,
        exports: &[&'static str],
        stats: &Arc<Stats>,
        tracker: &TaskTracker,
    ) -> Arc<Self> {
        let durations =
            exports.iter().map(|&export| (export, stats.metrics().duration(&template.plugin, export))).collect();
        Arc::new(Self {
            template,
            indices,
            limits,
            places,
            warm: Mutex::default(),
            stats: Arc::clone(stats),
            durations,
            tracker: tracker.clone(),
        })
    }

    /// Makes a call. It runs to its end even if the caller is gone: a client that cancels costs no instance.
    pub(crate) async fn call<C: Call<G>>(self: &Arc<Self>, call: C, scope: Scope) -> Result<C::Answer, CallError> {
        let lane = Arc::clone(self);
        let running = Box::pin(async move { lane.counted(call, scope).await });
        ToItsEnd { running: Some(running), tracker: self.tracker.clone() }.await
    }

    async fn counted<C: Call<G>>(&self, call: C, scope: Scope) -> Result<C::Answer, CallError> {
        let started = Instant::now();
        let answer = self.run(call, &scope).await;
        if scope.sample {
            return answer;
        }
        let took = started.elapsed();
        if let Some((_, durations)) = self.durations.iter().find(|(export, _)| *export == C::EXPORT) {
            durations.observe(took.as_secs_f64());
        }
        self.stats.called(C::EXPORT, took, answer.as_ref().err());
        answer
    }

    async fn run<C: Call<G>>(&self, call: C, scope: &Scope) -> Result<C::Answer, CallError> {
        let busy = || CallError::Busy(self.limits.queue_timeout);
        let _place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => timeout(self.limits.queue_timeout, self.places.acquire())
                .await
                .map_err(|_| busy())?
                .map_err(|_| busy())?,
        };
        let kept = self.warm.lock().pop();
        let mut instance = match kept {
            Some(instance) => instance,
            None => self.instance(scope.now).await?,
        };
        let deadline = if scope.sample { self.limits.setup_deadline } else { self.limits.deadline };
        sandbox::begin(&mut instance.store, scope, deadline, &self.limits);
        let ended = timeout(deadline, call.run(&instance.guest, &mut instance.store)).await;
        let raw = sandbox::end(&mut instance.store, ended)?.map_err(|failure| CallError::Failure {
            code: cleaned(failure.code, MAX_CODE_BYTES),
            message: cleaned(failure.message, MAX_MESSAGE_BYTES),
            retryable: failure.retryable,
        })?;
        let answer = call.accept(raw).map_err(CallError::BadAnswer)?;
        if instance.store.data().memory_bytes() <= self.limits.reuse_bytes {
            // Never more than `places`, as each was taken by a call that held one.
            self.warm.lock().push(instance);
        }
        Ok(answer)
    }

    async fn instance(&self, now: Timestamp) -> Result<IdleInstance<G>, CallError> {
        let (mut store, instance) = self.template.instance(now, &self.limits).await?;
        self.template.configure(&mut store, &instance, now, &self.limits).await?;
        let guest = G::load(&self.indices, &mut store, &instance)
            .map_err(|error| CallError::Setup(error.root_cause().to_string()))?;
        Ok(IdleInstance { store, guest })
    }
}

/// Runs in the caller's task, and in one of its own from when the caller goes away.
struct ToItsEnd<F: Future<Output: Send> + Send + 'static> {
    running: Option<Pin<Box<F>>>,
    tracker: TaskTracker,
}

impl<F: Future<Output: Send> + Send + 'static> Future for ToItsEnd<F> {
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

impl<F: Future<Output: Send> + Send + 'static> Drop for ToItsEnd<F> {
    fn drop(&mut self) {
        if let (Some(running), Ok(runtime)) = (self.running.take(), tokio::runtime::Handle::try_current()) {
            self.tracker.spawn_on(running, &runtime);
        }
    }
}
