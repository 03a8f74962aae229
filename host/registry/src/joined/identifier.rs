//! What a source's id names.

use cqar_cache::Key;
use cqar_domain::{
    entities::{
        Entity,
        deployment::Deployment,
        identifier::{CAIP19, Identifier},
    },
    id::{EntityKey, Source},
    text::EXTERNAL_ID,
    unique_key::UniqueKey,
    violation::Violations,
};
use cqar_proto::v1;
use prost::Message;

use super::{Joined, Missing, by_key};
use crate::{
    error::{Error, Unresolved},
    loader::{EntityLoadError, EntitySource},
    request_path::RequestPath,
};

/// A source's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentifierQuery {
    /// The source's slug.
    pub source: String,
    /// The id there.
    pub external_id: String,
}

impl IdentifierQuery {
    /// Where it stands in a request for it alone.
    pub const ALONE: RequestPath = RequestPath::Within("external");

    /// Refuses what no identifier can be.
    pub(super) fn check(&self, path: RequestPath) -> Result<(), Error> {
        let mut found = Violations::default();
        let source = found.take(&path.field("source"), self.source.parse::<Source>());
        let field = path.field("external_id");
        EXTERNAL_ID.check(&field, &self.external_id, &mut found);
        if source.is_some_and(|source| Identifier::normalized(&source, &self.external_id).is_none()) {
            found.add(field, "INVALID_CAIP19", "must be a CAIP-19 id whose address is one of its chain");
        }
        found.into_result().map_err(Error::Invalid)
    }

    pub(super) const fn text_bytes(&self) -> usize {
        self.source.len() + self.external_id.len()
    }

    /// The keys of what it names: an identifier, and of CAIP-19 ids a deployment.
    fn keys(&self) -> Vec<UniqueKey> {
        let Ok(source) = self.source.parse() else { return Vec::new() };
        let Some(id) = Identifier::normalized(&source, &self.external_id) else { return Vec::new() };
        let of_deployment = (source.as_str() == CAIP19).then(|| Deployment::caip19_key(&id));
        [Identifier::external_key(&source, &id)].into_iter().chain(of_deployment).collect()
    }
}

/// What each is about, loaded together.
pub(super) async fn answers<L: EntitySource>(
    loader: &mut L,
    queries: &[&IdentifierQuery],
) -> Result<Vec<Joined>, EntityLoadError> {
    let keys: Vec<UniqueKey> = queries.iter().flat_map(|query| query.keys()).collect();
    let named = by_key(keys.clone(), loader.with_unique_keys(&keys).await?);
    let entities: Vec<EntityKey> = named.values().filter_map(named_by).collect();
    let mut entities = by_key(entities.clone(), loader.entities(&entities).await?);
    entities.extend(named.values().map(|it| (it.key(), it.clone())));
    let assets: Vec<EntityKey> = entities.values().filter_map(asset_of).collect();
    let assets = by_key(assets.clone(), loader.entities(&assets).await?);
    let answer = |query: &&IdentifierQuery| {
        let keys = query.keys();
        let mut dependencies: Vec<Key> = keys.iter().cloned().map(Key::Unique).collect();
        let Some(found) = keys.iter().find_map(|key| named.get(key)) else {
            let (source_name, external_id) = (query.source.clone(), query.external_id.clone());
            let missing = Missing::Unresolved(Unresolved::Identifier { source_name, external_id });
            return Ok(Joined { answer: Err(missing), dependencies });
        };
        dependencies.push(Key::Entity(found.key()));
        let entity = match named_by(found) {
            None => found,
            Some(key) => entities.get(&key).ok_or(EntityLoadError::Incomplete)?,
        };
        dependencies.push(Key::Entity(entity.key()));
        let asset = asset_of(entity);
        dependencies.extend(asset.clone().map(Key::Entity));
        let asset = asset.map(|key| match assets.get(&key) {
            Some(Entity::Asset(asset)) => Ok(asset.as_ref().into()),
            _ => Err(EntityLoadError::Incomplete),
        });
        let identifier = if let Entity::Identifier(it) = found { Some(it.as_ref().into()) } else { None };
        let (entity, asset) = (Some(entity.into()), asset.transpose()?);
        let answer = v1::ResolveIdentifierResponse { identifier, entity, asset, revision: 0 };
        Ok(Joined { answer: Ok(answer.encode_to_vec().into()), dependencies })
    };
    queries.iter().map(answer).collect()
}

/// What an identifier names.
fn named_by(entity: &Entity) -> Option<EntityKey> {
    if let Entity::Identifier(identifier) = entity { Some(identifier.entity.key()) } else { None }
}

fn asset_of(entity: &Entity) -> Option<EntityKey> {
    if let Entity::Deployment(deployment) = entity { Some(EntityKey::Asset(deployment.asset_id)) } else { None }
}
