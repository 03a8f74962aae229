//! Takes the registry's traces as an OpenTelemetry collector does, and drops them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use tokio::{net::TcpListener, task::AbortHandle};
use tonic::{
    body::Body,
    server::NamedService,
    transport::{Server, server::TcpIncoming},
};
use tower::Service;

use crate::codec::answer;

/// A collector. Ends with its drop.
pub(crate) struct OtlpCollector {
    address: SocketAddr,
    serving: AbortHandle,
}

impl OtlpCollector {
    /// Starts it on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen for traces")?;
        let address = listener.local_addr()?;
        let serving = Server::builder().add_service(Swallow).serve_with_incoming(TcpIncoming::from(listener));
        Ok(Self { address, serving: tokio::spawn(serving).abort_handle() })
    }

    /// Where the registry sends its traces.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for OtlpCollector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Debug, Clone)]
struct Swallow;

impl NamedService for Swallow {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<Request<Body>> for Swallow {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // An empty message says that every span was accepted.
        answer(request, |_: Bytes| Ok(Bytes::new())).map(Ok).boxed()
    }
}
