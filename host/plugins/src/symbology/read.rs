//! What symbologies answer, read into the domain's types.

use std::{fmt::Display, str::FromStr, time::Duration};

use cqar_domain::{
    decimal::Decimal,
    entities::{
        instrument::{ExerciseStyle, InstrumentKind, OptionType},
        market::{ContractSize, ContractUnit, MarketStatus},
    },
    time::Timestamp,
};
use cqar_proto::v1;

use super::{Expiry, Listed, ListedMarket, Page, Parsed, Reading, RejectedItem};
use crate::{
    bindings::exports::cqar::plugin::{
        listing,
        symbology::{self, ReadingResult},
    },
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, cleaned},
};

/// A symbol that can be read in more ways than this is as good as unknown.
const MAX_READINGS: usize = 16;
/// What a symbol says beyond its terms is a word or two.
const MAX_EXTRA: usize = 32;

/// What came of one symbol.
pub(super) fn parsed(raw: symbology::Parsed) -> Result<Parsed, String> {
    match raw {
        symbology::Parsed::One(it) => Ok(Parsed::One(reading(it)?)),
        symbology::Parsed::Ambiguous(several) if (2..=MAX_READINGS).contains(&several.len()) => {
            Ok(Parsed::Ambiguous(several.into_iter().map(reading).collect::<Result<_, _>>()?))
        }
        symbology::Parsed::Ambiguous(several) => {
            Err(format!("{} readings; ambiguous is what has 2 to {MAX_READINGS}", several.len()))
        }
        symbology::Parsed::Unknown(why) => Ok(Parsed::Unknown(cleaned(why, MAX_MESSAGE_BYTES))),
    }
}

/// A listing. Only what cannot be laid to one row is an error.
pub(super) fn page(raw: listing::Page, sources: usize) -> Result<Page, String> {
    let complete_segments = raw
        .complete_segments
        .iter()
        .map(|segment| field("complete-segments", segment))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rejected = Vec::with_capacity(raw.rejected.len());
    for item in raw.rejected {
        let source = usize::try_from(item.source).unwrap_or(usize::MAX);
        if source >= sources {
            return Err(format!("an item of source {source} of {sources}"));
        }
        rejected.push(RejectedItem {
            source: Some(source),
            symbol: cleaned(item.symbol, MAX_MESSAGE_BYTES),
            code: cleaned(item.code, MAX_CODE_BYTES),
            message: cleaned(item.message, MAX_MESSAGE_BYTES),
        });
    }
    let mut markets = Vec::with_capacity(raw.markets.len());
    for item in raw.markets {
        match (reading(item.reading), market(&item.market)) {
            (Ok(reading), Ok(market)) => markets.push(Listed { symbol: item.symbol, reading, market }),
            (Err(message), _) | (_, Err(message)) => rejected.push(RejectedItem {
                source: None,
                symbol: cleaned(item.symbol, MAX_MESSAGE_BYTES),
                code: "MALFORMED_ROW".into(),
                message: cleaned(message, MAX_MESSAGE_BYTES),
            }),
        }
    }
    Ok(Page { complete_segments, markets, rejected })
}

/// The name in readings.
pub(super) const fn option_type_name(option_type: OptionType) -> &'static str {
    match option_type {
        OptionType::Call => "call",
        OptionType::Put => "put",
    }
}

