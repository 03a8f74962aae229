//! A venue is followed over weeks: what it announces, moves, calls off and ends. The cases of `../shared/cases`, which the field brought,
//! and more of their kinds.

use std::{fs, slice::from_ref};

use cqar_proto::v1::{
    Asset, AssetType, DelistMarketRequest, ImportListingOptions, ListMarketsRequest, Market, MarketStatus, Rebind,
    ResolveMarketRequest, imported_market::Outcome,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, Imported, asset, create, mutation, reason, time},
    kinds::{Kind, Write},
    server::shared_data,
};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    listing::{
        binance_with, counts, creating, dated, into_binance, observed, outcomes, perpetual, raw, rejected, spot,
        warned, whole, with, wrapped,
    },
    resolve::{query, resolve},
};

cqar_tests::in_both_environments! {
    an_end_that_is_called_off_leaves_the_market_as_it_was
    a_launch_moves_on_the_same_market
    a_venue_goes_through_its_states_in_any_order
    a_part_is_never_the_whole
    of_two_smallest_values_the_larger_counts
    a_field_that_drifted_costs_itself_alone
    a_ticker_of_another_class_is_another_asset
    an_end_that_was_inferred_is_taken_back_and_one_that_was_said_stays
    a_callers_change_holds_until_a_later_listing_says_otherwise
    a_symbol_that_means_something_else_is_rejected_and_bound_anew_on_request
    too_many_that_are_absent_at_once_stay
    a_symbol_that_is_listed_twice_is_nobodys
    two_codes_of_one_symbol_are_one_asset
    a_segment_counts_as_seen_once_a_row_of_it_was_accepted
}

/// A file of a case; none where they are absent.
fn case(folder: &str, file: &str) -> Option<Vec<u8>> {
    let Some(data) = shared_data() else {
        assert!(std::env::var_os("CI").is_none(), "the cases of the field are absent");
        return None;
    };
    Some(fs::read(data.parent()?.join("cases").join(folder).join(file)).unwrap())
}

/// Binance, and what the cases are quoted in.
async fn binance(clients: &mut Clients) {
    binance_with(clients, ["USDT", "BTC"]).await;
}

/// The one market that has or had the symbol.
async fn only(clients: &mut Clients, symbol: &str) -> Market {
    let [market] = all(clients, symbol).await.try_into().unwrap_or_else(|found| panic!("{symbol}: {found:?}"));
    market
}

async fn all(clients: &mut Clients, symbol: &str) -> Vec<Market> {
    let request = ListMarketsRequest { venue_symbol: symbol.into(), ..ListMarketsRequest::default() };
    clients.markets.list_markets(request).await.unwrap().into_inner().markets
}

async fn import(clients: &mut Clients, at: &str, entries: &[Value]) -> Imported {
    clients.import(observed(at, creating()), &raw(entries)).await.unwrap()
}

async fn an_end_that_is_called_off_leaves_the_market_as_it_was(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    if let (Some(first), Some(second)) =
        (case("delisting-called-off", "1.json"), case("delisting-called-off", "2.json"))
    {
        clients.import(creating(), &first).await.unwrap();
        let ends = only(&mut clients, "VELNUSDT").await;
        assert!(ends.delisted_time.is_some());
        let report = clients.import(creating(), &second).await.unwrap();
        assert_eq!((counts(&report), warned(&report)), ([0, 1, 0, 0, 0], vec!["MOVED"]));
        let goes_on = only(&mut clients, "VELNUSDT").await;
        assert_eq!((goes_on.id, goes_on.status, goes_on.delisted_time), (ends.id, MarketStatus::Active.into(), None));
        assert!(resolve(&mut clients, "binance", "VELNUSDT", None).await.is_ok());
    }
    // Called off only after it had passed: the row's own listing time tells that it is the same market.
    let listed = perpetual("LATEUSDT", "LATE", "USDT");
    let ending = with(listed.clone(), "deliveryDate", 1_794_268_800_000_i64);
    import(&mut clients, "2026-11-01T00:00:00Z", &[ending]).await;
    let ended = only(&mut clients, "LATEUSDT").await;
    assert_eq!(ended.delisted_time, Some(time("2026-11-10T00:00:00Z")));
    assert_eq!(counts(&import(&mut clients, "2026-11-12T00:00:00Z", from_ref(&listed)).await), [0, 1, 0, 0, 0]);
    let goes_on = only(&mut clients, "LATEUSDT").await;
    assert_eq!((goes_on.id, goes_on.delisted_time), (ended.id, None));
    assert_eq!(counts(&import(&mut clients, "2026-11-13T00:00:00Z", &[listed]).await), [0, 0, 1, 0, 0]);
}

