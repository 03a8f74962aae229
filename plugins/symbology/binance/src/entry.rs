//! One entry of a listing as a market.

use cqar_plugin_symbology::{Expiry, Listed, Reading};
use serde::{Deserialize, Serialize};
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

/// What a contract without expiry has as its delivery date: 2100-12-25. An earlier one is the day of its delisting.
const NO_DELIVERY_MS: i64 = 4_133_404_800_000;

/// Reads an entry of that segment, in the source of that index.
pub fn read(source: u32, segment: Segment, json: &str) -> Result<Listed, Refused> {
    let entry: Entry = serde_json::from_str(json).map_err(|error| Refused {
        symbol: serde_json::from_str(json).map(|Named { symbol }| symbol).unwrap_or_default(),
        code: "MALFORMED_ENTRY",
        message: error.to_string(),
    })?;
    entry.listed(source, segment).map_err(|(code, message)| Refused { symbol: entry.symbol.clone(), code, message })
}

/// An entry, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    symbol: String,
    base_asset: String,
    quote_asset: String,
    margin_asset: Option<String>,
    status: Option<String>,
    contract_status: Option<String>,
    contract_type: Option<String>,
    contract_size: Option<u64>,
    delivery_date: Option<i64>,
    onboard_date: Option<i64>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
struct Named {
    symbol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(rename = "filterType")]
    name: String,
    tick_size: Option<String>,
    step_size: Option<String>,
    min_qty: Option<String>,
    max_qty: Option<String>,
    min_notional: Option<String>,
    notional: Option<String>,
}

/// A limit as it stands in a document: left out where the listing does not speak of it, null where it is switched off.
type Limit<'a> = Option<Option<&'a str>>;

/// The fields of `cqar.v1.Market` that a listing speaks of.
#[derive(Default, Serialize)]
struct Market<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity_unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick_size: Limit<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_size: Limit<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_quantity: Limit<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_quantity: Limit<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_notional: Limit<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delisted_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_time: Option<String>,
}

type Why = (&'static str, String);

impl Entry {
    fn listed(&self, source: u32, segment: Segment) -> Result<Listed, Why> {
        for (field, code) in [("baseAsset", &self.base_asset), ("quoteAsset", &self.quote_asset)] {
            if !symbol::is_code(code) {
                return Err(("INVALID_CODE", format!("{field} {code:.64} is not the code of an asset")));
            }
        }
        if self.symbol.is_empty() {
            return Err(("MALFORMED_ENTRY", "symbol is empty".to_owned()));
        }
        let (reading, market) = match segment {
            Segment::Spot => self.spot()?,
            Segment::Usdm | Segment::Coinm => self.contract(segment)?,
        };
        let market = serde_json::to_string(&market).map_err(|error| ("MALFORMED_ENTRY", error.to_string()))?;
        Ok(Listed { source, symbol: self.symbol.clone(), reading, market, problems: Vec::new() })
    }

    fn spot(&self) -> Result<(Reading, Market<'_>), Why> {
        let status = match self.status.as_deref().unwrap_or_default() {
            "TRADING" => "MARKET_STATUS_ACTIVE",
            "PENDING_TRADING" | "PRE_TRADING" => "MARKET_STATUS_PRE_LAUNCH",
            "BREAK" | "HALT" | "AUCTION_MATCH" | "END_OF_DAY" | "POST_TRADING" => "MARKET_STATUS_HALTED",
            other => return Err(unknown_status(other)),
        };
        let reading = symbol::reading(Segment::Spot, "spot", &self.base_asset, &self.quote_asset, None);
        Ok((reading, Market { status, quantity_unit: Some("QUANTITY_UNIT_BASE"), ..self.filtered() }))
    }

    fn contract(&self, segment: Segment) -> Result<(Reading, Market<'_>), Why> {
        let is_dated = is_dated(self.contract_type.as_deref().unwrap_or_default())?;
        let settle = self.margin_asset.as_deref().unwrap_or_default();
        if !symbol::is_code(settle) {
            return Err(("INVALID_CODE", format!("marginAsset {settle:.64} is not the code of an asset")));
        }
        let kind = if is_dated { "future" } else { "perpetual" };
        let expiry = match self.delivery_date {
            Some(ms) if is_dated => Some(instant("deliveryDate", ms)?),
            None if is_dated => return Err(("MISSING_DELIVERY_DATE", "deliveryDate is not given".to_owned())),
            _ => None,
        };
        let delisted_time = match self.delivery_date {
            Some(ms) if !is_dated && ms < NO_DELIVERY_MS => Some(instant("deliveryDate", ms)?),
            _ => None,
        };
        let status = self.status.as_deref().or(self.contract_status.as_deref()).unwrap_or_default();
        // USDⓈ-M counts quantities in the base itself, COIN-M in contracts of so many units of the quote.
        let contract_size = self.contract_size.filter(|_| segment == Segment::Coinm);
        let in_contracts = segment == Segment::Coinm;
        let market = Market {
            status: contract_status(status, is_dated, delisted_time.is_some())?,
            quantity_unit: Some(if in_contracts { "QUANTITY_UNIT_CONTRACTS" } else { "QUANTITY_UNIT_BASE" }),
            contract_size: contract_size.map(|size| size.to_string()),
            contract_unit: contract_size.map(|_| "CONTRACT_UNIT_QUOTE"),
            listed_time: self.onboard_date.map(|ms| instant("onboardDate", ms)).transpose()?,
            delisted_time,
            expiry_time: expiry.clone(),
            ..self.filtered()
        };
        let reading = symbol::reading(segment, kind, &self.base_asset, &self.quote_asset, Some(settle));
        Ok((Reading { expiry: expiry.map(Expiry::Instant), ..reading }, market))
    }

    /// What the filters say of orders.
    fn filtered(&self) -> Market<'_> {
        let mut market = Market::default();
        for filter in &self.filters {
            match filter.name.as_str() {
                "PRICE_FILTER" => market.tick_size = given(filter.tick_size.as_deref()),
                "LOT_SIZE" => {
                    market.lot_size = given(filter.step_size.as_deref());
                    market.min_quantity = given(filter.min_qty.as_deref());
                    market.max_quantity = given(filter.max_qty.as_deref());
                }
                "MIN_NOTIONAL" | "NOTIONAL" => {
                    market.min_notional = given(filter.min_notional.as_deref().or(filter.notional.as_deref()));
                }
                _ => {}
            }
        }
        market
    }
}

