//! A venue's symbol to its market.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use cqar_cache::{Equivalent, Key, Loaded};
use cqar_domain::{
    entities::{Entity, market::Market},
    entity::Revision,
    id::{EntityKey, EntityType, MarketId, Segment, VenueId},
    text::VENUE_SYMBOL,
    time::{Interval, Timestamp},
    violation::Violations,
};
use cqar_proto::v1;
use prost::Message;

use crate::{
    Registry, Revisioned,
    error::{Candidate, Error},
    loader::{self, EntityLoadError, EntitySource, LoaderQuery},
    reads::nothing_loaded,
    request_path::RequestPath,
};

/// Which market is meant.
#[derive(Debug, Clone, Copy)]
pub struct ResolveQuery<'a> {
    /// The venue's slug.
    pub venue: &'a str,
    /// The symbol, or an alias, exactly as the venue writes it.
    pub symbol: &'a str,
    /// The segment; none for any, empty for the markets that have none.
    pub segment: Option<&'a str>,
    /// The instant at which it must be live; none for now.
    pub as_of: Option<Timestamp>,
}

/// How symbols may be looked up, all of a request alike.
#[derive(Debug, Clone, Copy, Default)]
pub struct LookupOptions {
    /// Not to be answered from an older state than this revision's.
    pub min_revision: Revision,
    /// Whether the venue's symbology plugin may be asked where nothing is registered.
    pub allow_inferred: bool,
}

/// A symbol at a venue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SymbolKey {
    venue: VenueId,
    symbol: Box<str>,
}

/// The same, borrowed: it hashes as the owned one does, so that a look-up allocates nothing.
#[derive(Hash)]
struct SymbolRef<'a> {
    venue: &'a str,
    symbol: &'a str,
}

impl Equivalent<SymbolKey> for SymbolRef<'_> {
    fn equivalent(&self, key: &SymbolKey) -> bool {
        self.venue == key.venue.as_str() && *self.symbol == *key.symbol
    }
}

/// Every market that has or had a symbol at a venue, with each answer encoded and ready to send.
///
/// Which of them is live is decided at each look-up, so that an expired market stops resolving without a write.
#[derive(Debug)]
pub(crate) struct SymbolHistory {
    is_venue_known: bool,
    mappings: Vec<SymbolMapping>,
}

/// One market that has or had the symbol.
#[derive(Debug)]
struct SymbolMapping {
    market: MarketId,
    segment: Segment,
    venue_symbol: String,
    live: Interval,
    code: String,
    /// The encoded [`v1::ResolveMarketResponse`].
    answer: Bytes,
}

impl Registry {
    /// The encoded [`v1::ResolveMarketResponse`] of the one market that is meant.
    pub async fn resolve(&self, query: &ResolveQuery<'_>, options: LookupOptions) -> Result<Revisioned<Bytes>, Error> {
        let revision = self.wait_for_revision(options.min_revision).await?;
        let symbol = match self.kept_symbol(query) {
            Some(symbol) => symbol,
            // Boxed, as what comes of no answer below: their futures are large, and would be moved to the heap within
            // this one for each call, cached or not.
            None => Box::pin(self.load_symbol(SymbolKey::of(query, RequestPath::Alone)?, revision)).await?,
        };
        let at = query.as_of.unwrap_or_else(|| self.inner.clock.now());
        match symbol.answer(query, at, RequestPath::Alone) {
            Ok(answer) => Ok(Revisioned { revision, value: answer.clone() }),
            Err(error) => {
                let mut answer = [Err(error)];
                Box::pin(self.resolve_unregistered(&[*query], &mut answer, at, options)).await;
                let [answer] = answer;
                Ok(Revisioned { revision, value: answer? })
            }
        }
    }

