//! A generation of a plugin: one component that passed the gate, ready to be called.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    bindings::exports::cqar::plugin::{listing, symbology, transform, validator},
    config::Limits,
    hash::Hash,
    lane::{Interface, Lane, Template},
    manifest::{Kind, Manifest},
    stats::Stats,
};

/// A component that passed the gate. Running calls hold it; the last of them drops it.
pub(crate) struct Generation {
    pub(crate) name: Arc<str>,
    pub(crate) hash: Hash,
    pub(crate) manifest: Manifest,
    pub(crate) inert_imports: Vec<String>,
    pub(crate) exports: Exports,
}

/// What can be called.
pub(crate) enum Exports {
    Validator(Arc<Lane<validator::Guest>>),
    Symbology { symbols: Arc<Lane<symbology::Guest>>, listings: Arc<Lane<listing::Guest>> },
    Transform(Arc<Lane<transform::Guest>>),
}

/// What the lanes of all generations share.
pub(crate) struct Shared<'a> {
    pub(crate) limits: &'a Limits,
    /// The one place of `read-listing`.
    pub(crate) listing_place: &'a Arc<Semaphore>,
    pub(crate) stats: &'a Arc<Stats>,
    pub(crate) tracker: &'a TaskTracker,
}

impl Exports {
    /// The lanes of a component of this kind. Its interfaces were compared with the WIT before.
    pub(crate) fn new(kind: Kind, template: &Arc<Template>, shared: &Shared<'_>) -> wasmtime::Result<Self> {
        let places = Arc::new(Semaphore::new(shared.limits.concurrency));
        let component = &template.component;
        Ok(match kind {
            Kind::Validator => {
                let indices = validator::GuestIndices::new(component)?;
                Self::Validator(lane(template, indices, &["validate"], &places, shared.limits, shared))
            }
            Kind::Symbology => {
                let functions = ["parse", "format", "normalize-assets"];
                let indices = symbology::GuestIndices::new(component)?;
                let symbols = lane(template, indices, &functions, &places, shared.limits, shared);
                let indices = listing::GuestIndices::new(component)?;
                let limits = shared.limits.listing();
                let listings = lane(template, indices, &["read-listing"], shared.listing_place, &limits, shared);
                Self::Symbology { symbols, listings }
            }
            Kind::Transform => {
                let indices = transform::GuestIndices::new(component)?;
                Self::Transform(lane(template, indices, &["transform"], &places, shared.limits, shared))
            }
        })
    }
}

fn lane<G: Interface>(
    template: &Arc<Template>,
    indices: G::Indices,
    functions: &[&'static str],
    places: &Arc<Semaphore>,
    limits: &Limits,
    shared: &Shared<'_>,
) -> Arc<Lane<G>> {
    Lane::new(
        Arc::clone(template),
        indices,
        limits.clone(),
        Arc::clone(places),
        functions,
        shared.stats,
        shared.tracker,
    )
}
