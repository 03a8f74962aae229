//! The symbols that were asked for and did not resolve, for the operator to look at.

use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
};

use cqar_domain::time::Timestamp;
use cqar_proto::v1;
use lru::LruCache;
use parking_lot::Mutex;

/// Enough to show what is missing, and too few for anyone to fill memory with.
const MAX_SYMBOLS: usize = 1024;
/// A symbol that can be one is shorter.
const MAX_BYTES: usize = 512;
/// So many threads count at a time without waiting for one another, as a rule.
const SHARDS: usize = 16;

/// Venue and symbol.
type Name = (String, String);

/// A bounded list. When it is full, a symbol that was not asked for the longest makes room. Counting takes the same time
/// however many there are, and waits for who counts another one hardly ever.
pub(crate) struct UnresolvedSymbols {
    shards: [Mutex<LruCache<Name, Count>>; SHARDS],
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Count {
    times: i64,
    last: Timestamp,
}

impl Default for UnresolvedSymbols {
    fn default() -> Self {
        let capacity = NonZeroUsize::new(MAX_SYMBOLS / SHARDS).unwrap_or(NonZeroUsize::MIN);
        Self { shards: std::array::from_fn(|_| Mutex::new(LruCache::new(capacity))), hasher: RandomState::new() }
    }
}

impl UnresolvedSymbols {
    /// Counts a symbol.
    pub(crate) fn count(&self, venue: &str, symbol: &str, now: Timestamp) {
        if symbol.len() > MAX_BYTES {
            return;
        }
        let hash = self.hasher.hash_one((venue, symbol));
        let Some(shard) = usize::try_from(hash % SHARDS as u64).ok().and_then(|n| self.shards.get(n)) else { return };
        let name = (venue.to_owned(), symbol.to_owned());
        let mut symbols = shard.lock();
        let count = symbols.get_or_insert_mut(name, || Count { times: 0, last: now });
        count.times += 1;
        count.last = count.last.max(now);
    }

    /// The symbols, the most frequent first.
    pub(crate) fn list(&self) -> Vec<v1::UnresolvedSymbol> {
        let mut list = Vec::new();
        for shard in &self.shards {
            list.extend(shard.lock().iter().map(|((venue, symbol), count)| v1::UnresolvedSymbol {
                venue_id: venue.clone(),
                venue_symbol: symbol.clone(),
                count: count.times,
                last_request_time: Some(count.last.into()),
            }));
        }
        let name = |it: &v1::UnresolvedSymbol| (it.venue_symbol.clone(), it.venue_id.clone());
        list.sort_by_cached_key(|it| (std::cmp::Reverse(it.count), name(it)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    #[test]
    fn the_list_is_bounded_and_keeps_what_was_asked_for_last() {
        let unresolved = UnresolvedSymbols::default();
        for n in 0..20 * i64::try_from(MAX_SYMBOLS).unwrap() {
            unresolved.count("binance", &format!("S{n}"), at(n));
            unresolved.count("binance", "S7", at(n));
        }
        unresolved.count("binance", &"x".repeat(10_000), at(50_000));
        let list = unresolved.list();
        assert_eq!(list.len(), MAX_SYMBOLS, "and every shard is used");
        assert_eq!(list[0].venue_symbol, "S7", "the most frequent one");
        assert!(list.iter().all(|it| it.venue_symbol != "S0"));
    }

    #[test]
    fn many_count_at_a_time_and_none_is_lost() {
        let unresolved = UnresolvedSymbols::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| unresolved.count("okx", &format!("S{}", n % 10), at(n))));
            }
        });
        let list = unresolved.list();
        assert_eq!((list.len(), list.iter().map(|it| it.count).sum::<i64>()), (10, 4000));
        assert!(list.iter().all(|it| it.last_request_time == Some(at(990 + list_number(it)).into())));
    }

    fn list_number(symbol: &v1::UnresolvedSymbol) -> i64 {
        symbol.venue_symbol.trim_start_matches('S').parse().unwrap()
    }
}
