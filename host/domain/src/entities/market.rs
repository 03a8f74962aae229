//! Markets: an instrument as one venue lists it.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use crate::{
    decimal::Decimal,
    entity::{Meta, TypedEntity, changed_fields, references},
    id::{EntityKey, EntityType, InstrumentId, MarketId, Segment, VenueId},
    text::{Labels, VENUE_SYMBOL, check_labels},
    time::{Interval, Timestamp},
    violation::Violations,
};

/// An instrument under a venue's own symbol. Venue, segment, symbol and instrument are immutable: a rename is a
/// delisting and a new market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Market {
    /// Its id.
    pub id: MarketId,
    /// Where it trades.
    pub venue_id: VenueId,
    /// In which part of the venue.
    pub segment: Segment,
    /// The symbol exactly as the venue writes it.
    pub venue_symbol: String,
    /// What trades.
    pub instrument_id: InstrumentId,
    /// Other symbols by which the venue knows it.
    pub aliases: Vec<String>,
    /// Units of base per unit of the symbol's base: 1000 for `1000SHIB`.
    pub unit_multiplier: Decimal,
    /// The size of one contract.
    pub contract_size: Option<ContractSize>,
    /// What the quantities count; none where it is not known.
    pub quantity_unit: Option<QuantityUnit>,
    /// The price step, in quote per base.
    pub tick_size: Option<Decimal>,
    /// The quantity step, in `quantity_unit`.
    pub lot_size: Option<Decimal>,
    /// The smallest quantity.
    pub min_quantity: Option<Decimal>,
    /// The largest quantity.
    pub max_quantity: Option<Decimal>,
    /// The smallest value, in quote.
    pub min_notional: Option<Decimal>,
    /// A fraction of the notional; negative is a rebate.
    pub maker_fee: Option<Decimal>,
    /// A fraction of the notional.
    pub taker_fee: Option<Decimal>,
    /// The time between two funding payments.
    pub funding_interval: Option<Duration>,
    /// The state of trading.
    pub status: MarketStatus,
    /// From when it is listed; since ever if unset.
    pub listed_time: Option<Timestamp>,
    /// From when it no longer is.
    pub delisted_time: Option<Timestamp>,
    /// Whether that was inferred from its absence in a listing that would have named it. It is taken back when the market is seen again.
    pub delisted_inferred: bool,
    /// The exact instant at which a dated contract ends.
    pub expiry_time: Option<Timestamp>,
    /// The operator's labels, and under `venue.` those of the venue's listing.
    pub labels: Labels,
    /// The fields that callers changed, and from when: a listing of a later moment may say otherwise, an earlier one may not.
    pub override_times: BTreeMap<String, Timestamp>,
    /// Revision and times.
    pub meta: Meta,
}

/// The size of one contract and what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractSize {
    /// How many.
    pub size: Decimal,
    /// Of what.
    pub unit: ContractUnit,
}

/// What a contract size counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContractUnit {
    /// Units of the base asset.
    Base,
    /// Units of the quote asset.
    Quote,
    /// Units of the settle asset for each 1 of price.
    Settle,
}

/// What the quantity of an order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuantityUnit {
    /// Units of the base asset, of `unit_multiplier` each.
    Base,
    /// Contracts, of the contract size each.
    Contracts,
}

/// The life of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the contract's market.proto says what each is")]
pub enum MarketStatus {
    Announced,
    PreLaunch,
    Active,
    Halted,
    Delisting,
    Delisted,
    Expired,
    Settled,
}

/// The most aliases of one market.
pub const MAX_ALIASES: usize = 16;
/// Ten times the longest interval known (Deribit settles weekly options; no perpetual pays less often than daily).
const MAX_FUNDING_INTERVAL: Duration = Duration::from_hours(24 * 30);

impl MarketStatus {
    /// Whether a caller may take a market from this status to the next: forward, ACTIVE and HALTED back and forth, and back from
    /// DELISTING, which venues call off now and then. What has ended stays so. A venue's own listing may say anything, in any order.
    pub fn can_become(self, next: Self) -> bool {
        use MarketStatus::{Active, Announced, Delisted, Delisting, Expired, Halted, PreLaunch, Settled};
        match (self, next) {
            (a, b) if a == b => true,
            (Expired, next) => next == Settled,
            (Delisted | Settled, _) | (Active | Halted | Delisting, Announced | PreLaunch) | (PreLaunch, Announced) => {
                false
            }
            _ => true,
        }
    }