async fn a_launch_moves_on_the_same_market(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    if case("launch-postponed", "1.json").is_some() {
        let file = |n: usize| case("launch-postponed", &format!("{n}.json")).unwrap();
        let first = clients.import(creating(), &file(1)).await.unwrap();
        let symbol = outcomes(&first, Outcome::Created)[0].venue_symbol.clone();
        let planned = only(&mut clients, &symbol).await;
        for n in [2, 3] {
            let report = clients.import(creating(), &file(n)).await.unwrap();
            assert_eq!((counts(&report), warned(&report)), ([0, 1, 0, 0, 0], vec!["MOVED"]), "{n}");
            let moved = only(&mut clients, &symbol).await;
            assert_eq!(moved.id, planned.id);
            assert_ne!(moved.listed_time, planned.listed_time, "{n}");
        }
    }
    // From a plan to a launch that came earlier than it was told.
    let planned =
        |ms: i64, status: &str| with(with(perpetual("PLANUSDT", "PLAN", "USDT"), "onboardDate", ms), "status", status);
    import(&mut clients, "2026-11-01T00:00:00Z", &[planned(1_795_132_800_000, "PENDING_TRADING")]).await;
    let first = only(&mut clients, "PLANUSDT").await;
    assert_eq!(first.status(), MarketStatus::PreLaunch);
    let report = import(&mut clients, "2026-11-05T00:00:00Z", &[planned(1_793_750_400_000, "TRADING")]).await;
    assert_eq!(counts(&report), [0, 1, 0, 0, 0]);
    let launched = only(&mut clients, "PLANUSDT").await;
    assert_eq!((launched.id, launched.status), (first.id, MarketStatus::Active.into()));
    assert_eq!(launched.listed_time, Some(time("2026-11-04T00:00:00Z")));
}

async fn a_venue_goes_through_its_states_in_any_order(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let expected = [
        [MarketStatus::Halted, MarketStatus::Active],
        [MarketStatus::PreLaunch, MarketStatus::Halted],
        [MarketStatus::PreLaunch, MarketStatus::PreLaunch],
        [MarketStatus::Active, MarketStatus::Active],
    ];
    for (n, expected) in (1..).zip(expected) {
        let Some(file) = case("break-then-prelaunch", &format!("{n}.json")) else { break };
        let report = clients.import(creating(), &file).await.unwrap();
        assert_eq!(rejected(&report), [], "{n}");
        for (symbol, status) in ["LAUNUSDT", "RELIUSDT"].into_iter().zip(expected) {
            assert_eq!(only(&mut clients, symbol).await.status(), status, "{n}: {symbol}");
        }
        if n == 3 {
            let launched = only(&mut clients, "LAUNUSDT").await;
            assert_eq!(
                (launched.tick_size.as_str(), launched.min_notional.as_str()),
                ("0.01", "10"),
                "its filters too"
            );
        }
    }
    // A contract that was settled goes on, and ends again.
    let never = 4_133_404_800_000_i64;
    let in_state = |status: &str, delivery: i64| {
        with(with(perpetual("AGAINUSDT", "AGAIN", "USDT"), "status", status), "deliveryDate", delivery)
    };
    for (day, status, delivery, expected) in [
        (1, "TRADING", never, MarketStatus::Active),
        (2, "SETTLING", never, MarketStatus::Delisting),
        (3, "TRADING", never, MarketStatus::Active),
        (4, "CLOSE", 1_793_750_400_000, MarketStatus::Delisted),
        (5, "PENDING_TRADING", never, MarketStatus::PreLaunch),
        (6, "TRADING", never, MarketStatus::Active),
    ] {
        let report = import(&mut clients, &format!("2026-11-0{day}T00:00:00Z"), &[in_state(status, delivery)]).await;
        assert_eq!(rejected(&report), [], "{day}");
        assert_eq!(only(&mut clients, "AGAINUSDT").await.status(), expected, "{day}");
    }
}

