//! An instrument to the symbol under which a venue trades it, and to all of its markets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use cqar_domain::{
    entities::{Entity, instrument::Instrument, market::Market},
    entity::Revision,
    id::{EntityKey, InstrumentId, Segment, VenueId},
    time::Timestamp,
};
use cqar_proto::v1;

use crate::{
    LookupOptions, Registry, Revisioned,
    error::{Candidate, Error},
    infer_format::InferredFormat,
    listings::{Codes, InstrumentMarkets},
    reads::nothing_loaded,
    request_path::RequestPath,
};

/// The most markets of one answer to [`Registry::find_markets`]: twenty venues list an instrument in a few segments each.
const MAX_FOUND: usize = 1000;
/// Below the 4 MiB that clients receive unless they raise it.
const MAX_FOUND_BYTES: usize = 3584 << 10;

/// Which instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstrumentSelector {
    /// By id.
    Id(InstrumentId),
    /// By canonical code, such as `BTC/USDT:USDT`.
    Code(String),
}

/// Which symbol is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatQuery {
    /// The instrument.
    pub instrument: InstrumentSelector,
    /// The venue.
    pub venue: VenueId,
    /// The segment; none for any.
    pub segment: Option<Segment>,
    /// The instant at which the market must be live; none for now.
    pub as_of: Option<Timestamp>,
}

/// Which markets are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindQuery {
    /// The instrument.
    pub instrument: InstrumentSelector,
    /// At these venues; empty for all.
    pub venues: BTreeSet<VenueId>,
    /// The instant at which they must be live; none for now.
    pub as_of: Option<Timestamp>,
    /// Not to be answered from an older state than this revision's.
    pub min_revision: Revision,
}

/// The markets of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMarkets {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Each an encoded [`v1::Market`], in the order of venue, segment and symbol.
    pub markets: Vec<Bytes>,
}

impl Registry {
    /// The symbol of the one live market of the instrument, or, where that is allowed, what the venue's plugin would write.
    pub async fn format_symbol(
        &self,
        query: FormatQuery,
        options: LookupOptions,
    ) -> Result<Revisioned<v1::FormatSymbolResponse>, Error> {
        let revision = self.wait_for_revision(options.min_revision).await?;
        let mut answers = self.format(&[Ok(query)], RequestPath::alone, options, revision).await;
        let value = answers.pop().unwrap_or_else(|| Err(Error::Store(Arc::new(nothing_loaded()))))?;
        Ok(Revisioned { revision, value })
    }

    /// The same for many, each or why not, in their order; one that could not be read is answered by why.
    pub async fn batch_format(
        &self,
        queries: &[Result<FormatQuery, Error>],
        options: LookupOptions,
    ) -> Result<Revisioned<Vec<Result<v1::FormatSymbolResponse, Error>>>, Error> {
        let revision = self.wait_for_revision(options.min_revision).await?;
        let value = self.format(queries, RequestPath::InBatch, options, revision).await;
        Ok(Revisioned { revision, value })
    }

    /// The markets of the instrument that are live.
    pub async fn find_markets(&self, query: FindQuery) -> Result<Revisioned<FoundMarkets>, Error> {
        let revision = self.wait_for_revision(query.min_revision).await?;
        let at = query.as_of.unwrap_or_else(|| self.inner.clock.now());
        let codes = self.codes(std::slice::from_ref(&query.instrument), revision).await;
        let instrument = instrument_id(&query.instrument, &codes)?;
        let key = EntityKey::Instrument(instrument);
        if self.entities(std::slice::from_ref(&key), revision).await?.first().is_none_or(Option::is_none) {
            return Err(Error::NotFound { field: "instrument_id".to_owned(), key });
        }
        let listings = self.listings(&[instrument], revision).await.pop();
        let listings = listings.ok_or_else(|| Error::Store(Arc::new(nothing_loaded())))??;
        let wanted = |market: &Market| {
            market.interval().contains(at) && (query.venues.is_empty() || query.venues.contains(&market.venue_id))
        };
        let markets: Vec<Bytes> =
            listings.of_all(instrument)?.filter(|it| wanted(&it.market)).map(|it| it.encoded.clone()).collect();
        if markets.len() > MAX_FOUND {
            return Err(Error::TooManyMarkets { instrument, limit: MAX_FOUND });
        }
        let bytes = markets.iter().map(Bytes::len).sum();
        if bytes > MAX_FOUND_BYTES {
            return Err(Error::TooManyBytes { bytes, limit: MAX_FOUND_BYTES });
        }
        Ok(Revisioned { revision, value: FoundMarkets { instrument, markets } })
    }

