//! Loads the entities that answers are made of, all of one revision: from Redis where it has every one of them, else from
//! a snapshot of the database, which then fills Redis.

use std::{collections::HashMap, future::Future, sync::Arc};

use bytes::Bytes;
use cqar_cache::{Key, L2, Versioned, common_revision};
use cqar_domain::{
    entities::{Entity, EntityVariant, market::Market, venue_asset::VenueAsset},
    entity::Revision,
    id::{EntityKey, InstrumentId, MarketId, VenueAssetId, VenueId},
    unique_key::UniqueKey,
};
use cqar_proto::{convert, v1};
use cqar_store::{Snapshot, Store};
use prost::Message;
use uuid::Uuid;

use crate::listings;

/// Why entities could not be loaded.
pub(crate) enum EntityLoadError {
    /// Redis does not have all of them at one revision; or, in the database, a reference leads nowhere.
    Incomplete,
    /// The database failed.
    Store(cqar_store::Error),
}

impl From<cqar_store::Error> for EntityLoadError {
    fn from(error: cqar_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Where entities are loaded from.
pub(crate) trait EntitySource: Send {
    /// The entities, in the order of their keys.
    fn entities(
        &mut self,
        keys: &[EntityKey],
    ) -> impl Future<Output = Result<Vec<Option<Entity>>, EntityLoadError>> + Send;

    /// The entities that have each of the unique keys, in their order.
    fn with_unique_keys(
        &mut self,
        keys: &[UniqueKey],
    ) -> impl Future<Output = Result<Vec<Option<Entity>>, EntityLoadError>> + Send;

    /// For each symbol, in order, the venue's markets that have or had it.
    fn markets(
        &mut self,
        venue: &VenueId,
        symbols: &[String],
    ) -> impl Future<Output = Result<Vec<Vec<Market>>, EntityLoadError>> + Send;

    /// For each code, in order, what the venue knows by it, in whichever segment.
    fn venue_assets(
        &mut self,
        venue: &VenueId,
        codes: &[String],
    ) -> impl Future<Output = Result<Vec<Vec<VenueAsset>>, EntityLoadError>> + Send;

    /// For each instrument, in order, every venue's markets of it, past ones included; one more than
    /// [`listings::MAX_MARKETS`] where there are more.
    fn listings(
        &mut self,
        instruments: &[InstrumentId],
    ) -> impl Future<Output = Result<Vec<Vec<Market>>, EntityLoadError>> + Send;

    /// For each code, in order, the undeleted instruments that have it.
    fn instruments(
        &mut self,
        codes: &[String],
    ) -> impl Future<Output = Result<Vec<Vec<InstrumentId>>, EntityLoadError>> + Send;
}

/// What is loaded to make an answer, wherever from.
pub(crate) trait LoaderQuery: Send + Sync {
    /// The answer.
    type Output: Send;
    /// Loads what it needs, and makes the answer.
    fn run<L: EntitySource>(
        &self,
        loader: &mut L,
    ) -> impl Future<Output = Result<Self::Output, EntityLoadError>> + Send;
}

/// Runs a query, and says of which revision the answer is: not below `min_revision`.
pub(crate) async fn load<Q: LoaderQuery>(
    store: &Store,
    l2: Option<&Arc<L2>>,
    min_revision: Revision,
    query: &Q,
) -> Result<(Q::Output, Revision), cqar_store::Error> {
    if let Some(l2) = l2 {
        let mut loader = RedisSource { l2, min_revision, seen: Vec::new() };
        if let Ok(answer) = query.run(&mut loader).await
            && let Some(revision) = common_revision(&loader.seen.iter().collect::<Vec<_>>(), min_revision)
        {
            return Ok((answer, revision));
        }
    }
    let snapshot = store.snapshot().await?;
    let revision = snapshot.revision();
    let mut loader = SnapshotSource { snapshot, found: HashMap::new(), read: l2.map(|_| Vec::new()) };
    let answer = match query.run(&mut loader).await {
        Ok(answer) => answer,
        Err(EntityLoadError::Store(error)) => return Err(error),
        Err(EntityLoadError::Incomplete) => {
            let reason = "a reference leads nowhere".to_owned();
            return Err(cqar_store::Error::Corrupt { table: "markets", reason });
        }
    };
    if let (Some(l2), Some(read)) = (l2, loader.read) {
        l2.put(read, revision);
    }
    Ok((answer, revision))
}

/// Loads from a snapshot of the database, and collects what it read, to be stored in Redis.
struct SnapshotSource {
    snapshot: Snapshot,
    /// What came along with markets, and is asked for next.
    found: HashMap<EntityKey, Entity>,
    read: Option<Vec<(Key, Bytes)>>,
}

impl SnapshotSource {
    fn note(&mut self, key: impl FnOnce() -> Key, value: impl FnOnce() -> Bytes) {
        if let Some(read) = &mut self.read {
            read.push((key(), value()));
        }
    }

    fn note_entity(&mut self, key: &EntityKey, entity: Option<&Entity>) {
        self.note(
            || Key::Entity(key.clone()),
            || entity.map(|it| v1::Entity::from(it).encode_to_vec().into()).unwrap_or_default(),
        );
    }
}

impl EntitySource for SnapshotSource {
    async fn entities(&mut self, keys: &[EntityKey]) -> Result<Vec<Option<Entity>>, EntityLoadError> {
        let missing: Vec<EntityKey> = keys.iter().filter(|key| !self.found.contains_key(key)).cloned().collect();
        if !missing.is_empty() {
            let found = self.snapshot.entities(&missing).await?;
            self.found.extend(missing.into_iter().zip(found).filter_map(|(key, entity)| Some((key, entity?))));
        }
        let found: Vec<Option<Entity>> = keys.iter().map(|key| self.found.get(key).cloned()).collect();
        for (key, entity) in keys.iter().zip(&found) {
            self.note_entity(key, entity.as_ref());
        }
        Ok(found)
    }

    async fn with_unique_keys(&mut self, keys: &[UniqueKey]) -> Result<Vec<Option<Entity>>, EntityLoadError> {
        let found = self.snapshot.with_unique_keys(keys).await?;
        let found: Vec<Option<Entity>> = keys.iter().map(|key| found.get(key).cloned()).collect();
        for (key, entity) in keys.iter().zip(&found) {
            self.note(
                || Key::Unique(key.clone()),
                || entity.as_ref().map(|it| it.key().id().into_bytes().into()).unwrap_or_default(),
            );
            if let Some(entity) = entity {
                self.note_entity(&entity.key(), Some(entity));
            }
        }
        Ok(found)
    }

    async fn markets(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Vec<Market>>, EntityLoadError> {
        let (found, related) = self.snapshot.markets_with_related(venue, symbols).await?;
        self.found.extend(related);
        let mut of_symbol: HashMap<&str, Vec<Market>> = HashMap::new();
        for market in &found {
            for symbol in market.symbols() {
                of_symbol.entry(symbol).or_default().push(market.clone());
            }
            self.note_entity(&EntityKey::Market(market.id), Some(&market.clone().into()));
        }
        let markets: Vec<Vec<Market>> =
            symbols.iter().map(|symbol| of_symbol.get(symbol.as_str()).cloned().unwrap_or_default()).collect();
        for (symbol, markets) in symbols.iter().zip(&markets) {
            self.note(
                || Key::Symbol(venue.clone(), symbol.clone()),
                || uuids(markets.iter().map(|market| market.id.uuid())),
            );
        }
        Ok(markets)
    }

    async fn venue_assets(
        &mut self,
        venue: &VenueId,
        codes: &[String],
    ) -> Result<Vec<Vec<VenueAsset>>, EntityLoadError> {
        let mut of_code: HashMap<String, Vec<VenueAsset>> = HashMap::new();
        for bound in self.snapshot.venue_assets_with_codes(venue, codes).await? {
            self.note_entity(&EntityKey::VenueAsset(bound.id), Some(&bound.clone().into()));
            of_code.entry(bound.code.clone()).or_default().push(bound);
        }
        let found: Vec<Vec<VenueAsset>> =
            codes.iter().map(|code| of_code.get(code).cloned().unwrap_or_default()).collect();
        for (code, bound) in codes.iter().zip(&found) {
            self.note(
                || Key::VenueCode(venue.clone(), code.clone()),
                || uuids(bound.iter().map(|bound| bound.id.uuid())),
            );
        }
        Ok(found)
    }

    async fn listings(&mut self, instruments: &[InstrumentId]) -> Result<Vec<Vec<Market>>, EntityLoadError> {
        let found = self.snapshot.markets_of_instruments(instruments, listings::MAX_MARKETS + 1).await?;
        for (instrument, markets) in instruments.iter().zip(&found) {
            for market in markets {
                self.note_entity(&EntityKey::Market(market.id), Some(&market.clone().into()));
            }
            self.note(|| Key::Listings(*instrument), || uuids(markets.iter().map(|market| market.id.uuid())));
        }
        Ok(found)
    }

    async fn instruments(&mut self, codes: &[String]) -> Result<Vec<Vec<InstrumentId>>, EntityLoadError> {
        let mut of_code: HashMap<String, Vec<InstrumentId>> = HashMap::new();
        for instrument in self.snapshot.instruments_with_codes(codes).await? {
            of_code.entry(instrument.code).or_default().push(instrument.id);
        }
        let found: Vec<Vec<InstrumentId>> =
            codes.iter().map(|code| of_code.get(code).cloned().unwrap_or_default()).collect();
        for (code, ids) in codes.iter().zip(&found) {
            self.note(|| Key::Code(code.clone()), || uuids(ids.iter().map(|id| id.uuid())));
        }
        Ok(found)
    }
}

/// Look-up keys keep ids, 16 bytes each.
fn uuids(ids: impl Iterator<Item = Uuid>) -> Bytes {
    ids.flat_map(Uuid::into_bytes).collect()
}

fn read_uuids<T>(bytes: &[u8], id: impl Fn(Uuid) -> Option<T>) -> Result<Vec<T>, EntityLoadError> {
    let read = bytes.chunks(16).map(|bytes| id(Uuid::from_slice(bytes).ok()?));
    read.collect::<Option<Vec<T>>>().ok_or(EntityLoadError::Incomplete)
}

/// Loads from Redis alone.
struct RedisSource<'a> {
    l2: &'a L2,
    min_revision: Revision,
    seen: Vec<Versioned>,
}

impl RedisSource<'_> {
    async fn get(&mut self, keys: Vec<Key>) -> Result<Vec<Bytes>, EntityLoadError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found: Option<Vec<Versioned>> = self.l2.get(&keys, self.min_revision).await.into_iter().collect();
        let found = found.ok_or(EntityLoadError::Incomplete)?;
        let values = found.iter().map(|versioned| versioned.bytes.clone()).collect();
        self.seen.extend(found);
        Ok(values)
    }

