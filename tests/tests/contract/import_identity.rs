//! Which market a row is about, where several had its symbol; and what puts one market in the place of another.

use std::slice::from_ref;

use cqar_domain::time::{Clock as _, SystemClock};
use cqar_proto::v1::{
    AssetType, DelistMarketRequest, ImportListingOptions, ListMarketsRequest, Market, MarketStatus, Rebind,
    imported_market::Outcome,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, Imported, reason, time, wrong_fields},
    kinds::{Kind, Write},
};
use serde_json::{Value, json};

use crate::{
    listing::{
        binance_with, counts, creating, dated, observed, outcomes, perpetual, raw, rejected, spot, warned, whole, with,
    },
    resolve::resolve,
};

cqar_tests::in_both_environments! {
    what_another_market_followed_does_not_go_on
    a_relisted_symbol_that_is_absent_for_a_while_goes_on_as_the_new_market
    a_rebound_market_keeps_the_end_that_it_had
    a_mistake_is_told_and_keeps_what_the_operator_said
    a_life_that_cannot_be_is_not_taken_and_the_rest_is
    a_callers_later_end_is_not_overruled_by_an_earlier_absence
    what_nothing_was_read_of_is_not_whole
    a_code_is_another_asset_where_its_class_is_whichever_came_first
    a_value_that_no_market_may_have_costs_itself
    what_is_unusual_is_told_and_what_would_change_is_shown
    a_clock_may_be_ahead_by_some_seconds
}

async fn binance(clients: &mut Clients) {
    binance_with(clients, ["USDT"]).await;
}

async fn all(clients: &mut Clients, symbol: &str) -> Vec<Market> {
    let request = ListMarketsRequest { venue_symbol: symbol.into(), ..ListMarketsRequest::default() };
    clients.markets.list_markets(request).await.unwrap().into_inner().markets
}

/// Imports a listing that has every market of its segment.
async fn at(clients: &mut Clients, day: &str, segment: &str, entries: &[Value]) -> Imported {
    clients.import(whole(&[segment], observed(&format!("{day}T00:00:00Z"), creating())), &raw(entries)).await.unwrap()
}

async fn what_another_market_followed_does_not_go_on(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let (stays, first) = (spot("STAYUSDT", "STAY", "USDT"), spot("TURNUSDT", "ONE", "USDT"));
    let second = with(first.clone(), "baseAsset", "TWO");
    at(&mut clients, "2024-03-01", "spot", &[stays.clone(), first.clone()]).await;
    at(&mut clients, "2024-03-02", "spot", from_ref(&stays)).await;
    at(&mut clients, "2024-03-03", "spot", &[stays.clone(), second]).await;
    at(&mut clients, "2024-03-04", "spot", from_ref(&stays)).await;
    // Both ends were inferred, and the terms are the first one's: but another market was there since.
    assert_eq!(counts(&at(&mut clients, "2024-03-05", "spot", &[stays.clone(), first.clone()]).await), [1, 0, 1, 0, 0]);
    let markets = all(&mut clients, "TURNUSDT").await;
    let ends: Vec<_> = markets.iter().map(|market| market.delisted_time).collect();
    assert_eq!(ends, [Some(time("2024-03-02T00:00:00Z")), Some(time("2024-03-04T00:00:00Z")), None]);
    let live = resolve(&mut clients, "binance", "TURNUSDT", None).await.unwrap();
    assert_eq!((live.market.unwrap().id, live.base_asset.unwrap().symbol), (markets[2].id.clone(), "ONE".to_owned()));
    assert_eq!(counts(&at(&mut clients, "2024-03-06", "spot", &[stays, first]).await), [0, 0, 2, 0, 0]);
}

async fn a_relisted_symbol_that_is_absent_for_a_while_goes_on_as_the_new_market(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    // Both say the same `onboardDate`.
    let (stays, was) = (perpetual("STAYUSDT", "STAY", "USDT"), perpetual("ANEWUSDT", "OLD", "USDT"));
    let is = with(was.clone(), "baseAsset", "NEW");
    at(&mut clients, "2024-03-01", "usdm", &[stays.clone(), was]).await;
    let relisting = ImportListingOptions {
        rebind: Rebind::Relisted.into(),
        ..whole(&["usdm"], observed("2024-03-02T00:00:00Z", creating()))
    };
    let report = clients.import(relisting, &raw(&[stays.clone(), is.clone()])).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 1, 1, 0]);
    at(&mut clients, "2024-03-03", "usdm", from_ref(&stays)).await;
    assert_eq!(counts(&at(&mut clients, "2024-03-04", "usdm", &[stays, is]).await), [0, 1, 1, 0, 0]);
    let [old, new] = all(&mut clients, "ANEWUSDT").await.try_into().unwrap();
    assert_eq!(old.delisted_time, Some(time("2024-03-02T00:00:00Z")));
    assert_eq!((new.listed_time, new.delisted_time), (old.delisted_time, None));
}