    async fn format(
        &self,
        queries: &[Result<FormatQuery, Error>],
        path: impl Fn(usize) -> RequestPath + Send,
        options: LookupOptions,
        revision: Revision,
    ) -> Vec<Result<v1::FormatSymbolResponse, Error>> {
        let now = self.inner.clock.now();
        let well_formed = || queries.iter().flatten();
        let selectors: Vec<InstrumentSelector> = well_formed().map(|query| query.instrument.clone()).collect();
        let codes = self.codes(&selectors, revision).await;
        let ids = well_formed().filter_map(|query| instrument_id(&query.instrument, &codes).ok());
        let instruments: Vec<InstrumentId> = ids.collect::<BTreeSet<_>>().into_iter().collect();
        let venues: BTreeSet<&VenueId> = well_formed().map(|query| &query.venue).collect();
        let keys: Vec<EntityKey> = instruments
            .iter()
            .map(|id| EntityKey::Instrument(*id))
            .chain(venues.into_iter().cloned().map(EntityKey::Venue))
            .collect();
        let found = self.each_entity(&keys, revision).await;
        let entities = keys.into_iter().zip(found).collect();
        let listings = self.listings(&instruments, revision).await;
        let listings = instruments.into_iter().zip(listings).collect();
        let loaded = Loaded { entities, listings };
        let answer = |(n, query): (usize, &Result<FormatQuery, Error>)| {
            let query = query.as_ref().map_err(Clone::clone)?;
            let id = instrument_id(&query.instrument, &codes)?;
            loaded.answer(query, id, query.as_of.unwrap_or(now), path(n))
        };
        let mut answers: Vec<_> = queries.iter().enumerate().map(answer).collect();
        if options.allow_inferred {
            self.format_unlisted(queries, &loaded, &mut answers, now).await;
        }
        answers
    }

