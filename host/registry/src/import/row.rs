//! One row of a listing: the market that it is about, and what it makes of it.

use std::{fmt::Display, sync::Arc};

use cqar_domain::{
    decimal::Decimal,
    entities::{
        Entity,
        instrument::{Instrument, Terms},
        market::{Market, MarketStatus},
    },
    entity::Meta,
    id::{AssetId, IdSource, InstrumentId, MarketId, VenueId},
    mutation::{Mutation, Patch},
    time::{Interval, Timestamp},
};
use cqar_plugins::{Expiry, Listed};

use crate::reading::{self, InstrumentTermsError};

/// A row, with the ids of what may be created for it: the same in every draft.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) listed: Arc<Listed>,
    pub(super) market: MarketId,
    pub(super) instrument: InstrumentId,
}

/// Why a row cannot be a market.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rejection {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) candidates: Vec<String>,
}

impl Rejection {
    pub(super) fn new(code: &str, message: impl Display) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), candidates: Vec::new() }
    }
}

impl Row {
    pub(super) fn new(listed: Listed, ids: &dyn IdSource) -> Self {
        Self { listed: Arc::new(listed), market: MarketId::new(ids), instrument: InstrumentId::new(ids) }
    }

    /// Units of the base per unit of the symbol's.
    pub(super) fn unit_multiplier(&self) -> Decimal {
        self.listed.reading.unit_multiplier.clone().unwrap_or_else(Decimal::one)
    }

    /// The instant at which the contract ends, where the listing says it.
    fn expiry(&self) -> Option<Timestamp> {
        expiry(&self.listed)
    }

    /// Since when it is listed, where the listing says it.
    fn listed_time(&self) -> Option<Timestamp> {
        self.listed.market.listed_time.value().copied()
    }

    /// The instant at which the market ends, as far as the listing says.
    fn end(&self) -> Option<Timestamp> {
        [self.listed.market.delisted_time.value().copied(), self.expiry()].into_iter().flatten().min()
    }

