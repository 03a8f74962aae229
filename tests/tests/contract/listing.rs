//! Listings of Binance that are made up, and what an import reports of them.

use cqar_proto::v1::{Asset, ImportListingOptions, ImportedMarket, imported_market::Outcome};
use cqar_tests::fixtures::{Clients, Imported, asset, create, ids, mutation, time, venue};
use serde_json::{Value, json};

/// A spot market that trades.
pub fn spot(symbol: &str, base: &str, quote: &str) -> Value {
    json!({
        "symbol": symbol, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "isSpotTradingAllowed": true,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000.0", "stepSize": "0.001"},
        ],
    })
}

/// The same with a field changed.
pub fn with(mut entry: Value, field: &str, value: impl Into<Value>) -> Value {
    entry[field] = value.into();
    entry
}

/// A coin-margined contract that ends at an instant, given in milliseconds since 1970.
pub fn dated(symbol: &str, base: &str, onboarded_ms: i64, delivered_ms: i64) -> Value {
    json!({
        "symbol": symbol, "contractStatus": "TRADING", "contractType": "CURRENT_QUARTER", "baseAsset": base,
        "quoteAsset": "USD", "marginAsset": base, "contractSize": 100, "onboardDate": onboarded_ms,
        "deliveryDate": delivered_ms, "filters": [],
    })
}

/// The venue's own response.
pub fn raw(symbols: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({"timezone": "UTC", "symbols": symbols})).unwrap()
}

/// The response with where and when it came from.
pub fn wrapped(url: &str, received_at: f64, symbols: &[Value]) -> Vec<u8> {
    let body = json!({"timezone": "UTC", "symbols": symbols});
    let response = json!({"url": url, "received_at": received_at, "body": body});
    serde_json::to_vec(&json!({"venue": "binance", "responses": [response]})).unwrap()
}

/// How a listing of Binance is imported.
pub fn into_binance() -> ImportListingOptions {
    ImportListingOptions { venue_id: "binance".into(), ..ImportListingOptions::default() }
}

/// The same, creating what is missing.
pub fn creating() -> ImportListingOptions {
    ImportListingOptions { create_missing_assets: true, ..into_binance() }
}

/// Options under which markets that are absent are delisted, of a listing that is said to be whole in these segments.
pub fn whole(segments: &[&str], options: ImportListingOptions) -> ImportListingOptions {
    let complete_segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
    ImportListingOptions { delist_absent: true, complete_segments, ..options }
}

/// A perpetual of USDⓈ-M, since 2019-09-25T08:00:00Z.
pub fn perpetual(symbol: &str, base: &str, quote: &str) -> Value {
    json!({
        "symbol": symbol, "status": "TRADING", "contractType": "PERPETUAL", "baseAsset": base, "quoteAsset": quote,
        "marginAsset": quote, "onboardDate": 1_569_398_400_000_i64, "deliveryDate": 4_133_404_800_000_i64,
        "underlyingType": "COIN",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
    })
}

/// Options with the moment that the listing speaks of.
pub fn observed(at: &str, options: ImportListingOptions) -> ImportListingOptions {
    ImportListingOptions { observed_time: Some(time(at)), ..options }
}

/// Binance, and assets with these symbols. Their ids.
pub async fn binance_with<const N: usize>(clients: &mut Clients, symbols: [&str; N]) -> [String; N] {
    let assets = symbols.map(|symbol| create(asset(symbol)));
    let operations = std::iter::once(create(venue("binance"))).chain(assets);
    let applied = clients.apply(operations.map(mutation).collect()).await.unwrap();
    ids(&applied).split_off(1).try_into().unwrap()
}

/// An asset that nobody classified.
pub fn unclassified(symbol: &str) -> Asset {
    Asset { r#type: cqar_proto::v1::AssetType::Unclassified.into(), ..asset(symbol) }
}

/// How many were created, updated, unchanged, delisted and rejected.
pub fn counts(report: &Imported) -> [i32; 5] {
    [report.created, report.updated, report.unchanged, report.delisted, report.rejected]
}

/// The items with this outcome, in the order of their symbols.
pub fn outcomes(report: &Imported, outcome: Outcome) -> Vec<&ImportedMarket> {
    let mut found: Vec<&ImportedMarket> = report.markets.iter().filter(|it| it.outcome() == outcome).collect();
    found.sort_by_key(|it| &it.venue_symbol);
    found
}

/// The codes of what was unusual, in their order, each once.
pub fn warned(report: &Imported) -> Vec<&str> {
    let mut codes: Vec<&str> = report.warnings.iter().map(|it| it.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The rejected items: symbol and code.
pub fn rejected(report: &Imported) -> Vec<(&str, &str)> {
    outcomes(report, Outcome::Rejected).into_iter().map(|it| (it.venue_symbol.as_str(), it.code.as_str())).collect()
}