async fn a_part_is_never_the_whole(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let delisting = || ImportListingOptions { delist_absent: true, ..creating() };
    let (three, one) = (
        [spot("AAAUSDT", "AAA", "USDT"), spot("BBBUSDT", "BBB", "USDT"), spot("CCCUSDT", "CCC", "USDT")],
        [spot("AAAUSDT", "AAA", "USDT")],
    );
    let url = "https://api.binance.com/api/v3/exchangeInfo";
    clients.import(whole(&["spot"], creating()), &wrapped(url, 1_790_000_000.0, &three)).await.unwrap();
    // The answer to a question for one symbol, raw, and wrapped without an address.
    let nowhere = json!({"responses": [{"body": {"symbols": one}}]}).to_string().into_bytes();
    let asked = wrapped(&format!("{url}?symbol=AAAUSDT"), 1_790_000_001.0, &one);
    for (n, part) in [asked, raw(&one), nowhere].into_iter().enumerate() {
        let report = clients.import(delisting(), &part).await.unwrap();
        assert_eq!((report.delisted, report.rejected), (0, 0), "{n}");
    }
    let report = clients.import(whole(&["spot"], creating()), &raw(&one)).await.unwrap();
    assert!(report.delisted >= 2, "whoever says that it is whole is believed: {}", report.delisted);
    if let (Some(full), Some(one)) =
        (case("partial-is-whole", "full.json"), case("partial-is-whole", "one-symbol.json"))
    {
        let registered = clients.import(creating(), &full).await.unwrap().created;
        let report = clients.import(delisting(), &one).await.unwrap();
        assert_eq!((report.delisted, report.unchanged + report.updated), (0, 1), "of {registered}");
        assert_eq!(warned(&report), ["NOT_PROVEN_WHOLE"]);
    }
}

async fn of_two_smallest_values_the_larger_counts(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    if let Some(file) = case("both-notional", "spot.json") {
        clients.import(creating(), &file).await.unwrap();
        for (symbol, smallest) in [("NOTAUSDT", "5"), ("NOTBUSDT", "5"), ("NOTCUSDT", "23"), ("NOTDUSDT", "23")] {
            assert_eq!(only(&mut clients, symbol).await.min_notional, smallest, "{symbol}");
        }
    }
    // A limit that is switched off is taken back, and one that is not spoken of stays.
    let limited = |filters: Value| with(spot("OFFUSDT", "OFF", "USDT"), "filters", filters);
    let notional = |amount: &str| json!([{"filterType": "NOTIONAL", "minNotional": amount}]);
    for (day, filters, expected) in
        [(1, notional("5"), "5"), (2, json!([]), "5"), (3, notional("0.00"), ""), (4, notional("0"), "")]
    {
        import(&mut clients, &format!("2026-11-0{day}T00:00:00Z"), &[limited(filters)]).await;
        assert_eq!(only(&mut clients, "OFFUSDT").await.min_notional, expected, "{day}");
    }
}

