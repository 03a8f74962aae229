//! Probes and metrics over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    http::{Request, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use cqar_proto::v1::component::State as ComponentState;
use prometheus::{Encoder, TextEncoder};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

use crate::{
    health::Readiness,
    listen::{self, ListenMetrics, Port},
    startup::{Condition, Startup},
    status::internal,
};

/// Serves `/health/live`, which answers while the process does, and `/health/ready`, which answers 503 while it cannot
/// serve, and says how each part does. Ends on the token.
pub async fn serve_http(port: Port, startup: Startup, metrics: &ListenMetrics, closing: CancellationToken) {
    let router = Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(startup);
    serve(port, router, metrics, closing).await;
}

/// Serves `/metrics` in the text format of Prometheus. Ends on the token.
pub async fn serve_metrics(
    port: Port,
    metrics: prometheus::Registry,
    connections: &ListenMetrics,
    closing: CancellationToken,
) {
    let router = Router::new().route("/metrics", get(scrape)).with_state(metrics);
    serve(port, router, connections, closing).await;
}

async fn serve(port: Port, router: Router, metrics: &ListenMetrics, closing: CancellationToken) {
    let service = ServiceExt::<Request<Body>>::map_response(router, |response: Response| response.map(Body::new));
    listen::serve(port, service, metrics, closing).await;
}

#[derive(Serialize)]
struct Health {
    status: Readiness,
    components: BTreeMap<String, &'static str>,
    /// Why a part is as it is, by its name; or why there are none yet, or no longer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<String, String>,
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(startup): State<Startup>) -> Response {
    answer(startup.condition())
}

fn answer(condition: Condition) -> Response {
    let Condition { readiness: status, components, reason, .. } = condition;
    let code = if status.is_serving() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let named = components.iter().map(|it| (it.name.clone(), state_name(it.state()))).collect();
    // What works has nothing to explain.
    let of_parts = components.into_iter().filter(|it| !it.message.is_empty() && it.state() != ComponentState::Ok);
    let of_parts = of_parts.map(|it| (it.name, it.message));
    let reasons = of_parts.chain(reason.map(|(name, reason)| (name.to_owned(), reason))).collect();
    (code, Json(Health { status, components: named, reasons })).into_response()
}

fn state_name(state: ComponentState) -> &'static str {
    match state {
        ComponentState::Unspecified => "unspecified",
        ComponentState::Ok => "ok",
        ComponentState::Degraded => "degraded",
        ComponentState::Failed => "failed",
        ComponentState::Off => "off",
    }
}

async fn scrape(State(metrics): State<prometheus::Registry>) -> Response {
    let encoder = TextEncoder::new();
    match encoder.encode_to_string(&metrics.gather()) {
        Ok(text) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, internal(&error).message().to_owned()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use cqar_proto::v1;

    use super::*;

    #[tokio::test]
    async fn a_server_without_its_database_answers_503_and_says_so() {
        let component = |name: &str, state: v1::component::State, message: &str| v1::Component {
            name: name.to_owned(),
            state: state.into(),
            message: message.to_owned(),
        };
        let failed = component("database", v1::component::State::Failed, "it does not answer");
        let response = answer(Condition {
            readiness: Readiness::NotReady,
            components: vec![failed, component("cache", v1::component::State::Off, "")],
            reason: None,
            serves_cache_alone: true,
        });
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let expected = r#"{"status":"not_ready","components":{"cache":"off","database":"failed"},"reasons":{"database":"it does not answer"}}"#;
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_server_that_starts_or_drains_answers_503_and_says_what_it_waits_for() {
        let stopping = CancellationToken::new();
        let startup = Startup::new(stopping.clone(), CancellationToken::new());
        startup.waits_for("the database does not answer");
        let said = async |startup: &Startup| {
            let response = answer(startup.condition());
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            String::from_utf8(to_bytes(response.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap()
        };
        let starting = r#"{"status":"not_ready","components":{},"reasons":{"start":"the database does not answer"}}"#;
        assert_eq!(said(&startup).await, starting);
        stopping.cancel();
        let draining = r#"{"status":"not_ready","components":{},"reasons":{"shutdown":"the server drains"}}"#;
        assert_eq!(said(&startup).await, draining);
    }

    #[tokio::test]
    async fn metrics_are_scraped_as_text() {
        let metrics = prometheus::Registry::new();
        let counter = prometheus::IntCounter::new("cqar_test_total", "A test").unwrap();
        metrics.register(Box::new(counter)).unwrap();
        let response = scrape(State(metrics)).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; version=0.0.4");
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        assert!(String::from_utf8_lossy(&body).ends_with("cqar_test_total 0\n"));
    }
}
