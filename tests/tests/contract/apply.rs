//! Many mutations: all of them or none.

use cqar_proto::{
    v1::{
        ApplyRequest, Asset, Chain, Delisting, GetInstrumentRequest, Instrument, Market, MarketStatus, Mutation,
        ResolveMarketRequest, VenueAsset, entity_key::Key, get_instrument_request, mutation::Operation,
    },
    well_known::FieldMask,
};
use cqar_tests::{
    collect,
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, chain, create, delete, ids, market, mutation, named, perpetual, reason, says,
        spot, undelete, update, venue, venue_asset, wrong_fields,
    },
};
use tonic::Code;

use cqar_tests::kinds::Kind;

cqar_tests::in_both_environments! {
    all_are_applied_or_none
    later_mutations_see_what_earlier_ones_did
    what_exists_is_left_as_it_is_where_that_is_allowed
    ten_thousand_are_applied_and_one_more_is_refused
    what_was_found_is_deleted_by_its_ref_as_any_other
    an_id_is_not_free_again_in_the_request_that_gives_it_up
    unique_keys_are_judged_on_the_state_that_a_request_leaves
    an_etag_goes_with_every_change
    a_new_symbol_changes_the_codes_that_it_is_in
    the_starter_dataset_is_loaded_once
}

async fn all_are_applied_or_none(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let refused = clients
        .apply(vec![
            mutation(create(asset("ETH"))),
            mutation(create(market("kraken", "", "ETHUSDT", "$eth"))),
            mutation(create(Asset::default())),
        ])
        .await
        .unwrap_err();
    let field = |field: &str, code: &str| (field.to_owned(), code.to_owned());
    assert_eq!(wrong_fields(&refused)[0], field("mutations[1].create.market.instrument_id", "UNKNOWN_REF"));
    assert!(wrong_fields(&refused).contains(&field("mutations[2].create.asset.type", "REQUIRED")));

    // The last one fails by its references, by a validator, by its etag: nothing of the first is left.
    let eth = || mutation(create(asset("ETH")));
    let dangling = spot(&small.btc, "0199c1a5-7a4e-7000-8000-000000000000");
    let refused = clients.apply(vec![eth(), mutation(create(dangling))]).await.unwrap_err();
    assert_eq!(
        wrong_fields(&refused),
        [field("mutations[1].create.instrument.spot.quote_asset_id", "UNKNOWN_REFERENCE")]
    );
    let tickless = Market { tick_size: "0".into(), ..market("kraken", "", "XBT2", &small.spot) };
    let refused = clients.apply(vec![eth(), mutation(create(tickless))]).await.unwrap_err();
    assert_eq!(reason(&refused), "REFUSED_BY_VALIDATOR");
    assert_eq!(wrong_fields(&refused), [field("mutations[1].create.market.tick_size", "ZERO_TICK_SIZE")]);
    let stale = Mutation { etag: "stale".into(), ..mutation(delete(Key::MarketId(small.kraken.clone()))) };
    let refused = clients.apply(vec![eth(), stale]).await.unwrap_err();
    assert_eq!((refused.code(), says(&refused, "field").as_deref()), (Code::Aborted, Some("mutations[1].delete")));
    assert_eq!(clients.apply(Vec::new()).await.unwrap_err().code(), Code::InvalidArgument);

    let tried = ApplyRequest { mutations: vec![eth()], validate_only: true, ..ApplyRequest::default() };
    assert_eq!(clients.registry.apply(tried).await.unwrap().into_inner().changed, 1);
    assert_eq!((clients.revision().await, Asset::list(&mut clients, 0, "").await.unwrap().0.len()), (1, 2));
}