async fn a_field_that_drifted_costs_itself_alone(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    if let Some(file) = case("shape-drift", "usdm.json") {
        let entries: Value = serde_json::from_slice(&file).unwrap();
        let entries = entries["responses"][0]["body"]["symbols"].as_array().unwrap().len();
        let report = clients.import(creating(), &file).await.unwrap();
        assert_eq!((report.created, rejected(&report)), (i32::try_from(entries).unwrap(), vec![]));
        let market = only(&mut clients, "DRFBUSDT").await;
        assert_eq!((market.tick_size.as_str(), market.lot_size.as_str()), ("0.0001", "1"), "a number is read exactly");
        assert_eq!(only(&mut clients, "DRFCUSDT").await.max_quantity, "10", "an unknown filter says nothing");
        for dateless in ["DRFDUSDT", "DRFEUSDT"] {
            assert_eq!(only(&mut clients, dateless).await.delisted_time, None, "{dateless}");
        }
        let again = clients.import(creating(), &file).await.unwrap();
        assert_eq!(counts(&again), [0, 0, report.created, 0, 0]);
    }
    let odd = with(
        perpetual("ODDUSDT", "ODD", "USDT"),
        "filters",
        json!([{"filterType": "PRICE_FILTER", "tickSize": 1e-7}, {"filterType": "LOT_SIZE", "stepSize": "many", "minQty": {}}]),
    );
    let report = import(&mut clients, "2026-11-01T00:00:00Z", &[odd]).await;
    assert_eq!((counts(&report), warned(&report)), ([1, 0, 0, 0, 0], vec!["MALFORMED_FIELD"]));
    let kinds: Vec<_> = report.problems.iter().map(|it| (it.code.as_str(), it.count, it.examples.len())).collect();
    assert_eq!(kinds, [("MALFORMED_FIELD", 2, 2)]);
    let market = only(&mut clients, "ODDUSDT").await;
    assert_eq!((market.tick_size.as_str(), market.lot_size.as_str()), ("0.0000001", ""));
}

