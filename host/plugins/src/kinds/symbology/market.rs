//! What a listing says of a market: the fields of `cqar.v1.Market` that a venue can know, one by one.
//!
//! A field that cannot be read costs that field and not the row: it is left out, and is named among the row's problems.

use std::{collections::BTreeMap, time::Duration};

use cqar_domain::{
    decimal::Decimal,
    entities::market::{ContractSize, ContractUnit, MarketStatus, QuantityUnit},
    text::Labels,
    time::Timestamp,
};
use cqar_proto::{v1, well_known};
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

use crate::text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, MAX_PATH_BYTES, clean, cleaned};

/// The fields that the host derives, or that are not a listing's to say.
const DERIVED: [&str; 10] = [
    "id",
    "venue_id",
    "segment",
    "venue_symbol",
    "instrument_id",
    "unit_multiplier",
    "revision",
    "etag",
    "create_time",
    "update_time",
];
/// More problems of one row than this are counted, and not shown.
const MAX_PROBLEMS: usize = 32;

/// What a listing says of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stated<T> {
    /// Nothing: what is stored stays.
    #[default]
    Nothing,
    /// That there is none: what is stored is taken back.
    Cleared,
    /// What it is.
    Is(T),
}

impl<T> Stated<T> {
    /// What it is, where it is said.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Nothing | Self::Cleared => None,
        }
    }
}

impl<T: Clone> Stated<T> {
    /// What holds after it, given what is stored.
    pub fn over(&self, stored: Option<T>) -> Option<T> {
        match self {
            Self::Nothing => stored,
            Self::Cleared => None,
            Self::Is(value) => Some(value.clone()),
        }
    }
}

/// A field of a row that could not be read, and why. The row counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The field, as `market.tick_size`.
    pub path: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people.
    pub message: String,
}

impl RowProblem {
    /// What is wrong with a field.
    pub(super) fn new(path: String, code: &str, message: &str) -> Self {
        Self {
            path: cleaned(path, MAX_PATH_BYTES),
            code: clean(code, MAX_CODE_BYTES),
            message: clean(message, MAX_MESSAGE_BYTES),
        }
    }
}

/// Cuts a row's problems to so many as are shown, and says how many are not.
pub(super) fn bounded(mut problems: Vec<RowProblem>) -> Vec<RowProblem> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS);
        problems.push(RowProblem::new(String::new(), "MORE_PROBLEMS", &format!("and {more} more")));
    }
    problems
}

/// A market as a listing describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the fields of cqar.v1.Market")]
pub struct ListedMarket {
    pub status: Option<MarketStatus>,
    pub aliases: Stated<Vec<String>>,
    pub labels: Stated<Labels>,
    pub contract_size: Stated<ContractSize>,
    pub quantity_unit: Stated<QuantityUnit>,
    pub tick_size: Stated<Decimal>,
    pub lot_size: Stated<Decimal>,
    pub min_quantity: Stated<Decimal>,
    pub max_quantity: Stated<Decimal>,
    pub min_notional: Stated<Decimal>,
    pub maker_fee: Stated<Decimal>,
    pub taker_fee: Stated<Decimal>,
    pub funding_interval: Stated<Duration>,
    pub listed_time: Stated<Timestamp>,
    pub delisted_time: Stated<Timestamp>,
    pub expiry_time: Stated<Timestamp>,
}

