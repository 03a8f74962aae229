//! The end of a server, as whoever sends it calls sees it.

use std::time::{Duration, Instant};

use cqar_proto::v1::GetStatusRequest;
use cqar_tests::{
    collect::until,
    server::{Options, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::wire::{connected, greeted};

async fn health(server: &Server) -> ServingStatus {
    let mut health = HealthClient::new(server.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_is_told_before_the_port_closes_and_new_calls_are_taken_meanwhile() {
    let server = Options::new().with("SERVER_DRAIN_DELAY", "3s").start().await;
    assert_eq!(health(&server).await, ServingStatus::Serving);
    let began = Instant::now();
    server.signal("TERM");
    until("it says that it leaves", async || {
        (server.http_get(server.http(), "/health/ready").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(health(&server).await, ServingStatus::NotServing);
    // A new connection, and a call.
    server.registry().await.get_status(GetStatusRequest {}).await.unwrap();
    let (status, _) = server.ended().await;
    assert!(status.success(), "{status}");
    assert!((3..7).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_does_not_wait_and_a_second_signal_ends_it_at_once() {
    let server = Options::new().with("SERVER_DRAIN_DELAY", "1m").start().await;
    let began = Instant::now();
    server.signal("INT");
    assert!(server.ended().await.0.success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    let server = Options::new().with("SERVER_DRAIN_DELAY", "1m").start().await;
    let began = Instant::now();
    server.signal("TERM");
    server.until_logged("draining").await;
    server.signal("TERM");
    let (status, _) = server.ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// Of clients that never said a word, of those that did and went silent, and of an HTTP port's.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_delay_nothing() {
    let server = Options::new().start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connected(server.grpc()).await);
        silent.push(greeted(server.grpc()).await);
    }
    silent.push(connected(server.http()).await);
    until("all are open", async || {
        let (_, metrics) = server.http_get(server.metrics(), "/metrics").await;
        metrics.contains("cqar_connections{port=\"grpc\"} 200").then_some(())
    })
    .await;
    let began = Instant::now();
    assert!(server.terminate().await.success());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(silent);
}