    /// Those of the markets that have, or had, the symbol in the row's segment.
    fn of_segment<'a>(&self, markets: &'a [Market]) -> impl Iterator<Item = &'a Market> + use<'_, 'a> {
        markets.iter().filter(|market| market.segment == self.listed.reading.segment)
    }

    /// The stored market that the row is about, among those that have, or had, its symbol: the one that is live at the
    /// observed moment, else one with the same listing time, the same end, or the same expiry. A market that ended before
    /// the observed moment and is listed without that end does not match: the row is a new market.
    pub(super) fn matching<'a>(&self, markets: &'a [Market], observed: Timestamp) -> Option<&'a Market> {
        let same = |a: Option<Timestamp>, b: Option<Timestamp>| a.is_some() && a == b;
        let of_segment = || self.of_segment(markets);
        let live = of_segment().find(|market| market.interval().contains(observed));
        let has_ended = |market: &Market| market.interval().until.is_some_and(|until| until <= observed);
        let listed = || of_segment().find(|it| same(it.listed_time, self.listed_time()) && !has_ended(it));
        let end = self.end();
        let ended = || of_segment().find(|it| same(it.interval().until, end));
        // Its contract is over, however the market ended.
        let is_over = end.is_some_and(|end| end <= observed);
        let expired = || of_segment().find(|it| is_over && same(it.expiry_time, self.expiry()));
        live.or_else(listed).or_else(ended).or_else(expired)
    }

    /// The start of the market's interval: `from` (none is unbounded), or `otherwise` if that interval would overlap
    /// another market with the same symbol.
    fn since<'a>(
        &self,
        mut others: impl Iterator<Item = &'a Market>,
        from: Option<Timestamp>,
        otherwise: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let says = Interval { from, until: self.end() };
        if others.any(|other| other.interval().overlaps(&says)) { otherwise } else { from }
    }

    /// The terms of the instrument, given its assets.
    pub(super) fn terms(&self, assets: &[AssetId]) -> Result<Terms, Rejection> {
        let reading = &self.listed.reading;
        let expiry = reading.expiry.map(Expiry::date).or_else(|| self.expiry().map(Timestamp::date));
        reading::terms(reading, expiry, assets).map_err(|error| match error {
            InstrumentTermsError::Missing(what) => {
                Rejection::new("INCOMPLETE_TERMS", format_args!("the {} is listed without {what}", reading.kind.name()))
            }
            InstrumentTermsError::Kind => {
                Rejection::new("UNSUPPORTED_KIND", "listings are of spot, perpetuals, futures and options")
            }
        })
    }

    /// The creations of a market that is not among those that have, or had, its symbol, and of its instrument, which
    /// may be there.
    pub(super) fn creations(
        &self,
        venue: &VenueId,
        terms: Terms,
        others: &[Market],
        (observed, now): (Timestamp, Timestamp),
    ) -> Result<Vec<Mutation>, Rejection> {
        let Some(status) = self.listed.market.status else {
            return Err(Rejection::new("MISSING_STATUS", "a new market has a status, and the listing says none"));
        };
        let since = self.since(self.of_segment(others), self.listed_time(), Some(observed));
        let instrument =
            Instrument { id: self.instrument, terms, code: String::new(), labels: [].into(), meta: Meta::default() };
        let blank = Market {
            id: self.market,
            venue_id: venue.clone(),
            segment: self.listed.reading.segment.clone(),
            venue_symbol: self.listed.symbol.clone(),
            instrument_id: self.instrument,
            aliases: Vec::new(),
            unit_multiplier: self.unit_multiplier(),
            contract_size: None,
            quantity_unit: None,
            tick_size: None,
            lot_size: None,
            min_quantity: None,
            max_quantity: None,
            min_notional: None,
            maker_fee: None,
            taker_fee: None,
            funding_interval: None,
            status,
            listed_time: since,
            delisted_time: None,
            expiry_time: None,
            labels: [].into(),
            meta: Meta::default(),
        };
        let market = laid_over(&self.listed, blank, since, now);
        Ok(vec![
            Mutation::Create { entity: instrument.into(), allow_existing: true },
            Mutation::Create { entity: market.into(), allow_existing: false },
        ])
    }

    /// What the listing says, laid over the market that is there, one of those that have, or had, its symbol.
    pub(super) fn update(&self, market: &Market, markets: &[Market], now: Timestamp) -> Mutation {
        let listed = Arc::clone(&self.listed);
        let others = self.of_segment(markets).filter(|other| other.id != market.id);
        let since = self.since(others, listed.market.listed_time.over(market.listed_time), market.listed_time);
        let patch = Patch::new(move |before| match before {
            Entity::Market(market) => Ok(laid_over(&listed, Market::clone(market), since, now).into()),
            other => Ok(other.clone()),
        });
        Mutation::Update { key: Entity::from(market.clone()).key(), etag: None, patch }
    }
}

fn expiry(listed: &Listed) -> Option<Timestamp> {
    let stated = listed.market.expiry_time.value().copied();
    stated.or_else(|| listed.reading.expiry.and_then(Expiry::instant))
}

/// What the listing says; what it does not say stays.
fn laid_over(listed: &Listed, mut market: Market, since: Option<Timestamp>, now: Timestamp) -> Market {
    let says = &listed.market;
    let expiry = expiry(listed);
    // Lists and maps are replaced.
    market.aliases = says.aliases.over(Some(market.aliases)).unwrap_or_default();
    market.labels = says.labels.over(Some(market.labels)).unwrap_or_default();
    market.contract_size = says.contract_size.over(market.contract_size);
    market.quantity_unit = says.quantity_unit.over(market.quantity_unit);
    market.tick_size = says.tick_size.over(market.tick_size);
    market.lot_size = says.lot_size.over(market.lot_size);
    market.min_quantity = says.min_quantity.over(market.min_quantity);
    market.max_quantity = says.max_quantity.over(market.max_quantity);
    market.min_notional = says.min_notional.over(market.min_notional);
    market.maker_fee = says.maker_fee.over(market.maker_fee);
    market.taker_fee = says.taker_fee.over(market.taker_fee);
    market.funding_interval = says.funding_interval.over(market.funding_interval);
    market.listed_time = since;
    market.delisted_time = says.delisted_time.over(market.delisted_time);
    market.expiry_time = expiry.or_else(|| says.expiry_time.over(market.expiry_time));
    market.status = match market.status {
        // What ended stays so, and what the operator ends goes on ending.
        ended if ended.is_terminal() => ended,
        MarketStatus::Delisting if market.delisted_time.is_some() => MarketStatus::Delisting,
        _ if market.expiry_time.is_some_and(|expiry| expiry <= now) => MarketStatus::Expired,
        stored => says.status.unwrap_or(stored),
    };
    market
}
