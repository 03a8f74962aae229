//! Entities by id and by code.

use std::sync::Arc;

use cqar_cache::{Key, Loaded};
use cqar_domain::{entities::Entity, entity::Revision, id::EntityKey, unique_key::UniqueKey};
use cqar_proto::v1;
use prost::Message;

use crate::{
    InstrumentSelector, Registry, Revisioned,
    caches::{self, LoadError},
    error::Error,
    format,
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
        code: String,
        min_revision: Revision,
    ) -> Result<Revisioned<Arc<Entity>>, Error> {
        let revision = self.wait_for_revision(min_revision).await?;
        let selector = InstrumentSelector::Code(code.clone());
        let codes = self.codes(std::slice::from_ref(&selector), revision).await;
        let key = EntityKey::Instrument(format::instrument_id(&selector, &codes)?);
        let found = self.entities(std::slice::from_ref(&key), revision).await?.pop().flatten();
        // The code and the instrument are two look-ups: another write may have come between them.
        let found = found.filter(|it| matches!(&**it, Entity::Instrument(it) if it.code == code));
        Ok(Revisioned { revision, value: found.ok_or(Error::CodeUnknown(code))? })
    }

    /// The entity that has the unique key, deleted or not; none if nothing has it.
    pub async fn with_unique_key(
        &self,
        key: UniqueKey,
        min_revision: Revision,
    ) -> Result<Revisioned<Option<Entity>>, Error> {
        let revision = self.wait_for_revision(min_revision).await?;
        let inner = &self.inner;
        let (found, _) = loader::load(&inner.store, inner.l2.as_ref(), revision, &OwnerQuery(key)).await?;
        Ok(Revisioned { revision, value: found })
    }

    /// The entities as of the revision at least, in order; what is not kept is loaded together.
    pub(crate) async fn entities(
        &self,
        keys: &[EntityKey],
        min_revision: Revision,
    ) -> Result<Vec<Option<Arc<Entity>>>, Error> {
        self.each_entity(keys, min_revision).await.into_iter().collect()
    }

    /// The same, each or why it could not be read.
    pub(crate) async fn each_entity(
        &self,
        keys: &[EntityKey],
        min_revision: Revision,
    ) -> Vec<Result<Option<Arc<Entity>>, Error>> {
        let caches = self.inner.caches.as_deref();
        let cache = caches.map(|caches| &caches.entities);
        let get = |key: &EntityKey| caches.and_then(|it| it.counts.entity(key.entity_type(), it.entities.get(key)));
        let load = |keys: Vec<EntityKey>| self.clone().load_entities(keys, min_revision);
        let found = caches::read_each_through(cache, get, keys, load).await;
        found.into_iter().map(|entity| entity.map_err(Error::Store)).collect()
    }

    async fn load_entities(
        self,
        keys: Vec<EntityKey>,
        min_revision: Revision,
    ) -> Result<Vec<Loaded<Option<Arc<Entity>>>>, LoadError> {
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

struct OwnerQuery(UniqueKey);

impl LoaderQuery for OwnerQuery {
    type Output = Option<Entity>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        Ok(loader.with_unique_keys(std::slice::from_ref(&self.0)).await?.into_iter().flatten().next())
    }
}

struct EntitiesQuery<'a>(&'a [EntityKey]);

impl LoaderQuery for EntitiesQuery<'_> {
    type Output = Vec<Option<Entity>>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        loader.entities(self.0).await
    }
}
