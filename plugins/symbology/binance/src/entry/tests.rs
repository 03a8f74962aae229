//! Entries as Binance sends them, and as it has sent them.

use serde_json::{Value, json};

use super::*;
use crate::segment::Segment;

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
    let listed = read(0, segment, entry).unwrap().listed;
    (listed.reading, serde_json::from_str(&listed.market).unwrap())
}

#[test]
fn a_perpetual_says_its_limits_and_since_when() {
    let (reading, market) = market(Segment::Usdm, &perpetual(&json!({})));
    assert_eq!((reading.kind.as_str(), reading.settle.as_deref()), ("perpetual", Some("USDT")));
    let expected = json!({
        "status": "MARKET_STATUS_ACTIVE", "tick_size": "0.01", "lot_size": "0.001", "min_quantity": "0.001",
        "max_quantity": "1000", "min_notional": "5", "listed_time": "2019-09-25T08:00:00Z",
        "quantity_unit": "QUANTITY_UNIT_BASE", "delisted_time": null,
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
    assert_eq!((&market["contract_size"], &market["contract_unit"]), (&json!("100"), &json!("CONTRACT_UNIT_QUOTE")));
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
fn a_status_or_a_time_that_nobody_knows_costs_itself() {
    for (changes, code) in [
        (json!({ "status": "ASLEEP" }), "UNKNOWN_STATUS"),
        (json!({ "status": null }), "UNKNOWN_STATUS"),
        (json!({ "onboardDate": i64::MAX }), "INVALID_TIME"),
        (json!({ "deliveryDate": i64::MIN }), "INVALID_TIME"),
    ] {
        let listed = read(0, Segment::Usdm, &perpetual(&changes)).unwrap().listed;
        let codes: Vec<&str> = listed.problems.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, [code], "{changes}");
        let market: Value = serde_json::from_str(&listed.market).unwrap();
        let left_out = ["status", "listed_time", "delisted_time"].iter().filter(|field| market.get(**field).is_none());
        assert!(left_out.count() >= 1, "{market}");
    }
}

#[test]
fn an_entry_that_is_no_market_is_refused_by_name() {
    for (changes, code) in [
        (json!({ "contractType": "" }), "MISSING_CONTRACT_TYPE"),
        (json!({ "contractType": null }), "MISSING_CONTRACT_TYPE"),
        (json!({ "contractType": "EVERLASTING" }), "UNKNOWN_CONTRACT_TYPE"),
        (json!({ "contractType": "NEXT_QUARTER", "deliveryDate": null }), "MISSING_DELIVERY_DATE"),
        (json!({ "marginAsset": null }), "INVALID_CODE"),
        (json!({ "baseAsset": "" }), "INVALID_CODE"),
    ] {
        let refused = read(0, Segment::Usdm, &perpetual(&changes)).err().unwrap();
        assert_eq!((refused.symbol.as_str(), refused.code), ("BTCUSDT", code), "{changes}");
    }
}

#[test]
fn a_field_that_drifted_is_read_and_one_that_cannot_be_costs_itself() {
    let drifted = json!({
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": 1e-7}, {"filterType": "LOT_SIZE", "stepSize": "one", "minQty": 1, "maxQty": null},
            {"newFilter": true}, 7,
        ],
        "deliveryDate": "4133404800000", "onboardDate": 0,
    });
    let listed = read(0, Segment::Usdm, &perpetual(&drifted)).unwrap().listed;
    let market: Value = serde_json::from_str(&listed.market).unwrap();
    assert_eq!((&market["tick_size"], &market["min_quantity"]), (&json!("1e-7"), &json!("1")));
    for left_out in ["lot_size", "max_quantity", "min_notional", "listed_time"] {
        assert_eq!(market.get(left_out), None, "{left_out}");
    }
    assert_eq!(market.get("delisted_time"), Some(&Value::Null));
    let problems: Vec<_> = listed.problems.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(problems, ["filters[3]", "filters[1].stepSize"]);
    let listed = read(0, Segment::Usdm, &perpetual(&json!({ "filters": null }))).unwrap().listed;
    assert_eq!(listed.problems.len(), 0);
    let listed = read(0, Segment::Usdm, &perpetual(&json!({ "filters": 7 }))).unwrap().listed;
    assert_eq!(listed.problems.len(), 1);
}

#[test]
fn of_two_smallest_values_the_larger_counts_and_neither_where_both_are_off() {
    let notional = |a: &str, b: &str| {
        let filters = json!([
            {"filterType": "MIN_NOTIONAL", "minNotional": a}, {"filterType": "NOTIONAL", "minNotional": b},
        ]);
        market(Segment::Usdm, &perpetual(&json!({ "filters": filters }))).1["min_notional"].clone()
    };
    assert_eq!((notional("0.00", "5"), notional("5", "0")), (json!("5"), json!("5")));
    assert_eq!((notional("12", "23.0"), notional("0", "0.0")), (json!("23.0"), Value::Null));
    let filters =
        json!([{"filterType": "MIN_NOTIONAL", "minNotional": "0"}, {"filterType": "NOTIONAL", "minNotional": "?"}]);
    let unread = market(Segment::Usdm, &perpetual(&json!({ "filters": filters }))).1;
    assert_eq!(unread.get("min_notional"), None, "one of the two alone does not tell");
}

#[test]
fn what_a_contract_is_on_is_a_hint() {
    let class = |underlying: Value| {
        let entry = read(0, Segment::Usdm, &perpetual(&json!({ "underlyingType": underlying }))).unwrap();
        entry.base.map(|asset| asset.hints[0].value.clone())
    };
    for (underlying, expected) in [
        ("COIN", "crypto"),
        ("EQUITY", "equity"),
        ("KR_EQUITY", "equity"),
        ("COMMODITY", "commodity"),
        ("INDEX", "index"),
    ] {
        assert_eq!(class(json!(underlying)).as_deref(), Some(expected));
    }
    assert_eq!((class(json!("PREMARKET")), class(Value::Null)), (None, None));
}

#[test]
fn what_only_some_may_trade_is_halted_and_says_who() {
    let spot = |changes: Value| {
        let mut entry = json!({"symbol": "ETHBTC", "baseAsset": "ETH", "quoteAsset": "BTC", "status": "TRADING"});
        entry.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        market(Segment::Spot, &entry.to_string()).1
    };
    for open in [
        json!({}),
        json!({ "permissionSets": [["SPOT", "MARGIN", "TRD_GRP_004"]] }),
        json!({ "permissions": ["LEVERAGED"] }),
        json!({ "permissionSets": [], "permissions": ["SPOT"] }),
        json!({ "permissionSets": null, "permissions": [] }),
    ] {
        let market = spot(open.clone());
        assert_eq!((&market["status"], &market["labels"]), (&json!("MARKET_STATUS_ACTIVE"), &json!({})), "{open}");
    }
    let closed = spot(json!({ "permissionSets": [["SPOT"], ["TRD_GRP_025", "TRD_GRP_026"]] }));
    assert_eq!(closed["status"], "MARKET_STATUS_HALTED");
    assert_eq!(closed["labels"], json!({ "access": "only TRD_GRP_025, TRD_GRP_026" }));
    let unreadable = spot(json!({ "permissionSets": [[{"id": "TRD_GRP_025"}]], "permissions": [] }));
    assert_eq!((unreadable.get("status"), unreadable.get("labels")), (None, None), "never taken for open");
}