    /// The same for many, each or why not, in their order: those of a request from its `first`th on.
    pub async fn batch_resolve(
        &self,
        first: usize,
        queries: &[ResolveQuery<'_>],
        options: LookupOptions,
    ) -> Result<Revisioned<Vec<Result<Bytes, Error>>>, Error> {
        let revision = self.wait_for_revision(options.min_revision).await?;
        let kept: Vec<Option<Arc<SymbolHistory>>> = queries.iter().map(|query| self.kept_symbol(query)).collect();
        let mut keys = Vec::new();
        for ((n, query), kept) in (first..).zip(queries).zip(&kept) {
            keys.push(match kept {
                Some(_) => None,
                None => Some(SymbolKey::of(query, RequestPath::InBatch(n))),
            });
        }
        // What is cached is answered whatever becomes of the rest.
        let loaded = self.load_symbols_once(keys.iter().flatten().flatten(), revision).await;
        let now = self.inner.clock.now();
        let mut answers = Vec::with_capacity(queries.len());
        for (((n, query), kept), key) in (first..).zip(queries).zip(kept).zip(keys) {
            let symbol = match (kept, key) {
                (Some(symbol), _) => Ok(symbol),
                (None, Some(Ok(key))) => match &loaded {
                    Ok(loaded) => loaded.get(&key).cloned().ok_or_else(|| Error::Store(Arc::new(nothing_loaded()))),
                    Err(error) => Err(error.clone()),
                },
                (None, Some(Err(error))) => Err(error),
                (None, None) => continue,
            };
            let at = query.as_of.unwrap_or(now);
            answers.push(match symbol {
                Ok(symbol) => symbol.answer(query, at, RequestPath::InBatch(n)).cloned(),
                Err(error) => Err(error),
            });
        }
        self.resolve_unregistered(queries, &mut answers, now, options).await;
        Ok(Revisioned { revision, value: answers })
    }

    fn kept_symbol(&self, query: &ResolveQuery<'_>) -> Option<Arc<SymbolHistory>> {
        let caches = self.inner.caches.as_ref()?;
        caches.counts.symbols.count(caches.symbols.get(&SymbolRef { venue: query.venue, symbol: query.symbol }))
    }

    async fn load_symbol(&self, key: SymbolKey, min_revision: Revision) -> Result<Arc<SymbolHistory>, Error> {
        let (this, keys) = (self.clone(), vec![key.clone()]);
        let load = async move {
            let mut loaded = this.load_symbols(keys, min_revision).await?;
            loaded.pop().ok_or_else(|| Arc::new(nothing_loaded()))
        };
        let loaded = match &self.inner.caches {
            Some(caches) => caches.symbols.load(key, load).await,
            None => load.await.map(|loaded| loaded.value),
        };
        loaded.map_err(Error::Store)
    }

    /// Loads each of the symbols once, all together.
    async fn load_symbols_once(
        &self,
        keys: impl Iterator<Item = &SymbolKey>,
        min_revision: Revision,
    ) -> Result<HashMap<SymbolKey, Arc<SymbolHistory>>, Error> {
        let keys: std::collections::HashSet<SymbolKey> = keys.cloned().collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<SymbolKey> = keys.into_iter().collect();
        let load = |keys| self.load_symbols(keys, min_revision);
        let loaded = match &self.inner.caches {
            Some(caches) => caches.symbols.load_many(keys.clone(), load).await,
            None => load(keys.clone()).await.map(|loaded| loaded.into_iter().map(|loaded| loaded.value).collect()),
        };
        Ok(keys.into_iter().zip(loaded.map_err(Error::Store)?).collect())
    }

    async fn load_symbols(
        &self,
        keys: Vec<SymbolKey>,
        min_revision: Revision,
    ) -> Result<Vec<Loaded<Arc<SymbolHistory>>>, Arc<cqar_store::Error>> {
        let inner = &self.inner;
        let (made, revision) =
            loader::load(&inner.store, inner.l2.as_ref(), min_revision, &SymbolsQuery(&keys)).await?;
        let loaded = made.into_iter().map(|(symbol, dependencies)| Loaded {
            dependencies,
            revision,
            bytes: symbol.bytes(),
            ttl: EntityType::Market.cache_ttl(),
            value: Arc::new(symbol),
        });
        Ok(loaded.collect())
    }

    /// What becomes of the symbols that mean nothing: they are counted, and read by the venue's plugin where the caller
    /// wants that, those of one venue and instant together.
    async fn resolve_unregistered(
        &self,
        queries: &[ResolveQuery<'_>],
        answers: &mut [Result<Bytes, Error>],
        now: Timestamp,
        options: LookupOptions,
    ) {
        let mut unknown: BTreeMap<(VenueId, Timestamp), Vec<usize>> = BTreeMap::new();
        for (n, (query, answer)) in queries.iter().zip(answers.iter()).enumerate() {
            let Err(error) = answer else { continue };
            // What was not live at another time is no gap in what is registered.
            let is_missing = matches!(error, Error::SymbolUnknown { .. } | Error::SymbolNotLive { .. });
            if is_missing && query.as_of.is_none() {
                self.inner.unresolved.count(query.venue, query.symbol, self.inner.clock.now());
            }
            if let (Error::SymbolUnknown { venue, .. }, true) = (error, options.allow_inferred) {
                unknown.entry((venue.clone(), query.as_of.unwrap_or(now))).or_default().push(n);
            }
        }
        let plugins = self.inner.plugins.snapshot();
        for ((venue, at), places) in unknown {
            let asked: Vec<&ResolveQuery<'_>> = places.iter().filter_map(|n| queries.get(*n)).collect();
            let inferred = self.infer(&plugins, &venue, at, &asked).await;
            for (n, inferred) in places.into_iter().zip(inferred) {
                // What stays unknown is refused as before: with the segments that have it.
                if let Some(answer) =
                    answers.get_mut(n).filter(|_| !matches!(inferred, Err(Error::SymbolUnknown { .. })))
                {
                    *answer = inferred;
                }
            }
        }
    }
}

impl SymbolKey {
    /// Checks the venue and the symbol, and makes the cache key.
    fn of(query: &ResolveQuery<'_>, path: RequestPath) -> Result<Self, Error> {
        let mut found = Violations::default();
        let venue = found.take(&path.field("venue_id"), query.venue.parse());
        VENUE_SYMBOL.check(&path.field("venue_symbol"), query.symbol, &mut found);
        found.into_result().map_err(Error::Invalid)?;
        let venue = venue.ok_or_else(|| Error::Invalid(Vec::new()))?;
        Ok(Self { venue, symbol: query.symbol.into() })
    }
}

impl SymbolHistory {
    fn bytes(&self) -> usize {
        let of =
            |it: &SymbolMapping| it.answer.len() + it.code.len() + it.venue_symbol.len() + size_of::<SymbolMapping>();
        self.mappings.iter().map(of).sum()
    }

    /// The answer that holds at the instant.
    fn answer(&self, query: &ResolveQuery<'_>, at: Timestamp, path: RequestPath) -> Result<&Bytes, Error> {
        let in_segment = |it: &&SymbolMapping| query.segment.is_none_or(|segment| segment == it.segment.as_str());
        let mut live = self.mappings.iter().filter(in_segment).filter(|it| it.live.contains(at));
        match (live.next(), live.next()) {
            (Some(one), None) => Ok(&one.answer),
            (None, _) => Err(self.not_resolved(query, at, path)),
            (Some(_), Some(_)) => {
                let all = self.mappings.iter().filter(in_segment).filter(|it| it.live.contains(at));
                let what = format!("{:?} of {}", query.symbol, query.venue);
                Err(Error::AmbiguousSymbol { what, candidates: all.map(SymbolMapping::candidate).collect() })
            }
        }
    }

    fn not_resolved(&self, query: &ResolveQuery<'_>, at: Timestamp, path: RequestPath) -> Error {
        let mut found = Violations::default();
        let venue = found.take(&path.field("venue_id"), query.venue.parse());
        let segment = found.take(&path.field("segment"), query.segment.map(str::parse::<Segment>).transpose());
        let (venue, segment) = match (venue, segment, found.into_result()) {
            (Some(venue), Some(segment), Ok(())) => (venue, segment),
            (_, _, found) => return Error::Invalid(found.err().unwrap_or_default()),
        };
        if !self.is_venue_known {
            return Error::NotFound { field: path.field("venue_id"), key: EntityKey::Venue(venue) };
        }
        let symbol = query.symbol.to_owned();
        let in_segment = |it: &&SymbolMapping| segment.as_ref().is_none_or(|segment| *segment == it.segment);
        let live: Vec<_> = self.mappings.iter().filter(in_segment).map(|it| (it.market, it.live)).collect();
        if live.is_empty() {
            let elsewhere: BTreeSet<&Segment> = self.mappings.iter().map(|it| &it.segment).collect();
            Error::SymbolUnknown { venue, symbol, segment, elsewhere: elsewhere.into_iter().cloned().collect() }
        } else {
            Error::SymbolNotLive { venue, symbol, at, live }
        }
    }
}

impl SymbolMapping {
    fn candidate(&self) -> Candidate {
        Candidate {
            market: self.market,
            segment: self.segment.clone(),
            venue_symbol: self.venue_symbol.clone(),
            code: self.code.clone(),
        }
    }
}

/// What symbols mean, and what each of the answers depends on.
struct SymbolsQuery<'a>(&'a [SymbolKey]);

impl LoaderQuery for SymbolsQuery<'_> {
    type Output = Vec<(SymbolHistory, Vec<Key>)>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Self::Output, EntityLoadError> {
        let mut of_venue: HashMap<&VenueId, Vec<String>> = HashMap::new();
        for key in self.0 {
            of_venue.entry(&key.venue).or_default().push(key.symbol.to_string());
        }
        let mut markets: HashMap<(&VenueId, String), Vec<Market>> = HashMap::new();
        for (venue, symbols) in of_venue {
            let found = loader.markets(venue, &symbols).await?;
            markets.extend(symbols.into_iter().map(|symbol| (venue, symbol)).zip(found));
        }
        let entities = load_related(loader, self.0.iter().map(|key| &key.venue), markets.values().flatten()).await?;
        self.0
            .iter()
            .map(|key| {
                let markets = markets.get(&(&key.venue, key.symbol.to_string())).map_or(&[][..], Vec::as_slice);
                symbol(key, markets, &entities)
            })
            .collect()
    }
}

