//! The pieces that answers are made of, all of one revision: from Redis where it has every one of them, else from a
//! snapshot of the database, which then fills Redis.

use std::{collections::HashMap, future::Future, sync::Arc};

use bytes::Bytes;
use cqar_cache::{Key, L2, Stamped, consistent};
use cqar_domain::{
    entities::{Entity, market::Market},
    entity::Revision,
    id::{EntityKey, InstrumentId, MarketId, VenueId},
};
use cqar_proto::{convert, v1};
use cqar_store::{Snapshot, Store};
use prost::Message;
use uuid::Uuid;

/// Why pieces were not found.
pub(crate) enum Lack {
    /// Redis does not know all of them. The database does.
    Unknown,
    /// The database failed.
    Failed(cqar_store::Error),
}

impl From<cqar_store::Error> for Lack {
    fn from(error: cqar_store::Error) -> Self {
        Self::Failed(error)
    }
}

/// Where pieces come from.
pub(crate) trait Pieces: Send {
    /// The entities, in the order of their keys.
    fn entities(&mut self, keys: &[EntityKey]) -> impl Future<Output = Result<Vec<Option<Entity>>, Lack>> + Send;

    /// For each symbol, in order, the venue's markets that have or had it.
    fn markets(
        &mut self,
        venue: &VenueId,
        symbols: &[String],
    ) -> impl Future<Output = Result<Vec<Vec<Market>>, Lack>> + Send;

    /// The venue's markets of the instrument.
    fn listings(
        &mut self,
        venue: &VenueId,
        instrument: InstrumentId,
    ) -> impl Future<Output = Result<Vec<Market>, Lack>> + Send;
}

/// What to make of pieces, wherever they come from.
pub(crate) trait Recipe: Send + Sync {
    /// What is made.
    type Made: Send;
    /// Makes it.
    fn make<P: Pieces>(&self, pieces: &mut P) -> impl Future<Output = Result<Self::Made, Lack>> + Send;
}

/// Makes an answer, and says of which revision it is: not below `needs`.
pub(crate) async fn make<R: Recipe>(
    store: &Store,
    l2: Option<&Arc<L2>>,
    needs: Revision,
    recipe: &R,
) -> Result<(R::Made, Revision), cqar_store::Error> {
    if let Some(l2) = l2 {
        let mut pieces = Kept { l2, needs, seen: Vec::new() };
        if let Ok(made) = recipe.make(&mut pieces).await
            && let Some(revision) = consistent(&pieces.seen.iter().collect::<Vec<_>>(), needs)
        {
            return Ok((made, revision));
        }
    }
    let snapshot = store.snapshot().await?;
    let revision = snapshot.revision();
    let mut pieces = Stored { snapshot, read: l2.map(|_| Vec::new()) };
    let made = match recipe.make(&mut pieces).await {
        Ok(made) => made,
        Err(Lack::Failed(error)) => return Err(error),
        Err(Lack::Unknown) => {
            let reason = "a reference leads nowhere".to_owned();
            return Err(cqar_store::Error::Corrupt { table: "markets", reason });
        }
    };
    if let (Some(l2), Some(read)) = (l2, pieces.read) {
        l2.put(read, revision);
    }
    Ok((made, revision))
}

/// Pieces of a snapshot, noted to be kept in Redis.
struct Stored {
    snapshot: Snapshot,
    read: Option<Vec<(Key, Bytes)>>,
}

impl Stored {
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

impl Pieces for Stored {
    async fn entities(&mut self, keys: &[EntityKey]) -> Result<Vec<Option<Entity>>, Lack> {
        let found = self.snapshot.entities(keys).await?;
        for (key, entity) in keys.iter().zip(&found) {
            self.note_entity(key, entity.as_ref());
        }
        Ok(found)
    }

    async fn markets(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Vec<Market>>, Lack> {
        let found = self.snapshot.markets_with_symbols(venue, symbols).await?;
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
            self.note(|| Key::Symbol(venue.clone(), symbol.clone()), || market_ids(markets));
        }
        Ok(markets)
    }

    async fn listings(&mut self, venue: &VenueId, instrument: InstrumentId) -> Result<Vec<Market>, Lack> {
        let markets = self.snapshot.markets_of_instruments(venue, &[instrument]).await?;
        for market in &markets {
            self.note_entity(&EntityKey::Market(market.id), Some(&market.clone().into()));
        }
        self.note(|| Key::Listing(venue.clone(), instrument), || market_ids(&markets));
        Ok(markets)
    }
}

/// Look-up keys keep the ids of markets, 16 bytes each.
fn market_ids(markets: &[Market]) -> Bytes {
    markets.iter().flat_map(|market| market.id.uuid().into_bytes()).collect()
}

fn read_market_ids(bytes: &Bytes) -> Option<Vec<EntityKey>> {
    let id = |id: &[u8]| Some(EntityKey::Market(MarketId::from_uuid(Uuid::from_slice(id).ok()?).ok()?));
    bytes.chunks(16).map(id).collect()
}

/// Pieces that Redis keeps.
struct Kept<'a> {
    l2: &'a L2,
    needs: Revision,
    seen: Vec<Stamped>,
}

impl Kept<'_> {
    async fn get(&mut self, keys: Vec<Key>) -> Result<Vec<Bytes>, Lack> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found: Option<Vec<Stamped>> = self.l2.get(&keys, self.needs).await.into_iter().collect();
        let found = found.ok_or(Lack::Unknown)?;
        let values = found.iter().map(|stamped| stamped.bytes.clone()).collect();
        self.seen.extend(found);
        Ok(values)
    }

    async fn of_ids(&mut self, ids: Bytes) -> Result<Vec<Market>, Lack> {
        let keys = read_market_ids(&ids).ok_or(Lack::Unknown)?;
        let found = self.entities(&keys).await?;
        // An id whose market is gone was read at another revision.
        found.into_iter().map(|entity| market(entity).ok_or(Lack::Unknown)).collect()
    }
}

fn read_entity(bytes: Bytes) -> Result<Option<Entity>, Lack> {
    if bytes.is_empty() {
        return Ok(None);
    }
    // What an older version wrote and this one cannot read is read from the database.
    let message = v1::Entity::decode(bytes).map_err(|_| Lack::Unknown)?;
    convert::stored(message).map(Some).map_err(|_| Lack::Unknown)
}

fn market(entity: Option<Entity>) -> Option<Market> {
    match entity {
        Some(Entity::Market(market)) => Some(market),
        _ => None,
    }
}

impl Pieces for Kept<'_> {
    async fn entities(&mut self, keys: &[EntityKey]) -> Result<Vec<Option<Entity>>, Lack> {
        let values = self.get(keys.iter().cloned().map(Key::Entity).collect()).await?;
        values.into_iter().map(read_entity).collect()
    }

    async fn markets(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Vec<Market>>, Lack> {
        let keys = symbols.iter().map(|symbol| Key::Symbol(venue.clone(), symbol.clone())).collect();
        let ids = self.get(keys).await?;
        let mut found = self.of_ids(ids.concat().into()).await?.into_iter();
        Ok(ids.iter().map(|ids| found.by_ref().take(ids.len() / 16).collect()).collect())
    }

    async fn listings(&mut self, venue: &VenueId, instrument: InstrumentId) -> Result<Vec<Market>, Lack> {
        let ids = self.get(vec![Key::Listing(venue.clone(), instrument)]).await?;
        self.of_ids(ids.concat().into()).await
    }
}
