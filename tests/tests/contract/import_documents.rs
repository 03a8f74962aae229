//! What a plugin may say in a listing, and what comes of it: the documents of the plugin interface, from the page to the
//! registry. The plugin `as-told` reads pages that are written as JSON.

use cqar_proto::v1::{
    Asset, AssetType, ContractUnit, ImportListingOptions, InstrumentKind, Market, MarketStatus, QuantityUnit, Venue,
    VenueAsset, imported_market::Outcome,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, Imported, asset, create, ids, mutation, venue, venue_asset, wrong_fields},
    in_both_environments,
    kinds::{Kind, Write},
    server::Server,
};
use serde_json::{Value, json};
use tonic::Status;

use crate::listing::{counts, outcomes, rejected};

in_both_environments! {
    absent_keeps_null_clears_and_lists_and_maps_replace
    a_field_that_cannot_be_read_costs_itself_and_is_a_warning
    a_symbol_that_is_anothers_alias_is_nobodys
    what_a_listing_covers_is_delisted_by_kind_and_codes
    a_hint_tells_assets_of_one_code_apart
    a_binding_that_a_hint_contradicts_rejects_the_row
    a_code_means_by_segment_what_its_hints_say
    a_hint_of_a_segment_binds_its_code_there_alone
    every_kind_that_has_terms_is_registered_and_its_expiry_is_a_date
    a_page_says_what_it_left_out_and_what_it_still_needs
    a_plugin_is_told_what_its_call_belongs_to
    a_page_has_so_many_segments_and_no_more
    more_absent_markets_than_one_import_may_change_are_refused
}

/// A venue whose listings say what they are told.
async fn told<const N: usize>(s: &TestEnvironment, symbols: [&str; N]) -> (Server, Clients, [String; N]) {
    let server = s.options().with_testing_plugin("as-told").start().await;
    let mut clients = Clients::of(&server).await;
    let told = Venue { symbology: "as-told".into(), ..venue("told") };
    let assets = symbols.map(|symbol| create(asset(symbol)));
    let all = std::iter::once(create(told)).chain(assets);
    let applied = clients.apply(all.map(mutation).collect()).await.unwrap();
    (server, clients, ids(&applied).split_off(1).try_into().unwrap())
}

fn into_told() -> ImportListingOptions {
    ImportListingOptions { venue_id: "told".into(), ..ImportListingOptions::default() }
}

async fn import(clients: &mut Clients, options: ImportListingOptions, page: &Value) -> Result<Imported, Status> {
    // With its address, so that what it covers counts.
    let responses = json!({"responses": [{"url": "https://told.example/listing", "body": page}]});
    clients.import(options, &serde_json::to_vec(&responses).unwrap()).await
}

/// A perpetual of that base and quote, which says these fields.
fn perpetual(symbol: &str, base: &str, quote: &str, market: &Value) -> Value {
    json!({"symbol": symbol, "segment": "swap", "kind": "perpetual", "base": base, "quote": quote, "settle": quote,
        "market": market})
}

fn active() -> Value {
    json!({"status": "MARKET_STATUS_ACTIVE"})
}

async fn only_market(clients: &mut Clients, report: &Imported) -> Market {
    let [imported] = report.markets.as_slice() else { panic!("{report:#?}") };
    Market::get(clients, &imported.market_id, 0).await.unwrap().value
}

