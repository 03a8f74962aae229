//! Entities by id and by code.

use std::sync::Arc;

use cqar_cache::{Key, Loaded};
use cqar_domain::{entities::Entity, entity::Revision, id::EntityKey};
use cqar_proto::v1;
use prost::Message;

use crate::{
    Registry, Revisioned,
    error::Error,
    loader::{self, EntityLoadError, EntitySource, LoaderQuery},
};

impl Registry {
    /// The entity, deleted or not.
    pub async fn get(&self, key: EntityKey, min_revision: Revision) -> Result<Revisioned<Arc<Entity>>, Error> {
        let mut found = self.batch_get(vec![key.clone()], min_revision).await?;
        let value = found.value.pop().unwrap_or(Err(Error::NotFound { field: String::new(), key }))?;
        Ok(Revisioned { revision: found.revision, value })
    }

    /// The entities, in the order of their keys, each or why not.
    pub async fn batch_get(
        &self,
        keys: Vec<EntityKey>,
        min_revision: Revision,
    ) -> Result<Revisioned<Vec<Result<Arc<Entity>, Error>>>, Error> {
        let revision = self.wait_for_revision(min_revision).await?;
        let found = self.entities(&keys, revision).await?;
        let value = keys
            .into_iter()
            .zip(found)
            .map(|(key, entity)| entity.ok_or(Error::NotFound { field: String::new(), key }))
            .collect();
        Ok(Revisioned { revision, value })
    }

    /// The one instrument that has the canonical code now.
    pub async fn instrument_by_code(
        &self,
        code: &str,
        min_revision: Revision,
    ) -> Result<Revisioned<Arc<Entity>>, Error> {
        let revision = self.wait_for_revision(min_revision).await?;
        let mut found = self.inner.store.snapshot().await?.instruments_with_code(code).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(Error::CodeUnknown(code.to_owned())),
            (Some(one), true) => Ok(Revisioned { revision, value: Arc::new(one.into()) }),
            (Some(one), false) => {
                let candidates = found.into_iter().chain([one]).map(|it| EntityKey::Instrument(it.id)).collect();
                Err(Error::AmbiguousCode { code: code.to_owned(), candidates })
            }
        }
    }

    /// The entities as of the revision at least, in order; what is not kept is loaded together.
    pub(crate) async fn entities(
        &self,
        keys: &[EntityKey],
        min_revision: Revision,
    ) -> Result<Vec<Option<Arc<Entity>>>, Error> {
        let Some(caches) = &self.inner.caches else {
            let loaded = self.load_entities(keys.to_vec(), min_revision).await.map_err(Error::Store)?;
            return Ok(loaded.into_iter().map(|loaded| loaded.value).collect());
        };
        let kept: Vec<_> =
            keys.iter().map(|key| caches.counts.entity(key.entity_type(), caches.entities.get(key))).collect();
        let mut missing: Vec<EntityKey> =
            keys.iter().zip(&kept).filter(|(_, kept)| kept.is_none()).map(|(key, _)| key.clone()).collect();
        missing.sort();
        missing.dedup();
        let loaded = match missing.as_slice() {
            [] => Vec::new(),
            [one] => {
                let (this, key) = (self.clone(), one.clone());
                let load = async move {
                    let mut loaded = this.load_entities(vec![key], min_revision).await?;
                    loaded.pop().ok_or_else(|| Arc::new(nothing_loaded()))
                };
                vec![caches.entities.load(one.clone(), load).await.map_err(Error::Store)?]
            }
            _ => {
                let load = |keys| self.load_entities(keys, min_revision);
                caches.entities.load_many(missing.clone(), load).await.map_err(Error::Store)?
            }
        };
        let value_of = |key: &EntityKey| missing.binary_search(key).ok().and_then(|n| loaded.get(n)).cloned().flatten();
        Ok(keys.iter().zip(kept).map(|(key, kept)| kept.unwrap_or_else(|| value_of(key))).collect())
    }

    async fn load_entities(
        &self,
        keys: Vec<EntityKey>,
        min_revision: Revision,
    ) -> Result<Vec<Loaded<Option<Arc<Entity>>>>, Arc<cqar_store::Error>> {
        let inner = &self.inner;
        let (found, revision) =
            loader::load(&inner.store, inner.l2.as_ref(), min_revision, &EntitiesQuery(&keys)).await?;
        let loaded = keys.into_iter().zip(found).map(|(key, entity)| Loaded {
            dependencies: vec![Key::Entity(key.clone())],
            revision,
            bytes: entity.as_ref().map_or(0, |it| v1::Entity::from(it).encoded_len() * 2),
            ttl: key.entity_type().cache_ttl(),
            value: entity.map(Arc::new),
        });
        Ok(loaded.collect())
    }
}

pub(crate) fn nothing_loaded() -> cqar_store::Error {
    cqar_store::Error::Corrupt { table: "entities", reason: "a load gave no answer".to_owned() }
}

struct EntitiesQuery<'a>(&'a [EntityKey]);

impl LoaderQuery for EntitiesQuery<'_> {
    type Output = Vec<Option<Entity>>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        loader.entities(self.0).await
    }
}