async fn later_mutations_see_what_earlier_ones_did(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let renamed = Asset { id: "$btc".into(), name: "Bitcoin".into(), ..Asset::default() };
    let halted = Market { id: "$market".into(), status: MarketStatus::Halted.into(), ..Market::default() };
    let mask = Some(FieldMask { paths: vec!["status".into()] });
    let applied = clients
        .apply(vec![
            named("btc", create(asset("BTC"))),
            named("usd", create(asset("USD"))),
            mutation(update(renamed)),
            mutation(create(venue("kraken"))),
            named("code", create(venue_asset("kraken", "XBT", "$btc"))),
            named("spot", create(spot("$btc", "$usd"))),
            named("market", create(market("kraken", "", "XBTUSD", "$spot"))),
            Mutation { update_mask: mask, ..mutation(update(halted)) },
            named("short", create(spot("$usd", "$btc"))),
            mutation(delete(Key::InstrumentId("$short".into()))),
            mutation(Operation::Delist(Delisting { market_id: "$market".into(), delisted_time: None })),
        ])
        .await
        .unwrap();
    let results = ids(&applied);
    assert_eq!((&results[0], &results[6], &results[8]), (&results[2], &results[7], &results[9]));
    assert_eq!(applied.revision, 1);
    let stored = Market::get(&mut clients, &results[6], 0).await.unwrap().value;
    assert_eq!((stored.status(), stored.revision), (MarketStatus::Delisted, 1));
    let stored = Asset::get(&mut clients, &results[0], 0).await.unwrap().value;
    assert_eq!(stored.name, "Bitcoin");
    // What two mutations did to one entity is one change, and one event.
    let log = collect::log(&server).await;
    collect::assert_whole(&log);
    let of_market: Vec<&str> =
        log.iter().filter(|it| it.entity_id == results[6]).map(|it| it.r#type.as_str()).collect();
    assert_eq!(of_market, ["market_listed"]);
    assert_eq!(log.iter().filter(|it| it.entity_type == "asset").count(), 2);
}

async fn what_exists_is_left_as_it_is_where_that_is_allowed(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let again = |mutation: Mutation| Mutation { allow_existing: true, ..mutation };
    let other_name = Asset { name: "Another name".into(), ..asset("BTC") };
    let applied = clients
        .apply(vec![
            again(named("btc", create(other_name))),
            again(named("usdt", create(asset("USDT")))),
            again(mutation(create(venue("kraken")))),
            again(named("spot", create(spot("$btc", "$usdt")))),
            again(mutation(create(perpetual("$btc", "$usdt")))),
            again(mutation(create(market("kraken", "", "XBTUSDT", "$spot")))),
        ])
        .await
        .unwrap();
    let existing = [&small.btc, &small.usdt, "kraken", &small.spot, &small.perpetual, &small.kraken];
    assert_eq!((applied.changed, applied.revision), (0, 1));
    assert_eq!(ids(&applied), existing);
    let refused = clients.apply(vec![mutation(create(spot(&small.btc, &small.usdt)))]).await;
    assert_eq!(refused.unwrap_err().code(), Code::AlreadyExists, "not allowed");

    // Two assets with the symbol: which one is meant is not guessed.
    clients.apply(vec![mutation(create(asset("BTC")))]).await.unwrap();
    let refused = clients.apply(vec![again(mutation(create(asset("BTC"))))]).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let stored = Instrument::get(&mut clients, &small.spot, 0).await.unwrap().value;
    assert_eq!(stored.revision, 1);
}

async fn ten_thousand_are_applied_and_one_more_is_refused(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let nth = |n: usize| mutation(create(asset(&format!("A{n}"))));
    let refused = clients.apply((0..10_001).map(nth).collect()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("mutations".into(), "TOO_MANY".into())]);
    assert_eq!(clients.revision().await, 0);
    let applied = clients.apply((0..10_000).map(nth).collect()).await.unwrap();
    assert_eq!((applied.changed, applied.revision, applied.results.len()), (10_000, 1, 10_000));
    let one_wrong = (0..10_000).map(|n| if n == 9_999 { mutation(create(Asset::default())) } else { nth(n) });
    let refused = clients.apply(one_wrong.collect()).await.unwrap_err();
    assert!(wrong_fields(&refused).iter().all(|(field, _)| field.starts_with("mutations[9999].create.asset.")));
    assert_eq!(clients.revision().await, 1);
}

