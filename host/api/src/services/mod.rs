//! The services of the contract, one file each.

mod asset;
mod chain;
mod event;
mod instrument;
mod listing;
mod market;
mod plugin;
mod registry;
mod venue;

use std::sync::Arc;

use cqar_registry::{Answer, Registry};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status, metadata::MetadataValue};

/// The most items of a batch or an `Apply`.
pub(crate) const MAX_BATCH: usize = 10_000;

/// The most imports at the same time. Each holds a few times its payload, of at most 64 MiB, and they are read and
/// written one by one in any case.
pub(crate) const MAX_IMPORTS: usize = 4;

/// What implements every service.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) registry: Registry,
    /// Ends what would otherwise never end.
    pub(crate) stopping: CancellationToken,
    /// One place for each import that may be received and written at the same time.
    pub(crate) imports: Arc<Semaphore>,
}

/// What a handler answers.
pub(crate) type Reply<T> = Result<Response<T>, Status>;

/// The answer, with the revision that it reflects.
pub(crate) fn answered<T>(answer: Answer<T>) -> Response<T> {
    let mut response = Response::new(answer.value);
    response.metadata_mut().insert("x-cqar-revision", MetadataValue::from(answer.revision));
    response
}
