//! The symbols that were asked for and did not resolve, for the operator to look at.

use std::collections::HashMap;

use cqar_domain::time::Timestamp;
use cqar_proto::v1;
use parking_lot::Mutex;

/// Enough to show what is missing, and too few for anyone to fill memory with.
const MAX_SYMBOLS: usize = 1000;
/// A symbol that can be one is shorter.
const MAX_BYTES: usize = 512;

/// A bounded list. When it is full, the symbol that was not asked for the longest makes room.
#[derive(Default)]
pub(crate) struct UnresolvedSymbols(Mutex<HashMap<(String, String), Count>>);

struct Count {
    times: i64,
    last: Timestamp,
}

impl UnresolvedSymbols {
    /// Counts a symbol.
    pub(crate) fn count(&self, venue: &str, symbol: &str, now: Timestamp) {
        if symbol.len() > MAX_BYTES {
            return;
        }
        let mut symbols = self.0.lock();
        let key = (venue.to_owned(), symbol.to_owned());
        if symbols.len() >= MAX_SYMBOLS && !symbols.contains_key(&key) {
            let oldest = symbols.iter().min_by_key(|(_, count)| count.last).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| symbols.remove(&oldest));
        }
        let count = symbols.entry(key).or_insert(Count { times: 0, last: now });
        count.times += 1;
        count.last = now;
    }

    /// The symbols, the most frequent first.
    pub(crate) fn list(&self) -> Vec<v1::UnresolvedSymbol> {
        let symbols = self.0.lock();
        let mut list: Vec<_> = symbols
            .iter()
            .map(|((venue, symbol), count)| v1::UnresolvedSymbol {
                venue_id: venue.clone(),
                venue_symbol: symbol.clone(),
                count: count.times,
                last_request_time: Some(count.last.into()),
            })
            .collect();
        let name = |it: &v1::UnresolvedSymbol| (it.venue_symbol.clone(), it.venue_id.clone());
        list.sort_by_cached_key(|it| (std::cmp::Reverse(it.count), name(it)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_keeps_what_was_asked_for_last() {
        let unresolved = UnresolvedSymbols::default();
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
        for n in 0..=i64::try_from(MAX_SYMBOLS).unwrap() {
            unresolved.count("binance", &format!("S{n}"), at(n));
        }
        unresolved.count("binance", "S7", at(5000));
        unresolved.count("binance", &"x".repeat(10_000), at(5000));
        let list = unresolved.list();
        assert_eq!(list.len(), MAX_SYMBOLS);
        assert_eq!((list[0].venue_symbol.as_str(), list[0].count), ("S7", 2));
        assert!(list.iter().all(|it| it.venue_symbol != "S0"));
    }
}