async fn what_was_found_is_deleted_by_its_ref_as_any_other(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let found = |name: &str, operation| Mutation { allow_existing: true, ..named(name, operation) };
    let referred = vec![found("btc", create(asset("BTC"))), mutation(delete(Key::AssetId("$btc".into())))];
    let refused = clients.apply(referred).await.unwrap_err();
    assert_eq!(reason(&refused), "REFERRED_TO", "{refused}");
    let listed = market("kraken", "", "XBTUSDT", &small.spot);
    let deleted = vec![found("market", create(listed)), mutation(delete(Key::MarketId("$market".into())))];
    assert_eq!(clients.apply(deleted).await.unwrap().changed, 1);
    let gone = Market::get(&mut clients, &small.kraken, 0).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    // Found deleted, it is not created anew; taken back by its id, it is what it was.
    let lone = clients.apply(vec![mutation(create(asset("LONE")))]).await.unwrap();
    let lone = ids(&lone).remove(0);
    clients.apply(vec![mutation(delete(Key::AssetId(lone.clone())))]).await.unwrap();
    clients.apply(vec![mutation(undelete(Key::AssetId(lone.clone())))]).await.unwrap();
    assert_eq!(Asset::get(&mut clients, &lone, 0).await.unwrap().value.symbol, "LONE");
}

async fn an_id_is_not_free_again_in_the_request_that_gives_it_up(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    // An id: the market would go from one venue to another.
    let moved = Market { id: small.binance_spot.clone(), ..market("kraken", "", "BTCUSDT", &small.spot) };
    let again = vec![mutation(delete(Key::MarketId(small.binance_spot.clone()))), mutation(create(moved))];
    let refused = clients.apply(again).await.unwrap_err();
    assert_eq!(
        (refused.code(), says(&refused, "field").as_deref()),
        (Code::AlreadyExists, Some("mutations[1].create.market.id"))
    );
    // What is deleted is referred to by one that stays, whatever becomes of all others.
    let codes = (0..30).map(|n| mutation(create(venue_asset("kraken", &format!("C{n}"), "$old"))));
    let old = named("old", create(asset("OLD")));
    let applied = ids(&clients.apply([old].into_iter().chain(codes).collect()).await.unwrap());
    let [old, codes @ .., _] = applied.as_slice() else { panic!("{applied:?}") };
    let bind = |id: &String| {
        let bound = VenueAsset { id: id.clone(), asset_id: small.btc.clone(), ..VenueAsset::default() };
        let mask = Some(FieldMask { paths: vec!["asset_id".into()] });
        Mutation { update_mask: mask, ..mutation(update(bound)) }
    };
    let rest = codes.iter().map(bind).chain([mutation(delete(Key::AssetId(old.clone())))]);
    assert_eq!(reason(&clients.apply(rest.collect()).await.unwrap_err()), "REFERRED_TO");
}

async fn unique_keys_are_judged_on_the_state_that_a_request_leaves(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let (one, two) = (chain("one", "eip155:1"), chain("two", "eip155:2"));
    let create = |chain| mutation(create(chain));
    clients.apply(vec![create(one.clone()), create(two.clone())]).await.unwrap();
    let with = |of: &Chain, caip2: &str| mutation(update(Chain { caip2: caip2.into(), ..of.clone() }));
    let taken = clients.apply(vec![with(&one, "eip155:2"), with(&two, "eip155:2")]).await.unwrap_err();
    assert_eq!(
        (taken.code(), says(&taken, "field").as_deref()),
        (Code::AlreadyExists, Some("mutations[0].update.chain.caip2"))
    );
    // Two exchange their keys; then one gives its key up, and a third takes it.
    let swapped = clients.apply(vec![with(&one, "eip155:2"), with(&two, "eip155:1")]).await.unwrap();
    assert_eq!(swapped.changed, 2);
    clients.apply(vec![create(chain("three", "eip155:2")), with(&one, "eip155:3")]).await.unwrap();
    let taken = clients.apply(vec![create(chain("four", "eip155:1"))]).await.unwrap_err();
    assert_eq!((taken.code(), taken.message()), (Code::AlreadyExists, "chain two exists already"));
    // What is found by its key is who has it then.
    let again = Mutation { allow_existing: true, ..create(chain("five", "eip155:2")) };
    let found = clients.apply(vec![again]).await.unwrap();
    assert_eq!((found.changed, ids(&found)), (0, vec!["three".to_owned()]));
}