async fn absent_keeps_null_clears_and_lists_and_maps_replace(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "USDT"]).await;
    let everything = json!({
        "status": "MARKET_STATUS_ACTIVE", "aliases": ["A1", "A2"], "labels": {"access": "public", "tier": "1"},
        "contract_size": "10", "contract_unit": "CONTRACT_UNIT_SETTLE", "quantity_unit": "QUANTITY_UNIT_CONTRACTS",
        "tick_size": "0.1", "lot_size": "1", "min_quantity": "1", "max_quantity": "1000", "min_notional": "5",
        "maker_fee": "-0.0001", "taker_fee": "0.0005", "funding_interval": "28800s",
    });
    let import = async |clients: &mut Clients, market: &Value| {
        let page = json!({"markets": [perpetual("BTC-SWAP", "BTC", "USDT", market)]});
        let report = import(clients, into_told(), &page).await.unwrap();
        assert_eq!(report.warnings, []);
        report
    };
    let first = import(&mut clients, &everything).await;
    let before = only_market(&mut clients, &first).await;
    assert_eq!((before.contract_unit(), before.quantity_unit()), (ContractUnit::Settle, QuantityUnit::Contracts));
    assert_eq!((before.aliases.len(), before.labels.len(), before.maker_fee.as_str()), (2, 2, "-0.0001"));

    // What is absent stays: nothing changes.
    let silent = import(&mut clients, &json!({})).await;
    assert_eq!(counts(&silent), [0, 0, 1, 0, 0]);

    let taken_back = json!({
        "tick_size": "0.2", "min_notional": null, "contract_size": null, "maker_fee": null, "aliases": ["A3"],
        "labels": {"tier": "2"}, "funding_interval": null,
    });
    let second = import(&mut clients, &taken_back).await;
    let mut changed = outcomes(&second, Outcome::Updated)[0].changed_fields.clone();
    changed.sort();
    let expected = ["aliases", "contract_size", "funding_interval", "labels", "maker_fee", "min_notional", "tick_size"];
    assert_eq!(changed, expected);
    let after = only_market(&mut clients, &second).await;
    assert_eq!((after.tick_size.as_str(), after.lot_size.as_str(), after.min_notional.as_str()), ("0.2", "1", ""));
    assert_eq!((after.contract_size.as_str(), after.taker_fee.as_str()), ("", "0.0005"));
    assert_eq!(
        (after.aliases, after.labels),
        (vec!["A3".to_owned()], [("venue.tier".to_owned(), "2".to_owned())].into())
    );
    assert_eq!(counts(&import(&mut clients, &taken_back).await), [0, 0, 1, 0, 0]);
}

async fn a_field_that_cannot_be_read_costs_itself_and_is_a_warning(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "USDT"]).await;
    let odd = json!({
        "status": "MARKET_STATUS_ACTIVE", "tick_size": [0.1], "lot_size": "1", "venue_id": "binance", "color": "red",
        "contract_size": "1",
    });
    let mut row = perpetual("BTC-SWAP", "BTC", "USDT", &odd);
    row["unread"] = json!(["filters[3]"]);
    let assets = json!([{"code": "BTC", "hints": {"asset_class": "gold"}, "venue_asset": {"networks": []}}]);
    let page = json!({"markets": [row], "assets": assets});
    let report = import(&mut clients, into_told(), &page).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 0]);
    let mut warnings: Vec<_> = report.warnings.iter().map(|it| (it.path.as_str(), it.code.as_str())).collect();
    warnings.sort_unstable();
    let expected = [
        ("code BTC: hints.asset_class", "UNKNOWN_VALUE"),
        ("code BTC: venue_asset.networks", "UNKNOWN_FIELD"),
        ("swap/BTC-SWAP: filters[3]", "UNREADABLE"),
        ("swap/BTC-SWAP: market.color", "UNKNOWN_FIELD"),
        ("swap/BTC-SWAP: market.contract_size", "INCOMPLETE"),
        ("swap/BTC-SWAP: market.tick_size", "MALFORMED_VALUE"),
        ("swap/BTC-SWAP: market.venue_id", "NOT_THE_LISTINGS"),
    ];
    assert_eq!(warnings, expected);
    assert!(report.warnings.iter().all(|it| it.plugin == "as-told"));
    let market = only_market(&mut clients, &report).await;
    assert_eq!((market.tick_size.as_str(), market.lot_size.as_str(), market.venue_id.as_str()), ("", "1", "told"));

    // A market that is there keeps its status where the listing says none; a new one has none.
    let silent = perpetual("BTC-SWAP", "BTC", "USDT", &json!({"lot_size": "2"}));
    let new = perpetual("NEW-SWAP", "BTC", "USDT", &json!({"lot_size": "2"}));
    let report = import(&mut clients, into_told(), &json!({"markets": [silent, new]})).await.unwrap();
    assert_eq!((counts(&report), rejected(&report)), ([0, 1, 0, 0, 1], vec![("NEW-SWAP", "MISSING_STATUS")]));
}

async fn a_symbol_that_is_anothers_alias_is_nobodys(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "ETH", "USDT"]).await;
    let named = json!({"status": "MARKET_STATUS_ACTIVE", "aliases": ["B"]});
    let rows = [perpetual("A", "BTC", "USDT", &named), perpetual("B", "ETH", "USDT", &active())];
    let both = import(&mut clients, into_told(), &json!({ "markets": rows })).await.unwrap();
    assert_eq!(rejected(&both), [("A", "DOUBLED_SYMBOL"), ("B", "DOUBLED_SYMBOL")]);
    // By an alias that is stored, and that the row no longer says.
    assert_eq!(import(&mut clients, into_told(), &json!({"markets": [rows[0]]})).await.unwrap().created, 1);
    let silent = [perpetual("A", "BTC", "USDT", &active()), perpetual("B", "BTC", "USDT", &active())];
    let both = import(&mut clients, into_told(), &json!({ "markets": silent })).await.unwrap();
    assert_eq!(rejected(&both), [("A", "DOUBLED_MARKET"), ("B", "DOUBLED_MARKET")]);
}

