//! What a symbology reads in symbols and listings, in the domain's words.

mod call;
mod read;

use std::{sync::Arc, time::Duration};

use cqar_domain::{
    decimal::Decimal,
    entities::{
        instrument::{ExerciseStyle, InstrumentKind, OptionType},
        market::{ContractSize, MarketStatus},
    },
    id::Segment,
    time::{Clock, Date, Timestamp},
};

pub(crate) use call::{Format, NormalizeAssets, Parse, ReadListing};

use crate::{
    bindings::exports::cqar::plugin::{listing, symbology},
    chunk::chunks,
    config::LISTING_BYTES,
    error::CallError,
    lane::Lane,
    sandbox::Scope,
};

/// The symbology plugin of a venue, as it serves now.
#[derive(Clone)]
pub struct Symbology {
    pub(crate) symbols: Arc<Lane<symbology::Guest>>,
    pub(crate) listings: Arc<Lane<listing::Guest>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A plugin that was asked for does not serve.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the plugin {plugin} does not serve: {reason}")]
pub struct NotServing {
    /// Which.
    pub plugin: String,
    /// Why.
    pub reason: String,
}

/// A symbol to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// As the venue writes it.
    pub symbol: String,
    /// In which part of the venue; none where that is not known.
    pub segment: Option<String>,
}

/// What a symbol means. Assets are the venue's codes, a known multiplier taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// In which part of the venue.
    pub segment: Segment,
    /// Spot, perpetual, future or option.
    pub kind: InstrumentKind,
    /// The venue's code of the base.
    pub base: String,
    /// The venue's code of the quote; none for lending.
    pub quote: Option<String>,
    /// The venue's code of the settle asset; given for derivatives.
    pub settle: Option<String>,
    /// When a dated contract ends; given for dated kinds.
    pub expiry: Option<Expiry>,
    /// Given for options, above 0.
    pub strike: Option<Decimal>,
    /// Given for options.
    pub option_type: Option<OptionType>,
    /// When an option may be exercised; none where the symbol does not say.
    pub exercise_style: Option<ExerciseStyle>,
    /// Units of base per unit of the symbol's base: 1000 for `1000SHIB`; none means 1.
    pub unit_multiplier: Option<Decimal>,
    /// What else the venue's symbol says.
    pub extra: Vec<(String, String)>,
}

/// When a contract ends, as far as a symbol says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// On a date of UTC. Two venues that settle one contract at different hours mean one instrument.
    Date(Date),
    /// At an instant.
    Instant(Timestamp),
}

impl Expiry {
    /// The date of UTC.
    pub fn date(self) -> Date {
        match self {
            Self::Date(date) => date,
            Self::Instant(instant) => instant.date(),
        }
    }

    /// The instant, where it is said.
    pub const fn instant(self) -> Option<Timestamp> {
        match self {
            Self::Date(_) => None,
            Self::Instant(instant) => Some(instant),
        }
    }
}

/// What came of reading a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// It has one meaning.
    One(Reading),
    /// It has several.
    Ambiguous(Vec<Reading>),
    /// It has none, and why.
    Unknown(String),
}

/// Why a reading has no symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatProblem {
    /// The field of the reading.
    pub path: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people.
    pub message: String,
}

/// One of the venue's own responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it came from.
    pub url: Option<String>,
    /// The part of the venue that it was asked for.
    pub segment: Option<String>,
    /// When it was received.
    pub received_at: Option<Timestamp>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A market as a listing describes it. What is absent the venue does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMarket {
    /// The state of trading.
    pub status: MarketStatus,
    /// Other symbols by which the venue knows it.
    pub aliases: Vec<String>,
    /// The size of one contract.
    pub contract_size: Option<ContractSize>,
    /// The price step.
    pub tick_size: Option<Decimal>,
    /// The quantity step.
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
    /// From when it is listed.
    pub listed: Option<Timestamp>,
    /// From when it no longer is, where the venue has said so.
    pub delisted: Option<Timestamp>,
    /// The exact instant at which a dated contract ends.
    pub expiry_time: Option<Timestamp>,
}

/// One market of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As the venue writes it.
    pub symbol: String,
    /// What it means.
    pub reading: Reading,
    /// How it trades.
    pub market: ListedMarket,
}

/// One item of a listing that is no market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedItem {
    /// The index of the source; none where the plugin did not say.
    pub source: Option<usize>,
    /// Its symbol, if it has one.
    pub symbol: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people.
    pub message: String,
}

/// What a listing holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The segments whose every market is named, so that an absent one is known to be gone.
    pub complete_segments: Vec<Segment>,
    /// The markets.
    pub markets: Vec<Listed>,
    /// What could not be read.
    pub rejected: Vec<RejectedItem>,
}

impl Symbology {
    /// Reads symbols as of an instant: one answer for each, in order. A symbol that makes the plugin trap, or answer
    /// nonsense, fails alone.
    pub async fn parse(&self, at: Timestamp, queries: Vec<Query>) -> Vec<Result<Parsed, CallError>> {
        let queries: Arc<[Query]> = queries.into();
        let call = |range| {
            let call = Parse { at, queries: Arc::clone(&queries), range };
            self.symbols.call(call, Scope::at(at))
        };
        let mut answers = Vec::with_capacity(queries.len());
        for range in chunks(queries.iter().map(|query| query.symbol.len())) {
            match call(range.clone()).await {
                Ok(parsed) => answers.extend(parsed.into_iter().map(Ok)),
                Err(CallError::Trap { .. } | CallError::BadAnswer(_)) if range.len() > 1 => {
                    for index in range {
                        let alone = call(index..index + 1).await;
                        answers
                            .extend(alone.map_or_else(|error| vec![Err(error)], |it| it.into_iter().map(Ok).collect()));
                    }
                }
                Err(error) => answers.extend(range.map(|_| Err(error.clone()))),
            }
        }
        answers
    }

    /// Writes symbols as of an instant: one answer for each reading, in order.
    pub async fn format(
        &self,
        at: Timestamp,
        readings: Vec<Reading>,
    ) -> Result<Vec<Result<String, FormatProblem>>, CallError> {
        let readings: Arc<[Reading]> = readings.into();
        let mut answers = Vec::with_capacity(readings.len());
        for range in
            chunks(readings.iter().map(|reading| reading.base.len() + reading.quote.as_deref().map_or(0, str::len)))
        {
            let call = Format { at, readings: Arc::clone(&readings), range };
            answers.append(&mut self.symbols.call(call, Scope::at(at)).await?);
        }
        Ok(answers)
    }

    /// The symbols that the venue's codes for assets usually mean, in order; none where a code can be no asset's.
    pub async fn normalize_assets(&self, codes: Vec<String>) -> Result<Vec<Option<String>>, CallError> {
        let codes: Arc<[String]> = codes.into();
        let mut answers = Vec::with_capacity(codes.len());
        for range in chunks(codes.iter().map(String::len)) {
            let call = NormalizeAssets { codes: Arc::clone(&codes), range };
            answers.append(&mut self.symbols.call(call, Scope::at(self.clock.now())).await?);
        }
        Ok(answers)
    }

    /// Reads the venue's own responses. A row that cannot be understood is among the rejected.
    pub async fn read_listing(&self, sources: Vec<Source>) -> Result<Page, CallError> {
        let bytes = sources.iter().map(|source| source.body.len()).sum();
        if bytes > LISTING_BYTES {
            return Err(CallError::Input { bytes, limit_bytes: LISTING_BYTES });
        }
        self.listings.call(ReadListing { sources }, Scope::at(self.clock.now())).await
    }
}
