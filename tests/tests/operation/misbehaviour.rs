//! A plugin that traps, loops, sleeps, eats or floods fails the writes that it was asked about, and nothing else.

use cqar_proto::v1::{
    CreateMarketRequest, GetStatusRequest, ListMarketsRequest, ResolveMarketRequest, component::State as Component,
};
use cqar_tests::{environment::TestEnvironment, in_both_environments, server::testing_plugins};
use tonic::Code;

use crate::{
    fixture::{apply, asset, create, instrument, market, mutation, reason},
    load::Load,
    swap::{plugin, put, serves},
};

in_both_environments! {
    a_plugin_that_misbehaves_fails_its_own_writes_alone
}

async fn a_plugin_that_misbehaves_fails_its_own_writes_alone(s: TestEnvironment) {
    let server = s.options().with("PLUGINS_CALL_TIMEOUT", "3s").with_starter().start().await;
    let spot = instrument(&server, "BTC/USDT").await;
    put(&server.options, "misbehave", &std::fs::read(testing_plugins().join("misbehave.wasm")).unwrap());
    serves(&server, "misbehave", 1).await;

    let mut load = Load::default();
    let client = server.markets().await;
    load.start(move || {
        let request = ResolveMarketRequest {
            venue_id: "coinbase".into(),
            venue_symbol: "BTC-USD".into(),
            ..ResolveMarketRequest::default()
        };
        let mut client = client.clone();
        async move { client.resolve_market(request).await.map(drop) }
    });
    let (client, instrument) = (server.markets().await, spot.clone());
    let mut count = 0;
    load.start(move || {
        count += 1;
        let market = market("okx", &format!("WELL{count}"), &instrument);
        let request = CreateMarketRequest { market: Some(market), ..CreateMarketRequest::default() };
        let mut client = client.clone();
        async move { client.create_market(request).await.map(drop) }
    });
    load.goes_on().await;

    let markers = ["SLEEP", "EAT", "TRAP", "LOOP", "INDEX", "FLOOD", "STDERR", "FAIL"];
    let writes = markers.map(|marker| {
        let create = create(market("okx", marker, &spot));
        let server = &server;
        async move { apply(server, vec![mutation(create)]).await }
    });
    for (marker, outcome) in markers.iter().zip(futures::future::join_all(writes).await) {
        let refused = outcome.unwrap_err();
        println!("{marker}: {}", refused.message());
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "PLUGIN_FAILED"), "{marker}");
    }
    load.goes_on().await;
    load.end().await;

    let mut client = server.markets().await;
    for marker in markers {
        let request = ListMarketsRequest { venue_symbol: marker.into(), ..ListMarketsRequest::default() };
        assert_eq!(client.list_markets(request).await.unwrap().into_inner().markets, [], "{marker}");
    }
    apply(&server, vec![mutation(create(asset("CALM")))]).await.unwrap();
    let found = plugin(&server, "misbehave").await;
    assert_eq!(found.failed_calls, 8, "{found:?}");
    assert_ne!(found.last_failure, "");
    let components = server.registry().await.get_status(GetStatusRequest {}).await.unwrap().into_inner().components;
    let database = components.iter().find(|component| component.name == "database").unwrap();
    assert_eq!(database.state(), Component::Ok);
}
