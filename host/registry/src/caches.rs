//! The caches of this process: entities, what a venue's symbols mean, under which symbols instruments trade, and what else is joined.

use std::{future::Future, hash::Hash, sync::Arc};

use cqar_cache::{
    Bounds, L1, Loaded, LogChanges,
    metrics::{CacheMetrics, LookupCounters},
};
use cqar_domain::{
    entities::Entity,
    entity::Revision,
    event::{LogSink, LoggedEvent},
    id::{EntityKey, EntityType, InstrumentId},
};
use tokio_util::task::TaskTracker;

use crate::{
    joined::{JoinedAnswer, JoinedQuery},
    listings::InstrumentMarkets,
    reads::nothing_loaded,
    resolve::{SymbolHistory, SymbolKey},
    variants::{AssetVariants, VariantsKey},
};

/// Why a load failed; shared by those who waited for it.
pub(crate) type LoadError = Arc<cqar_store::Error>;

/// Kept in step with the log by the tailer.
pub struct Caches {
    pub(crate) entities: L1<EntityKey, Option<Arc<Entity>>, LoadError>,
    pub(crate) symbols: L1<SymbolKey, Arc<SymbolHistory>, LoadError>,
    pub(crate) listings: L1<InstrumentId, Arc<InstrumentMarkets>, LoadError>,
    pub(crate) codes: L1<String, Arc<[InstrumentId]>, LoadError>,
    pub(crate) joined: L1<JoinedQuery, Arc<JoinedAnswer>, LoadError>,
    pub(crate) variants: L1<VariantsKey, Arc<AssetVariants>, LoadError>,
    pub(crate) counts: HitCounters,
}

/// Hits and misses, by what was asked for.
pub(crate) struct HitCounters {
    entities: [(EntityType, LookupCounters); EntityType::ALL.len()],
    pub(crate) symbols: LookupCounters,
    pub(crate) listings: LookupCounters,
    pub(crate) codes: LookupCounters,
    pub(crate) joined: LookupCounters,
    pub(crate) variants: LookupCounters,
}

impl Caches {
    /// Empty caches, all of them together within these bounds.
    pub fn new(bounds: Bounds, metrics: &CacheMetrics, tracker: &TaskTracker) -> Arc<Self> {
        // Resolving is what the registry is asked a thousand times as often as anything else.
        let share = |sixteenths: u64| Bounds { max_bytes: bounds.max_bytes / 16 * sixteenths, ..bounds };
        Arc::new(Self {
            entities: L1::new(share(4), metrics.l1("entities"), tracker.clone()),
            symbols: L1::new(share(6), metrics.l1("symbols"), tracker.clone()),
            listings: L1::new(share(2), metrics.l1("listings"), tracker.clone()),
            codes: L1::new(share(1), metrics.l1("codes"), tracker.clone()),
            joined: L1::new(share(2), metrics.l1("joined"), tracker.clone()),
            variants: L1::new(share(1), metrics.l1("variants"), tracker.clone()),
            counts: HitCounters {
                entities: EntityType::ALL.map(|entity_type| (entity_type, metrics.lookups(entity_type.name()))),
                symbols: metrics.lookups("resolve"),
                listings: metrics.lookups("format"),
                codes: metrics.lookups("code"),
                joined: metrics.lookups("joined"),
                variants: metrics.lookups("variants"),
            },
        })
    }
}

/// The answers to the keys, in their order; the error of a load is that of all.
pub(crate) async fn read_through<K, V, F>(
    cache: Option<&L1<K, V, LoadError>>,
    get: impl Fn(&K) -> Option<V>,
    keys: &[K],
    load: impl Fn(Vec<K>) -> F,
) -> Result<Vec<V>, LoadError>
where
    K: Clone + Ord + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Vec<Loaded<V>>, LoadError>> + Send + 'static,
{
    read_each_through(cache, get, keys, load).await.into_iter().collect()
}

/// The answers to the keys, in their order: what `get` finds in the cache, and the rest loaded, once each and together. One
/// that is missing alone is loaded once for all who wait for it. What is cached is answered though a load failed.
pub(crate) async fn read_each_through<K, V, F>(
    cache: Option<&L1<K, V, LoadError>>,
    get: impl Fn(&K) -> Option<V>,
    keys: &[K],
    load: impl Fn(Vec<K>) -> F,
) -> Vec<Result<V, LoadError>>
where
    K: Clone + Ord + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Vec<Loaded<V>>, LoadError>> + Send + 'static,
{
    let cached: Vec<Option<V>> = keys.iter().map(|key| cache.and_then(|_| get(key))).collect();
    let mut missing: Vec<K> =
        keys.iter().zip(&cached).filter(|(_, cached)| cached.is_none()).map(|(key, _)| key.clone()).collect();
    missing.sort();
    missing.dedup();
    // Boxed, as loads are rare and their futures large: those who wait for what is cached would carry them along.
    let loaded = match (cache, missing.as_slice()) {
        (_, []) => Ok(Vec::new()),
        (Some(cache), [one]) => {
            let loading = load(vec![one.clone()]);
            let load_one = async move { loading.await?.pop().ok_or_else(|| Arc::new(nothing_loaded())) };
            Box::pin(cache.load(one.clone(), load_one)).await.map(|value| vec![value])
        }
        (Some(cache), _) => Box::pin(cache.load_many(missing.clone(), load)).await,
        (None, _) => {
            Box::pin(load(missing.clone())).await.map(|loaded| loaded.into_iter().map(|loaded| loaded.value).collect())
        }
    };
    let value_of = |key: &K| {
        let loaded = loaded.as_ref().map_err(Arc::clone)?;
        let value = missing.binary_search(key).ok().and_then(|n| loaded.get(n)).cloned();
        value.ok_or_else(|| Arc::new(nothing_loaded()))
    };
    keys.iter().zip(cached).map(|(key, cached)| cached.map_or_else(|| value_of(key), Ok)).collect()
}

impl HitCounters {
    /// Counts the look-up of an entity.
    pub(crate) fn entity<V>(&self, entity_type: EntityType, found: Option<V>) -> Option<V> {
        match self.entities.iter().find(|(of, _)| *of == entity_type) {
            Some((_, counts)) => counts.count(found),
            None => found,
        }
    }
}

impl LogSink for Caches {
    fn apply(&self, events: &[LoggedEvent], through: Revision) {
        let changes = LogChanges::of(events, through);
        self.entities.apply_changes(&changes);
        self.symbols.apply_changes(&changes);
        self.listings.apply_changes(&changes);
        self.codes.apply_changes(&changes);
        self.joined.apply_changes(&changes);
        self.variants.apply_changes(&changes);
    }
}