async fn what_a_listing_covers_is_delisted_by_kind_and_codes(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "ETH", "USDT", "USDC"]).await;
    let spot = json!({"symbol": "BTCUSDT", "segment": "swap", "kind": "spot", "base": "BTC", "quote": "USDT",
        "market": active()});
    let all = json!({"markets": [
        spot, perpetual("BTC-T", "BTC", "USDT", &active()), perpetual("ETH-T", "ETH", "USDT", &active()),
        perpetual("BTC-C", "BTC", "USDC", &active()),
    ]});
    assert_eq!(counts(&import(&mut clients, into_told(), &all).await.unwrap()), [4, 0, 0, 0, 0]);

    let delist = || ImportListingOptions { delist_absent: true, ..into_told() };
    let delisted = async |clients: &mut Clients, page: Value| {
        let report = import(clients, delist(), &page).await.unwrap();
        let gone = outcomes(&report, Outcome::Delisted);
        (gone.iter().map(|it| it.venue_symbol.clone()).collect::<Vec<_>>(), report)
    };
    // Whose code means no asset is no market.
    let unknown = json!({"covered": [{"segment": "swap", "quote": "NOBODY"}]});
    assert_eq!(delisted(&mut clients, unknown).await.0, [""; 0]);
    // A rejected row of that segment is named; one whose segment is not known is named in all.
    let named = json!({
        "covered": [{"segment": "swap", "kind": "perpetual", "quote": "USDT", "settle": "USDT"}],
        "rejected": [{"symbol": "ETH-T", "code": "ODD"}, {"symbol": "BTC-T", "segment": "other", "code": "ODD"}],
    });
    let (gone, report) = delisted(&mut clients, named).await;
    assert_eq!(gone, ["BTC-T"]);
    let [covered] = report.covered.as_slice() else { panic!("{:?}", report.covered) };
    assert_eq!((covered.segment.as_str(), covered.kind()), ("swap", InstrumentKind::Perpetual));
    let codes = [&covered.base_code, &covered.quote_code, &covered.settle_code].map(String::as_str);
    assert_eq!(codes, ["", "USDT", "USDT"]);
    let of_btc = json!({"covered": [{"segment": "swap", "base": "BTC"}, {"segment": "swap", "kind": "spot"}]});
    assert_eq!(delisted(&mut clients, of_btc).await.0, ["BTC-C", "BTCUSDT"], "each of them once");
}

fn equity(code: &str) -> Value {
    json!({"code": code, "hints": {"asset_class": "equity", "name": "Meta Platforms", "isin": "US30303M1027"}})
}

async fn a_hint_tells_assets_of_one_code_apart(s: TestEnvironment) {
    let (_server, mut clients, [coin, _]) = told(&s, ["META", "USDT"]).await;
    let page = json!({"markets": [perpetual("META-SWAP", "META", "USDT", &active())], "assets": [equity("META")]});
    // The coin of that symbol is not what is meant, and nothing else has it.
    let report = import(&mut clients, into_told(), &page).await.unwrap();
    assert_eq!(rejected(&report), [("META-SWAP", "UNKNOWN_ASSET")]);

    let creating = ImportListingOptions { create_missing_assets: true, ..into_told() };
    let report = import(&mut clients, creating, &page).await.unwrap();
    let created = report.bindings.iter().find(|it| it.created).unwrap();
    assert_ne!(created.asset_id, coin);
    let stored = Asset::get(&mut clients, &created.asset_id, 0).await.unwrap().value;
    assert_eq!(
        (stored.r#type(), stored.name.as_str(), stored.symbol.as_str()),
        (AssetType::Equity, "Meta Platforms", "META")
    );
}

async fn a_binding_that_a_hint_contradicts_rejects_the_row(s: TestEnvironment) {
    let (_server, mut clients, [coin, _]) = told(&s, ["META", "USDT"]).await;
    VenueAsset::create(&mut clients, venue_asset("told", "META", &coin), Write::default()).await.unwrap();
    let page =
        |assets: Value| json!({"markets": [perpetual("META-SWAP", "META", "USDT", &active())], "assets": assets});
    let report = import(&mut clients, into_told(), &page(json!([equity("META")]))).await.unwrap();
    assert_eq!(rejected(&report), [("META-SWAP", "BINDING_CONTRADICTED")]);
    let refused = outcomes(&report, Outcome::Rejected)[0];
    assert_eq!(refused.candidate_asset_ids, [coin]);
    assert!(refused.message.contains("whose class is crypto, and the listing says equity"), "{}", refused.message);
    let report = import(&mut clients, into_told(), &page(json!([]))).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 0], "without the hint the binding holds");
}

