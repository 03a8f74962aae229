//! Clients that send too much, too slowly, or what nobody should.

use std::time::Duration;

use cqar_proto::v1::{
    self, BatchResolveMarketsRequest, batch_resolve_markets_request::Item,
    registry_service_client::RegistryServiceClient,
};
use cqar_tests::{
    collect::until,
    server::{Options, Server},
};
use tokio::io::AsyncWriteExt as _;
use tonic::{Code, Request, codec::CompressionEncoding};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::wire::{
    END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, closed, connected, frame, greeted,
    headers, next,
};

/// The value of a metric with these labels.
pub async fn metric(server: &Server, series: &str) -> u64 {
    let (_, metrics) = server.http_get(server.metrics(), "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}"));
    line.trim().parse().unwrap()
}

async fn answers(server: &Server) {
    HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(server.http_get(server.http(), "/health/live").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_calls_and_resets_them_at_once_is_told_to_go() {
    let server = Options::new().start().await;
    let mut connection = greeted(server.grpc()).await;
    let headers = headers("x-a", "b");
    let call = |n: u32| {
        let stream = 2 * n + 1;
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())]
            .concat()
    };
    let flood: Vec<u8> = (0..10_000).flat_map(call).collect();
    // The server may close it before all of it was sent.
    let _ = connection.write_all(&flood).await;
    let goaway = next(&mut connection, GOAWAY).await.expect("a GOAWAY");
    let error = u32::from_be_bytes(goaway[4..8].try_into().unwrap());
    assert_eq!(error, 0xb, "ENHANCE_YOUR_CALM");
    answers(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trickles_is_cut_on_every_port_by_the_limit_that_is_named() {
    let server = Options::new().start().await;
    let silent = connected(server.grpc()).await;
    let mut slow = greeted(server.grpc()).await;
    let headers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers("x-a", "b"));
    slow.write_all(&headers[..headers.len() - 1]).await.unwrap();
    let mut of_http = Vec::new();
    for port in [server.http(), server.metrics()] {
        let mut connection = connected(port).await;
        connection.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        of_http.push(connection);
    }
    let all = [silent, slow].into_iter().chain(of_http).map(closed);
    for took in futures::future::join_all(all).await {
        assert!((8..20).contains(&took.as_secs()), "{took:?}");
    }
    for series in [
        "cqar_connections_ended_total{port=\"grpc\",reason=\"preface_timeout\"} ",
        "cqar_connections_ended_total{port=\"grpc\",reason=\"header_timeout\"} ",
    ] {
        assert_eq!(metric(&server, series).await, 1, "{series}");
    }
    answers(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_are_refused() {
    let server = Options::new().start().await;
    let mut connection = greeted(server.grpc()).await;
    // As many as one frame takes, and on.
    let headers = headers("x-large", &"x".repeat(40_000));
    let (first, rest) = headers.split_at(16_000);
    let mut frames = frame(HEADERS, END_STREAM, 1, first);
    let parts: Vec<&[u8]> = rest.chunks(16_000).collect();
    for (n, part) in parts.iter().enumerate() {
        let flags = if n + 1 == parts.len() { END_HEADERS } else { 0 };
        frames.extend(frame(0x9, flags, 1, part));
    }
    connection.write_all(&frames).await.unwrap();
    // 431 as an answer, or the end of the stream or the connection: and no answer of the service.
    let answered = next(&mut connection, HEADERS).await.unwrap_or_default();
    assert!(!String::from_utf8_lossy(&answered).contains("application/grpc"), "{answered:?}");
    // Continuations without end.
    let mut connection = greeted(server.grpc()).await;
    connection.write_all(&frame(HEADERS, END_STREAM, 1, &[])).await.unwrap();
    for _ in 0..100_000 {
        if connection.write_all(&frame(0x9, 0, 1, &[])).await.is_err() {
            break;
        }
    }
    closed(connection).await;
    let mut of_http = connected(server.http()).await;
    let large = format!("GET /health/live HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(100_000));
    let _ = of_http.write_all(large.as_bytes()).await;
    closed(of_http).await;
    answers(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_bombs_are_refused_by_their_limit() {
    let server = Options::new().with("SERVER_MAX_REQUEST_BYTES", "1MiB").start().await;
    let large = |bytes: usize| BatchResolveMarketsRequest {
        requests: vec![Item { venue_symbol: "x".repeat(bytes), ..Default::default() }],
        ..Default::default()
    };
    let plain = server.markets().await.batch_resolve_markets(large(2 << 20)).await.unwrap_err();
    let packed = server.markets().await.send_compressed(CompressionEncoding::Gzip);
    let packed = packed.max_encoding_message_size(1 << 30).batch_resolve_markets(large(64 << 20)).await.unwrap_err();
    for refused in [plain, packed] {
        let reason = refused.get_details_error_info().unwrap().reason;
        assert_eq!((refused.code(), reason.as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"), "{refused}");
    }
    answers(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_that_is_not_known_is_refused_by_the_name_of_the_one_that_is() {
    let server = Options::new().start().await;
    let mut request = Request::new(v1::GetStatusRequest {});
    request.metadata_mut().insert("grpc-encoding", "deflate".parse().unwrap());
    let refused = RegistryServiceClient::new(server.channel().await).get_status(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("gzip"), "{}", refused.message());
    assert_eq!(refused.metadata().get("grpc-accept-encoding").unwrap(), "gzip,identity");
    assert_eq!(refused.get_details_error_info().unwrap().reason, "ENCODING_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once_and_counted_and_probes_go_on() {
    let server = Options::new().with("SERVER_MAX_CONNECTIONS", "8").start().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(greeted(server.grpc()).await);
    }
    until("all are open", async || (metric(&server, "cqar_connections{port=\"grpc\"} ").await == 8).then_some(()))
        .await;
    for _ in 0..3 {
        let took = closed(connected(server.grpc()).await).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(metric(&server, "cqar_connections_refused_total{port=\"grpc\",reason=\"limit\"} ").await, 3);
    assert_eq!(server.http_get(server.http(), "/health/ready").await.0, 200);
    drop(held);
    until("there is room again", async || {
        (metric(&server, "cqar_connections{port=\"grpc\"} ").await == 0).then_some(())
    })
    .await;
    answers(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_2_is_closed() {
    let server = Options::new().start().await;
    let mut connection = connected(server.grpc()).await;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    closed(connection).await;
    let mut connection = connected(server.grpc()).await;
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 1, &[0; 7])].concat()).await.unwrap();
    closed(connection).await;
    answers(&server).await;
}
