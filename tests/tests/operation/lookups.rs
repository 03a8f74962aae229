//! A validator that looks up, beside a registry that changes all the time.

use std::sync::Arc;

use cqar_domain::{
    entities::Entity,
    id::EntityKey,
    lookup::{IndexKey, Lookup, LookupError, LookupIndex, MAX_FOUND},
    time::SystemClock,
};
use cqar_proto::v1::{
    Asset, CreateAssetRequest, CreateMarketRequest, DeleteAssetRequest, Market,
    asset_service_client::AssetServiceClient, identified_entity::Entity as Key,
};
use cqar_registry::StoreLookup;
use cqar_store::{Store, StoreSettings};
use cqar_tests::{
    entities,
    environment::TestEnvironment,
    fixtures::{deployment, identifier, ids},
    in_both_environments,
    server::{Server, testing_plugins},
};
use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    fixture::{apply, asset, create, instrument, market, mutation},
    load::Load,
    swap::{put, serves},
};

in_both_environments! {
    other_commits_are_no_reason_to_judge_a_write_again
    every_index_finds_what_is_there_and_not_deleted
    of_two_that_find_nothing_in_each_others_way_one_is_judged_again
    a_write_of_many_is_looked_up_in_parts
}

/// A plugin that looks up for each change apart is asked about so many that it is done in time.
async fn a_write_of_many_is_looked_up_in_parts(s: TestEnvironment) {
    let server = with_plugin(&s, "find").await;
    let create = |n: usize| create(Asset { name: format!("Name {n}"), ..asset(&format!("A{n}")) });
    let applied = apply(&server, (0..300).map(create).map(mutation).collect()).await.unwrap();
    assert_eq!(applied.results.len(), 300);
}

/// What a look-up finds is bounded by bytes, not by number alone.
#[tokio::test]
async fn what_is_too_large_for_one_look_up_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings::new(format!("sqlite://{}/cqar.db", folder.path().display()));
    let store = Store::open(&settings, Arc::new(SystemClock), &prometheus::Registry::new()).await.unwrap();
    store.migrate_up().await.unwrap();
    let assets: Vec<Entity> = (0..3).map(|_| entities::asset("LARGE").into()).collect();
    entities::create(&store, &assets).await;
    let lookup = StoreLookup::new(Arc::new(store));
    let keys: Vec<EntityKey> = assets.iter().map(Entity::key).collect();
    let index = [IndexKey::new(LookupIndex::AssetSymbol, vec!["LARGE".into()]).unwrap()];
    let documents = lookup.get(&keys, usize::MAX).await.unwrap();
    let bytes: usize = documents.iter().flatten().map(|found| found.document.len()).sum();
    assert!(lookup.get(&keys, bytes).await.is_ok() && lookup.find(&index, bytes).await.is_ok());
    assert!(matches!(lookup.get(&keys, bytes - 1).await, Err(LookupError::TooLarge { .. })));
    assert!(matches!(lookup.find(&index, bytes - 1).await, Err(LookupError::TooLarge { .. })));
}

async fn with_plugin(s: &TestEnvironment, name: &str) -> Server {
    let server = s.options().with_starter().start().await;
    put(&server.options, name, &std::fs::read(testing_plugins().join(format!("{name}.wasm"))).unwrap());
    serves(&server, name, 1).await;
    server
}

/// Rows are compared, never the revision as a whole: each of the writes is judged while others are committed.
async fn other_commits_are_no_reason_to_judge_a_write_again(s: TestEnvironment) {
    let server = with_plugin(&s, "lookup").await;
    let spot = instrument(&server, "BTC/USDT").await;

    let mut load = Load::default();
    for writer in 0..4 {
        let (channel, mut n) = (server.channel().await, 0);
        load.start(move || {
            n += 1;
            let asset = Some(asset(&format!("W{writer}N{n}")));
            let request = CreateAssetRequest { asset, ..CreateAssetRequest::default() };
            let mut client = AssetServiceClient::new(channel.clone());
            async move { client.create_asset(request).await.map(drop) }
        });
    }
    for judged in 0..2 {
        let (client, spot, mut n) = (server.markets().await, spot.clone(), 0);
        load.start(move || {
            n += 1;
            let market = Some(market("okx", &format!("J{judged}N{n}"), &spot));
            let request = CreateMarketRequest { market, validate_only: n % 5 == 0, ..CreateMarketRequest::default() };
            let mut client = client.clone();
            async move {
                let warnings = client.create_market(request).await?.into_inner().warnings;
                let has_looked_up = warnings.iter().any(|warning| warning.code == "INSTRUMENT_SEEN");
                if has_looked_up { Ok(()) } else { Err(tonic::Status::internal(format!("{warnings:?}"))) }
            }
        });
    }
    for _ in 0..20 {
        load.goes_on().await;
    }
    load.end().await;
}

/// What the plugin `find` says of a key of an index.
async fn found(server: &Server, index: &str, key: &str) -> (String, String) {
    found_times(server, index, key, 1).await
}