async fn a_code_means_by_segment_what_its_hints_say(s: TestEnvironment) {
    let (_server, mut clients, [coin, _]) = told(&s, ["META", "USDT"]).await;
    let mut coins = perpetual("META-COIN", "META", "USDT", &active());
    coins["segment"] = json!("coins");
    let mut stock = equity("META");
    stock["segment"] = json!("swap");
    let page = json!({"markets": [coins, perpetual("META-STOCK", "META", "USDT", &active())], "assets": [stock]});
    let creating = ImportListingOptions { create_missing_assets: true, ..into_told() };
    let report = import(&mut clients, creating, &page).await.unwrap();
    assert_eq!(counts(&report), [2, 0, 0, 0, 0]);
    let of: Vec<_> =
        report.bindings.iter().filter(|it| it.code == "META").map(|it| (it.created, &it.asset_id)).collect();
    assert!(of.len() == 2 && of.contains(&(false, &coin)) && of.iter().any(|(created, _)| *created), "{of:?}");
}

/// What was said of one segment binds nothing in another, whichever is imported first.
async fn a_hint_of_a_segment_binds_its_code_there_alone(s: TestEnvironment) {
    let (_server, mut clients, [coin, _]) = told(&s, ["META", "USDT"]).await;
    let mut stock = equity("META");
    stock["segment"] = json!("swap");
    let stocks = json!({"markets": [perpetual("META-STOCK", "META", "USDT", &active())], "assets": [stock]});
    let mut coins = perpetual("META-COIN", "META", "USDT", &active());
    coins["segment"] = json!("coins");
    let creating = || ImportListingOptions { create_missing_assets: true, ..into_told() };
    let first = import(&mut clients, creating(), &stocks).await.unwrap();
    let bound = first.bindings.iter().find(|it| it.code == "META").unwrap();
    assert_eq!((bound.created, bound.segment.as_str()), (true, "swap"));
    // Two assets have the symbol now, and nothing says which of them is meant elsewhere.
    let second = import(&mut clients, creating(), &json!({"markets": [coins]})).await.unwrap();
    assert_eq!(rejected(&second), [("META-COIN", "AMBIGUOUS_ASSET")]);
    let mut candidates = outcomes(&second, Outcome::Rejected)[0].candidate_asset_ids.clone();
    candidates.sort();
    let mut both = [coin, bound.asset_id.clone()];
    both.sort();
    assert_eq!(candidates, both);
}

async fn every_kind_that_has_terms_is_registered_and_its_expiry_is_a_date(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "USDT"]).await;
    let row = |symbol: &str, kind: &str, more: Value| {
        let mut row = json!({"symbol": symbol, "segment": "all", "kind": kind, "base": "BTC", "quote": "USDT",
            "settle": "USDT", "market": active()});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let until = |expiry: &str| json!({"status": "MARKET_STATUS_ACTIVE", "expiry_time": expiry});
    let option = |style: Value| {
        json!({"date": "2030-12-27", "strike": "100000", "option_type": "call", "exercise_style": style,
            "market": until("2030-12-27T08:00:00Z")})
    };
    let page = json!({"markets": [
        row("F-DATE", "future", json!({"date": "2030-12-27", "market": until("2030-12-27T16:00:00Z")})),
        row("F-HOUR", "future", json!({"instant": "2030-12-27T08:00:00Z"})),
        row("O-EURO", "option", option(json!("european"))),
        row("O-AMER", "option", option(json!("american"))),
        row("O-NONE", "option", option(json!(null))),
        row("F-NONE", "future", json!({})),
        row("L", "lending_deposit", json!({"quote": null, "settle": null})),
    ]});
    let report = import(&mut clients, into_told(), &page).await.unwrap();
    assert_eq!(counts(&report), [4, 0, 0, 0, 3], "{:#?}", report.markets);
    let expected = [("F-NONE", "MALFORMED_ROW"), ("L", "UNSUPPORTED_KIND"), ("O-NONE", "INCOMPLETE_TERMS")];
    assert_eq!(rejected(&report), expected);
    let mut by_symbol = std::collections::BTreeMap::new();
    for imported in outcomes(&report, Outcome::Created) {
        let market = Market::get(&mut clients, &imported.market_id, 0).await.unwrap().value;
        by_symbol.insert(market.venue_symbol.clone(), market);
    }
    // Two that end at different hours of a day are markets of one instrument.
    assert_eq!(by_symbol["F-DATE"].instrument_id, by_symbol["F-HOUR"].instrument_id);
    assert_ne!(by_symbol["F-DATE"].expiry_time, by_symbol["F-HOUR"].expiry_time);
    assert_ne!(by_symbol["O-EURO"].instrument_id, by_symbol["O-AMER"].instrument_id);
    assert_eq!(counts(&import(&mut clients, into_told(), &page).await.unwrap()), [0, 0, 4, 0, 3]);
}