    /// The entities whose ids each of the look-up keys keeps.
    async fn of_keys<T: EntityVariant>(
        &mut self,
        keys: Vec<Key>,
        key: impl Fn(Uuid) -> Option<EntityKey>,
    ) -> Result<Vec<Vec<T>>, EntityLoadError> {
        let ids = self.get(keys).await?;
        let found = self.entities(&read_uuids(&ids.concat(), key)?).await?;
        // An id whose entity is gone was read at another revision.
        let found = found.into_iter().map(|entity| T::try_from(entity?).ok()).collect::<Option<Vec<T>>>();
        let mut found = found.ok_or(EntityLoadError::Incomplete)?.into_iter();
        Ok(ids.iter().map(|ids| found.by_ref().take(ids.len() / 16).collect()).collect())
    }
}

fn market_key(id: Uuid) -> Option<EntityKey> {
    MarketId::from_uuid(id).ok().map(EntityKey::Market)
}

fn read_entity(bytes: Bytes) -> Result<Option<Entity>, EntityLoadError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    // What an older version wrote and this one cannot read is read from the database.
    let message = v1::Entity::decode(bytes).map_err(|_| EntityLoadError::Incomplete)?;
    convert::stored(message).map(Some).map_err(|_| EntityLoadError::Incomplete)
}