/// The same for the key so many times in one look-up.
async fn found_times(server: &Server, index: &str, key: &str, times: usize) -> (String, String) {
    let labels = [("index", index), ("key", key), ("times", &times.to_string())];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let asked = Market { labels, ..market("okx", "ASKED", &instrument(server, "BTC/USDT").await) };
    let request = CreateMarketRequest { market: Some(asked), validate_only: true, ..Default::default() };
    let warnings = server.markets().await.create_market(request).await.unwrap().into_inner().warnings;
    let said = warnings.into_iter().find(|it| it.plugin == "find").unwrap();
    (said.code, said.message)
}

async fn every_index_finds_what_is_there_and_not_deleted(s: TestEnvironment) {
    let server = with_plugin(&s, "find").await;
    let spot = instrument(&server, "BTC/USDT").await;
    let mut assets = AssetServiceClient::new(server.channel().await);
    let mut register = async |symbol: &str, name: &str| {
        let asset = Some(Asset { name: name.into(), ..asset(symbol) });
        let request = CreateAssetRequest { asset, ..Default::default() };
        assets.create_asset(request).await.unwrap().into_inner().asset.unwrap().id
    };
    let one = register("ONE", "The one").await;
    let gone = register("GONE", "The one that is gone").await;
    for n in 0..=MAX_FOUND {
        register("MANY", &format!("One of many {n}")).await;
    }
    assets.delete_asset(DeleteAssetRequest { asset_id: gone.clone(), ..Default::default() }).await.unwrap();
    let request = CreateMarketRequest { market: Some(market("okx", "BTC-USDT-X", &spot)), ..Default::default() };
    let listed = server.markets().await.create_market(request).await.unwrap().into_inner().market.unwrap().id;

    let address = "0x00000000000000000000000000000000000000aa";
    let new = vec![
        mutation(create(deployment("ethereum", address, &one))),
        mutation(create(identifier(Key::AssetId(one.clone()), "coingecko", "the-one"))),
    ];
    let made = ids(&apply(&server, new).await.unwrap());

    let is = |index: &str, key: &str, says: String| (index.to_owned(), key.to_owned(), says);
    let cases = [
        is("asset.symbol", "ONE", format!("1: {one}")),
        is("asset.name", "The one", format!("1: {one}")),
        is("asset.symbol", "GONE", "0: ".into()),
        is("asset.symbol", "one", "0: ".into()),
        is("chain.caip2", "eip155:1", "1: ethereum".into()),
        is("deployment.address", &format!("ethereum|{address}"), format!("1: {}", made[0])),
        is("deployment.address", &format!("base|{address}"), "0: ".into()),
        is("deployment.asset", &one, format!("1: {}", made[0])),
        is("deployment.asset", &gone, "0: ".into()),
        is("identifier.external_id", "coingecko|the-one", format!("1: {}", made[1])),
        is("identifier.external_id", "coinmarketcap|the-one", "0: ".into()),
        is("instrument.code", "BTC/USDT", format!("1: {spot}")),
        is("market.symbol", "okx||BTC-USDT-X", format!("1: {listed}")),
        is("market.symbol", "okx|spot|BTC-USDT-X", "0: ".into()),
        is("market.symbol", "NO VENUE||BTC-USDT-X", "0: ".into()),
        is("market.instrument", "no id", "0: ".into()),
        is("venue_asset.code", "okx||NO-SUCH-CODE", "0: ".into()),
    ];
    for (index, key, says) in cases {
        assert_eq!(found(&server, &index, &key).await, ("FOUND".to_owned(), says), "{index} {key}");
    }
    let (_, many) = found(&server, "asset.symbol", "MANY").await;
    assert!(many.starts_with("16: ") && many.ends_with(" and more"), "{many}");
    let (_, of_instrument) = found(&server, "market.instrument", &spot).await;
    assert!(of_instrument.contains(&listed), "{of_instrument}");

    for absent in LookupIndex::ABSENT {
        assert_eq!(found(&server, absent, "x").await.0, "NO_INDEX");
    }
    assert_eq!(found(&server, "market.color", "red").await.0, "UNKNOWN_INDEX");
    assert_eq!(found(&server, "market.symbol", "okx").await.0, "INVALID_KEY");
    assert_eq!(found_times(&server, "asset.symbol", "ONE", 20).await.0, "FOUND");
    assert_eq!(found_times(&server, "asset.symbol", "ONE", 1025).await.0, "TOO_MANY_LOOKUPS");
}

/// The plugin wants every asset to have a name of its own, and sees only what is committed. Of several that are judged at
/// a time, and find nothing, one commits; the set that the others found is another one then.
async fn of_two_that_find_nothing_in_each_others_way_one_is_judged_again(s: TestEnvironment) {
    let server = with_plugin(&s, "find").await;
    for round in 0..20 {
        let mut writers = JoinSet::new();
        for writer in 0..6 {
            let mut assets = AssetServiceClient::new(server.channel().await);
            let asset = Some(Asset { name: format!("Name {round}"), ..asset(&format!("R{round}W{writer}")) });
            writers.spawn(async move {
                let request = CreateAssetRequest { asset, ..Default::default() };
                assets.create_asset(request).await
            });
        }
        let ended = writers.join_all().await;
        let codes: Vec<Code> = ended.into_iter().filter_map(Result::err).map(|refused| refused.code()).collect();
        assert_eq!(codes, [Code::InvalidArgument; 5], "one has the name in round {round}");
    }
}