async fn a_page_says_what_it_left_out_and_what_it_still_needs(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "USDT"]).await;
    let more = ["https://api.example.com/markets?page=2", "https://api.example.com/markets?page=3"];
    let page = json!({"markets": [perpetual("BTC-SWAP", "BTC", "USDT", &active())], "ignored": 7, "more": more});
    let report = import(&mut clients, into_told(), &page).await.unwrap();
    assert_eq!((report.ignored, report.more, report.covered.len()), (7, 2, 0));
    assert_eq!(report.sources.iter().map(|it| it.url.as_str()).collect::<Vec<_>>(), more);
    let market = only_market(&mut clients, &report).await;
    assert_eq!(market.status(), MarketStatus::Active);

    let odd = json!({"markets": [perpetual("BTC-SWAP", "BTC", "USDT", &active())], "more": ["file:///etc/passwd"]});
    let report = import(&mut clients, into_told(), &odd).await.unwrap();
    assert_eq!((report.more, report.unchanged, report.warnings.len()), (0, 1, 1));
    let warning = &report.warnings[0];
    assert_eq!((warning.path.as_str(), warning.code.as_str()), ("listing: more", "UNREADABLE"));
    assert!(warning.message.contains("must be an address of http or https"), "{warning:?}");
}

async fn a_plugin_is_told_what_its_call_belongs_to(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, []).await;
    let options = ImportListingOptions {
        observed_time: Some("2026-01-02T03:04:05Z".parse::<cqar_domain::time::Timestamp>().unwrap().into()),
        request_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        ..into_told()
    };
    let refused = import(&mut clients, options, &json!({"no": "page"})).await.unwrap_err();
    let told = refused.message();
    for said in [
        "request_id: \"01890a5d-ac96-774b-bcce-b302099a8057\"",
        "venue: \"told\"",
        "as_of: \"2026-01-02T03:04:05Z\"",
        "validate_only: false",
        "now: \"20",
        "revision: 1",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

async fn a_page_has_so_many_segments_and_no_more(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "USDT"]).await;
    let segments = |count: usize| {
        let covered: Vec<Value> = (0..count).map(|n| json!({"segment": format!("s{n}")})).collect();
        json!({"covered": covered})
    };
    import(&mut clients, into_told(), &segments(64)).await.unwrap();
    let refused = import(&mut clients, into_told(), &segments(65)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("payload".into(), "TOO_MANY_SEGMENTS".into())]);
}

async fn more_absent_markets_than_one_import_may_change_are_refused(s: TestEnvironment) {
    let (_server, mut clients, _) = told(&s, ["BTC", "USDT"]).await;
    let options = |strikes: std::ops::Range<usize>| {
        let option = |strike: usize| {
            json!({"symbol": format!("O-{strike}"), "segment": "options", "kind": "option", "base": "BTC", "quote": "USDT",
                "settle": "USDT", "date": "2030-12-27", "strike": strike.to_string(), "option_type": "call",
                "exercise_style": "european",
                "market": {"status": "MARKET_STATUS_ACTIVE", "expiry_time": "2030-12-27T08:00:00Z"}})
        };
        json!({"covered": [{"segment": "options"}], "markets": strikes.map(option).collect::<Vec<_>>()})
    };
    let half = 10_001;
    for first in [1, 1 + half] {
        let report = import(&mut clients, into_told(), &options(first..first + half)).await.unwrap();
        assert_eq!(usize::try_from(report.created).unwrap(), half);
    }
    let delisting = || ImportListingOptions { delist_absent: true, ..into_told() };
    let revision = clients.revision().await;
    let refused = import(&mut clients, delisting(), &options(0..0)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("options.delist_absent".into(), "TOO_MANY_ROWS".into())]);
    assert_eq!(clients.revision().await, revision);
    // With half of them in the listing there are as many rows and absent ones together.
    let refused = import(&mut clients, delisting(), &options(1..1 + half)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("options.delist_absent".into(), "TOO_MANY_ROWS".into())]);
}