/// Why a field is left out: a code, and what to say.
type Unread = (&'static str, String);

/// Reads the document of a listed market. Only what is no document is an error.
pub(super) fn market(document: &str, problems: &mut Vec<RowProblem>) -> Result<ListedMarket, String> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(document).map_err(|error| format!("market: {error}"))?;
    let mut market = ListedMarket::default();
    let (mut size, mut unit) = (Stated::Nothing, Stated::Nothing);
    for (name, value) in &fields {
        let value = value.get();
        let read = match name.as_str() {
            "status" => status(&mut market.status, value),
            "aliases" => state(&mut market.aliases, value, json),
            "labels" => state(&mut market.labels, value, json),
            "contract_size" => state(&mut size, value, decimal),
            "contract_unit" => state(&mut unit, value, contract_unit),
            "quantity_unit" => state(&mut market.quantity_unit, value, quantity_unit),
            "tick_size" => state(&mut market.tick_size, value, decimal),
            "lot_size" => state(&mut market.lot_size, value, decimal),
            "min_quantity" => state(&mut market.min_quantity, value, decimal),
            "max_quantity" => state(&mut market.max_quantity, value, decimal),
            "min_notional" => state(&mut market.min_notional, value, decimal),
            "maker_fee" => state(&mut market.maker_fee, value, decimal),
            "taker_fee" => state(&mut market.taker_fee, value, decimal),
            "funding_interval" => state(&mut market.funding_interval, value, duration),
            "listed_time" => state(&mut market.listed_time, value, time),
            "delisted_time" => state(&mut market.delisted_time, value, time),
            "expiry_time" => state(&mut market.expiry_time, value, time),
            derived if DERIVED.contains(&derived) => {
                Err(("NOT_THE_LISTINGS", "is not the listing's to say, and was passed over".to_owned()))
            }
            _ => Err(("UNKNOWN_FIELD", "is not known to this server, and was passed over".to_owned())),
        };
        if let Err((code, message)) = read {
            problems.push(RowProblem::new(format!("market.{name}"), code, &message));
        }
    }
    for field in [&mut market.listed_time, &mut market.delisted_time, &mut market.expiry_time] {
        // A date of zero is how feeds say that there is none.
        if field.value().is_some_and(|time| time.micros() == 0) {
            *field = Stated::Nothing;
        }
    }
    market.contract_size = match (size, unit) {
        (Stated::Is(size), Stated::Is(unit)) => Stated::Is(ContractSize { size, unit }),
        (Stated::Nothing, Stated::Nothing) => Stated::Nothing,
        (Stated::Cleared, Stated::Cleared | Stated::Nothing) | (Stated::Nothing, Stated::Cleared) => Stated::Cleared,
        (Stated::Is(_), _) | (_, Stated::Is(_)) => {
            let path = "market.contract_size".to_owned();
            problems.push(RowProblem::new(path, "INCOMPLETE", "must be given with contract_unit"));
            Stated::Nothing
        }
    };
    Ok(market)
}

