//! Which assets an import takes a venue's codes for. Nothing is guessed.

use cqar_proto::v1::{Asset, AssetType, ImportListingOptions, ListVenueAssetsRequest, Venue, imported_market::Outcome};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, SampleRegistry, asset, create, ids, market, mutation, named, venue, venue_asset},
};
use serde_json::json;

use crate::{
    listing::{binance_with, counts, creating, into_binance, outcomes, raw, rejected, spot, unclassified},
    resolve::resolve,
};
use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    a_binding_that_contradicts_the_market_rejects_its_row_and_goes_before_the_symbol
    a_first_match_by_symbol_is_bound_and_a_later_asset_of_the_symbol_changes_nothing
    what_nothing_knows_or_several_could_mean_is_rejected_with_its_candidates
    an_unclassified_asset_is_taken_only_where_symbols_are_trusted
    units_are_not_changed_under_a_market_that_is_there
}

async fn base_of(clients: &mut Clients, symbol: &str) -> String {
    resolve(clients, "binance", symbol, None).await.unwrap().base_asset.unwrap().id
}

async fn a_binding_that_contradicts_the_market_rejects_its_row_and_goes_before_the_symbol(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let [of_symbol, usdt] = binance_with(&mut clients, ["LUNA", "USDT"]).await;
    let applied = clients
        .apply(vec![
            named("of_binding", create(asset("LUNA2"))),
            named("of_market", create(asset("LUNC"))),
            mutation(create(venue_asset("binance", "LUNA", "$of_binding"))),
            named("spot", create(cqar_tests::fixtures::spot("$of_market", &usdt))),
            mutation(create(market("binance", "spot", "LUNAUSDT", "$spot"))),
        ])
        .await
        .unwrap();
    let [of_binding, of_market, ..] =
        ids(&applied).try_into().unwrap_or_else(|all: Vec<String>| <[String; 5]>::try_from(all).unwrap());
    let listed = [spot("LUNAUSDT", "LUNA", "USDT"), spot("LUNABUSD", "LUNA", "USDT")];
    let report = clients.import(into_binance(), &raw(&listed)).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 1], "{report:#?}");
    assert_eq!(rejected(&report), [("LUNAUSDT", "INSTRUMENT_CHANGED")]);
    let why = &outcomes(&report, Outcome::Rejected)[0].message;
    assert!(why.contains("base LUNA2, and was LUNC"), "{why}");
    assert_eq!(base_of(&mut clients, "LUNAUSDT").await, of_market);
    assert_eq!(base_of(&mut clients, "LUNABUSD").await, of_binding);
    assert_ne!(of_symbol, of_binding);
    let bound: Vec<&str> = report.bindings.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(bound, ["USDT"], "what is bound already is not bound again");
}

async fn a_first_match_by_symbol_is_bound_and_a_later_asset_of_the_symbol_changes_nothing(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let [btc, usdt] = binance_with(&mut clients, ["BTC", "USDT"]).await;
    let first = [spot("BTCUSDT", "BTC", "USDT")];
    let report = clients.import(into_binance(), &raw(&first)).await.unwrap();
    let mut bindings: Vec<_> =
        report.bindings.iter().map(|it| (it.code.as_str(), it.asset_id.as_str(), it.created)).collect();
    bindings.sort_unstable();
    assert_eq!(bindings, [("BTC", btc.as_str(), false), ("USDT", usdt.as_str(), false)]);
    let request = ListVenueAssetsRequest { venue_id: "binance".into(), ..ListVenueAssetsRequest::default() };
    assert_eq!(clients.venues.list_venue_assets(request).await.unwrap().into_inner().venue_assets.len(), 2);

    // Another BTC: ambiguous for whoever has no binding, and nothing to this venue.
    Asset::create(&mut clients, asset("BTC"), Write::default()).await.unwrap();
    let more = [first[0].clone(), spot("BTCBUSD", "BTC", "USDT")];
    let revision = clients.revision().await;
    let report = clients.import(into_binance(), &raw(&more)).await.unwrap();
    assert_eq!((counts(&report), report.bindings.len()), ([1, 0, 1, 0, 0], 0));
    assert_eq!(report.revision, revision + 1);
    assert_eq!(base_of(&mut clients, "BTCBUSD").await, btc);
}