fn reading(raw: ReadingResult) -> Result<Reading, String> {
    let kind = match InstrumentKind::from_name(&raw.kind) {
        Some(InstrumentKind::LendingDeposit | InstrumentKind::LendingBorrow) | None => {
            return Err(format!("kind: {:?} must be spot, perpetual, future or option", raw.kind));
        }
        Some(kind) => kind,
    };
    let option_type = match raw.option_type.as_deref() {
        None => None,
        Some("call") => Some(OptionType::Call),
        Some("put") => Some(OptionType::Put),
        Some(other) => return Err(format!("option-type: {other:?} must be call or put")),
    };
    if raw.extra.len() > MAX_EXTRA {
        return Err(format!("extra: at most {MAX_EXTRA}"));
    }
    let read = Reading {
        segment: field("segment", &raw.segment)?,
        kind,
        base: raw.base,
        quote: Some(raw.quote),
        settle: raw.settle,
        expiry: optional("expiry", raw.expiry.as_deref())?.map(Expiry::Instant),
        strike: optional("strike", raw.strike.as_deref())?,
        option_type,
        exercise_style: raw.extra.iter().find(|it| it.key == "exercise_style").and_then(|it| {
            [ExerciseStyle::European, ExerciseStyle::American].into_iter().find(|s| s.name() == it.value)
        }),
        unit_multiplier: optional("unit-multiplier", raw.unit_multiplier.as_deref())?,
        extra: raw.extra.into_iter().map(|it| (it.key, it.value)).collect(),
    };
    check(&read)?;
    Ok(read)
}

/// What a kind needs is there, and nothing else.
fn check(reading: &Reading) -> Result<(), String> {
    let kind = reading.kind.name();
    let option = reading.kind == InstrumentKind::Option;
    let fields = [
        ("settle", reading.settle.is_some(), reading.kind != InstrumentKind::Spot),
        ("expiry", reading.expiry.is_some(), reading.kind.is_dated()),
        ("strike", reading.strike.is_some(), option),
        ("option-type", reading.option_type.is_some(), option),
    ];
    for (field, given, needed) in fields {
        if given != needed {
            let must = if needed { "must be given" } else { "must not be given" };
            return Err(format!("{field}: {must} for {kind}"));
        }
    }
    let codes = [Some(&reading.base), reading.quote.as_ref(), reading.settle.as_ref()];
    if codes.into_iter().flatten().any(String::is_empty) {
        return Err("base, quote and settle: must not be empty".into());
    }
    let positive = [("strike", &reading.strike), ("unit-multiplier", &reading.unit_multiplier)];
    for (field, amount) in positive {
        if amount.as_ref().is_some_and(|amount| amount.sign().is_le()) {
            return Err(format!("{field}: must be above 0"));
        }
    }
    Ok(())
}

/// The document of a listed market: fields of `cqar.v1.Market` that a venue can know.
fn market(document: &str) -> Result<ListedMarket, String> {
    let raw: v1::Market = serde_json::from_str(document).map_err(|error| format!("market: {error}"))?;
    let foreign = [
        ("id", raw.id.is_empty()),
        ("venue_id", raw.venue_id.is_empty()),
        ("segment", raw.segment.is_empty()),
        ("venue_symbol", raw.venue_symbol.is_empty()),
        ("instrument_id", raw.instrument_id.is_empty()),
        ("unit_multiplier", raw.unit_multiplier.is_empty()),
    ];
    if let Some((field, _)) = foreign.into_iter().find(|(_, empty)| !empty) {
        return Err(format!("market.{field}: is not the listing's to say"));
    }
    let status = v1::MarketStatus::try_from(raw.status)
        .ok()
        .and_then(|status| MarketStatus::try_from(status).ok())
        .ok_or("market.status: must be given")?;
    let unit = v1::ContractUnit::try_from(raw.contract_unit).ok().and_then(|unit| ContractUnit::try_from(unit).ok());
    let contract_size = match (decimal("contract_size", &raw.contract_size)?, unit) {
        (Some(size), Some(unit)) => Some(ContractSize { size, unit }),
        (None, None) => None,
        _ => return Err("market.contract_size: must be given with contract_unit".into()),
    };
    let time = |field: &str, time: Option<cqar_proto::well_known::Timestamp>| {
        time.map(Timestamp::try_from).transpose().map_err(|error| format!("market.{field}: {error}"))
    };
    Ok(ListedMarket {
        status,
        aliases: raw.aliases,
        contract_size,
        tick_size: decimal("tick_size", &raw.tick_size)?,
        lot_size: decimal("lot_size", &raw.lot_size)?,
        min_quantity: decimal("min_quantity", &raw.min_quantity)?,
        max_quantity: decimal("max_quantity", &raw.max_quantity)?,
        min_notional: decimal("min_notional", &raw.min_notional)?,
        maker_fee: decimal("maker_fee", &raw.maker_fee)?,
        taker_fee: decimal("taker_fee", &raw.taker_fee)?,
        funding_interval: raw
            .funding_interval
            .map(Duration::try_from)
            .transpose()
            .map_err(|error| format!("market.funding_interval: {error}"))?,
        listed: time("listed_time", raw.listed_time)?,
        delisted: time("delisted_time", raw.delisted_time)?,
        expiry_time: time("expiry_time", raw.expiry_time)?,
    })
}

