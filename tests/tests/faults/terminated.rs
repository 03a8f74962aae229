//! Transactions that end on the server's side: the connection is not used again, and the next write works.

use std::time::Duration;

use cqar_proto::v1::{
    CreateAssetRequest, ListAssetsRequest, asset_service_client::AssetServiceClient, component::State,
};
use cqar_tests::{
    environment::TestEnvironment, fixtures::asset, in_both_environments, postgres::Postgres, server::Options,
};

use crate::writers::{self, Writers, becomes, create, lines};

in_both_environments! {
    a_write_that_its_caller_gave_up_leaves_nothing_behind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_backend_and_a_restart_are_got_over() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let server = options.start().await;
    let writers = Writers::start(&server, 4).await;
    writers.go_on(20).await;
    for _ in 0..10 {
        postgres.terminate("TRUE");
        writers.go_on(5).await;
    }
    becomes(&server, State::Ok).await;
    writers::check(&server, &writers.end().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_died_while_they_were_idle_cost_nobody_anything() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url()).with("CACHE_ENABLED", false);
    options.migrate_up();
    let server = options.start().await;
    let channel = server.channel().await;
    create(&channel, "FIRST").await.unwrap();
    for n in 0..5 {
        let ended = postgres.terminate("state = 'idle'");
        assert!(ended >= 2, "of writes, and of reads: {ended}");
        let calls = (0..8).map(|of| {
            let channel = channel.clone();
            async move {
                let list = ListAssetsRequest { page_size: 1, ..ListAssetsRequest::default() };
                AssetServiceClient::new(channel.clone()).list_assets(list).await.unwrap();
                create(&channel, &format!("A{n}N{of}")).await.unwrap();
            }
        });
        futures::future::join_all(calls).await;
    }
    assert_eq!(lines(&server, "database_writes_fail"), [""; 0]);
}

/// Calls that are cancelled at any moment: what they began is taken back, and what they had waited for is not begun.
async fn a_write_that_its_caller_gave_up_leaves_nothing_behind(s: TestEnvironment) {
    let server = s.options().start().await;
    let writers = Writers::start(&server, 2).await;
    let mut cancelled = 0;
    for n in 0..200_u64 {
        let mut assets = AssetServiceClient::new(server.channel().await);
        let request = CreateAssetRequest { asset: Some(asset(&format!("C{n}"))), ..CreateAssetRequest::default() };
        let call = assets.create_asset(request);
        cancelled += usize::from(tokio::time::timeout(Duration::from_micros(n * 40), call).await.is_err());
    }
    assert!(cancelled > 10, "{cancelled}");
    writers.go_on(10).await;
    let outcomes = writers.end().await;
    assert!(outcomes.refused.is_empty(), "{:?}", outcomes.refused);
    writers::check(&server, &outcomes).await;
}