async fn a_rebound_market_keeps_the_end_that_it_had(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    // Ended on 2024-03-10, as it was said.
    let ending = with(perpetual("PASTUSDT", "PAST", "USDT"), "deliveryDate", 1_710_028_800_000_i64);
    let planned = with(
        with(perpetual("PLANUSDT", "PLAN", "USDT"), "onboardDate", 1_713_484_800_000_i64), // 2024-04-19
        "status",
        "PENDING_TRADING",
    );
    let import = async |clients: &mut Clients, day: &str, rebind: Rebind, entries: &[Value]| {
        let options =
            ImportListingOptions { rebind: rebind.into(), ..observed(&format!("{day}T00:00:00Z"), creating()) };
        clients.import(options, &raw(entries)).await.unwrap()
    };
    import(&mut clients, "2024-03-01", Rebind::Unspecified, &[ending.clone(), planned.clone()]).await;
    let goes_on = with(with(ending, "deliveryDate", 4_133_404_800_000_i64), "baseAsset", "OTHER");
    let replanned = with(planned, "baseAsset", "OTHERPLAN");
    let report = import(&mut clients, "2024-03-20", Rebind::Relisted, &[goes_on, replanned]).await;
    assert_eq!(rejected(&report), []);
    let [past, new] = all(&mut clients, "PASTUSDT").await.try_into().unwrap();
    assert_eq!(past.delisted_time, Some(time("2024-03-10T00:00:00Z")), "never moved");
    assert_eq!(new.listed_time, Some(time("2024-03-20T00:00:00Z")));
    // What never began cannot end: it is replaced.
    let [plan] = all(&mut clients, "PLANUSDT").await.try_into().unwrap();
    assert_eq!(plan.listed_time, Some(time("2024-04-19T00:00:00Z")));
    assert_eq!(outcomes(&report, Outcome::Deleted)[0].venue_symbol, "PLANUSDT");
}

async fn a_mistake_is_told_and_keeps_what_the_operator_said(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let was = spot("ERRUSDT", "ERR", "USDT");
    clients.import(observed("2024-03-01T00:00:00Z", creating()), &raw(from_ref(&was))).await.unwrap();
    let [wrong] = all(&mut clients, "ERRUSDT").await.try_into().unwrap();
    let labelled = Market {
        labels: [("desk".into(), "a".into())].into(),
        listed_time: Some(time("2023-01-01T00:00:00Z")),
        ..wrong.clone()
    };
    Market::update(&mut clients, labelled, &["labels", "listed_time"], Write::default()).await.unwrap();
    let changed = with(was, "baseAsset", "RIGHT");
    let refused = clients.import(creating(), &raw(from_ref(&changed))).await.unwrap();
    assert_eq!(rejected(&refused), [("ERRUSDT", "INSTRUMENT_CHANGED")]);
    assert_eq!(outcomes(&refused, Outcome::Rejected)[0].market_id, wrong.id);
    let mistake = ImportListingOptions { rebind: Rebind::Mistake.into(), ..creating() };
    let preview = ImportListingOptions { validate_only: true, ..mistake.clone() };
    for options in [preview, mistake] {
        let report = clients.import(options, &raw(from_ref(&changed))).await.unwrap();
        assert_eq!(counts(&report), [1, 0, 0, 0, 0]);
        assert_eq!(outcomes(&report, Outcome::Deleted)[0].market_id, wrong.id);
    }
    let [right] = all(&mut clients, "ERRUSDT").await.try_into().unwrap();
    assert_eq!((right.labels["desk"].as_str(), right.listed_time), ("a", Some(time("2023-01-01T00:00:00Z"))));
}

