//! Where instruments trade, and which instrument has a code: look-ups that are cached like resolved symbols.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cqar_cache::{Key, Loaded};
use cqar_domain::{
    entities::market::Market,
    entity::Revision,
    id::{EntityKey, EntityType, InstrumentId},
};
use cqar_proto::v1;
use prost::Message;

use crate::{
    InstrumentSelector, Registry,
    caches::{self, LoadError},
    error::Error,
    loader::{self, EntityLoadError, EntitySource, LoaderQuery},
};

/// The most markets, past ones included, that are kept of one instrument. Two hundred re-listings at each of fifty venues
/// stay below it.
pub(crate) const MAX_MARKETS: u32 = 10_000;

/// Above the longest code: three symbols of 32 characters of four bytes, a date, and a strike of some 80 digits.
const MAX_CODE_BYTES: usize = 512;

/// Every market that an instrument has, or had, at any venue.
#[derive(Debug)]
pub(crate) struct InstrumentMarkets {
    markets: Vec<EncodedMarket>,
    is_complete: bool,
}

/// A market with its message encoded, ready to send.
#[derive(Debug)]
pub(crate) struct EncodedMarket {
    pub(crate) market: Market,
    pub(crate) encoded: Bytes,
}

impl InstrumentMarkets {
    fn new(mut markets: Vec<Market>) -> Self {
        let is_complete = markets.len() <= MAX_MARKETS as usize;
        let order = |market: &Market| {
            (market.venue_id.clone(), market.segment.clone(), market.venue_symbol.clone(), market.listed_time)
        };
        markets.sort_by_cached_key(order);
        let encode = |market: Market| {
            let encoded = v1::Market::from(&market).encode_to_vec().into();
            EncodedMarket { market, encoded }
        };
        Self { markets: markets.into_iter().map(encode).collect(), is_complete }
    }

    /// All of them, in the order of venue, segment and symbol; an error where they are too many to tell.
    pub(crate) fn of_all(&self, instrument: InstrumentId) -> Result<impl Iterator<Item = &EncodedMarket>, Error> {
        if self.is_complete {
            Ok(self.markets.iter())
        } else {
            Err(Error::TooManyMarkets { instrument, limit: MAX_MARKETS as usize })
        }
    }

    fn bytes(&self) -> usize {
        self.markets.iter().map(|it| it.encoded.len() * 2 + size_of::<EncodedMarket>()).sum()
    }
}

impl Registry {
    /// Where each of the instruments trades, in their order.
    pub(crate) async fn listings(
        &self,
        instruments: &[InstrumentId],
        min_revision: Revision,
    ) -> Vec<Result<Arc<InstrumentMarkets>, Error>> {
        let caches = self.inner.caches.as_deref();
        let cache = caches.map(|caches| &caches.listings);
        let get = |id: &InstrumentId| caches.and_then(|it| it.counts.listings.count(it.listings.get(id)));
        let load = |ids: Vec<InstrumentId>| self.clone().load_listings(ids, min_revision);
        let found = caches::read_each_through(cache, get, instruments, load).await;
        found.into_iter().map(|markets| markets.map_err(Error::Store)).collect()
    }

    async fn load_listings(
        self,
        instruments: Vec<InstrumentId>,
        min_revision: Revision,
    ) -> Result<Vec<Loaded<Arc<InstrumentMarkets>>>, LoadError> {
        let inner = &self.inner;
        let query = ListingsQuery(&instruments);
        let (found, revision) = loader::load(&inner.store, inner.l2.as_ref(), min_revision, &query).await?;
        let loaded = instruments.iter().zip(found).map(|(instrument, markets)| {
            let of_markets = markets.iter().map(|market| Key::Entity(EntityKey::Market(market.id)));
            let dependencies = [Key::Listings(*instrument)].into_iter().chain(of_markets).collect();
            let markets = InstrumentMarkets::new(markets);
            let (bytes, ttl) = (markets.bytes(), EntityType::Market.cache_ttl());
            Loaded { value: Arc::new(markets), dependencies, revision, bytes, ttl }
        });
        Ok(loaded.collect())
    }

    /// The instruments that have each of the codes among the selectors.
    pub(crate) async fn codes(&self, selectors: &[InstrumentSelector], min_revision: Revision) -> Codes {
        let mut codes: Vec<String> = selectors
            .iter()
            .filter_map(|selector| match selector {
                // What no instrument can have is not looked up, nor kept as a miss.
                InstrumentSelector::Code(code) if code.len() <= MAX_CODE_BYTES => Some(code.clone()),
                InstrumentSelector::Code(_) | InstrumentSelector::Id(_) => None,
            })
            .collect();
        codes.sort_unstable();
        codes.dedup();
        let caches = self.inner.caches.as_deref();
        let cache = caches.map(|caches| &caches.codes);
        let get = |code: &String| caches.and_then(|it| it.counts.codes.count(it.codes.get(code)));
        let load = |codes: Vec<String>| self.clone().load_codes(codes, min_revision);
        let found = caches::read_each_through(cache, get, &codes, load).await;
        codes.into_iter().zip(found.into_iter().map(|ids| ids.map_err(Error::Store))).collect()
    }

    async fn load_codes(
        self,
        codes: Vec<String>,
        min_revision: Revision,
    ) -> Result<Vec<Loaded<Arc<[InstrumentId]>>>, LoadError> {
        let inner = &self.inner;
        let (found, revision) =
            loader::load(&inner.store, inner.l2.as_ref(), min_revision, &CodesQuery(&codes)).await?;
        let loaded = codes.iter().zip(found).map(|(code, ids)| Loaded {
            dependencies: vec![Key::Code(code.clone())],
            revision,
            bytes: code.len() + ids.len() * size_of::<InstrumentId>(),
            ttl: EntityType::Instrument.cache_ttl(),
            value: ids.into(),
        });
        Ok(loaded.collect())
    }
}

/// The instruments that have each code, or why that could not be read.
pub(crate) type Codes = HashMap<String, Result<Arc<[InstrumentId]>, Error>>;

struct ListingsQuery<'a>(&'a [InstrumentId]);

impl LoaderQuery for ListingsQuery<'_> {
    type Output = Vec<Vec<Market>>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        loader.listings(self.0).await
    }
}

struct CodesQuery<'a>(&'a [String]);

impl LoaderQuery for CodesQuery<'_> {
    type Output = Vec<Vec<InstrumentId>>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        loader.instruments(self.0).await
    }
}
