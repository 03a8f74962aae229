//! The caches of this process: entities, what a venue's symbols mean, and under which symbols instruments trade.

use std::sync::Arc;

use cqar_cache::{
    L1,
    metrics::{CacheMetrics, LookupCounters},
};
use cqar_domain::{
    entities::{Entity, market::Market},
    entity::Revision,
    event::{LogSink, LoggedEvent},
    id::{EntityKey, EntityType, InstrumentId, VenueId},
};
use tokio_util::task::TaskTracker;

use crate::resolve::{SymbolHistory, SymbolKey};

/// Why a load failed; shared by those who waited for it.
pub(crate) type LoadError = Arc<cqar_store::Error>;

/// Kept in step with the log by the tailer.
pub struct Caches {
    pub(crate) entities: L1<EntityKey, Option<Arc<Entity>>, LoadError>,
    pub(crate) symbols: L1<SymbolKey, Arc<SymbolHistory>, LoadError>,
    pub(crate) listings: L1<(VenueId, InstrumentId), Arc<[Market]>, LoadError>,
    pub(crate) counts: HitCounters,
}

/// Hits and misses, by what was asked for.
pub(crate) struct HitCounters {
    entities: [(EntityType, LookupCounters); EntityType::ALL.len()],
    pub(crate) symbols: LookupCounters,
    pub(crate) listings: LookupCounters,
}

impl Caches {
    /// Empty caches of so many bytes in all.
    pub fn new(max_bytes: u64, metrics: &CacheMetrics, tracker: &TaskTracker) -> Arc<Self> {
        // Resolving is what the registry is asked a thousand times as often as anything else.
        let share = |eighths: u64| max_bytes / 8 * eighths;
        Arc::new(Self {
            entities: L1::new(share(2), metrics.l1("entities"), tracker.clone()),
            symbols: L1::new(share(5), metrics.l1("symbols"), tracker.clone()),
            listings: L1::new(share(1), metrics.l1("listings"), tracker.clone()),
            counts: HitCounters {
                entities: EntityType::ALL.map(|entity_type| (entity_type, metrics.lookups(entity_type.name()))),
                symbols: metrics.lookups("resolve"),
                listings: metrics.lookups("format"),
            },
        })
    }
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
        self.entities.apply(events, through);
        self.symbols.apply(events, through);
        self.listings.apply(events, through);
    }
}
