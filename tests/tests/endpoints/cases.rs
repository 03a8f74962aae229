//! One case for each method: a request that succeeds, and what must be there before it.
//!
//! In both, `{n}` is a number that no case had before, and `{0}`, `{1}` … are the ids of what the preparation came to. The
//! registry of [`cqar_tests::fixtures::SampleRegistry`] is there: `{btc}`, `{usdt}`, `{spot}`, `{perpetual}`, `{kraken}`.

use serde_json::{Value, json};

/// How a method is called.
pub struct Case {
    pub method: &'static str,
    /// Mutations that come first.
    pub prepare: Value,
    /// What is asked for; a write changes something.
    pub asked: Value,
}

fn case(method: &'static str, prepare: Value, asked: Value) -> Case {
    Case { method, prepare, asked }
}

/// The listing that an import is called with.
pub const LISTING: &[u8] =
    br#"{"symbols": [{"symbol": "NEWUSDT", "status": "TRADING", "baseAsset": "NEW", "quoteAsset": "USDT",
    "isSpotTradingAllowed": true, "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000.00", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000.0", "stepSize": "0.001"}]}]}"#;

/// The cases. Every method has one.
pub fn cases() -> Vec<Case> {
    let services =
        [asset_service(), chain_service(), venue_service(), instrument_service(), market_service(), others()];
    services.into_iter().flatten().collect()
}

fn none() -> Value {
    json!([])
}

fn create(entity: &str, message: &Value) -> Value {
    json!([{"create": {entity: message}}])
}

fn delete(entity: &str, message: &Value, key: &str) -> Value {
    json!([{"ref": "r{n}", "create": {entity: message}}, {"delete": {key: "$r{n}"}}])
}

fn asset() -> Value {
    json!({"symbol": "A{n}", "name": "An asset", "type": "ASSET_TYPE_TOKEN"})
}

fn asset_service() -> Vec<Case> {
    let with_asset = || create("asset", &asset());
    vec![
        case("AssetService/CreateAsset", none(), json!({"asset": asset()})),
        case("AssetService/GetAsset", none(), json!({"asset_id": "{btc}"})),
        case("AssetService/BatchGetAssets", none(), json!({"asset_ids": ["{btc}"]})),
        case("AssetService/UpdateAsset", with_asset(), json!({"asset": {"id": "{0}", "name": "Another"}})),
        case("AssetService/DeleteAsset", with_asset(), json!({"asset_id": "{0}"})),
        case("AssetService/UndeleteAsset", delete("asset", &asset(), "asset_id"), json!({"asset_id": "{0}"})),
        case("AssetService/ListAssets", none(), json!({})),
    ]
}

fn chain_service() -> Vec<Case> {
    let chain = || json!({"id": "chain-{n}", "name": "A chain", "caip2": "eip155:{n}"});
    let with_chain = || create("chain", &chain());
    vec![
        case("ChainService/CreateChain", none(), json!({"chain": chain()})),
        case("ChainService/GetChain", with_chain(), json!({"chain_id": "{0}"})),
        case("ChainService/BatchGetChains", with_chain(), json!({"chain_ids": ["{0}"]})),
        case("ChainService/UpdateChain", with_chain(), json!({"chain": {"id": "{0}", "is_testnet": true}})),
        case("ChainService/DeleteChain", with_chain(), json!({"chain_id": "{0}"})),
        case(
            "ChainService/ListChains",
            json!([{"create": {"chain": chain()}},
                {"create": {"chain": {"id": "other-{n}", "name": "A chain", "caip2": "eip155:9{n}"}}}]),
            json!({}),
        ),
    ]
}

fn venue_service() -> Vec<Case> {
    let venue = || json!({"id": "venue-{n}", "name": "A venue", "type": "VENUE_TYPE_CEX"});
    let venue_asset = || json!({"venue_id": "kraken", "code": "C{n}", "asset_id": "{btc}"});
    let with_venue = || create("venue", &venue());
    let with_venue_asset = || create("venue_asset", &venue_asset());
    vec![
        case("VenueService/CreateVenue", none(), json!({"venue": venue()})),
        case("VenueService/GetVenue", none(), json!({"venue_id": "kraken"})),
        case("VenueService/BatchGetVenues", none(), json!({"venue_ids": ["kraken"]})),
        case("VenueService/UpdateVenue", with_venue(), json!({"venue": {"id": "{0}", "is_active": false}})),
        case("VenueService/DeleteVenue", with_venue(), json!({"venue_id": "{0}"})),
        case("VenueService/UndeleteVenue", delete("venue", &venue(), "venue_id"), json!({"venue_id": "{0}"})),
        case("VenueService/ListVenues", none(), json!({})),
        case("VenueService/CreateVenueAsset", none(), json!({"venue_asset": venue_asset()})),
        case("VenueService/GetVenueAsset", with_venue_asset(), json!({"venue_asset_id": "{0}"})),
        case("VenueService/BatchGetVenueAssets", with_venue_asset(), json!({"venue_asset_ids": ["{0}"]})),
        case(
            "VenueService/UpdateVenueAsset",
            with_venue_asset(),
            json!({"venue_asset": {"id": "{0}", "asset_id": "{usdt}"}}),
        ),
        case("VenueService/DeleteVenueAsset", with_venue_asset(), json!({"venue_asset_id": "{0}"})),
        case(
            "VenueService/ListVenueAssets",
            json!([{"create": {"venue_asset": venue_asset()}},
                {"create": {"venue_asset": {"venue_id": "kraken", "code": "D{n}", "asset_id": "{btc}"}}}]),
            json!({}),
        ),
    ]
}

