//! What is answered while the database is away.

use cqar_proto::v1::{
    BatchResolveMarketsRequest, GetAssetRequest, ResolveMarketRequest, asset_service_client::AssetServiceClient,
    batch_resolve_markets_request::Item, batch_resolve_markets_response::result::Result as Resolved,
};
use cqar_tests::{
    collect::{status, until},
    postgres::Postgres,
    server::{Options, Server},
    tcp_proxy::TcpProxy,
};
use serde_json::Value;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::fixture::reason;

fn resolve(symbol: &str) -> ResolveMarketRequest {
    ResolveMarketRequest {
        venue_id: "binance".into(),
        venue_symbol: symbol.into(),
        segment: Some("spot".into()),
        ..ResolveMarketRequest::default()
    }
}

async fn served(server: &Server, service: &str) -> ServingStatus {
    let mut health = HealthClient::new(server.channel().await);
    health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner().status()
}

async fn ready(server: &Server) -> (u16, Value) {
    let (code, body) = server.http_get(server.http(), "/health/ready").await;
    (code, serde_json::from_str(&body).unwrap())
}

async fn behind_proxy(stale_reads: &str) -> (Postgres, TcpProxy, Server) {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let proxy = TcpProxy::start(postgres.address()).await;
    let options = options
        .with("DATABASE_URL", postgres.url_at(proxy.port()))
        .with("DATABASE_CONNECT_TIMEOUT", "200ms")
        .with("DATABASE_QUERY_TIMEOUT", "500ms")
        .with("SERVER_STALE_READS", stale_reads)
        .with_starter();
    let server = options.start().await;
    server.markets().await.resolve_market(resolve("BTCUSDT")).await.unwrap();
    (postgres, proxy, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_answers_marked_by_its_age_and_batches_item_by_item() {
    let (_postgres, proxy, server) = behind_proxy("15m").await;
    let mut markets = server.markets().await;
    let current = markets.resolve_market(resolve("BTCUSDT")).await.unwrap();
    assert!(!current.metadata().contains_key("x-cqar-stale"));
    let revision = status(&server).await.revision;

    // It stands still, as a machine does that is frozen: its connections stay, and nothing comes.
    proxy.silence();
    let age = until("the answer is marked", async || {
        let stale = markets.clone().resolve_market(resolve("BTCUSDT")).await.unwrap();
        stale.metadata().get("x-cqar-stale").map(|age| age.to_str().unwrap().parse::<u64>().unwrap())
    })
    .await;
    assert!(age < 60, "{age}");
    let (code, body) = ready(&server).await;
    assert_eq!((code, &body["status"], &body["components"]["database"]), (200, &"degraded".into(), &"degraded".into()));
    assert_eq!(served(&server, "").await, ServingStatus::Serving);
    assert_eq!(served(&server, "cqar.v1.MarketService").await, ServingStatus::Serving);
    assert_eq!(served(&server, "cqar.v1.AssetService").await, ServingStatus::NotServing);

    let item = |symbol: &str| Item {
        venue_id: "binance".into(),
        venue_symbol: symbol.into(),
        segment: Some("spot".into()),
        ..Item::default()
    };
    let batch = BatchResolveMarketsRequest { requests: vec![item("BTCUSDT"), item("ETHUSDT")], ..Default::default() };
    let answered = markets.batch_resolve_markets(batch).await.unwrap();
    assert!(answered.metadata().contains_key("x-cqar-stale"));
    let results: Vec<_> = answered.into_inner().results.into_iter().map(|it| it.result.unwrap()).collect();
    assert!(matches!(&results[0], Resolved::Resolved(_)), "{results:?}");
    assert!(matches!(&results[1], Resolved::Error(status) if status.code == Code::Unavailable as i32), "{results:?}");
    let later = ResolveMarketRequest { min_revision: revision + 1, ..resolve("BTCUSDT") };
    assert_eq!(markets.resolve_market(later).await.unwrap_err().code(), Code::Unavailable);
    // What is wrong is told all the same.
    assert_eq!(status(&server).await.revision, revision);

    proxy.release();
    until("it is ready again", async || (ready(&server).await.1["components"]["database"] == "ok").then_some(())).await;
    assert!(!markets.resolve_market(resolve("BTCUSDT")).await.unwrap().metadata().contains_key("x-cqar-stale"));
    assert_eq!(served(&server, "cqar.v1.AssetService").await, ServingStatus::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_time_for_stale_reads_nothing_is_answered() {
    let (_postgres, proxy, server) = behind_proxy("1s").await;
    let markets = server.markets().await;
    proxy.silence();
    let refused =
        until("the cache is too old", async || markets.clone().resolve_market(resolve("BTCUSDT")).await.err()).await;
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    let (code, body) = ready(&server).await;
    assert_eq!((code, &body["components"]["database"]), (503, &"failed".into()));
    assert_eq!(served(&server, "").await, ServingStatus::NotServing);
    let mut assets = AssetServiceClient::new(server.channel().await);
    let any = GetAssetRequest { asset_id: "019b76da-a800-7000-8000-000000000001".into(), ..Default::default() };
    assert_eq!(assets.get_asset(any).await.unwrap_err().code(), Code::Unavailable);
    assert!(status(&server).await.components.iter().any(|it| it.name == "database" && !it.message.is_empty()));
    proxy.release();
    until("it serves again", async || markets.clone().resolve_market(resolve("BTCUSDT")).await.ok()).await;
}