async fn an_etag_goes_with_every_change(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let named_anew = Asset { id: small.btc.clone(), name: "Bitcoin".into(), ..Asset::default() };
    let mask = || Some(FieldMask { paths: vec!["name".into()] });
    let rename = |etag: &str| {
        let operation = mutation(update(named_anew.clone()));
        vec![Mutation { update_mask: mask(), etag: etag.into(), ..operation }]
    };
    let refused = clients.apply(rename("r0")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "STALE_ETAG"));
    let current = says(&refused, "current_etag").unwrap();
    assert_eq!(clients.apply(rename(&current)).await.unwrap().changed, 1);

    let creation = mutation(create(asset("ETH")));
    for (wrong, field) in [
        (Mutation { etag: current, ..creation.clone() }, "mutations[0].etag"),
        (Mutation { update_mask: mask(), ..creation }, "mutations[0].update_mask"),
        (
            Mutation {
                update_mask: Some(FieldMask { paths: vec!["nonsense".into()] }),
                ..mutation(update(named_anew))
            },
            "mutations[0].update_mask",
        ),
    ] {
        assert_eq!(wrong_fields(&clients.apply(vec![wrong]).await.unwrap_err())[0].0, field);
    }
}

async fn a_new_symbol_changes_the_codes_that_it_is_in(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let get = async |clients: &mut Clients, id: &str| {
        let request = GetInstrumentRequest {
            key: Some(get_instrument_request::Key::InstrumentId(id.into())),
            ..Default::default()
        };
        clients.instruments.get_instrument(request).await.unwrap().into_inner()
    };
    let before = get(&mut clients, &small.spot).await;
    let renamed = Asset { id: small.btc.clone(), symbol: "XBT".into(), ..Asset::default() };
    let mask = Some(FieldMask { paths: vec!["symbol".into()] });
    let rename = Mutation { update_mask: mask, ..mutation(update(renamed)) };
    // An instrument that the same request creates is of the new symbol too.
    let new = mutation(create(spot(&small.usdt, &small.btc)));
    let applied = clients.apply(vec![rename.clone(), new]).await.unwrap();
    assert_eq!((applied.revision, applied.changed), (2, 4));

    let after = get(&mut clients, &small.spot).await;
    assert_eq!((after.code.as_str(), after.revision), ("XBT/USDT", 2));
    assert_ne!(after.etag, before.etag);
    assert_eq!(get(&mut clients, &ids(&applied)[1]).await.code, "USDT/XBT");
    let resolved = ResolveMarketRequest {
        venue_id: "binance".into(),
        venue_symbol: "BTCUSDT".into(),
        segment: Some("usdm".into()),
        ..Default::default()
    };
    let resolved = clients.markets.resolve_market(resolved).await.unwrap().into_inner();
    assert_eq!(resolved.instrument.unwrap().code, "XBT/USDT:USDT");
    let log = collect::log(&server).await;
    let codes = log.iter().filter(|event| event.revision == 2 && event.changed_fields == ["code"]);
    assert_eq!(codes.map(|event| event.r#type.as_str()).collect::<Vec<_>>(), ["instrument_updated"; 2]);

    assert_eq!(clients.apply(vec![rename]).await.unwrap().changed, 0, "the symbol is the same");
    assert_eq!(clients.revision().await, 2);
}

async fn the_starter_dataset_is_loaded_once(s: TestEnvironment) {
    let options = s.options().with_starter();
    let server = options.start().await;
    let held = collect::ClientCopy::list(&server, 1000, async || {}).await;
    let events = collect::log(&server).await.len();
    assert!(held.entities.len() > 300, "{}", held.entities.len());
    // A start with the dataset again, and an import of it by hand, find everything there.
    let server = server.kill().start().await;
    let imported = server.cli(&["import", "starter"]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let again = collect::ClientCopy::list(&server, 1000, async || {}).await;
    assert_eq!(again.revision, held.revision);
    assert_eq!(again.entities, held.entities);
    assert_eq!(collect::log(&server).await.len(), events);
}