fn decimal(name: &str, text: &str) -> Result<Option<Decimal>, String> {
    if text.is_empty() { Ok(None) } else { field(&format!("market.{name}"), text).map(Some) }
}

fn optional<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| field(name, text)).transpose()
}

fn field<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> ReadingResult {
        ReadingResult {
            segment: "usdm".into(),
            kind: "perpetual".into(),
            base: "BTC".into(),
            quote: "USDT".into(),
            settle: Some("USDT".into()),
            expiry: None,
            strike: None,
            option_type: None,
            unit_multiplier: None,
            extra: Vec::new(),
        }
    }

    fn listed(symbol: &str, reading: ReadingResult, market: &str) -> listing::Listed {
        listing::Listed { symbol: symbol.into(), reading, market: market.into() }
    }

    #[test]
    fn a_reading_has_what_its_kind_needs_and_nothing_else() {
        assert!(reading(raw()).is_ok());
        let refused = [
            ReadingResult { kind: "lending_deposit".into(), ..raw() },
            ReadingResult { settle: None, ..raw() },
            ReadingResult { kind: "future".into(), ..raw() },
            ReadingResult { expiry: Some("tomorrow".into()), ..raw() },
            ReadingResult { strike: Some("NaN".into()), ..raw() },
            ReadingResult { unit_multiplier: Some("0".into()), ..raw() },
            ReadingResult { segment: "USD-M".into(), ..raw() },
            ReadingResult { base: String::new(), ..raw() },
        ];
        for raw in refused {
            assert!(reading(raw.clone()).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn a_malformed_row_of_a_listing_is_rejected_alone() {
        let good = r#"{"status": "MARKET_STATUS_ACTIVE", "tick_size": "0.10", "funding_interval": "28800s"}"#;
        let bad = r#"{"status": "MARKET_STATUS_ACTIVE", "tick_size": "ten"}"#;
        let foreign = r#"{"status": "MARKET_STATUS_ACTIVE", "venue_id": "binance"}"#;
        let raw = listing::Page {
            complete_segments: vec!["usdm".into()],
            markets: vec![listed("A", raw(), good), listed("B", raw(), bad), listed("C", raw(), foreign)],
            rejected: Vec::new(),
        };
        let page = page(raw, 1).unwrap();
        assert_eq!(page.markets.len(), 1);
        assert_eq!(page.markets[0].market.tick_size, Some("0.1".parse().unwrap()));
        let rejected: Vec<_> = page.rejected.iter().map(|it| it.symbol.as_str()).collect();
        assert_eq!(rejected, ["B", "C"]);
    }

    #[test]
    fn an_item_of_a_source_that_was_not_given_is_no_answer() {
        let item = listing::Rejected { source: 1, symbol: String::new(), code: "X".into(), message: String::new() };
        let raw = listing::Page { complete_segments: Vec::new(), markets: Vec::new(), rejected: vec![item] };
        assert!(page(raw, 1).is_err());
    }
}
