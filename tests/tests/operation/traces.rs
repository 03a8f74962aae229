//! Spans, sent by OTLP to a collector that keeps their names.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use cqar_proto::v1::ResolveMarketRequest;
use cqar_tests::{certificates::Certificates, collect::until, server::Options};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use crate::fixture::{apply, asset, create, mutation};

/// What of `opentelemetry.proto.collector.trace.v1` is of interest here.
#[derive(Clone, PartialEq, prost::Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(string, tag = "5")]
    name: String,
}

/// Takes spans.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<String>>>);

impl NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl UnaryService<ExportRequest> for Collector {
    type Response = ();
    type Future = std::future::Ready<Result<Response<()>, Status>>;

    fn call(&mut self, request: Request<ExportRequest>) -> Self::Future {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans).map(|span| span.name));
        std::future::ready(Ok(Response::new(())))
    }
}

impl Service<http::Request<Body>> for Collector {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let collector = self.clone();
        Box::pin(async move {
            assert!(request.uri().path().ends_with("/Export"));
            Ok(Grpc::new(ProstCodec::<(), ExportRequest>::default()).unary(collector, request).await)
        })
    }
}

impl Collector {
    /// Starts it, and returns its URL.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = Server::builder().add_service(self.clone()).serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(serving);
        url
    }

    /// Starts it over TLS, for clients that have a certificate, and returns its port.
    pub async fn start_with_tls(&self, certificates: &Certificates) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let read = |name: &str| std::fs::read(certificates.file(name)).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("server.pem"), read("server.key")))
            .client_ca_root(Certificate::from_pem(read("ca.pem")));
        let server = Server::builder().tls_config(tls).unwrap().add_service(self.clone());
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        port
    }

    /// The names of the spans that came.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Calls a server whose spans go to the collector, and ends it, which sends what it still has.
async fn serve(collector: &Collector, sample_rate: &str) {
    let options = Options::new()
        .with("TRACING_ENABLED", true)
        .with("TRACING_ENDPOINT", collector.start().await)
        .with("TRACING_SAMPLE_RATE", sample_rate);
    let server = options.start().await;
    let unknown = ResolveMarketRequest { venue_id: "nowhere".into(), venue_symbol: "X".into(), ..Default::default() };
    assert!(server.markets().await.resolve_market(unknown).await.is_err());
    apply(&server, vec![mutation(create(asset("TRACED")))]).await.unwrap();
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_traced_at_a_sample_rate_of_one() {
    let collector = Collector::default();
    serve(&collector, "1").await;
    until("the spans of both calls", async || {
        let names = collector.names();
        let has = |method: &str| names.iter().any(|name| name.contains(method));
        (has("MarketService/ResolveMarket") && has("RegistryService/Apply")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_traced_at_a_sample_rate_of_zero() {
    let collector = Collector::default();
    serve(&collector, "0").await;
    assert_eq!(collector.names(), [""; 0]);
}