    /// Whether it is an end.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Delisted | Self::Expired | Self::Settled)
    }
}

impl Market {
    /// When it is live, whatever its status: listed ≤ t < delisted, or expiry.
    pub fn interval(&self) -> Interval {
        let until = [self.delisted_time, self.expiry_time].into_iter().flatten().min();
        Interval { from: self.listed_time, until }
    }

    /// The symbol and the aliases.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.venue_symbol.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    fn check_aliases(&self, found: &mut Violations) {
        if self.aliases.len() > MAX_ALIASES {
            found.add("aliases", "TOO_MANY", format_args!("must be at most {MAX_ALIASES}"));
            return;
        }
        for (i, alias) in self.aliases.iter().enumerate() {
            let field = format!("aliases[{i}]");
            VENUE_SYMBOL.check(&field, alias, found);
            if *alias == self.venue_symbol || self.aliases.iter().take(i).any(|other| other == alias) {
                found.add(field, "DUPLICATE", "must differ from the symbol and the other aliases");
            }
        }
    }

    /// What holds at every venue. Plausibility is checked by validator plugins, whose rules operators can replace.
    fn check_amounts(&self, found: &mut Violations) {
        let positive = [
            ("unit_multiplier", Some(&self.unit_multiplier)),
            ("contract_size", self.contract_size.as_ref().map(|c| &c.size)),
        ];
        for (field, amount) in positive {
            if amount.is_some_and(|amount| amount.sign() != Ordering::Greater) {
                found.add(field, "NOT_POSITIVE", "must be above 0");
            }
        }
        let unsigned = [
            ("tick_size", &self.tick_size),
            ("lot_size", &self.lot_size),
            ("min_quantity", &self.min_quantity),
            ("max_quantity", &self.max_quantity),
            ("min_notional", &self.min_notional),
        ];
        for (field, amount) in unsigned {
            if amount.as_ref().is_some_and(|amount| amount.sign() == Ordering::Less) {
                found.add(field, "NEGATIVE", "must not be negative");
            }
        }
    }

    fn check_times(&self, found: &mut Violations) {
        if self.interval().is_empty() {
            let field = if self.delisted_time.is_some() { "delisted_time" } else { "expiry_time" };
            found.add(field, "BEFORE_LISTED", "must be after listed_time");
        }
        if self.funding_interval.is_some_and(|t| t.is_zero() || t > MAX_FUNDING_INTERVAL) {
            found.add("funding_interval", "OUT_OF_RANGE", "must be above 0 and at most 30 days");
        }
    }
}

impl TypedEntity for Market {
    const TYPE: EntityType = EntityType::Market;
    const SOFT_DELETE: bool = false;
    const CACHE_TTL: Duration = Duration::from_mins(15);

    fn key(&self) -> EntityKey {
        EntityKey::Market(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        VENUE_SYMBOL.check("venue_symbol", &self.venue_symbol, found);
        self.check_aliases(found);
        self.check_amounts(found);
        self.check_times(found);
        check_labels(&self.labels, found);
    }

    changed_fields!(
        venue_id,
        segment,
        venue_symbol,
        instrument_id,
        aliases,
        unit_multiplier,
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
        expiry_time,
        labels,
    );

    fn venue(&self) -> Option<&VenueId> {
        Some(&self.venue_id)
    }

    references!(venue_id, instrument_id);
}

#[cfg(test)]
mod tests {
    use super::MarketStatus::{Active, Announced, Delisted, Delisting, Expired, Halted, PreLaunch, Settled};

    #[test]
    fn what_has_ended_stays_so() {
        for next in [Announced, PreLaunch, Active, Halted, Delisting, Expired] {
            assert!(!Delisted.can_become(next));
            assert!(!Settled.can_become(next));
        }
        assert!(Expired.can_become(Settled) && !Expired.can_become(Active));
    }

    #[test]
    fn trading_halts_and_goes_on_and_never_becomes_a_plan_again() {
        assert!(Active.can_become(Halted) && Halted.can_become(Active));
        assert!(Announced.can_become(Active) && Delisting.can_become(Active));
        assert!(!Active.can_become(PreLaunch) && !PreLaunch.can_become(Announced));
    }
}
