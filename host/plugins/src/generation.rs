//! A generation of a plugin: one component that passed the gate, ready to be called.

use std::{any::Any, sync::Arc};

use cqar_proto::v1::ReplayReport;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    config::Limits,
    gate::manifest::Manifest,
    hash::Hash,
    kinds::Interfaces,
    monitor::CallMonitor,
    plugin_config::{FailurePolicy, Mode},
    runtime::{
        instance_pool::{InstancePool, Interface, Template},
        memory_budget::{EvictIdle, MemoryBudget},
    },
};

/// A component that passed the gate. Running calls hold it; the last of them drops it.
pub(crate) struct Generation {
    pub(crate) name: Arc<str>,
    /// Of the component.
    pub(crate) hash: Hash,
    /// Of the component and what lies beside it.
    pub(crate) contents: Hash,
    pub(crate) manifest: Manifest,
    pub(crate) inert_imports: Vec<String>,
    pub(crate) interfaces: Arc<dyn Interfaces>,
    pub(crate) monitor: Arc<CallMonitor>,
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
    /// What it was configured with, as JSON.
    pub(crate) settings: String,
    /// What it changed of what the generation before answered; none for the first.
    pub(crate) replay: Option<ReplayReport>,
}

/// What its operator wants to come of its judgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) order: i32,
    pub(crate) mode: Mode,
    pub(crate) failure: FailurePolicy,
}

impl Generation {
    /// What it is called by, if it is of the kind that has these interfaces.
    pub(crate) fn interfaces<T: Interfaces>(&self) -> Option<&T> {
        let interfaces: &dyn Any = &*self.interfaces;
        interfaces.downcast_ref()
    }
}

/// What the pools of a generation are made with.
pub(crate) struct PoolSettings<'a> {
    pub(crate) limits: &'a Limits,
    /// The places of the generation's calls.
    pub(crate) places: Arc<Semaphore>,
    /// The one place of `read-listing` in the host.
    pub(crate) listing_place: &'a Arc<Semaphore>,
    pub(crate) monitor: &'a Arc<CallMonitor>,
    pub(crate) budget: &'a MemoryBudget,
    pub(crate) tracker: &'a TaskTracker,
}

impl PoolSettings<'_> {
    /// The pool of an interface with these functions.
    pub(crate) fn pool<G: Interface>(
        &self,
        template: &Arc<Template>,
        indices: G::Indices,
        functions: &[&'static str],
    ) -> Arc<InstancePool<G>> {
        self.of(template, indices, functions, self.limits.clone(), &self.places)
    }

    /// The pool of an interface whose calls are those of a whole venue: large, rare, one at a time.
    pub(crate) fn listing_pool<G: Interface>(
        &self,
        template: &Arc<Template>,
        indices: G::Indices,
        functions: &[&'static str],
    ) -> Arc<InstancePool<G>> {
        self.of(template, indices, functions, self.limits.listing(), self.listing_place)
    }

    fn of<G: Interface>(
        &self,
        template: &Arc<Template>,
        indices: G::Indices,
        functions: &[&'static str],
        limits: Limits,
        places: &Arc<Semaphore>,
    ) -> Arc<InstancePool<G>> {
        let places = Arc::clone(places);
        let pool =
            InstancePool::new(Arc::clone(template), indices, limits, places, functions, self.monitor, self.tracker);
        let evicted: Arc<dyn EvictIdle> = pool.clone();
        self.budget.register(Arc::downgrade(&evicted));
        pool
    }
}
