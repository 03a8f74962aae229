//! What an import of a listing does, and what it leaves alone.

use cqar_proto::v1::{
    ImportListingOptions, ImportListingRequest, ListMarketsRequest, Market, MarketStatus, import_listing_request::Part,
    import_progress::Phase, imported_market::Outcome,
};
use cqar_tests::{
    collect,
    environment::TestEnvironment,
    fixtures::{Clients, Imported, create, market, mutation, reason, time, wrong_fields},
};
use futures::stream;
use serde_json::json;
use uuid::Uuid;

use crate::{
    listing::{
        binance_with, counts, creating, dated, into_binance, observed, outcomes, raw, rejected, spot, whole, with,
        wrapped,
    },
    resolve::{id, resolve},
};
use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    a_listing_is_registered_once_and_then_only_what_differs
    a_refused_row_is_rejected_and_the_rest_commits
    what_is_absent_is_delisted_on_request_where_the_listing_is_whole
    a_symbol_that_means_another_instrument_is_rejected
    a_repeated_import_gets_the_first_report
    what_a_listing_says_holds_from_the_moment_that_it_speaks_of
}

async fn what_a_listing_says_holds_from_the_moment_that_it_speaks_of(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let halted = with(spot("ETHBTC", "ETH", "BTC"), "status", "BREAK");
    let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let at = |moment: &str| whole(&["spot"], observed(moment, creating()));
    let listed = raw(&[spot("BTCUSDT", "BTC", "USDT"), spot("ETHBTC", "ETH", "BTC")]);
    clients.import(at(first), &listed).await.unwrap();
    clients.import(at(second), &raw(&[halted])).await.unwrap();
    let events = collect::log(&server).await;
    let of = |moment: &str| {
        let of_moment = events.iter().filter(|event| event.effective_time == Some(time(moment)));
        let mut types: Vec<String> = of_moment.map(|event| event.r#type.clone()).collect();
        types.sort();
        types.dedup();
        types
    };
    let created = ["asset_created", "instrument_created", "market_listed", "venue_asset_created"];
    assert_eq!(of(first), created);
    assert_eq!(of(second), ["market_delisted", "market_status_changed"]);
}

async fn a_listing_is_registered_once_and_then_only_what_differs(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let listed = [spot("BTCUSDT", "BTC", "USDT"), with(spot("ETHBTC", "ETH", "BTC"), "status", "BREAK")];
    let only_try = ImportListingOptions { validate_only: true, ..creating() };
    let tried = clients.import(only_try.clone(), &raw(&listed)).await.unwrap();
    assert_eq!((counts(&tried), tried.revision), ([2, 0, 0, 0, 0], 1));
    assert!(outcomes(&tried, Outcome::Created).iter().all(|it| it.market_id.is_empty()), "no id of what is not there");
    assert_eq!(clients.revision().await, 1);

    let report = clients.import(creating(), &raw(&listed)).await.unwrap();
    assert_eq!((counts(&report), report.revision), ([2, 0, 0, 0, 0], 2));
    assert_eq!(
        (report.covered.len(), report.observed_time.is_some()),
        (0, true),
        "a response of nowhere covers nothing"
    );
    let created = outcomes(&report, Outcome::Created);
    let btc = resolve(&mut clients, "binance", "BTCUSDT", Some("spot")).await.unwrap();
    assert_eq!(id(&btc), created[0].market_id);
    let found = btc.market.unwrap();
    let amounts = [&found.tick_size, &found.lot_size, &found.min_quantity, &found.max_quantity].map(String::as_str);
    assert_eq!(amounts, ["0.01", "0.001", "0.001", "9000"]);
    assert_eq!((found.status(), found.listed_time), (MarketStatus::Active, None));
    let eth = resolve(&mut clients, "binance", "ETHBTC", None).await.unwrap();
    assert_eq!(eth.market.as_ref().unwrap().status(), MarketStatus::Halted);
    assert_eq!(eth.instrument.unwrap().code, "ETH/BTC");

    let events = collect::log(&server).await.len();
    let again = clients.import(creating(), &raw(&listed)).await.unwrap();
    assert_eq!((counts(&again), again.revision, again.markets.len()), ([0, 0, 2, 0, 0], 2, 0));
    assert_eq!(collect::log(&server).await.len(), events);

    let resumed = [listed[0].clone(), spot("ETHBTC", "ETH", "BTC")];
    let tried = clients.import(only_try, &raw(&resumed)).await.unwrap();
    assert_eq!(
        (counts(&tried), outcomes(&tried, Outcome::Updated)[0].changed_fields.as_slice()),
        ([0, 1, 1, 0, 0], &["status".to_owned()][..])
    );
    let report = clients.import(creating(), &raw(&resumed)).await.unwrap();
    assert_eq!(counts(&report), [0, 1, 1, 0, 0]);
    let eth_now = resolve(&mut clients, "binance", "ETHBTC", None).await.unwrap().market.unwrap();
    assert_eq!((eth_now.status(), eth_now.id), (MarketStatus::Active, eth.market.unwrap().id));
    assert_eq!(clients.revision().await, 3);
}

async fn a_refused_row_is_rejected_and_the_rest_commits(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let lots =
        |min: &str, max: &str| json!([{"filterType": "LOT_SIZE", "minQty": min, "maxQty": max, "stepSize": "1"}]);
    let tick = |tick: &str| json!([{"filterType": "PRICE_FILTER", "tickSize": tick}]);
    let long = "X".repeat(10_000);
    let listed = [
        spot("BTCUSDT", "BTC", "USDT"),
        with(spot("MINMAX", "BTC", "USDT"), "filters", lots("2", "1")),
        with(spot("DIGITS", "BTC", "USDT"), "filters", tick(&"1".repeat(60))),
        with(spot("NAN", "BTC", "USDT"), "filters", tick("NaN")),
        with(spot("STATE", "BTC", "USDT"), "status", "ASLEEP"),
        with(spot("CODE", "BTC", "USDT"), "baseAsset", ""),
        spot("BTCBTC", "BTC", "BTC"),
        spot("NUL\0L", "USDT", "BTC"),
        spot(&long, "USDT", "BTC"),
        spot("TWICE", "BTC", "USDT"),
        spot("TWICE", "BTC", "USDT"),
    ];
    let report = clients.import(into_binance(), &raw(&listed)).await.unwrap();
    assert_eq!(counts(&report), [3, 0, 0, 0, 8], "{:#?}", report.markets);
    let mut codes: Vec<(&str, &str)> =
        rejected(&report).into_iter().map(|(symbol, code)| (symbol.get(..6).unwrap_or(symbol), code)).collect();
    codes.sort_unstable();
    let of = |symbol: &str| codes.iter().find(|it| it.0 == symbol).unwrap().1;
    assert_eq!(of("MINMAX"), "MIN_ABOVE_MAX");
    assert_eq!(of("STATE"), "MISSING_STATUS");
    assert_eq!(of("CODE"), "INVALID_CODE");
    assert_eq!(of("BTCBTC"), "SAME_ASSET");
    assert_eq!(of("TWICE"), "DOUBLED_SYMBOL");
    assert!(report.markets.iter().all(|it| it.outcome() == Outcome::Created || !it.message.is_empty()));
    assert!(resolve(&mut clients, "binance", "BTCUSDT", None).await.is_ok());
    let listed = clients.markets.list_markets(ListMarketsRequest::default()).await.unwrap().into_inner().markets;
    assert_eq!((listed.len(), clients.revision().await), (3, 2));
    // A field that cannot be read costs that field, and is named.
    let unread: Vec<_> = report.warnings.iter().map(|it| (it.path.as_str(), it.code.as_str())).collect();
    assert_eq!(
        unread,
        [("spot/DIGITS: market.tick_size", "MALFORMED_VALUE"), ("spot/NAN: filters[0].tickSize", "MALFORMED_FIELD"),]
    );
    assert!(listed.iter().all(|it| it.tick_size.is_empty() || it.venue_symbol == "BTCUSDT"));
}

async fn what_is_absent_is_delisted_on_request_where_the_listing_is_whole(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let [btc, usdt, _] = binance_with(&mut clients, ["BTC", "USDT", "ETH"]).await;
    let all = [spot("BTCUSDT", "BTC", "USDT"), spot("ETHUSDT", "ETH", "USDT"), spot("ETHBTC", "ETH", "BTC")];
    let at = |at: &str| observed(at, creating());
    clients.import(at("2024-01-01T00:00:00Z"), &raw(&all)).await.unwrap();
    // Another segment, and a market that begins only after the moment of the listing.
    let perpetual = cqar_tests::fixtures::perpetual(&btc, &usdt);
    let later = Market { listed_time: Some(time("2025-01-01T00:00:00Z")), ..market("binance", "spot", "LATER", "$p") };
    clients
        .apply(vec![
            cqar_tests::fixtures::named("p", create(perpetual)),
            mutation(create(market("binance", "usdm", "BTCUSDT", "$p"))),
            mutation(create(later)),
        ])
        .await
        .unwrap();
    let delisting = |day: &str| whole(&["spot"], at(day));

    // Not asked for; and asked for, but by a response that leaves out.
    let report = clients.import(at("2024-01-02T00:00:00Z"), &raw(&all[..1])).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 1, 0, 0]);
    let filtered = wrapped("https://api.binance.com/api/v3/exchangeInfo?symbol=BTCUSDT", 1_704_240_000.0, &all[..1]);
    let partly = ImportListingOptions { delist_absent: true, ..at("2024-01-03T00:00:00Z") };
    let report = clients.import(partly, &filtered).await.unwrap();
    assert_eq!((counts(&report), report.covered.len()), ([0, 0, 1, 0, 0], 0));

    // A rejected row is listed, whatever is wrong with it.
    let strange = with(all[1].clone(), "quoteAsset", "");
    let report = clients.import(delisting("2024-01-04T00:00:00Z"), &raw(&[all[0].clone(), strange])).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 1, 1, 1]);
    assert_eq!(outcomes(&report, Outcome::Delisted)[0].venue_symbol, "ETHBTC");
    let refused = resolve(&mut clients, "binance", "ETHBTC", None).await.unwrap_err();
    assert_eq!(reason(&refused), "SYMBOL_NOT_LIVE");
    for (symbol, segment) in [("ETHUSDT", "spot"), ("BTCUSDT", "usdm"), ("LATER", "spot")] {
        assert!(resolve(&mut clients, "binance", symbol, Some(segment)).await.is_ok(), "{symbol}");
    }
    let gone = clients.markets.list_markets(ListMarketsRequest { venue_symbol: "ETHBTC".into(), ..Default::default() });
    let gone = gone.await.unwrap().into_inner().markets.remove(0);
    assert_eq!((gone.status(), gone.delisted_time), (MarketStatus::Delisted, Some(time("2024-01-04T00:00:00Z"))));

    let report = clients.import(delisting("2024-01-05T00:00:00Z"), &raw(&all[..2])).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 2, 0, 0], "it is delisted once");
    // Seen again: its end, which nobody said, is taken back.
    let report = clients.import(delisting("2024-02-01T00:00:00Z"), &raw(&all)).await.unwrap();
    assert_eq!(counts(&report), [0, 1, 2, 0, 0]);
    let again = resolve(&mut clients, "binance", "ETHBTC", None).await.unwrap().market.unwrap();
    assert_eq!((again.id, again.delisted_time), (gone.id, None));
}