async fn a_life_that_cannot_be_is_not_taken_and_the_rest_is(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    // A launch that is cancelled: it would end before it begins. 2024-04-01, and 2024-03-20.
    let planned = with(
        with(perpetual("NEVERUSDT", "NEVER", "USDT"), "onboardDate", 1_711_929_600_000_i64),
        "status",
        "PENDING_TRADING",
    );
    clients.import(observed("2024-03-01T00:00:00Z", creating()), &raw(from_ref(&planned))).await.unwrap();
    let [first] = all(&mut clients, "NEVERUSDT").await.try_into().unwrap();
    let cancelled = with(with(planned, "deliveryDate", 1_710_892_800_000_i64), "filters", json!([]));
    let finer = with(cancelled, "filters", json!([{"filterType": "PRICE_FILTER", "tickSize": "0.5"}]));
    let report = clients.import(observed("2024-03-02T00:00:00Z", creating()), &raw(&[finer])).await.unwrap();
    assert_eq!((counts(&report), warned(&report)), ([0, 1, 0, 0, 0], vec!["NOT_TAKEN"]));
    let [kept] = all(&mut clients, "NEVERUSDT").await.try_into().unwrap();
    assert_eq!((kept.id, kept.listed_time, kept.delisted_time), (first.id, first.listed_time, None));
    assert_eq!(kept.tick_size, "0.5");

    // Absent for a while, and listed again since a later day: another market, and the first one stays as it was seen to end.
    let (gone, stays) = (perpetual("AGAINUSDT", "AGAIN", "USDT"), perpetual("STAYSUSDT", "STAYS", "USDT"));
    at(&mut clients, "2024-03-03", "usdm", &[gone.clone(), stays.clone()]).await;
    at(&mut clients, "2024-03-04", "usdm", from_ref(&stays)).await;
    let relisted = with(gone, "onboardDate", 1_709_683_200_000_i64); // 2024-03-06
    let report = at(&mut clients, "2024-03-07", "usdm", &[relisted, stays]).await;
    assert_eq!(report.created, 1, "{report:#?}");
    let [ended, new] = all(&mut clients, "AGAINUSDT").await.try_into().unwrap();
    assert_eq!((ended.delisted_time, ended.delisted_inferred), (Some(time("2024-03-04T00:00:00Z")), true));
    assert_eq!(new.listed_time, Some(time("2024-03-06T00:00:00Z")));
}

async fn a_callers_later_end_is_not_overruled_by_an_earlier_absence(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let (stays, ends) = (spot("STAYUSDT", "STAY", "USDT"), spot("ENDSUSDT", "ENDS", "USDT"));
    at(&mut clients, "2024-03-01", "spot", &[stays.clone(), ends]).await;
    let [market] = all(&mut clients, "ENDSUSDT").await.try_into().unwrap();
    let delisted_time = Some(time("2024-03-20T00:00:00Z"));
    let delist = DelistMarketRequest { market_id: market.id, delisted_time, ..DelistMarketRequest::default() };
    clients.markets.delist_market(delist).await.unwrap();
    // A listing of before the caller's word.
    let report = at(&mut clients, "2024-03-05", "spot", &[stays]).await;
    assert_eq!((counts(&report), report.delistings_refused), ([0, 0, 1, 0, 1], 0), "it is not for being too many");
    assert_eq!(rejected(&report), [("ENDSUSDT", "HELD_BY_CALLER")]);
    let [kept] = all(&mut clients, "ENDSUSDT").await.try_into().unwrap();
    assert_eq!((kept.delisted_time, kept.delisted_inferred), (delisted_time, false));
}

async fn what_nothing_was_read_of_is_not_whole(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let listed = [spot("AAAUSDT", "AAA", "USDT"), spot("BBBUSDT", "BBB", "USDT")];
    at(&mut clients, "2024-03-01", "spot", &listed).await;
    let forced = |segments: &[&str]| ImportListingOptions {
        force: true,
        ..whole(segments, observed("2024-03-02T00:00:00Z", creating()))
    };
    let nameless = json!({"status": "TRADING", "baseAsset": "BBB", "quoteAsset": "USDT"});
    let limited = br#"{"code": -1003, "msg": "Too many requests"}"#.to_vec();
    for (segment, payload) in
        [("usdm", raw(&listed)), ("spot", raw(&[])), ("spot", limited), ("spot", raw(&[listed[0].clone(), nameless]))]
    {
        let refused = clients.import(forced(&[segment]), &payload).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [("options.complete_segments".into(), "NOT_WHOLE".into())]);
    }
    assert!(resolve(&mut clients, "binance", "BBBUSDT", None).await.is_ok());
}

