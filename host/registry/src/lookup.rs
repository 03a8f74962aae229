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
    async fn get(&self, keys: &[EntityKey], max_bytes: usize) -> Result<Vec<Option<FoundDocument>>, LookupError> {
        let mut snapshot = self.snapshot().await?;
        let (mut answers, mut budget) = (Vec::with_capacity(keys.len()), Budget::of(max_bytes));
        for keys in keys.chunks(READ_AT_ONCE) {
            for entity in snapshot.entities(keys).await.map_err(unavailable)? {
                let found = entity.as_ref().map(found);
                budget.take(found.iter())?;
                answers.push(found);
            }
        }
        Ok(answers)
    }

    async fn find(&self, keys: &[IndexKey], max_bytes: usize) -> Result<Vec<FoundDocuments>, LookupError> {
        let mut snapshot = self.snapshot().await?;
        let (mut answers, mut budget) = (Vec::with_capacity(keys.len()), Budget::of(max_bytes));
        for key in keys {
            let found = find(&mut snapshot, key).await.map_err(unavailable)?;
            budget.take(found.documents.iter())?;
            answers.push(found);
        }
        Ok(answers)
    }

    async fn read_again(&self, read: &ReadSet) -> Result<ReadSet, LookupError> {
        read_again(&mut self.snapshot().await?, read).await.map_err(unavailable)
    }
}

/// So many entities, of half a megabyte each at most, are read before their bytes are counted.
const READ_AT_ONCE: usize = 64;

/// The bytes that are left for an answer.
struct Budget {
    left: usize,
    max_bytes: usize,
}

impl Budget {
    const fn of(max_bytes: usize) -> Self {
        Self { left: max_bytes, max_bytes }
    }

    fn take<'a>(&mut self, found: impl Iterator<Item = &'a FoundDocument>) -> Result<(), LookupError> {
        for found in found {
            let left = self.left.checked_sub(found.document.len());
            self.left = left.ok_or(LookupError::TooLarge { max_bytes: self.max_bytes })?;
        }
        Ok(())
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