async fn what_nothing_knows_or_several_could_mean_is_rejected_with_its_candidates(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let [one, two, _, eth] = binance_with(&mut clients, ["BTC", "BTC", "USDT", "ETH"]).await;
    let listed = [spot("BTCUSDT", "BTC", "USDT"), spot("NEWUSDT", "NEW", "USDT"), spot("ETHUSDT", "ETH", "USDT")];
    let report = clients.import(into_binance(), &raw(&listed)).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 2]);
    let expected = [("BTCUSDT", "AMBIGUOUS_ASSET"), ("NEWUSDT", "UNKNOWN_ASSET")];
    assert_eq!(rejected(&report), expected);
    let mut candidates = outcomes(&report, Outcome::Rejected)[0].candidate_asset_ids.clone();
    candidates.sort();
    let mut both = vec![one.clone(), two];
    both.sort();
    assert_eq!(candidates, both);
    assert_eq!(base_of(&mut clients, "ETHUSDT").await, eth);

    // Creating what is missing creates what nothing knows, not a third BTC.
    let report = clients.import(creating(), &raw(&listed[..2])).await.unwrap();
    assert_eq!((counts(&report), rejected(&report)), ([1, 0, 0, 0, 1], vec![("BTCUSDT", "AMBIGUOUS_ASSET")]));
    let [created] = report.bindings.as_slice() else { panic!("{:?}", report.bindings) };
    assert_eq!((created.code.as_str(), created.symbol.as_str(), created.created), ("NEW", "NEW", true));
    let stored = Asset::get(&mut clients, &created.asset_id, 0).await.unwrap().value;
    assert_eq!(stored.r#type(), AssetType::Unclassified);
    // The operator says which is meant.
    clients.apply(vec![mutation(create(venue_asset("binance", "BTC", &one)))]).await.unwrap();
    let report = clients.import(into_binance(), &raw(&listed[..2])).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    assert_eq!(base_of(&mut clients, "BTCUSDT").await, one);
}

async fn an_unclassified_asset_is_taken_only_where_symbols_are_trusted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    SampleRegistry::write(&mut clients).await;
    // Created from another venue's listing.
    let sister = Venue { symbology: "symbology-binance".into(), ..venue("binance-us") };
    Venue::create(&mut clients, sister, Write::default()).await.unwrap();
    let listed = raw(&[spot("PEOPLEUSDT", "PEOPLE", "USDT")]);
    let from_sister = ImportListingOptions { venue_id: "binance-us".into(), ..creating() };
    let report = clients.import(from_sister, &listed).await.unwrap();
    let people = report.bindings.iter().find(|it| it.created).unwrap().asset_id.clone();

    let report = clients.import(creating(), &listed).await.unwrap();
    assert_eq!(rejected(&report), [("PEOPLEUSDT", "UNCLASSIFIED_ASSET")]);
    assert_eq!(report.markets[0].candidate_asset_ids, [people.as_str()]);
    let trusting = ImportListingOptions { trust_symbols: true, ..into_binance() };
    let tried = ImportListingOptions { validate_only: true, ..trusting.clone() };
    assert_eq!(counts(&clients.import(tried, &listed).await.unwrap()), [1, 0, 0, 0, 0]);

    // Two of them are ambiguous, trusted or not; classified, the one is found by its symbol.
    let second = Asset::create(&mut clients, unclassified("PEOPLE"), Write::default()).await.unwrap().value;
    let report = clients.import(trusting.clone(), &listed).await.unwrap();
    assert_eq!((report.rejected, report.markets[0].candidate_asset_ids.len()), (1, 2));
    let classified = Asset { id: people.clone(), r#type: AssetType::Token.into(), ..Asset::default() };
    Asset::update(&mut clients, classified, &["type"], Write::default()).await.unwrap();
    let report = clients.import(into_binance(), &listed).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 0]);
    assert_eq!(base_of(&mut clients, "PEOPLEUSDT").await, people);
    assert_ne!(people, second.id);
}

async fn units_are_not_changed_under_a_market_that_is_there(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let [shib, usdt] = binance_with(&mut clients, ["SHIB", "USDT"]).await;
    let perpetual = cqar_tests::fixtures::perpetual(&shib, &usdt);
    clients
        .apply(vec![
            named("perpetual", create(perpetual)),
            mutation(create(market("binance", "usdm", "1000SHIBUSDT", "$perpetual"))),
        ])
        .await
        .unwrap();
    let listed = json!({
        "symbol": "1000SHIBUSDT", "status": "TRADING", "contractType": "PERPETUAL", "baseAsset": "1000SHIB",
        "quoteAsset": "USDT", "marginAsset": "USDT", "filters": [],
    });
    let report = clients.import(into_binance(), &raw(&[listed])).await.unwrap();
    assert_eq!(rejected(&report), [("1000SHIBUSDT", "INSTRUMENT_CHANGED")]);
    let kept = resolve(&mut clients, "binance", "1000SHIBUSDT", None).await.unwrap().market.unwrap();
    assert_eq!(kept.unit_multiplier, "1");
}
