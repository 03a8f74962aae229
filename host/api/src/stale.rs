//! What is answered while the database is away: what the cache holds, marked by its age, and after a while nothing.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll, ready as poll_ready},
    time::Duration,
};

use cqar_proto::v1::ErrorReason;
use cqar_registry::{Registry, Staleness};
use futures::future::Either;
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::{status::RETRY_LATER, status_builder::StatusBuilder};

/// How many seconds the answer may be behind: for so long the database has not answered.
const STALE: &str = "x-cqar-stale";

/// Marks what is answered while the database is away, and refuses calls once that is for too long.
#[derive(Clone)]
pub(crate) struct StaleLayer {
    pub(crate) registry: Registry,
}

impl<S> Layer<S> for StaleLayer {
    type Service = StaleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StaleService { registry: self.registry.clone(), inner }
    }
}

/// A service behind [`StaleLayer`].
#[derive(Clone)]
pub(crate) struct StaleService<S> {
    registry: Registry,
    inner: S,
}

impl<S, B> Service<Request<B>> for StaleService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<StaleFuture<S::Future>, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let age = match self.registry.staleness() {
            Staleness::Stale { age } => Some(age),
            Staleness::Expired if !tells_what_is_wrong(request.uri().path()) => {
                return Either::Right(ready(Ok(expired().into_http())));
            }
            Staleness::Current | Staleness::Expired => None,
        };
        Either::Left(StaleFuture { inner: self.inner.call(request), age })
    }
}

/// What must be answered however the database is: it is how one learns of it.
fn tells_what_is_wrong(path: &str) -> bool {
    ["/grpc.health.v1.Health/", "/grpc.reflection.", "/cqar.v1.PluginService/", "/cqar.v1.RegistryService/GetStatus"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

fn expired() -> Status {
    let message = "the database has not answered for longer than server.stale_reads allows what is cached to be served, or has another log";
    StatusBuilder::new(Code::Unavailable, ErrorReason::DatabaseUnavailable, message)
        .retry_after(RETRY_LATER)
        .into_status()
}

pin_project! {
    /// The answer, marked if it is one.
    pub(crate) struct StaleFuture<F> {
        #[pin]
        inner: F,
        age: Option<Duration>,
    }
}

impl<F, E> Future for StaleFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answered = poll_ready!(this.inner.poll(cx));
        if let (Some(age), Ok(response)) = (this.age, &mut answered)
            && !response.headers().contains_key(Status::GRPC_STATUS)
        {
            response.headers_mut().insert(STALE, HeaderValue::from(age.as_secs()));
        }
        Poll::Ready(answered)
    }
}