async fn a_symbol_that_means_another_instrument_is_rejected(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USD", "USDT"]).await;
    let september = 1_632_470_400_000; // 2021-09-24T08:00:00Z
    let december = 1_640_937_600_000; // 2021-12-31T08:00:00Z
    let listed = dated("BTCUSD_210924", "BTC", 1_616_745_600_000, september);
    clients.import(observed("2021-07-01T00:00:00Z", into_binance()), &raw(&[listed])).await.unwrap();
    let moved = dated("BTCUSD_210924", "BTC", 1_616_745_600_000, december);
    let report = clients.import(observed("2021-07-02T00:00:00Z", into_binance()), &raw(&[moved])).await.unwrap();
    assert_eq!(rejected(&report), [("BTCUSD_210924", "INSTRUMENT_CHANGED")]);
    assert_eq!(clients.revision().await, 2);
}

async fn a_repeated_import_gets_the_first_report(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let listed = raw(&[spot("BTCUSDT", "BTC", "USDT")]);
    let options = ImportListingOptions { request_id: Uuid::now_v7().to_string(), ..into_binance() };
    let first = clients.import(options.clone(), &listed).await.unwrap();
    assert_eq!(counts(&first), [1, 0, 0, 0, 0]);
    assert!(!first.replayed && first.progress.last().unwrap().phase() == Phase::Committing, "{:?}", first.progress);
    let again = clients.import(options.clone(), &listed).await.unwrap();
    assert!(again.replayed && again.progress.is_empty(), "{again:?}");
    assert_eq!((&again.markets, &again.bindings, again.revision), (&first.markets, &first.bindings, first.revision));
    // However the bytes are cut, it is the same request.
    let whole = [Part::Options(options.clone()), Part::Chunk(listed.clone().into())];
    let parts = stream::iter(whole.map(|part| ImportListingRequest { part: Some(part) }));
    let answer = clients.registry.import_listing(parts).await.unwrap().into_inner();
    assert!(Imported::receive(answer).await.unwrap().replayed);
    let other = clients.import(options.clone(), &raw(&[spot("USDTBTC", "USDT", "BTC")])).await.unwrap_err();
    assert_eq!((reason(&other), wrong_fields(&other)[0].0.as_str()), ("REQUEST_ID_REUSED".into(), "request_id"));
    let other = ImportListingOptions { trust_symbols: true, ..options };
    assert_eq!(reason(&clients.import(other, &listed).await.unwrap_err()), "REQUEST_ID_REUSED");
    // A market that is halted by hand is what the listing says again, by the next import.
    let halted =
        Market { id: first.markets[0].market_id.clone(), status: MarketStatus::Halted.into(), ..Market::default() };
    Market::update(&mut clients, halted, &["status"], Write::default()).await.unwrap();
    assert_eq!(counts(&clients.import(into_binance(), &listed).await.unwrap()), [0, 1, 0, 0, 0]);
}
