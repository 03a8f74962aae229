//! One entry of a listing as a market, read field by field: what cannot be read costs its field, and only what a market cannot be
//! without costs the entry.

mod filters;
#[cfg(test)]
mod tests;

use cqar_plugin_symbology::{Expiry, Listed, ListedAsset, Reading, fields::Fields, plugin::Field};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{segment::Segment, symbol};

/// Why an entry is no market.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The symbol, empty if the entry does not say it.
    pub symbol: String,
    /// A stable code.
    pub code: &'static str,
    /// An explanation.
    pub message: String,
}

/// What an entry says: a market, and what its base is.
#[derive(Debug)]
pub struct Entry {
    /// The market.
    pub listed: Listed,
    /// What tells the base from other assets of its code; none where nothing is said.
    pub base: Option<ListedAsset>,
}

/// What a contract without expiry has as its delivery date: 2100-12-25. An earlier one is the day of its delisting.
const NO_DELIVERY_MS: i64 = 4_133_404_800_000;

/// Who may trade where a set of permissions has one of these: any account.
const PUBLIC_PERMISSIONS: [&str; 2] = ["SPOT", "LEVERAGED"];

type Why = (&'static str, String);

/// Reads an entry of that segment, in the source of that index.
pub fn read(source: u32, segment: Segment, json: &str) -> Result<Entry, Refused> {
    let Some(mut fields) = Fields::read(json) else {
        let message = "an entry is one JSON object".to_owned();
        return Err(Refused { symbol: String::new(), code: "MALFORMED_ENTRY", message });
    };
    let symbol = fields.text("symbol").unwrap_or_default();
    let refused = |(code, message)| Refused { symbol: symbol.clone(), code, message };
    if symbol.is_empty() {
        return Err(refused(("MALFORMED_ENTRY", "symbol is not given".to_owned())));
    }
    let mut codes = || Ok((code(&mut fields, "baseAsset")?, code(&mut fields, "quoteAsset")?));
    let (base, quote) = codes().map_err(refused)?;
    let mut market = Map::new();
    let reading = match segment {
        Segment::Spot => Ok(spot(&mut fields, &mut market, &base, &quote)),
        Segment::Usdm | Segment::Coinm => contract(&mut fields, &mut market, segment, &base, &quote),
    };
    let reading = reading.map_err(refused)?;
    filters::read(&mut fields, &mut market);
    let class = asset_class(&mut fields);
    let base = class.map(|class| ListedAsset {
        source,
        code: reading.base.clone(),
        segment: Some(segment.name().to_owned()),
        hints: vec![Field { key: "asset_class".to_owned(), value: class.to_owned() }],
        venue_asset: None,
    });
    let market = Value::Object(market).to_string();
    let listed = Listed { source, symbol, reading, market, problems: fields.into_problems() };
    Ok(Entry { listed, base })
}

fn code(fields: &mut Fields<'_>, name: &str) -> Result<String, Why> {
    let code = fields.text(name).unwrap_or_default();
    if symbol::is_code(&code) {
        Ok(code)
    } else {
        Err(("INVALID_CODE", format!("{name} {code:.64} is not the code of an asset")))
    }
}

fn spot(fields: &mut Fields<'_>, market: &mut Map<String, Value>, base: &str, quote: &str) -> Reading {
    let said = fields.text("status").unwrap_or_default();
    let status = match said.as_str() {
        "TRADING" => Some("MARKET_STATUS_ACTIVE"),
        "PENDING_TRADING" | "PRE_TRADING" => Some("MARKET_STATUS_PRE_LAUNCH"),
        "BREAK" | "HALT" | "AUCTION_MATCH" | "END_OF_DAY" | "POST_TRADING" => Some("MARKET_STATUS_HALTED"),
        _ => None,
    };
    let restriction = restriction(fields);
    // Whether everybody may trade is part of the status: where it cannot be read, none is said.
    if let (Some(status), Ok(restriction)) = (known_status(fields, &said, status), restriction) {
        let restriction = restriction.filter(|_| status == "MARKET_STATUS_ACTIVE");
        let is_open = restriction.is_none();
        market.insert("status".to_owned(), if is_open { status } else { "MARKET_STATUS_HALTED" }.into());
        market.insert("labels".to_owned(), restriction.map_or_else(|| json!({}), |only| json!({ "access": only })));
    }
    market.insert("quantity_unit".to_owned(), "QUANTITY_UNIT_BASE".into());
    symbol::reading(Segment::Spot, "spot", base, quote, None)
}

/// Permissions that are there and cannot be read.
struct Unreadable;

/// Who alone may trade, where that is not every account: one of each of the sets of permissions is needed.
fn restriction(fields: &mut Fields<'_>) -> Result<Option<String>, Unreadable> {
    let mut sets = Vec::new();
    for name in ["permissionSets", "permissions"] {
        if fields.has(name) && sets.is_empty() {
            sets = fields.sets(name).ok_or(Unreadable)?;
        }
    }
    let is_public = |set: &Vec<String>| set.iter().any(|it| PUBLIC_PERMISSIONS.contains(&it.as_str()));
    let Some(closed) = sets.iter().find(|set| !set.is_empty() && !is_public(set)) else { return Ok(None) };
    let mut only: String = format!("only {}", closed.join(", "));
    if only.len() > 255 {
        only = only.chars().take(250).collect::<String>() + " …";
    }
    Ok(Some(only))
}

fn contract(
    fields: &mut Fields<'_>,
    market: &mut Map<String, Value>,
    segment: Segment,
    base: &str,
    quote: &str,
) -> Result<Reading, Why> {
    let is_dated = is_dated(&fields.text("contractType").unwrap_or_default())?;
    let settle = code(fields, "marginAsset")?;
    // A date of zero is none.
    let mut date = |name: &str| fields.integer(name).filter(|ms| *ms != 0);
    let (delivery, onboard) = (date("deliveryDate"), date("onboardDate"));
    if let Some(listed) = onboard.and_then(|ms| known_instant(fields, "onboardDate", ms)) {
        market.insert("listed_time".to_owned(), listed.into());
    }
    let mut expiry = None;
    let mut has_end = false;
    match delivery {
        Some(ms) if is_dated => {
            let at = instant("deliveryDate", ms)?;
            market.insert("expiry_time".to_owned(), at.clone().into());
            expiry = Some(at);
        }
        None if is_dated => return Err(("MISSING_DELIVERY_DATE", "deliveryDate is not given".to_owned())),
        Some(ms) if ms < NO_DELIVERY_MS => {
            if let Some(end) = known_instant(fields, "deliveryDate", ms) {
                market.insert("delisted_time".to_owned(), end.into());
                has_end = true;
            }
        }
        // It says that there is no end, which an earlier listing may have said.
        Some(_) => drop(market.insert("delisted_time".to_owned(), Value::Null)),
        None => {}
    }
    let status = fields.text("status").or_else(|| fields.text("contractStatus")).unwrap_or_default();
    if let Some(status) = known_status(fields, &status, contract_status(&status, is_dated, has_end)) {
        market.insert("status".to_owned(), status.into());
    }
    // USDⓈ-M counts quantities in the base itself, COIN-M in contracts of so many units of the quote.
    let in_contracts = segment == Segment::Coinm;
    let unit = if in_contracts { "QUANTITY_UNIT_CONTRACTS" } else { "QUANTITY_UNIT_BASE" };
    market.insert("quantity_unit".to_owned(), unit.into());
    if let Some(size) = in_contracts.then(|| fields.decimal("contractSize")).flatten() {
        market.insert("contract_size".to_owned(), size.into());
        market.insert("contract_unit".to_owned(), "CONTRACT_UNIT_QUOTE".into());
    }
    let kind = if is_dated { "future" } else { "perpetual" };
    let reading = symbol::reading(segment, kind, base, quote, Some(&settle));
    Ok(Reading { expiry: expiry.map(Expiry::Instant), ..reading })
}

/// What the base of a contract is a claim on.
fn asset_class(fields: &mut Fields<'_>) -> Option<&'static str> {
    match fields.text("underlyingType")?.as_str() {
        "COIN" => Some("crypto"),
        "INDEX" => Some("index"),
        "COMMODITY" => Some("commodity"),
        "FIAT" | "FOREX" => Some("fiat"),
        equity if equity == "EQUITY" || equity.ends_with("_EQUITY") => Some("equity"),
        // `PREMARKET` says when it trades, not what.
        _ => None,
    }
}

/// Whether contracts of that type end. While one ends, Binance appends that to its type.
fn is_dated(contract_type: &str) -> Result<bool, Why> {
    let base = contract_type.strip_suffix("DELIVERING").map_or(contract_type, |base| base.trim_end_matches([' ', '_']));
    match base {
        "PERPETUAL" | "TRADIFI_PERPETUAL" => Ok(false),
        "CURRENT_MONTH" | "NEXT_MONTH" | "CURRENT_QUARTER" | "NEXT_QUARTER" => Ok(true),
        "" => Err(("MISSING_CONTRACT_TYPE", "contractType is empty: perpetual or dated is not said".to_owned())),
        other => Err(("UNKNOWN_CONTRACT_TYPE", format!("contractType {other:.64} is not known"))),
    }
}

/// The status of a contract. A perpetual is DELISTED only where it is said since when.
fn contract_status(status: &str, is_dated: bool, has_end: bool) -> Option<&'static str> {
    Some(match status {
        "PENDING_TRADING" | "PRE_TRADING" | "PRE_MARKET" => "MARKET_STATUS_PRE_LAUNCH",
        "TRADING" => "MARKET_STATUS_ACTIVE",
        "TRADING_HALT" | "TRADING_CANCEL_ONLY" | "HALT" | "BREAK" => "MARKET_STATUS_HALTED",
        "DELIVERING" | "SETTLING" if is_dated => "MARKET_STATUS_EXPIRED",
        "DELIVERED" | "CLOSE" if is_dated => "MARKET_STATUS_SETTLED",
        "SETTLING" | "DELIVERED" | "CLOSE" if has_end => "MARKET_STATUS_DELISTED",
        "PRE_DELIVERING" | "PRE_SETTLE" | "DELIVERING" | "SETTLING" | "DELIVERED" | "CLOSE" => {
            "MARKET_STATUS_DELISTING"
        }
        _ => return None,
    })
}

/// The status; one that is not known costs itself, so that a market keeps the one that it had.
fn known_status(fields: &mut Fields<'_>, said: &str, status: Option<&'static str>) -> Option<&'static str> {
    if status.is_none() {
        fields.not_understood("status", "UNKNOWN_STATUS", format!("status {said:.64} is not known"));
    }
    status
}

/// The instant; one that is none costs itself.
fn known_instant(fields: &mut Fields<'_>, name: &str, ms: i64) -> Option<String> {
    let read = instant(name, ms);
    read.map_err(|(code, message)| fields.not_understood(name, code, message)).ok()
}

fn instant(field: &str, ms: i64) -> Result<String, Why> {
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    instant
        .and_then(|instant| instant.format(&Rfc3339).ok())
        .ok_or_else(|| ("INVALID_TIME", format!("{field} {ms} is not a time in milliseconds")))
}
