//! Which stored market a row is about. A venue moves launches and ends, calls them off, and uses symbols again; so a row is held
//! against everything that has, or had, its symbol.

use cqar_domain::{
    entities::market::Market,
    time::{Interval, Timestamp},
};

use super::row::Row;

impl Row {
    /// The market that the row is about, of those that have, or had, its symbol in its segment; none where it is a new one.
    ///
    /// It is the one that is live at the observed moment; or has the row's own listing time; or has not begun; or, where the row says
    /// that it has ended, the ended one that it overlaps; or one whose end was inferred from absence, and whose terms are the row's,
    /// unless the row is listed since a later moment, or another market followed.
    pub(super) fn identify<'a>(
        &self,
        markets: &'a [Market],
        observed: Timestamp,
        backfill: bool,
        has_same_terms: impl Fn(&Market) -> bool,
    ) -> Option<&'a Market> {
        let live = || markets.iter().find(|market| market.interval().contains(observed));
        // What ended, and was followed by another market of the symbol, does not go on.
        let is_last = |market: &Market| {
            let follows =
                |other: &Market| end(market).zip(other.listed_time).is_some_and(|(end, listed)| listed >= end);
            !markets.iter().any(follows)
        };
        let is_listed_then =
            |market: &&Market| self.listed_time().is_some() && market.listed_time == self.listed_time();
        let listed_then = || markets.iter().find(is_listed_then).filter(|it| self.says_ended(observed) || is_last(it));
        let begins_later = |market: &&Market| market.listed_time.is_some_and(|listed| listed > observed);
        // An old listing tells of a market that had begun then, whatever is planned now.
        let had_begun = backfill && self.listed_time().is_some_and(|listed| listed <= observed);
        let next =
            || markets.iter().filter(begins_later).min_by_key(|market| market.listed_time).filter(|_| !had_begun);
        let says = Interval { from: self.listed_time(), until: self.end() };
        let overlapped = || {
            let ended = markets.iter().filter(|market| market.interval().overlaps(&says));
            ended.max_by_key(|market| end(market)).filter(|_| self.says_ended(observed))
        };
        let begins_after =
            |market: &Market| self.listed_time().zip(end(market)).is_some_and(|(listed, end)| listed >= end);
        let may_go_on = |market: &&Market| market.delisted_inferred && !begins_after(market) && is_last(market);
        let inferred = markets.iter().filter(may_go_on);
        let inferred = inferred.filter(|market| has_same_terms(market));
        live()
            .or_else(listed_then)
            .or_else(next)
            .or_else(overlapped)
            .or_else(|| inferred.max_by_key(|market| end(market)))
    }

    /// From when a market begins that is none of those that had its symbol before; none is since ever.
    pub(super) fn beginning(&self, markets: &[Market], observed: Timestamp) -> Option<Timestamp> {
        let Some(end_before) = markets.iter().filter_map(end).max() else { return self.listed_time() };
        match self.listed_time() {
            Some(listed) if listed >= end_before => Some(listed),
            // It had its whole life before it was seen.
            _ if self.end().is_some_and(|end| end <= observed) => Some(end_before),
            _ => Some(observed),
        }
    }

    /// From when the market is listed, of which there are others with its symbol: a beginning before the end of an earlier one is
    /// not taken.
    pub(super) fn moved_beginning<'a>(
        &self,
        market: &Market,
        mut others: impl Iterator<Item = &'a Market>,
        until: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let from = self.listed.market.listed_time.over(market.listed_time);
        let says = Interval { from, until };
        if others.any(|other| other.interval().overlaps(&says)) { market.listed_time } else { from }
    }
}

fn end(market: &Market) -> Option<Timestamp> {
    market.interval().until
}
