//! What plugins may ask of the registry.

use std::sync::Arc;

use async_trait::async_trait;
use cqar_domain::{
    entity::Revision,
    id::{EntityKey, EntityType},
    lookup::{Lookup, LookupError, LookupResult},
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
    async fn get(
        &self,
        entity_type: EntityType,
        keys: &[String],
        at: Option<Revision>,
    ) -> Result<LookupResult, LookupError> {
        let parsed: Result<Vec<EntityKey>, LookupError> = keys
            .iter()
            .map(|key| {
                let named = |error| LookupError::InvalidKey(format!("{entity_type} {key:?}: {error}"));
                EntityKey::parse(entity_type, key).map_err(named)
            })
            .collect();
        let parsed = parsed?;
        let unavailable = |error: cqar_store::Error| LookupError::Unavailable(error.into());
        let mut snapshot = self.0.snapshot().await.map_err(unavailable)?;
        let revision = snapshot.revision();
        if at.is_some_and(|at| at != revision) {
            return Err(LookupError::Moved);
        }
        let entities = snapshot.entities(&parsed).await.map_err(unavailable)?;
        Ok(LookupResult { revision, documents: entities.iter().map(|it| it.as_ref().map(document)).collect() })
    }
}