/// Binance switches a limit off by setting it to 0.
fn given(amount: Option<&str>) -> Limit<'_> {
    amount.map(|amount| Some(amount).filter(|amount| amount.bytes().any(|b| !matches!(b, b'0' | b'.'))))
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
fn contract_status(status: &str, is_dated: bool, has_end: bool) -> Result<&'static str, Why> {
    Ok(match status {
        "PENDING_TRADING" => "MARKET_STATUS_PRE_LAUNCH",
        "TRADING" => "MARKET_STATUS_ACTIVE",
        "TRADING_HALT" | "TRADING_CANCEL_ONLY" => "MARKET_STATUS_HALTED",
        "DELIVERING" | "SETTLING" if is_dated => "MARKET_STATUS_EXPIRED",
        "DELIVERED" | "CLOSE" if is_dated => "MARKET_STATUS_SETTLED",
        "SETTLING" | "DELIVERED" | "CLOSE" if has_end => "MARKET_STATUS_DELISTED",
        "PRE_DELIVERING" | "PRE_SETTLE" | "DELIVERING" | "SETTLING" | "DELIVERED" | "CLOSE" => {
            "MARKET_STATUS_DELISTING"
        }
        other => return Err(unknown_status(other)),
    })
}

fn unknown_status(status: &str) -> Why {
    ("UNKNOWN_STATUS", format!("status {status:.64} is not known"))
}

