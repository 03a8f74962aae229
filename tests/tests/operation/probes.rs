//! What probes, tools and dashboards find.

use cqar_proto::v1::{GetAssetRequest, ResolveMarketRequest, asset_service_client::AssetServiceClient};
use cqar_tests::{collect::until, environment::TestEnvironment, in_both_environments, server::Server};
use futures::StreamExt as _;
use serde_json::Value;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

in_both_environments! {
    probes_say_how_the_server_and_its_parts_are
    every_metric_of_the_handbook_is_there
    reflection_shows_what_errors_are_made_of
}

/// Tools print the details of an error only if reflection has their messages.
async fn reflection_shows_what_errors_are_made_of(s: TestEnvironment) {
    let server = s.options().start().await;
    for symbol in ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "google.rpc.Status", "cqar.v1.ErrorReason"] {
        let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
        let answer = reflected(&server, message_request).await;
        let is_there = matches!(&answer, MessageResponse::FileDescriptorResponse(files) if !files.file_descriptor_proto.is_empty());
        assert!(is_there, "{symbol}: {answer:?}");
    }
}

async fn probes_say_how_the_server_and_its_parts_are(s: TestEnvironment) {
    let server = s.options().start().await;
    assert_eq!(server.http_get(server.http(), "/health/live").await, (200, "live\n".to_owned()));
    let expected = if s.nats().is_some() { "ok" } else { "off" };
    until("every part is as configured", async || {
        let (code, body) = server.http_get(server.http(), "/health/ready").await;
        let ready: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(code, 200, "{body}");
        let states =
            ["database", "plugins", "cache", "eventbus"].map(|name| ready["components"][name].as_str().unwrap());
        (ready["status"] == "ready" && states == ["ok", "ok", expected, expected]).then_some(())
    })
    .await;
    assert_eq!(server.http_get(server.http(), "/health").await.0, 404);
    let asked = |arguments: &[&str]| {
        let port = server.http().rsplit_once(':').unwrap().1.to_owned();
        server.options.command().args(arguments).env("SERVER_HTTP_PORT", port).output().unwrap()
    };
    let live = asked(&["health"]);
    assert!(live.status.success() && live.stdout == b"live\n", "{live:?}");
    let ready = asked(&["health", "--ready", "--output", "json"]);
    let ready: Value = serde_json::from_slice(&ready.stdout).unwrap();
    assert_eq!(ready["components"]["database"], "ok");

    let mut health = HealthClient::new(server.channel().await);
    let services = services(&server).await;
    for name in ["Asset", "Chain", "Venue", "Instrument", "Market", "Registry", "Event", "Plugin"] {
        let service = format!("cqar.v1.{name}Service");
        assert!(services.contains(&service), "{service} is not in {services:?}");
        let checked = health.check(HealthCheckRequest { service }).await.unwrap().into_inner();
        assert_eq!(checked.status(), ServingStatus::Serving, "{name}");
    }
    assert!(services.contains(&"grpc.health.v1.Health".to_owned()));
    let whole = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(whole.status(), ServingStatus::Serving);
    let unknown = health.check(HealthCheckRequest { service: "no.such.Service".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let request = HealthCheckRequest { service: "no.such.Service".into() };
    let mut watched = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
}

async fn reflected(server: &Server, message_request: Option<MessageRequest>) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap().message_response.unwrap()
}

/// The services that reflection lists.
async fn services(server: &Server) -> Vec<String> {
    let answer = reflected(server, Some(MessageRequest::ListServices(String::new()))).await;
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    list.service.into_iter().map(|service| service.name).collect()
}

async fn every_metric_of_the_handbook_is_there(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let resolve = ResolveMarketRequest {
        venue_id: "binance".into(),
        venue_symbol: "BTCUSDT".into(),
        segment: Some("spot".into()),
        ..ResolveMarketRequest::default()
    };
    for _ in 0..2 {
        server.markets().await.resolve_market(resolve.clone()).await.unwrap();
    }
    let mut assets = AssetServiceClient::new(server.channel().await);
    let malformed = GetAssetRequest { asset_id: "no-uuid".into(), ..Default::default() };
    assert_eq!(assets.get_asset(malformed).await.unwrap_err().code(), Code::InvalidArgument);

    let resolve = r#"method="cqar.v1.MarketService/ResolveMarket""#;
    let mut expected = vec![
        format!("cqar_grpc_calls_total{{{resolve},status_code=\"OK\"}} 2"),
        format!("cqar_grpc_call_duration_seconds_count{{{resolve},status=\"ok\"}} 2"),
        "cqar_db_query_duration_seconds_count{operation=".to_owned(),
        "cqar_plugin_call_duration_seconds_count{".to_owned(),
        "cqar_plugin_generation{plugin=\"market-sanity\"} 1".to_owned(),
    ];
    if s.nats().is_some() {
        expected.push("cqar_cache_hit_total{entity=".to_owned());
        expected.push("cqar_cache_miss_total{entity=".to_owned());
        expected.push("cqar_relay_lag_revisions ".to_owned());
    }
    until("the calls are counted", async || {
        let (code, metrics) = server.http_get(server.metrics(), "/metrics").await;
        assert_eq!(code, 200);
        let missing: Vec<_> =
            expected.iter().filter(|it| !metrics.lines().any(|line| line.starts_with(it.as_str()))).collect();
        assert!(missing.iter().all(|it| it.starts_with("cqar_grpc")), "{missing:?} in {metrics}");
        missing.is_empty().then_some(())
    })
    .await;
    let (_, metrics) = server.http_get(server.metrics(), "/metrics").await;
    let refused = metrics.lines().find(|line| line.contains("GetAsset") && line.contains("status_code="));
    assert!(refused.is_some_and(|line| line.contains("INVALID_ARGUMENT")), "{refused:?}");
}
