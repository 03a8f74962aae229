//! Markets.

use cqar_domain::{
    entities::{
        Entity,
        instrument::Instrument,
        market::{Market, MarketStatus},
    },
    id::{InstrumentId, SystemIds},
    time::{Clock, SystemClock},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::MarketFilter, schema::MAX_EXAMINED};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, case, create, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Market (markets, market, markets, market_id, market_ids, "tick_size") {
        create_market CreateMarketRequest,
        get_market |id, min_revision| v1::GetMarketRequest { market_id: id, min_revision, at_revision: 0 },
        batch_get_markets BatchGetMarketsRequest batch_get_markets_response,
        update_market UpdateMarketRequest,
        delete_market DeleteMarketRequest,
        list_markets ListMarketsRequest,
    }
    sample |registry| Sample::new(fixtures::market("kraken", "", "XBTUSDT.M", &registry.spot), "0.5")
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [option, _] = known.first::<Instrument, _>();
    let listed = Market {
        expiry_time: Some("2026-12-25T08:00:00Z".parse().unwrap()),
        ..entities::market("dex", "BTC-25DEC26-100000.5-P", option.id)
    };
    vec![listed.into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    // A few venues have all the markets, and one of them has more than a page looks at.
    let (instruments, rows) = (many.all::<Instrument>(), many.rows);
    let market = |n: usize| Market {
        segment: ["spot", "margin"][n / 200 % 2].parse().unwrap(),
        ..entities::market(&format!("v{}", n.min(rows) / (rows / 5)), &format!("M{n}"), instruments[n % rows].id)
    };
    (0..rows + MAX_EXAMINED + 2000).map(|n| market(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(6, |has| {
        MarketFilter {
            venue_id: has(0).then(|| "v1".parse().unwrap()),
            segment: has(1).then(|| "spot".parse().unwrap()),
            instrument_id: has(2).then(|| InstrumentId::new(&SystemIds)),
            status: has(3).then_some(MarketStatus::Active),
            venue_symbol: has(4).then(|| "M1".to_owned()),
            live_at: has(5).then(|| SystemClock.now()),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
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