fn instant(field: &str, ms: i64) -> Result<String, Why> {
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    instant
        .and_then(|instant| instant.format(&Rfc3339).ok())
        .ok_or_else(|| ("INVALID_TIME", format!("{field} {ms} is not a time in milliseconds")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn perpetual(changes: &Value) -> String {
        let mut entry = json!({
            "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
            "deliveryDate": NO_DELIVERY_MS, "onboardDate": 1_569_398_400_000_i64,
            "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "556.72", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
                {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.1", "minQty": "0.1", "maxQty": "1"},
                {"filterType": "MIN_NOTIONAL", "notional": "5"},
            ],
        });
        for (key, value) in changes.as_object().unwrap() {
            entry[key] = value.clone();
        }
        entry.to_string()
    }

    fn market(segment: Segment, entry: &str) -> (Reading, Value) {
        let listed = read(0, segment, entry).unwrap();
        (listed.reading, serde_json::from_str(&listed.market).unwrap())
    }

    #[test]
    fn a_perpetual_says_its_limits_and_since_when() {
        let (reading, market) = market(Segment::Usdm, &perpetual(&json!({})));
        assert_eq!((reading.kind.as_str(), reading.settle.as_deref()), ("perpetual", Some("USDT")));
        let expected = json!({
            "status": "MARKET_STATUS_ACTIVE", "tick_size": "0.01", "lot_size": "0.001", "min_quantity": "0.001",
            "max_quantity": "1000", "min_notional": "5", "listed_time": "2019-09-25T08:00:00Z",
            "quantity_unit": "QUANTITY_UNIT_BASE",
        });
        assert_eq!(market, expected);
    }

    #[test]
    fn a_limit_of_zero_is_taken_back_and_one_that_is_not_named_is_not_spoken_of() {
        let filters = json!([
            {"filterType": "PRICE_FILTER", "tickSize": "0.00000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0", "minQty": "0.00", "maxQty": "10"},
        ]);
        let (_, market) = market(Segment::Usdm, &perpetual(&json!({ "filters": filters })));
        assert_eq!(market["max_quantity"], "10");
        for switched_off in ["tick_size", "lot_size", "min_quantity"] {
            assert_eq!(market.get(switched_off), Some(&Value::Null), "{switched_off}");
        }
        assert_eq!(market.get("min_notional"), None);
    }

    #[test]
    fn a_dated_contract_ends_at_the_instant_of_its_delivery() {
        let dated = json!({
            "symbol": "BTCUSDT_210924", "contractType": "CURRENT_QUARTER", "deliveryDate": 1_632_470_400_000_i64,
        });
        let (reading, market) = market(Segment::Usdm, &perpetual(&dated));
        let delivery = Expiry::Instant("2021-09-24T08:00:00Z".to_owned());
        assert_eq!((reading.kind.as_str(), reading.expiry), ("future", Some(delivery)));
        assert_eq!(market["expiry_time"], "2021-09-24T08:00:00Z");
    }

    #[test]
    fn a_coin_margined_contract_counts_in_quote() {
        let coinm = json!({
            "symbol": "BTCUSD_PERP", "quoteAsset": "USD", "marginAsset": "BTC", "contractSize": 100,
            "status": null, "contractStatus": "TRADING",
        });
        let (reading, market) = market(Segment::Coinm, &perpetual(&coinm));
        assert_eq!(reading.settle.as_deref(), Some("BTC"));
        assert_eq!(
            (&market["contract_size"], &market["contract_unit"]),
            (&json!("100"), &json!("CONTRACT_UNIT_QUOTE"))
        );
        assert_eq!(
            (&market["status"], &market["quantity_unit"]),
            (&json!("MARKET_STATUS_ACTIVE"), &json!("QUANTITY_UNIT_CONTRACTS"))
        );
    }

    #[test]
    fn a_perpetual_that_was_settled_is_delisted_since_its_delivery() {
        let settled = json!({ "status": "SETTLING", "deliveryDate": 1_700_000_000_000_i64 });
        let (_, market) = market(Segment::Usdm, &perpetual(&settled));
        assert_eq!(market["status"], "MARKET_STATUS_DELISTED");
        assert_eq!(market["delisted_time"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn states_of_the_venue_become_states_of_the_registry() {
        let spot = |status: &str| {
            let entry = json!({"symbol": "ETHBTC", "baseAsset": "ETH", "quoteAsset": "BTC", "status": status});
            market(Segment::Spot, &entry.to_string()).1["status"].as_str().unwrap().to_owned()
        };
        for (status, expected) in [
            ("TRADING", "MARKET_STATUS_ACTIVE"),
            ("BREAK", "MARKET_STATUS_HALTED"),
            ("HALT", "MARKET_STATUS_HALTED"),
            ("PENDING_TRADING", "MARKET_STATUS_PRE_LAUNCH"),
        ] {
            assert_eq!(spot(status), expected, "{status}");
        }
        for (status, contract_type, expected) in [
            ("PENDING_TRADING", "TRADIFI_PERPETUAL", "MARKET_STATUS_PRE_LAUNCH"),
            ("TRADING_HALT", "PERPETUAL", "MARKET_STATUS_HALTED"),
            ("SETTLING", "PERPETUAL DELIVERING", "MARKET_STATUS_DELISTING"),
            ("PRE_DELIVERING", "NEXT_QUARTER", "MARKET_STATUS_DELISTING"),
            ("DELIVERING", "CURRENT_QUARTER_DELIVERING", "MARKET_STATUS_EXPIRED"),
            ("DELIVERED", "CURRENT_QUARTER", "MARKET_STATUS_SETTLED"),
        ] {
            let entry = perpetual(&json!({ "status": status, "contractType": contract_type }));
            assert_eq!(market(Segment::Usdm, &entry).1["status"], expected, "{status} {contract_type}");
        }
    }

    #[test]
    fn an_entry_that_is_no_market_is_refused_by_name() {
        for (changes, code) in [
            (json!({ "contractType": "" }), "MISSING_CONTRACT_TYPE"),
            (json!({ "contractType": null }), "MISSING_CONTRACT_TYPE"),
            (json!({ "contractType": "EVERLASTING" }), "UNKNOWN_CONTRACT_TYPE"),
            (json!({ "contractType": "NEXT_QUARTER", "deliveryDate": null }), "MISSING_DELIVERY_DATE"),
            (json!({ "status": "ASLEEP" }), "UNKNOWN_STATUS"),
            (json!({ "status": null }), "UNKNOWN_STATUS"),
            (json!({ "marginAsset": null }), "INVALID_CODE"),
            (json!({ "baseAsset": "" }), "INVALID_CODE"),
            (json!({ "onboardDate": i64::MAX }), "INVALID_TIME"),
            (json!({ "filters": 7 }), "MALFORMED_ENTRY"),
        ] {
            let refused = read(0, Segment::Usdm, &perpetual(&changes)).err().unwrap();
            assert_eq!((refused.symbol.as_str(), refused.code), ("BTCUSDT", code), "{changes}");
        }
    }
}
