//! One row of a listing: the market that it is about, and what it makes of it.

use std::fmt::Display;

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
    time::Timestamp,
};
use cqar_plugins::{Expiry, Listed, RowProblem};

use super::{assets::UnmappedCode, overlay::Overlaid};
use crate::reading::{self, InstrumentTermsError};

/// A row, with the ids of what may be created for it: the same in every draft.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) listed: Listed,
    pub(super) market: MarketId,
    pub(super) instrument: InstrumentId,
}

/// So many of what could not be read are told with a rejection.
const SHOWN_PROBLEMS: usize = 3;

/// Why a row cannot be a market.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rejection {
    pub(super) code: String,
    pub(super) message: String,
    /// The assets that a code could mean.
    pub(super) candidates: Vec<String>,
    /// The market that the row contradicts.
    pub(super) market: Option<MarketId>,
}

/// What stands where a market is to be created.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    /// The markets that have, or had, the symbol.
    pub(super) others: &'a [Market],
    /// The market in whose place it comes.
    pub(super) replaced: Option<&'a Market>,
}

impl Rejection {
    pub(super) fn new(code: &str, message: impl Display) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), candidates: Vec::new(), market: None }
    }

    pub(super) fn of_market(self, market: MarketId) -> Self {
        Self { market: Some(market), ..self }
    }
}

impl From<UnmappedCode> for Rejection {
    fn from(unmapped: UnmappedCode) -> Self {
        let candidates = unmapped.candidates();
        Self { candidates, ..Self::new(unmapped.code, unmapped.message) }
    }
}

impl Row {
    pub(super) fn new(listed: Listed, ids: &dyn IdSource) -> Self {
        Self { listed, market: MarketId::new(ids), instrument: InstrumentId::new(ids) }
    }

    /// Units of the base per unit of the symbol's.
    pub(super) fn unit_multiplier(&self) -> Decimal {
        self.listed.reading.unit_multiplier.clone().unwrap_or_else(Decimal::one)
    }

    /// The instant at which the contract ends, where the listing says it.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        let stated = self.listed.market.expiry_time.value().copied();
        stated.or_else(|| self.listed.reading.expiry.and_then(Expiry::instant))
    }

    /// Since when it is listed, where the listing says it.
    pub(super) fn listed_time(&self) -> Option<Timestamp> {
        self.listed.market.listed_time.value().copied()
    }

    /// The instant at which the market ends, as far as the listing says.
    pub(super) fn end(&self) -> Option<Timestamp> {
        [self.listed.market.delisted_time.value().copied(), self.expiry()].into_iter().flatten().min()
    }

    /// Whether the listing says that it has ended.
    pub(super) fn says_ended(&self, observed: Timestamp) -> bool {
        let is_terminal = self.listed.market.status.is_some_and(MarketStatus::is_terminal);
        // Times decide: an end that is announced has not come.
        self.end().map_or(is_terminal, |end| end <= observed)
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

    /// The creations of a market and of its instrument, which may be there; and what was unusual.
    pub(super) fn creations(
        &self,
        venue: &VenueId,
        terms: Terms,
        before: Before<'_>,
        observed: Timestamp,
    ) -> Result<(Vec<Mutation>, Vec<RowProblem>), Rejection> {
        let Some(status) = self.listed.market.status else {
            let unread = self.listed.problems.iter().map(|problem| format!("; {}: {}", problem.path, problem.message));
            let unread: String = unread.take(SHOWN_PROBLEMS).collect();
            let message = format!("a new market has a status, and the listing says none that is known{unread}");
            return Err(Rejection::new("MISSING_STATUS", message));
        };
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
            listed_time: None,
            delisted_time: None,
            delisted_inferred: false,
            expiry_time: None,
            labels: [].into(),
            override_times: [].into(),
            meta: Meta::default(),
        };
        let Overlaid { market, warnings } = self.new_market(blank, before, observed);
        let mutations = vec![
            Mutation::Create { entity: instrument.into(), allow_existing: true },
            Mutation::Create { entity: market.into(), allow_existing: false },
        ];
        Ok((mutations, warnings))
    }

    /// What the row makes of its market, of which `others` have, or had, the symbol besides.
    pub(super) fn update(
        &self,
        market: &Market,
        others: &[&Market],
        observed: Timestamp,
    ) -> (Mutation, Vec<RowProblem>) {
        let Overlaid { market, warnings } = self.lay_over(market, others, observed);
        (replace(market), warnings)
    }
}

/// The mutation that leaves a stored market so.
pub(super) fn replace(after: Market) -> Mutation {
    let after = Entity::from(after);
    Mutation::Update { key: after.key(), etag: None, patch: Patch::new(move |_| Ok(after.clone())) }
}

/// The end of a market, as a listing tells it: what callers said of it before holds no longer.
pub(super) fn delisted(market: &Market, at: Timestamp, is_inferred: bool) -> Mutation {
    let mut ended = market.clone();
    ended.override_times.retain(|field, _| field != "status" && field != "delisted_time");
    (ended.status, ended.delisted_time, ended.delisted_inferred) = (MarketStatus::Delisted, Some(at), is_inferred);
    replace(ended)
}
