//! What a plugin may ask of the registry.

use async_trait::async_trait;

use crate::{entity::Revision, event::PortError, id::EntityType};

/// The answer to a look-up: a document, or None where there is no such entity, for each key, in order.
#[derive(Debug, Clone)]
pub struct LookupResult {
    /// The revision that all of it is of.
    pub revision: Revision,
    /// The entities as proto3 JSON with proto field names.
    pub documents: Vec<Option<String>>,
}

/// Why a look-up was not answered.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The registry changed since the first look-up of this call. The whole call is made again on the new state.
    #[error("the registry changed during the call")]
    Moved,
    /// A key is not an id of that type.
    #[error("{0}")]
    InvalidKey(String),
    /// The database could not answer.
    #[error(transparent)]
    Unavailable(#[from] PortError),
}

/// Look-ups for plugins.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Reads entities. With `at`, answers only what is also true at that revision, else [`LookupError::Moved`]: all
    /// look-ups of one call see one revision.
    async fn get(
        &self,
        entity_type: EntityType,
        keys: &[String],
        at: Option<Revision>,
    ) -> Result<LookupResult, LookupError>;
}
