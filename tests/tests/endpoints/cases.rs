//! The cases of all methods: those of the entities, and of what is about none of them.

use cqar_tests::kinds::{
    self,
    case::{Case, asset, case, create, none},
};
use serde_json::json;

/// The listing that an import is called with.
pub const LISTING: &[u8] =
    br#"{"symbols": [{"symbol": "NEWUSDT", "status": "TRADING", "baseAsset": "NEW", "quoteAsset": "USDT",
    "isSpotTradingAllowed": true, "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000.00", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000.0", "stepSize": "0.001"}]}]}"#;

/// The cases. Every method has one.
pub fn cases() -> Vec<Case> {
    [kinds::cases(), others()].concat()
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
