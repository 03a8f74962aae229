//! What plugins may ask of the registry.

use std::sync::Arc;

use async_trait::async_trait;
use cqar_domain::{
    entities::Entity,
    id::EntityKey,
    lookup::{FoundDocument, FoundDocuments, IndexKey, Lookup, LookupError, MAX_FOUND, ReadSet},
};
use cqar_proto::document::document;
use cqar_store::{Error, Snapshot, Store};

/// Look-ups that bypass the caches: validators must see the committed state.
pub struct StoreLookup(Arc<Store>);

impl StoreLookup {
    /// Look-ups in this database.
    pub const fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    async fn snapshot(&self) -> Result<Snapshot, LookupError> {
        self.0.snapshot().await.map_err(unavailable)
    }
}

#[async_trait]
impl Lookup for StoreLookup {
    async fn get(&self, keys: &[EntityKey]) -> Result<Vec<Option<FoundDocument>>, LookupError> {
        let entities = self.snapshot().await?.entities(keys).await.map_err(unavailable)?;
        Ok(entities.iter().map(|entity| entity.as_ref().map(found)).collect())
    }

    async fn find(&self, keys: &[IndexKey]) -> Result<Vec<FoundDocuments>, LookupError> {
        let mut snapshot = self.snapshot().await?;
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            answers.push(find(&mut snapshot, key).await.map_err(unavailable)?);
        }
        Ok(answers)
    }

    async fn read_again(&self, read: &ReadSet) -> Result<ReadSet, LookupError> {
        read_again(&mut self.snapshot().await?, read).await.map_err(unavailable)
    }
}

/// What was read, as it is in this state.
pub(crate) async fn read_again(reads: &mut Snapshot, read: &ReadSet) -> Result<ReadSet, Error> {
    let mut again = ReadSet::default();
    // Of one state: nothing is read twice, and differs.
    let rows = read.rows();
    for (key, entity) in rows.iter().zip(reads.entities(&rows).await?) {
        let _ = again.add(key.clone(), entity.map(|entity| entity.meta().revision));
    }
    for key in read.sets() {
        let found = find(reads, &key).await?;
        let _ = again.add_found(key, &found);
    }
    Ok(again)
}

async fn find(reads: &mut Snapshot, key: &IndexKey) -> Result<FoundDocuments, Error> {
    let entities = reads.find(key, MAX_FOUND + 1).await?;
    Ok(FoundDocuments {
        documents: entities.iter().take(MAX_FOUND).map(found).collect(),
        more: entities.len() > MAX_FOUND,
    })
}

fn found(entity: &Entity) -> FoundDocument {
    FoundDocument { key: entity.key(), revision: entity.meta().revision, document: document(entity) }
}

fn unavailable(error: Error) -> LookupError {
    LookupError::Unavailable(error.into())
}