    /// Has the plugins write what no registered market says: those of one venue and instant together.
    async fn format_unlisted(
        &self,
        queries: &[Result<FormatQuery, Error>],
        loaded: &Loaded,
        answers: &mut [Result<v1::FormatSymbolResponse, Error>],
        now: Timestamp,
    ) {
        let mut unlisted: BTreeMap<(VenueId, Timestamp), Vec<(usize, InferredFormat<'_>)>> = BTreeMap::new();
        for (n, (query, answer)) in queries.iter().zip(answers.iter()).enumerate() {
            let (Ok(query), Err(Error::NotListed { instrument_id, .. })) = (query, answer) else { continue };
            if let Some(instrument) = loaded.undeleted(*instrument_id) {
                let asked = InferredFormat { instrument, segment: query.segment.clone() };
                unlisted.entry((query.venue.clone(), query.as_of.unwrap_or(now))).or_default().push((n, asked));
            }
        }
        let plugins = self.inner.plugins.snapshot();
        for ((venue, at), asked) in unlisted {
            let (places, asked): (Vec<usize>, Vec<_>) = asked.into_iter().unzip();
            let written = self.infer_symbols(&plugins, &venue, at, &asked).await;
            for (n, written) in places.into_iter().zip(written) {
                let Some(answer) = answers.get_mut(n) else { continue };
                match written {
                    Ok(Some(response)) => *answer = Ok(response),
                    // It stays unlisted.
                    Ok(None) => {}
                    Err(error) => *answer = Err(error),
                }
            }
        }
    }
}

/// The id that the selector means, given who has the codes.
pub(crate) fn instrument_id(selector: &InstrumentSelector, codes: &Codes) -> Result<InstrumentId, Error> {
    let code = match selector {
        InstrumentSelector::Id(id) => return Ok(*id),
        InstrumentSelector::Code(code) => code,
    };
    match codes.get(code).map(|ids| ids.as_deref().map_err(Clone::clone)).transpose()? {
        None | Some([]) => Err(Error::CodeUnknown(code.clone())),
        Some([one]) => Ok(*one),
        Some(several) => Err(Error::AmbiguousCode {
            code: code.clone(),
            candidates: several.iter().map(|id| EntityKey::Instrument(*id)).collect(),
        }),
    }
}

/// What answers are made of, each or why it could not be read.
struct Loaded {
    entities: HashMap<EntityKey, Result<Option<Arc<Entity>>, Error>>,
    listings: HashMap<InstrumentId, Result<Arc<InstrumentMarkets>, Error>>,
}

impl Loaded {
    fn entity(&self, key: &EntityKey) -> Result<Option<&Entity>, Error> {
        let found = self.entities.get(key).map(|found| found.as_ref().map_err(Clone::clone)).transpose()?;
        Ok(found.and_then(Option::as_deref))
    }

    fn instrument(&self, id: InstrumentId) -> Result<Option<&Instrument>, Error> {
        Ok(match self.entity(&EntityKey::Instrument(id))? {
            Some(Entity::Instrument(instrument)) => Some(instrument),
            _ => None,
        })
    }

    /// The same, if it is not deleted: nothing is inferred for what has no market and gets none.
    fn undeleted(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instrument(id).ok().flatten().filter(|instrument| instrument.meta.delete_time.is_none())
    }

    fn answer(
        &self,
        query: &FormatQuery,
        id: InstrumentId,
        at: Timestamp,
        path: RequestPath,
    ) -> Result<v1::FormatSymbolResponse, Error> {
        let Some(instrument) = self.instrument(id)? else {
            return Err(Error::NotFound { field: path.field("instrument_id"), key: EntityKey::Instrument(id) });
        };
        let venue = EntityKey::Venue(query.venue.clone());
        if self.entity(&venue)?.is_none_or(Entity::is_deleted) {
            return Err(Error::NotFound { field: path.field("venue_id"), key: venue });
        }
        let listings = self.listings.get(&id).cloned();
        let listings = listings.ok_or_else(|| Error::Store(Arc::new(nothing_loaded())))??;
        let is_wanted = |market: &&Market| {
            market.venue_id == query.venue
                && query.segment.as_ref().is_none_or(|segment| *segment == market.segment)
                && market.interval().contains(at)
        };
        let live: Vec<&Market> = listings.of_all(id)?.map(|it| &it.market).filter(is_wanted).collect();
        match live.as_slice() {
            [] => Err(Error::NotListed {
                instrument_id: id,
                code: instrument.code.clone(),
                venue: query.venue.clone(),
                segment: query.segment.clone(),
            }),
            [one] => Ok(response(one)),
            several => {
                let candidates = several.iter().map(|market| candidate(market, &instrument.code)).collect();
                Err(Error::AmbiguousSymbol { what: format!("{} at {}", instrument.code, query.venue), candidates })
            }
        }
    }
}

fn response(market: &Market) -> v1::FormatSymbolResponse {
    v1::FormatSymbolResponse {
        venue_symbol: market.venue_symbol.clone(),
        segment: market.segment.to_string(),
        market_id: market.id.to_string(),
        unit_multiplier: market.unit_multiplier.to_string(),
        inferred: false,
        revision: 0,
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