fn instrument_service() -> Vec<Case> {
    let future = |asset: &str| {
        json!({"future": {"base_asset_id": asset, "quote_asset_id": "{usdt}", "settle_asset_id": "{usdt}",
            "expiry_date": "2030-01-01"}})
    };
    let with_asset = || create("asset", &asset());
    let with_instrument =
        || json!([{"ref": "a{n}", "create": {"asset": asset()}}, {"create": {"instrument": future("$a{n}")}}]);
    vec![
        case("InstrumentService/CreateInstrument", with_asset(), json!({"instrument": future("{0}")})),
        case("InstrumentService/GetInstrument", none(), json!({"instrument_id": "{spot}"})),
        case("InstrumentService/BatchGetInstruments", none(), json!({"instrument_ids": ["{spot}"]})),
        case(
            "InstrumentService/UpdateInstrument",
            with_instrument(),
            json!({"instrument": {"id": "{1}", "labels": {"desk": "rates"}}}),
        ),
        case("InstrumentService/DeleteInstrument", with_instrument(), json!({"instrument_id": "{1}"})),
        case(
            "InstrumentService/UndeleteInstrument",
            json!([
                {"ref": "a{n}", "create": {"asset": asset()}},
                {"ref": "i{n}", "create": {"instrument": future("$a{n}")}},
                {"delete": {"instrument_id": "$i{n}"}},
            ]),
            json!({"instrument_id": "{1}"}),
        ),
        case("InstrumentService/ListInstruments", none(), json!({})),
    ]
}

fn market_service() -> Vec<Case> {
    let market = || {
        json!({"venue_id": "kraken", "venue_symbol": "M{n}", "instrument_id": "{spot}",
            "status": "MARKET_STATUS_ACTIVE", "tick_size": "0.01"})
    };
    let with_market = || create("market", &market());
    let resolve = || json!({"venue_id": "kraken", "venue_symbol": "XBTUSDT"});
    let format = || json!({"venue_id": "binance", "instrument_id": "{perpetual}"});
    vec![
        case("MarketService/CreateMarket", none(), json!({"market": market()})),
        case("MarketService/GetMarket", none(), json!({"market_id": "{kraken}"})),
        case("MarketService/BatchGetMarkets", none(), json!({"market_ids": ["{kraken}"]})),
        case(
            "MarketService/UpdateMarket",
            with_market(),
            json!({"market": {"id": "{0}", "status": "MARKET_STATUS_HALTED"}}),
        ),
        case("MarketService/DeleteMarket", with_market(), json!({"market_id": "{0}"})),
        case("MarketService/DelistMarket", with_market(), json!({"market_id": "{0}"})),
        case("MarketService/ListMarkets", none(), json!({"live_at": "2026-01-01T00:00:00Z"})),
        case("MarketService/ResolveMarket", none(), resolve()),
        case("MarketService/BatchResolveMarkets", none(), json!({"requests": [resolve()]})),
        case("MarketService/FormatSymbol", none(), format()),
        case("MarketService/BatchFormatSymbols", none(), json!({"requests": [format()]})),
        case("MarketService/FindMarkets", none(), json!({"code": "BTC/USDT"})),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case(
            "RegistryService/Apply",
            create("asset", &asset()),
            json!({"mutations": [{"delete": {"asset_id": "{0}"}}]}),
        ),
        case(
            "RegistryService/ImportListing",
            json!([{"ref": "v{n}", "create": {"venue": {
                "id": "venue-{n}", "name": "A venue", "type": "VENUE_TYPE_CEX", "symbology": "symbology-binance"}}}]),
            json!({"venue_id": "{0}", "segment": "spot", "create_missing_assets": true, "trust_symbols": true}),
        ),
        case("RegistryService/GetStatus", none(), json!({})),
        case("EventService/Watch", none(), json!({"start_revision": "0"})),
        case("PluginService/ListPlugins", none(), json!({})),
        case("PluginService/GetPlugin", none(), json!({"name": "market-sanity"})),
        case("PluginService/DisablePlugin", none(), json!({"name": "route-by-venue"})),
        case("PluginService/EnablePlugin", none(), json!({"name": "route-by-venue"})),
        case("PluginService/RemovePlugin", none(), json!({"name": "route-by-venue"})),
        case("PluginService/ReloadPlugin", none(), json!({"name": "market-sanity"})),
        case("PluginService/LiftPlugin", none(), json!({"name": "market-sanity"})),
        case(
            "PluginService/EvaluatePlugin",
            none(),
            json!({"name": "market-sanity", "case": "{\"export\": \"validate\", \"input\": []}"}),
        ),
        case("PluginService/CapturePlugin", create("asset", &asset()), json!({"name": "market-sanity"})),
        case("PluginService/WatchPlugins", none(), json!({})),
    ]
}