/// Takes what is said of a field.
fn state<T>(field: &mut Stated<T>, raw: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<(), Unread> {
    *field = match raw {
        "null" => Stated::Cleared,
        raw => Stated::Is(read(raw).map_err(malformed)?),
    };
    Ok(())
}

fn malformed(message: String) -> Unread {
    ("MALFORMED_VALUE", message)
}

fn status(field: &mut Option<MarketStatus>, raw: &str) -> Result<(), Unread> {
    let named = v1::MarketStatus::from_str_name(&text(raw).map_err(malformed)?);
    let status = named.and_then(|status| MarketStatus::try_from(status).ok());
    *field = Some(status.ok_or_else(|| malformed("must be a MARKET_STATUS_…".to_owned()))?);
    Ok(())
}

fn json<T: DeserializeOwned>(raw: &str) -> Result<T, String> {
    serde_json::from_str(raw).map_err(|_| "must be a list of strings, or a map of strings".to_owned())
}

/// A string, as proto3 JSON has it; or a number, whose digits are taken as they stand, and go through no float.
fn decimal(raw: &str) -> Result<Decimal, String> {
    let digits = if raw.starts_with('"') { text(raw)? } else { raw.to_owned() };
    digits.parse().map_err(|error: cqar_domain::decimal::DecimalError| error.to_string())
}

fn contract_unit(raw: &str) -> Result<ContractUnit, String> {
    let named = v1::ContractUnit::from_str_name(&text(raw)?);
    named.and_then(|unit| unit.try_into().ok()).ok_or_else(|| "must be a CONTRACT_UNIT_…".to_owned())
}

fn quantity_unit(raw: &str) -> Result<QuantityUnit, String> {
    let named = v1::QuantityUnit::from_str_name(&text(raw)?);
    named.and_then(|unit| unit.try_into().ok()).ok_or_else(|| "must be a QUANTITY_UNIT_…".to_owned())
}

fn time(raw: &str) -> Result<Timestamp, String> {
    text(raw)?.parse().map_err(|error: cqar_domain::time::TimestampError| error.to_string())
}

fn duration(raw: &str) -> Result<Duration, String> {
    let read: well_known::Duration =
        serde_json::from_str(raw).map_err(|_| "must be in seconds, as \"28800s\"".to_owned())?;
    Duration::try_from(read).map_err(str::to_owned)
}

fn text(raw: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    value.as_str().map(str::to_owned).ok_or_else(|| "must be a string".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> (ListedMarket, Vec<(String, String)>) {
        let mut problems = Vec::new();
        let market = market(document, &mut problems).unwrap();
        (market, problems.into_iter().map(|it| (it.path, it.code)).collect())
    }

    #[test]
    fn absent_says_nothing_and_null_that_there_is_none() {
        let (market, problems) = read(
            r#"{"status": "MARKET_STATUS_ACTIVE", "tick_size": "0.10", "lot_size": null, "funding_interval": "28800s",
            "aliases": [], "labels": {"access": "public"}, "quantity_unit": "QUANTITY_UNIT_BASE"}"#,
        );
        assert_eq!(problems, []);
        assert_eq!(market.status, Some(MarketStatus::Active));
        assert_eq!(market.tick_size, Stated::Is("0.1".parse().unwrap()));
        assert_eq!((market.lot_size.clone(), market.max_quantity), (Stated::Cleared, Stated::Nothing));
        assert_eq!(market.funding_interval, Stated::Is(Duration::from_hours(8)));
        assert_eq!((market.aliases, market.quantity_unit), (Stated::Is(Vec::new()), Stated::Is(QuantityUnit::Base)));
        let stored = Some(Decimal::one());
        assert_eq!((market.tick_size.over(stored.clone()), market.lot_size.over(stored)), ("0.1".parse().ok(), None));
    }

    #[test]
    fn what_cannot_be_read_costs_its_field_and_is_named() {
        let (market, problems) = read(
            r#"{"status": null, "tick_size": 0.1, "lot_size": "ten", "min_quantity": "1", "venue_id": "binance",
            "color": "red", "listed_time": "0", "expiry_time": "1970-01-01T00:00:00Z", "contract_size": "10", "funding_interval": 7, "aliases": [1]}"#,
        );
        let expected = [
            ("market.aliases", "MALFORMED_VALUE"),
            ("market.color", "UNKNOWN_FIELD"),
            ("market.funding_interval", "MALFORMED_VALUE"),
            ("market.listed_time", "MALFORMED_VALUE"),
            ("market.lot_size", "MALFORMED_VALUE"),
            ("market.status", "MALFORMED_VALUE"),
            ("market.venue_id", "NOT_THE_LISTINGS"),
            ("market.contract_size", "INCOMPLETE"),
        ];
        assert_eq!(problems, expected.map(|(path, code)| (path.to_owned(), code.to_owned())));
        let only = ListedMarket {
            min_quantity: Stated::Is(Decimal::one()),
            tick_size: Stated::Is("0.1".parse().unwrap()),
            ..ListedMarket::default()
        };
        assert_eq!(market, only);
        for no_document in ["", "[]", "null", "{"] {
            assert!(super::market(no_document, &mut Vec::new()).is_err(), "{no_document}");
        }
    }

    #[test]
    fn a_row_shows_so_many_problems_and_counts_the_rest() {
        let problems = vec![RowProblem::new("market.x".into(), "X", "x"); 40];
        let shown = bounded(problems);
        assert_eq!((shown.len(), shown.last().unwrap().message.as_str()), (33, "and 8 more"));
    }
}
