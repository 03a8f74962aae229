//! Starts that wait: for a database that cannot be reached yet, or is not migrated yet.

use cqar_proto::v1::{GetStatusRequest, registry_service_client::RegistryServiceClient};
use cqar_tests::{
    collect::until,
    port,
    postgres::Postgres,
    server::{Options, Server},
    tcp_proxy::TcpProxy,
};
use serde_json::Value;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::fixture::{apply, asset, create, mutation, reason};

async fn ready(server: &Server) -> (u16, Value) {
    let (code, body) = server.http_get(server.http(), "/health/ready").await;
    (code, serde_json::from_str(&body).unwrap())
}

async fn health(server: &Server) -> ServingStatus {
    let mut health = HealthClient::new(server.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
}

/// The server starts, says what it waits for, and answers nothing but health.
async fn waits_for(server: &Server, what: &str) {
    until(what, async || {
        let (code, body) = ready(server).await;
        assert_eq!((code, body["status"].as_str().unwrap()), (503, "not_ready"));
        body["reasons"]["start"].as_str().unwrap().contains(what).then_some(())
    })
    .await;
    assert_eq!(server.http_get(server.http(), "/health/live").await.0, 200);
    assert_eq!(server.http_get(server.metrics(), "/metrics").await.0, 200);
    assert_eq!(health(server).await, ServingStatus::NotServing);
    let mut registry = RegistryServiceClient::new(server.channel().await);
    let status = registry.get_status(GetStatusRequest {}).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STARTING"));
    let logged = server.until_logged("waiting_for_database").await;
    assert!(logged["reason"].as_str().is_some(), "{logged}");
}

async fn serves(server: &Server) {
    server.until_logged("serving").await;
    until("it is ready", async || (ready(server).await.0 == 200).then_some(())).await;
    assert_eq!(health(server).await, ServingStatus::Serving);
    apply(server, vec![mutation(create(asset("LATE")))]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_later_is_waited_for() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let port = port::free();
    let server = options.with("DATABASE_URL", postgres.url_at(port)).begin().await;
    waits_for(&server, "waiting for the database: cannot open the database").await;
    // A connection from the time of the start is served on.
    let early = RegistryServiceClient::new(server.channel().await);
    let _proxy = TcpProxy::start_at(port, postgres.address()).await;
    serves(&server).await;
    until("the early connection's calls are answered", async || {
        early.clone().get_status(GetStatusRequest {}).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_silent_is_waited_for() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let proxy = TcpProxy::start(postgres.address()).await;
    proxy.silence();
    let options = options.with("DATABASE_URL", postgres.url_at(proxy.port())).with("DATABASE_CONNECT_TIMEOUT", "200ms");
    let server = options.begin().await;
    waits_for(&server, "no answer within 200 ms").await;
    proxy.release();
    serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_migrated_later_is_waited_for() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    let server = options.begin().await;
    waits_for(&server, "run `cqar migrate up`").await;
    options.migrate_up();
    serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_end_the_start_at_once() {
    let certificates = cqar_tests::certificates::Certificates::new();
    let postgres = Postgres::start_with_tls(&certificates, None);
    let wrong = postgres.url().replace(cqar_tests::postgres::PASSWORD, "hunter2");
    let (status, log) = Options::new().with("DATABASE_URL", wrong).begin().await.ended().await;
    let log = log.join("\n");
    assert!(!status.success() && log.contains("password authentication failed"), "{log}");
    assert!(!log.contains("waiting_for_database") && !log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_ends_when_it_is_told_to() {
    let url = format!("postgres://u:p@127.0.0.1:{}/d", port::free());
    let server = Options::new().with("DATABASE_URL", url).begin().await;
    server.until_logged("waiting_for_database").await;
    assert!(server.terminate().await.success());
}