async fn a_ticker_of_another_class_is_another_asset(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let token = |symbol: &str| Asset { r#type: AssetType::Token.into(), ..asset(symbol) };
    let tokens = ["META", "COIN", "XAU"].map(|symbol| mutation(create(token(symbol))));
    clients.apply(tokens.to_vec()).await.unwrap();
    if let Some(file) = case("tradfi-ticker", "usdm.json") {
        let report = clients.import(into_binance(), &file).await.unwrap();
        let with_candidate =
            outcomes(&report, Outcome::Rejected).into_iter().filter(|it| it.candidate_asset_ids.len() == 1);
        let with_candidate: Vec<&str> = with_candidate.map(|it| it.venue_symbol.as_str()).collect();
        assert_eq!((report.created, with_candidate), (0, vec!["COINUSDT", "METAUSDT", "XAUUSDT"]));
        let report = clients.import(creating(), &file).await.unwrap();
        assert_eq!(rejected(&report), []);
        for (symbol, class) in
            [("METAUSDT", AssetType::Equity), ("COINUSDT", AssetType::Equity), ("XAUUSDT", AssetType::Commodity)]
        {
            let resolved = resolve(&mut clients, "binance", symbol, None).await.unwrap();
            assert_eq!(resolved.base_asset.unwrap().r#type(), class, "{symbol}");
        }
    }
    // The coin of the same ticker at the same venue stays the coin's, and a code that says nothing never means a share.
    let share = with(
        with(perpetual("TSLAUSDT", "TSLA", "USDT"), "contractType", "TRADIFI_PERPETUAL"),
        "underlyingType",
        "EQUITY",
    );
    import(&mut clients, "2026-11-01T00:00:00Z", &[share]).await;
    let report = clients.import(into_binance(), &raw(&[spot("TSLAUSDT", "TSLA", "USDT")])).await.unwrap();
    assert_eq!(rejected(&report), [("TSLAUSDT", "UNKNOWN_ASSET")]);
}

async fn an_end_that_was_inferred_is_taken_back_and_one_that_was_said_stays(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let (gone, kept) = (spot("GONEUSDT", "GONE", "USDT"), spot("KEPTUSDT", "KEPT", "USDT"));
    let import = async |clients: &mut Clients, at: &str, entries: &[Value]| {
        clients.import(whole(&["spot"], observed(at, creating())), &raw(entries)).await.unwrap()
    };
    let both = [gone.clone(), kept.clone()];
    assert_eq!(counts(&import(&mut clients, "2024-03-01T00:00:00Z", &both).await), [2, 0, 0, 0, 0]);
    let first = only(&mut clients, "GONEUSDT").await;
    assert_eq!(counts(&import(&mut clients, "2024-03-02T00:00:00Z", from_ref(&kept)).await), [0, 0, 1, 1, 0]);
    let inferred = only(&mut clients, "GONEUSDT").await;
    assert!(inferred.delisted_inferred && inferred.status() == MarketStatus::Delisted);
    assert_eq!(inferred.delisted_time, Some(time("2024-03-02T00:00:00Z")));
    let report = import(&mut clients, "2024-03-03T00:00:00Z", &both).await;
    assert_eq!((counts(&report), warned(&report)), ([0, 1, 1, 0, 0], vec!["MOVED"]));
    let back = only(&mut clients, "GONEUSDT").await;
    assert_eq!((&back.id, back.delisted_time, back.delisted_inferred), (&first.id, None, false));
    assert_eq!(back.status(), MarketStatus::Active);

    // An end that somebody said is an end: what is seen afterwards is another market.
    let at = Some(time("2024-03-04T00:00:00Z"));
    let delist =
        DelistMarketRequest { market_id: back.id.clone(), delisted_time: at, ..DelistMarketRequest::default() };
    clients.markets.delist_market(delist).await.unwrap();
    assert_eq!(counts(&import(&mut clients, "2026-11-01T00:00:00Z", &both).await), [1, 0, 1, 0, 0]);
    let markets = all(&mut clients, "GONEUSDT").await;
    assert_eq!(markets.len(), 2);
    assert_eq!((markets[0].id.as_str(), markets[0].delisted_time), (back.id.as_str(), at));
    assert_eq!(markets[1].listed_time, Some(time("2026-11-01T00:00:00Z")), "since it was seen again");
    assert_eq!(markets[1].instrument_id, back.instrument_id);

    // Of other terms than before, it is another market too.
    import(&mut clients, "2026-11-02T00:00:00Z", from_ref(&kept)).await;
    let other = with(gone, "baseAsset", "ELSE");
    assert_eq!(counts(&import(&mut clients, "2026-11-03T00:00:00Z", &[other, kept]).await), [1, 0, 1, 0, 0]);
    assert_eq!(all(&mut clients, "GONEUSDT").await.len(), 3);
}

async fn a_callers_change_holds_until_a_later_listing_says_otherwise(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let listed = spot("OURSUSDT", "OURS", "USDT");
    import(&mut clients, "2024-03-01T00:00:00Z", from_ref(&listed)).await;
    let market = only(&mut clients, "OURSUSDT").await;
    let changed = Market { tick_size: "0.5".into(), labels: [("desk".into(), "a".into())].into(), ..market.clone() };
    Market::update(&mut clients, changed, &["tick_size", "labels"], Write::default()).await.unwrap();
    // A listing of the past knows nothing of it.
    let report = import(&mut clients, "2024-03-02T00:00:00Z", from_ref(&listed)).await;
    assert_eq!((counts(&report), warned(&report)), ([0, 0, 1, 0, 0], vec![]));
    let held = only(&mut clients, "OURSUSDT").await;
    assert_eq!(held.tick_size, "0.5");
    assert_eq!(held.override_times.keys().collect::<Vec<_>>(), ["tick_size"]);
    let report = clients.import(creating(), &raw(from_ref(&listed))).await.unwrap();
    assert_eq!((counts(&report), warned(&report)), ([0, 1, 0, 0, 0], vec!["OVERRIDES_CALLER"]));
    let followed = only(&mut clients, "OURSUSDT").await;
    assert_eq!(
        (followed.tick_size.as_str(), followed.labels["desk"].as_str()),
        ("0.01", "a"),
        "labels are the operator's"
    );
    assert_eq!(counts(&clients.import(creating(), &raw(&[listed])).await.unwrap()), [0, 0, 1, 0, 0]);
}

async fn a_symbol_that_means_something_else_is_rejected_and_bound_anew_on_request(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let (was, is) = (spot("SWAPUSDT", "OLD", "USDT"), spot("SWAPUSDT", "NEW", "USDT"));
    import(&mut clients, "2024-03-01T00:00:00Z", &[was]).await;
    let first = only(&mut clients, "SWAPUSDT").await;
    let with_tick = with(is.clone(), "filters", json!([{"filterType": "PRICE_FILTER", "tickSize": "7"}]));
    let report = import(&mut clients, "2024-03-02T00:00:00Z", &[with_tick]).await;
    assert_eq!(rejected(&report), [("SWAPUSDT", "INSTRUMENT_CHANGED")]);
    let message = &outcomes(&report, Outcome::Rejected)[0].message;
    assert!(message.contains("base NEW, and was OLD"), "{message}");
    assert_eq!(only(&mut clients, "SWAPUSDT").await, first, "nothing of it was taken");

    let rebinding = |at: &str, how: Rebind| ImportListingOptions { rebind: how.into(), ..observed(at, creating()) };
    let preview = ImportListingOptions { validate_only: true, ..rebinding("2024-03-03T00:00:00Z", Rebind::Relisted) };
    assert_eq!(counts(&clients.import(preview, &raw(from_ref(&is))).await.unwrap()), [1, 0, 0, 1, 0]);
    assert_eq!(only(&mut clients, "SWAPUSDT").await, first);
    let before = clients.revision().await;
    let relisted = rebinding("2024-03-03T00:00:00Z", Rebind::Relisted);
    assert_eq!(counts(&clients.import(relisted.clone(), &raw(from_ref(&is))).await.unwrap()), [1, 0, 0, 1, 0]);
    assert_eq!(clients.revision().await, before + 1);
    let [old, new] = all(&mut clients, "SWAPUSDT").await.try_into().unwrap();
    assert_eq!((old.id, old.delisted_time), (first.id, Some(time("2024-03-03T00:00:00Z"))));
    assert_eq!(new.listed_time, old.delisted_time);
    assert_eq!(counts(&clients.import(relisted, &raw(&[is])).await.unwrap()), [0, 0, 1, 0, 0], "twice is once");

    // What was read wrongly was never that market.
    let multiple = perpetual("1000WRONGUSDT", "1000WRONG", "USDT");
    import(&mut clients, "2024-03-01T00:00:00Z", from_ref(&multiple)).await;
    let wrong = only(&mut clients, "1000WRONGUSDT").await;
    let right = with(multiple, "baseAsset", "RIGHT");
    let mistake = rebinding("2024-03-02T00:00:00Z", Rebind::Mistake);
    assert_eq!(counts(&clients.import(mistake, &raw(&[right])).await.unwrap()), [1, 0, 0, 0, 0]);
    let mended = only(&mut clients, "1000WRONGUSDT").await;
    assert_ne!((&mended.id, &mended.instrument_id), (&wrong.id, &wrong.instrument_id));
    assert_eq!(mended.listed_time, wrong.listed_time);
    let gone = Market::get(&mut clients, &wrong.id, 0).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

async fn too_many_that_are_absent_at_once_stay(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let markets: Vec<Value> = (0..24).map(|n| spot(&format!("M{n}USDT"), &format!("M{n}"), "USDT")).collect();
    import(&mut clients, "2024-03-01T00:00:00Z", &markets).await;
    // Four of 24 are few, and five are more than a fifth of the 20 that are left.
    let delisting = |at: &str| whole(&["spot"], observed(at, creating()));
    assert_eq!(
        counts(&clients.import(delisting("2024-03-02T00:00:00Z"), &raw(&markets[..20])).await.unwrap()),
        [0, 0, 20, 4, 0]
    );
    let fewer = [&markets[..15], &[spot("NEWUSDT", "NEW", "USDT")]].concat();
    let report = clients.import(delisting("2024-03-03T00:00:00Z"), &raw(&fewer)).await.unwrap();
    assert_eq!((counts(&report), report.delistings_refused), ([1, 0, 15, 0, 5], 5), "the rows go in");
    assert_eq!(rejected(&report)[0], ("M15USDT", "TOO_MANY_ABSENT"));
    let forced = ImportListingOptions { force: true, ..delisting("2024-03-04T00:00:00Z") };
    assert_eq!(counts(&clients.import(forced, &raw(&fewer)).await.unwrap()), [0, 0, 16, 5, 0]);
}

async fn a_symbol_that_is_listed_twice_is_nobodys(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    let (once, twice) = (spot("ONCEUSDT", "ONCE", "USDT"), spot("TWICEUSDT", "TWICE", "USDT"));
    import(&mut clients, "2024-03-01T00:00:00Z", &[once.clone(), twice.clone()]).await;
    let other = with(twice.clone(), "status", "BREAK");
    let report = clients
        .import(whole(&["spot"], observed("2024-03-02T00:00:00Z", creating())), &raw(&[once, twice, other]))
        .await
        .unwrap();
    assert_eq!(counts(&report), [0, 0, 1, 0, 2]);
    assert_eq!(rejected(&report), [("TWICEUSDT", "DOUBLED_SYMBOL"), ("TWICEUSDT", "DOUBLED_SYMBOL")]);
    assert_eq!(only(&mut clients, "TWICEUSDT").await.status(), MarketStatus::Active, "and is not absent");
}

async fn two_codes_of_one_symbol_are_one_asset(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    // The venue's code for one asset in another segment, in another import.
    import(&mut clients, "2024-03-01T00:00:00Z", &[spot("SAMEUSDT", "SAME", "USDT")]).await;
    let contract =
        with(dated("SAMEUSD_PERP", "SAME", 1_616_745_600_000, 4_133_404_800_000), "contractType", "PERPETUAL");
    let report = clients.import(creating(), &raw(&[contract])).await.unwrap();
    assert_eq!(rejected(&report), []);
    let base = async |clients: &mut Clients, symbol: &str| {
        resolve(clients, "binance", symbol, None).await.unwrap().base_asset.unwrap().id
    };
    assert_eq!(base(&mut clients, "SAMEUSDT").await, base(&mut clients, "SAMEUSD_PERP").await);
    let as_of = Some(time("2024-03-01T00:00:00Z"));
    let then = ResolveMarketRequest { as_of, ..query("binance", "SAMEUSDT", Some("spot")) };
    assert!(clients.markets.resolve_market(then).await.is_ok());
}

async fn a_segment_counts_as_seen_once_a_row_of_it_was_accepted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance(&mut clients).await;
    // Nobody knows the asset: the row is rejected, and what is older may still be imported.
    let unknown = [spot("WHOUSDT", "WHO", "USDT")];
    let report = clients.import(observed("2024-03-02T00:00:00Z", into_binance()), &raw(&unknown)).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 0, 0, 1]);
    let known = [spot("BTCUSDT", "BTC", "USDT")];
    let earlier = || observed("2024-03-01T00:00:00Z", into_binance());
    assert_eq!(counts(&clients.import(earlier(), &raw(&known)).await.unwrap()), [1, 0, 0, 0, 0]);
    clients.import(observed("2024-03-02T00:00:00Z", into_binance()), &raw(&known)).await.unwrap();
    let stale = clients.import(earlier(), &raw(&known)).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::FailedPrecondition, "STALE_LISTING"));
}
