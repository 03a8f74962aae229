//! Probes and metrics over HTTP.

use std::io;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use cqar_proto::v1;
use cqar_registry::Registry;
use prometheus::{Encoder, TextEncoder};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{health::Readiness, status::internal};

/// Serves `/health/live`, which answers while the process does, and `/health/ready`, which answers 503 while it cannot
/// serve, and says how each part does. Ends on the token.
pub async fn serve_http(listener: TcpListener, registry: Registry, token: CancellationToken) -> io::Result<()> {
    let router = Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(registry);
    axum::serve(listener, router).with_graceful_shutdown(token.cancelled_owned()).await
}

/// Serves `/metrics` in the text format of Prometheus. Ends on the token.
pub async fn serve_metrics(
    listener: TcpListener,
    metrics: prometheus::Registry,
    token: CancellationToken,
) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(scrape)).with_state(metrics);
    axum::serve(listener, router).with_graceful_shutdown(token.cancelled_owned()).await
}

#[derive(Serialize)]
struct Health {
    status: Readiness,
    components: Vec<ComponentHealth>,
}

#[derive(Serialize)]
struct ComponentHealth {
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(registry): State<Registry>) -> Response {
    answer(registry.components())
}

fn answer(components: Vec<v1::Component>) -> Response {
    let status = Readiness::of(&components);
    let code = if status.is_serving() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let components = components.into_iter().map(ComponentHealth::from).collect();
    (code, Json(Health { status, components })).into_response()
}

impl From<v1::Component> for ComponentHealth {
    fn from(component: v1::Component) -> Self {
        use v1::component::State;
        let state = match component.state() {
            State::Unspecified => "unspecified",
            State::Ok => "ok",
            State::Degraded => "degraded",
            State::Failed => "failed",
            State::Off => "off",
        };
        Self { name: component.name, state, message: component.message }
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

    use super::*;

    #[tokio::test]
    async fn a_server_without_its_database_answers_503_and_says_so() {
        let component = |name: &str, state: v1::component::State, message: &str| v1::Component {
            name: name.to_owned(),
            state: state.into(),
            message: message.to_owned(),
        };
        let failed = component("database", v1::component::State::Failed, "it does not answer");
        let response = answer(vec![failed, component("l2_cache", v1::component::State::Off, "")]);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let expected = r#"{"status":"not_ready","components":[{"name":"database","state":"failed","message":"it does not answer"},{"name":"l2_cache","state":"off"}]}"#;
        assert_eq!(body, expected);
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