/// The venues, and the instruments and assets of the markets.
async fn load_related<L: EntitySource>(
    loader: &mut L,
    venues: impl Iterator<Item = &VenueId>,
    markets: impl Iterator<Item = &Market>,
) -> Result<HashMap<EntityKey, Entity>, EntityLoadError> {
    let mut keys: Vec<EntityKey> = venues.cloned().map(EntityKey::Venue).collect();
    keys.extend(markets.map(|market| EntityKey::Instrument(market.instrument_id)));
    let mut entities = HashMap::new();
    // Twice: what the first refer to are assets (and a venue's chain), which refer to nothing that an answer shows.
    for _ in 0..2 {
        keys.sort();
        keys.dedup();
        let found = loader.entities(&keys).await?;
        keys = found
            .iter()
            .flatten()
            .filter(|it| matches!(it, Entity::Instrument(_)))
            .flat_map(Entity::references)
            .map(|(_, key)| key)
            .collect();
        entities.extend(found.into_iter().flatten().map(|entity| (entity.key(), entity)));
    }
    Ok(entities)
}

fn symbol(
    key: &SymbolKey,
    markets: &[Market],
    entities: &HashMap<EntityKey, Entity>,
) -> Result<(SymbolHistory, Vec<Key>), EntityLoadError> {
    let venue_key = EntityKey::Venue(key.venue.clone());
    let venue = match entities.get(&venue_key) {
        Some(Entity::Venue(venue)) if venue.meta.delete_time.is_none() => Some(venue),
        _ => None,
    };
    let mut dependencies = vec![Key::Symbol(key.venue.clone(), key.symbol.to_string()), Key::Entity(venue_key)];
    let mut mappings = Vec::with_capacity(markets.len());
    for market in markets {
        let Some(Entity::Instrument(instrument)) = entities.get(&EntityKey::Instrument(market.instrument_id)) else {
            return Err(EntityLoadError::Incomplete);
        };
        let asset = |id| match entities.get(&EntityKey::Asset(id)) {
            Some(Entity::Asset(asset)) => Ok(Some(v1::Asset::from(asset.as_ref()))),
            _ => Err(EntityLoadError::Incomplete),
        };
        let terms = &instrument.terms;
        let answer = v1::ResolveMarketResponse {
            venue: venue.map(|venue| venue.as_ref().into()),
            market: Some(market.into()),
            instrument: Some(instrument.as_ref().into()),
            base_asset: asset(terms.base())?,
            quote_asset: terms.quote().map_or(Ok(None), asset)?,
            settle_asset: terms.settle().map_or(Ok(None), asset)?,
            inferred: false,
            reading: None,
            revision: 0,
        };
        dependencies.push(Key::Entity(EntityKey::Market(market.id)));
        dependencies.push(Key::Entity(EntityKey::Instrument(market.instrument_id)));
        dependencies.extend(terms.assets().into_iter().map(|(_, id)| Key::Entity(EntityKey::Asset(id))));
        mappings.push(SymbolMapping {
            market: market.id,
            segment: market.segment.clone(),
            venue_symbol: market.venue_symbol.clone(),
            live: market.interval(),
            code: instrument.code.clone(),
            answer: answer.encode_to_vec().into(),
        });
    }
    dependencies.sort_by_key(ToString::to_string);
    dependencies.dedup();
    Ok((SymbolHistory { is_venue_known: venue.is_some(), mappings }, dependencies))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<'a, F>(_: fn(&'a Registry, &'a ResolveQuery<'a>, LookupOptions) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_only_a_miss_needs_is_no_part_of_every_answers_future() {
        assert!(size_of_future(Registry::resolve) <= 512, "{} bytes", size_of_future(Registry::resolve));
    }
}
