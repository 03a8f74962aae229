//! What a row says, laid over the market that it is about. The venue is the authority: whatever state, time or field it says is taken, in
//! any order; what is unusual is a warning on the row. What it does not say stays.

use std::fmt::Display;

use cqar_domain::{
    decimal::Decimal, entities::market::Market, entity::TypedEntity, text::Labels, time::Timestamp,
    violation::Violations,
};
use cqar_plugins::{RowProblem, Stated};
use cqar_proto::v1;

use super::row::{Before, Row};
use crate::caller_rules::status_contradiction;

/// A market as a row leaves it, and what was unusual.
pub(super) struct Overlaid {
    pub(super) market: Market,
    pub(super) warnings: Vec<RowProblem>,
}

impl Row {
    /// Lays what is said over a market; `others` are those that have, or had, its symbol besides.
    pub(super) fn lay_over(&self, stored: &Market, others: &[&Market], observed: Timestamp) -> Overlaid {
        let mut market = self.said_over(stored);
        self.lay_times(stored, &mut market, others, observed);
        let mut warnings = keep_overrides(stored, &mut market, observed);
        warnings.extend(keep_possible(stored, &mut market, others));
        warnings.extend(keep_valid(stored, &mut market));
        warnings.extend(moved(stored, &market));
        warnings.extend(contradicting_status(stored, &market, observed));
        Overlaid { market, warnings }
    }

    /// A new market with what is said.
    pub(super) fn new_market(&self, mut blank: Market, before: Before<'_>, observed: Timestamp) -> Overlaid {
        if let Some(replaced) = before.replaced {
            // The operator's, and so true of whatever has the symbol.
            blank.labels = replaced.labels.clone();
        }
        let mut market = self.said_over(&blank);
        let replaced_beginning = before.replaced.filter(|_| self.listed_time().is_none());
        market.listed_time =
            replaced_beginning.map_or_else(|| self.beginning(before.others, observed), |replaced| replaced.listed_time);
        market.delisted_time = self.listed.market.delisted_time.value().copied();
        market.expiry_time = self.expiry();
        let mut warnings = Vec::new();
        if market.interval().is_empty() {
            warnings.push(not_taken("delisted_time", market.delisted_time, "is not after the market's beginning"));
            market.delisted_time = None;
        }
        warnings.extend(keep_valid(&blank, &mut market));
        warnings.extend(contradiction(&market, observed));
        Overlaid { market, warnings }
    }

    /// The fields that stand alone.
    fn said_over(&self, stored: &Market) -> Market {
        let says = &self.listed.market;
        let mut market = stored.clone();
        market.aliases = says.aliases.over(Some(market.aliases)).unwrap_or_default();
        market.labels = labels(&says.labels, market.labels);
        market.contract_size = says.contract_size.over(market.contract_size);
        market.quantity_unit = says.quantity_unit.over(market.quantity_unit);
        market.tick_size = limit(&says.tick_size, market.tick_size);
        market.lot_size = limit(&says.lot_size, market.lot_size);
        market.min_quantity = limit(&says.min_quantity, market.min_quantity);
        market.max_quantity = limit(&says.max_quantity, market.max_quantity);
        market.min_notional = limit(&says.min_notional, market.min_notional);
        market.maker_fee = says.maker_fee.over(market.maker_fee);
        market.taker_fee = says.taker_fee.over(market.taker_fee);
        market.funding_interval = says.funding_interval.over(market.funding_interval);
        market.status = says.status.unwrap_or(market.status);
        market
    }

    fn lay_times(&self, stored: &Market, market: &mut Market, others: &[&Market], observed: Timestamp) {
        let says = &self.listed.market;
        market.expiry_time = self.expiry().or_else(|| says.expiry_time.over(stored.expiry_time));
        market.delisted_time = says.delisted_time.over(stored.delisted_time);
        if says.delisted_time.value().is_some() {
            market.delisted_inferred = false;
        }
        // It is listed, and says nothing of a delisting: one that has passed was called off, or inferred wrongly; and one that was
        // inferred gives way to the end that it does say.
        let has_ended = market.delisted_time.is_some_and(|end| end <= observed);
        let is_corrected = market.delisted_inferred && self.end().is_some();
        if has_ended && says.delisted_time == Stated::Nothing && (is_corrected || !self.says_ended(observed)) {
            market.delisted_time = None;
        }
        market.delisted_inferred &= market.delisted_time.is_some();
        market.listed_time = self.moved_beginning(stored, others.iter().copied(), market.interval().until);
    }
}

/// What the keys of labels begin with that are the listing's; the others are the operator's.
const VENUE_LABEL: &str = "venue.";

/// The operator's labels, and those of the listing: what it says replaces what listings said before.
fn labels(says: &Stated<Labels>, mut stored: Labels) -> Labels {
    let said = match says {
        Stated::Nothing => return stored,
        Stated::Cleared => Labels::new(),
        Stated::Is(said) => said.clone(),
    };
    stored.retain(|key, _| !key.starts_with(VENUE_LABEL));
    stored.extend(said.into_iter().map(|(key, value)| (format!("{VENUE_LABEL}{key}"), value)));
    stored
}