impl EntitySource for RedisSource<'_> {
    async fn entities(&mut self, keys: &[EntityKey]) -> Result<Vec<Option<Entity>>, EntityLoadError> {
        let values = self.get(keys.iter().cloned().map(Key::Entity).collect()).await?;
        values.into_iter().map(read_entity).collect()
    }

    async fn with_unique_keys(&mut self, keys: &[UniqueKey]) -> Result<Vec<Option<Entity>>, EntityLoadError> {
        let ids = self.get(keys.iter().cloned().map(Key::Unique).collect()).await?;
        let owner = |(key, id): (&UniqueKey, &Bytes)| {
            let id = std::str::from_utf8(id).map_err(|_| EntityLoadError::Incomplete)?;
            let of = key.entity_type().filter(|_| !id.is_empty());
            of.map(|of| EntityKey::parse(of, id).map_err(|_| EntityLoadError::Incomplete)).transpose()
        };
        let owners: Vec<Option<EntityKey>> = keys.iter().zip(&ids).map(owner).collect::<Result<_, _>>()?;
        let present: Vec<EntityKey> = owners.iter().flatten().cloned().collect();
        let mut entities = self.entities(&present).await?.into_iter();
        let found = owners.into_iter().map(|owner| match owner {
            None => Ok(None),
            // One that is gone was read at another revision.
            Some(_) => entities.next().flatten().map(Some).ok_or(EntityLoadError::Incomplete),
        });
        found.collect()
    }

    async fn markets(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Vec<Market>>, EntityLoadError> {
        let keys = symbols.iter().map(|symbol| Key::Symbol(venue.clone(), symbol.clone())).collect();
        self.of_keys(keys, market_key).await
    }

    async fn venue_assets(
        &mut self,
        venue: &VenueId,
        codes: &[String],
    ) -> Result<Vec<Vec<VenueAsset>>, EntityLoadError> {
        let keys = codes.iter().map(|code| Key::VenueCode(venue.clone(), code.clone())).collect();
        self.of_keys(keys, |id| Some(EntityKey::VenueAsset(VenueAssetId::from_uuid(id).ok()?))).await
    }

    async fn listings(&mut self, instruments: &[InstrumentId]) -> Result<Vec<Vec<Market>>, EntityLoadError> {
        self.of_keys(instruments.iter().copied().map(Key::Listings).collect(), market_key).await
    }

    async fn instruments(&mut self, codes: &[String]) -> Result<Vec<Vec<InstrumentId>>, EntityLoadError> {
        let ids = self.get(codes.iter().cloned().map(Key::Code).collect()).await?;
        ids.iter().map(|ids| read_uuids(ids, |id| InstrumentId::from_uuid(id).ok())).collect()
    }
}
