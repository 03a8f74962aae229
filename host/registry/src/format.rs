//! An instrument to the symbol under which a venue trades it.

use std::sync::Arc;

use cqar_cache::{Key, Loaded};
use cqar_domain::{
    entities::{Entity, market::Market},
    entity::Revision,
    id::{EntityKey, EntityType, InstrumentId, Segment, VenueId},
    time::Timestamp,
};
use cqar_proto::v1;

use crate::{
    Registry, Revisioned,
    error::{Candidate, Error},
    loader::{self, EntityLoadError, EntitySource, LoaderQuery},
};

/// Which instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstrumentSelector {
    /// By id.
    Instrument(InstrumentId),
    /// By canonical code, such as `BTC/USDT:USDT`.
    Code(String),
}

/// Which symbol is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatQuery {
    /// The instrument.
    pub key: InstrumentSelector,
    /// The venue.
    pub venue: VenueId,
    /// The segment; none for any.
    pub segment: Option<Segment>,
    /// The instant at which the market must be live; none for now.
    pub as_of: Option<Timestamp>,
    /// Not to be answered from an older state than this revision's.
    pub min_revision: Revision,
}

impl Registry {
    /// The symbol of the one live market of the instrument. From registered markets only.
    pub async fn format_symbol(&self, query: FormatQuery) -> Result<Revisioned<v1::FormatSymbolResponse>, Error> {
        let revision = self.wait_for_revision(query.min_revision).await?;
        let (id, name) = match &query.key {
            InstrumentSelector::Instrument(id) => (*id, id.to_string()),
            InstrumentSelector::Code(code) => (self.id_of(code).await?, code.clone()),
        };
        let instrument = EntityKey::Instrument(id);
        let venue = EntityKey::Venue(query.venue.clone());
        let found = self.entities(&[instrument.clone(), venue.clone()], revision).await?;
        let [Some(found_instrument), found_venue] = found.as_slice() else {
            return Err(Error::NotFound { field: "instrument".to_owned(), key: instrument });
        };
        if found_venue.as_ref().is_none_or(|venue| venue.meta().delete_time.is_some()) {
            return Err(Error::NotFound { field: "venue".to_owned(), key: venue });
        }
        let code = match found_instrument.as_ref() {
            Entity::Instrument(it) => it.code.clone(),
            _ => String::new(),
        };
        let at = query.as_of.unwrap_or_else(|| self.inner.clock.now());
        let markets = self.markets_of(&query.venue, id, revision).await?;
        let in_segment = |market: &&Market| query.segment.as_ref().is_none_or(|segment| *segment == market.segment);
        let live: Vec<&Market> = markets.iter().filter(in_segment).filter(|it| it.interval().contains(at)).collect();
        match live.as_slice() {
            [] => Err(Error::NotListed { instrument: name, venue: query.venue, segment: query.segment }),
            [one] => Ok(Revisioned { revision, value: response(one) }),
            several => {
                let candidates = several.iter().map(|market| candidate(market, &code)).collect();
                Err(Error::AmbiguousSymbol { what: format!("{name} at {}", query.venue), candidates })
            }
        }
    }

    async fn id_of(&self, code: &str) -> Result<InstrumentId, Error> {
        match self.instrument_by_code(code, 0).await?.value.key() {
            EntityKey::Instrument(id) => Ok(id),
            _ => Err(Error::CodeUnknown(code.to_owned())),
        }
    }

    async fn markets_of(
        &self,
        venue: &VenueId,
        instrument: InstrumentId,
        min_revision: Revision,
    ) -> Result<Arc<[Market]>, Error> {
        let key = (venue.clone(), instrument);
        let kept =
            self.inner.caches.as_ref().and_then(|caches| caches.counts.listings.count(caches.listings.get(&key)));
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let (this, listings) = (self.clone(), ListingsQuery { venue: venue.clone(), instrument });
        let load = async move {
            let inner = &this.inner;
            let (markets, revision) = loader::load(&inner.store, inner.l2.as_ref(), min_revision, &listings).await?;
            let ListingsQuery { venue, instrument } = listings;
            let of_markets = markets.iter().map(|market| Key::Entity(EntityKey::Market(market.id)));
            let dependencies = [Key::Listing(venue, instrument)].into_iter().chain(of_markets).collect();
            let bytes = markets.len() * 2 * size_of::<Market>();
            Ok(Loaded { value: markets.into(), dependencies, revision, bytes, ttl: EntityType::Market.cache_ttl() })
        };
        let loaded = match &self.inner.caches {
            Some(caches) => caches.listings.load(key, load).await,
            None => load.await.map(|loaded: Loaded<Arc<[Market]>>| loaded.value),
        };
        loaded.map_err(Error::Store)
    }
}

fn response(market: &Market) -> v1::FormatSymbolResponse {
    v1::FormatSymbolResponse {
        venue_symbol: market.venue_symbol.clone(),
        segment: market.segment.to_string(),
        market: market.id.to_string(),
        unit_multiplier: market.unit_multiplier.to_string(),
    }
}

fn candidate(market: &Market, code: &str) -> Candidate {
    Candidate {
        market: market.id,
        segment: market.segment.clone(),
        venue_symbol: market.venue_symbol.clone(),
        code: code.to_owned(),
    }
}

struct ListingsQuery {
    venue: VenueId,
    instrument: InstrumentId,
}

impl LoaderQuery for ListingsQuery {
    type Output = Vec<Market>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        loader.listings(&self.venue, self.instrument).await
    }
}
