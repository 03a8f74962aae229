//! What plugins may ask of the registry.

use std::sync::Arc;

use async_trait::async_trait;
use cqar_domain::{
    id::EntityKey,
    lookup::{FoundDocument, Lookup, LookupError},
};
use cqar_proto::document::document;
use cqar_store::Store;

/// Look-ups that bypass the caches: validators must see the committed state.
pub struct StoreLookup(Arc<Store>);

impl StoreLookup {
    /// Look-ups in this database.
    pub const fn new(store: Arc<Store>) -> Self {
        Self(store)
    }
}

#[async_trait]
impl Lookup for StoreLookup {
    async fn get(&self, keys: &[EntityKey]) -> Result<Vec<Option<FoundDocument>>, LookupError> {
        let unavailable = |error: cqar_store::Error| LookupError::Unavailable(error.into());
        let mut snapshot = self.0.snapshot().await.map_err(unavailable)?;
        let entities = snapshot.entities(keys).await.map_err(unavailable)?;
        let found = |entity: &cqar_domain::entities::Entity| FoundDocument {
            revision: entity.meta().revision,
            document: document(entity),
        };
        Ok(entities.iter().map(|entity| entity.as_ref().map(found)).collect())
    }
}
