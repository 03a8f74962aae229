//! The queue of writes: bounded, and left by who no longer waits.

use cqar_proto::v1::{ListAssetsRequest, asset_service_client::AssetServiceClient};
use cqar_tests::{
    collect,
    fixtures::reason,
    postgres::Postgres,
    server::{Options, Server},
    tcp_proxy::TcpProxy,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::writers::{COMMIT, create};

async fn behind_a_proxy(waiting: usize) -> (Postgres, TcpProxy, Server) {
    let postgres = Postgres::start();
    let proxy = TcpProxy::start(postgres.address()).await;
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let options = options.with("DATABASE_URL", postgres.url_at(proxy.port()));
    let server = options.with("DATABASE_MAX_WAITING_WRITES", waiting).start().await;
    create(&server.channel().await, "FIRST").await.unwrap();
    (postgres, proxy, server)
}

async fn waiting(server: &Server, count: usize) {
    let line = format!("cqar_db_writes_waiting {count}");
    collect::until(&format!("{count} writes wait"), async || {
        let (_, metrics) = server.http_get(server.metrics(), "/metrics").await;
        metrics.lines().any(|it| it == line).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_wait_and_the_next_are_told_to_come_again() {
    let (_postgres, proxy, server) = behind_a_proxy(2).await;
    let channel = server.channel().await;
    proxy.hold_at(COMMIT);
    let start = |symbol: String| {
        let channel = channel.clone();
        tokio::spawn(async move { create(&channel, &symbol).await })
    };
    let mut admitted = vec![start("RUNS".to_owned())];
    proxy.holds().await;
    admitted.extend((0..2).map(|n| start(format!("WAITS{n}"))));
    waiting(&server, 2).await;
    for n in 0..5 {
        let refused = create(&channel, &format!("REFUSED{n}")).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_WRITES"));
        assert!(refused.get_details_retry_info().is_some());
    }
    proxy.release();
    for write in admitted {
        write.await.unwrap().unwrap();
    }
    waiting(&server, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_caller_left_is_not_begun() {
    let (_postgres, proxy, server) = behind_a_proxy(100).await;
    let channel = server.channel().await;
    proxy.hold_at(COMMIT);
    let running = tokio::spawn({
        let channel = channel.clone();
        async move { create(&channel, "RUNS").await }
    });
    proxy.holds().await;
    for n in 0..2 {
        let symbol = format!("LEFT{n}");
        let mut left = Box::pin(create(&channel, &symbol));
        // It is in the queue when its caller leaves.
        tokio::select! {
            outcome = &mut left => panic!("{outcome:?}"),
            () = waiting(&server, 1) => {}
        }
        drop(left);
        waiting(&server, 0).await;
    }
    proxy.release();
    running.await.unwrap().unwrap();
    create(&channel, "AFTER").await.unwrap();
    let request = ListAssetsRequest { page_size: 100, ..ListAssetsRequest::default() };
    let assets = AssetServiceClient::new(channel).list_assets(request).await.unwrap().into_inner().assets;
    let symbols: Vec<&str> = assets.iter().map(|asset| asset.symbol.as_str()).collect();
    assert_eq!(symbols, ["FIRST", "RUNS", "AFTER"]);
}