/// A limit; 0 is how venues switch one off.
fn limit(says: &Stated<Decimal>, stored: Option<Decimal>) -> Option<Decimal> {
    match says {
        Stated::Nothing => stored,
        Stated::Cleared => None,
        Stated::Is(limit) => Some(limit.clone()).filter(|limit| !limit.is_zero()),
    }
}

/// A caller's change holds against a listing of an earlier moment; one of a later moment that says otherwise is followed.
fn keep_overrides(stored: &Market, market: &mut Market, observed: Timestamp) -> Vec<RowProblem> {
    let mut warnings = Vec::new();
    for (field, since) in &stored.override_times {
        if !stored.changed_fields(market).contains(&field.as_str()) {
            continue;
        }
        if *since >= observed {
            restore(field, stored, market);
            if field == "delisted_time" {
                market.delisted_inferred = stored.delisted_inferred;
            }
        } else {
            market.override_times.remove(field);
            let message = format!("a caller changed it, from {since} on, and the venue says otherwise since");
            warnings.push(warning(field, "OVERRIDES_CALLER", message));
        }
    }
    warnings
}

/// A life that is none, or that runs into another market of the symbol, is not taken: the market keeps its times, and takes the rest.
fn keep_possible(stored: &Market, market: &mut Market, others: &[&Market]) -> Option<RowProblem> {
    let life = market.interval();
    let why = if life.is_empty() {
        "is not after the market's beginning"
    } else if others.iter().any(|other| other.interval().overlaps(&life)) {
        "lets it run into another market of the symbol"
    } else {
        return None;
    };
    let said = market.delisted_time.or(market.expiry_time);
    for field in ["listed_time", "delisted_time", "delisted_inferred", "expiry_time"] {
        restore(field, stored, market);
    }
    Some(not_taken("delisted_time", said, why))
}

/// A value that no market may have costs its field: the market keeps the one before, and takes the rest.
fn keep_valid(stored: &Market, market: &mut Market) -> Vec<RowProblem> {
    let mut found = Violations::default();
    market.check(&mut found);
    let mut warnings = Vec::new();
    for violation in found.into_vec() {
        // Of a list or a map the whole.
        let field = violation.field.split(['[', '.']).next().unwrap_or_default();
        if restore(field, stored, market) {
            warnings.push(warning(&violation.field, &violation.code, violation.message));
        }
    }
    warnings
}

/// Puts one field back; says whether it is one that stands alone.
fn restore(field: &str, stored: &Market, market: &mut Market) -> bool {
    macro_rules! put_back {
        ($($name:ident),*) => {
            match field {
                $(stringify!($name) => market.$name = stored.$name.clone(),)*
                _ => return false,
            }
        };
    }
    put_back!(
        aliases,
        labels,
        contract_size,
        quantity_unit,
        tick_size,
        lot_size,
        min_quantity,
        max_quantity,
        min_notional,
        maker_fee,
        taker_fee,
        funding_interval,
        status,
        listed_time,
        delisted_time,
        delisted_inferred,
        expiry_time
    );
    true
}

/// What of a market's life was moved.
fn moved(stored: &Market, market: &Market) -> Vec<RowProblem> {
    let times = [
        ("listed_time", stored.listed_time, market.listed_time),
        ("delisted_time", stored.delisted_time, market.delisted_time),
        ("expiry_time", stored.expiry_time, market.expiry_time),
    ];
    let moved = times.into_iter().filter(|(_, was, is)| was.is_some() && was != is);
    let text = |time: Option<Timestamp>| time.map_or_else(|| "none".to_owned(), |time| time.to_string());
    moved.map(|(field, was, is)| warning(field, "MOVED", format!("was {}, and is {}", text(was), text(is)))).collect()
}

/// A status that contradicts the times beside it, where either is said anew.
fn contradicting_status(stored: &Market, market: &Market, observed: Timestamp) -> Option<RowProblem> {
    let says = |market: &Market| (market.status, market.interval());
    if says(stored) == says(market) {
        return None;
    }
    contradiction(market, observed)
}

fn contradiction(market: &Market, observed: Timestamp) -> Option<RowProblem> {
    let fact = status_contradiction(market, observed)?;
    let status = v1::MarketStatus::from(market.status).as_str_name();
    let message = format!("{fact}, and the venue says {status}: it is stored as said");
    Some(warning("status", "STATUS_CONTRADICTS_TIMES", message))
}

fn not_taken(field: &str, said: Option<Timestamp>, why: &str) -> RowProblem {
    let said = said.map_or_else(|| "no end".to_owned(), |time| time.to_string());
    warning(field, "NOT_TAKEN", format!("{said} {why}"))
}

pub(super) fn warning(field: &str, code: &str, message: impl Display) -> RowProblem {
    RowProblem { path: format!("market.{field}"), code: code.to_owned(), message: message.to_string() }
}