async fn a_code_is_another_asset_where_its_class_is_whichever_came_first(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let share = |symbol: &str, base: &str| {
        with(with(perpetual(symbol, base, "USDT"), "contractType", "TRADIFI_PERPETUAL"), "underlyingType", "EQUITY")
    };
    let class = async |clients: &mut Clients, symbol: &str, segment: &str| {
        let base = resolve(clients, "binance", symbol, Some(segment)).await.unwrap().base_asset.unwrap();
        (base.r#type(), base.id)
    };
    // The coin first, which nobody classified.
    clients.import(creating(), &raw(&[spot("AAAUSDT", "AAA", "USDT")])).await.unwrap();
    let report = clients.import(creating(), &raw(&[share("AAAUSDT", "AAA")])).await.unwrap();
    assert_eq!(rejected(&report), []);
    // The share first.
    clients.import(creating(), &raw(&[share("BBBUSDT", "BBB")])).await.unwrap();
    let report = clients.import(creating(), &raw(&[spot("BBBUSDT", "BBB", "USDT")])).await.unwrap();
    assert_eq!(rejected(&report), []);
    for symbol in ["AAAUSDT", "BBBUSDT"] {
        let (coin, stock) = (class(&mut clients, symbol, "spot").await, class(&mut clients, symbol, "usdm").await);
        assert_eq!((coin.0, stock.0), (AssetType::Unclassified, AssetType::Equity), "{symbol}");
        assert_ne!(coin.1, stock.1);
    }
    // A plugin that was wrong and is mended: its markets do not pass as unchanged.
    let unsaid = with(share("CCCUSDT", "CCC"), "underlyingType", "");
    clients.import(creating(), &raw(&[unsaid])).await.unwrap();
    let report = clients.import(creating(), &raw(&[share("CCCUSDT", "CCC")])).await.unwrap();
    assert_eq!(rejected(&report), [("CCCUSDT", "INSTRUMENT_CHANGED")]);
}

async fn a_value_that_no_market_may_have_costs_itself(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["USDT"]).await;
    let listed = with(dated("ODDUSD_PERP", "ODD", 1_616_745_600_000, 4_133_404_800_000), "contractType", "PERPETUAL");
    let lots = |min: &str| json!([{"filterType": "LOT_SIZE", "minQty": min, "maxQty": "9", "stepSize": "1"}]);
    let listed = with(listed, "filters", lots("1"));
    clients.import(observed("2024-03-01T00:00:00Z", creating()), &raw(from_ref(&listed))).await.unwrap();
    let odd = with(with(listed, "contractSize", -1), "filters", lots("-1"));
    let report = clients.import(observed("2024-03-02T00:00:00Z", creating()), &raw(from_ref(&odd))).await.unwrap();
    assert_eq!((counts(&report), warned(&report)), ([0, 0, 1, 0, 0], vec!["NEGATIVE", "NOT_POSITIVE"]));
    let [market] = all(&mut clients, "ODDUSD_PERP").await.try_into().unwrap();
    assert_eq!((market.contract_size.as_str(), market.min_quantity.as_str()), ("100", "1"), "as before");
    let new = with(with(odd, "symbol", "NEWUSD_PERP"), "baseAsset", "NEW");
    let report = clients.import(observed("2024-03-03T00:00:00Z", creating()), &raw(&[new])).await.unwrap();
    assert_eq!(report.created, 1);
    assert_eq!(all(&mut clients, "NEWUSD_PERP").await[0].min_quantity, "");
}

async fn what_is_unusual_is_told_and_what_would_change_is_shown(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    // It trades, and ended: 2024-03-10.
    let ended = with(perpetual("GONEUSDT", "GONE", "USDT"), "deliveryDate", 1_710_028_800_000_i64);
    let multiple = spot("1000000MOGGYUSDT", "1000000MOGGY", "USDT");
    for (entry, code) in [(ended, "STATUS_CONTRADICTS_TIMES"), (multiple, "LOOKS_LIKE_A_MULTIPLE")] {
        assert_eq!(warned(&clients.import(creating(), &raw(&[entry])).await.unwrap()), [code]);
    }
    let listed = all(&mut clients, "GONEUSDT").await;
    assert_eq!(listed[0].status(), MarketStatus::Active, "as it is said");

    let halted = with(spot("1000000MOGGYUSDT", "1000000MOGGY", "USDT"), "status", "BREAK");
    let preview = ImportListingOptions { validate_only: true, ..creating() };
    let report = clients.import(preview, &raw(from_ref(&halted))).await.unwrap();
    let updated = outcomes(&report, Outcome::Updated)[0];
    let differences: Vec<_> =
        updated.differences.iter().map(|it| (it.field.as_str(), it.before.as_str(), it.after.as_str())).collect();
    assert_eq!(differences, [("status", "MARKET_STATUS_ACTIVE", "MARKET_STATUS_HALTED")]);
    let report = clients.import(creating(), &raw(&[halted])).await.unwrap();
    assert!(outcomes(&report, Outcome::Updated)[0].differences.is_empty(), "only where nothing was committed");
}

async fn a_clock_may_be_ahead_by_some_seconds(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let listed = raw(&[spot("AAAUSDT", "AAA", "USDT")]);
    let ahead = |seconds| {
        let at = SystemClock.now().plus_seconds(seconds);
        ImportListingOptions { observed_time: Some(at.into()), ..creating() }
    };
    let far = clients.import(ahead(60), &listed).await.unwrap_err();
    assert_eq!(wrong_fields(&far), [("options.observed_time".into(), "IN_THE_FUTURE".into())]);
    let near = clients.import(ahead(3), &listed).await.unwrap();
    assert_eq!(near.created, 1);
    // It counts as of now: one of right after is no older.
    let next = clients.import(creating(), &listed).await;
    assert!(next.is_ok(), "{:?}", next.err().map(|refused| reason(&refused)));
}
