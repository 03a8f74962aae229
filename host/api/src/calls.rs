//! Counts and traces every call, whatever it is answered by.
//!
//! A unary answer has its status in the headers if it is an error; without one there it is OK. Only a stream says at its
//! end how it ended, so only the body of a stream is looked into. A call that its client gave up is dropped, and counts as CANCELLED.
//!
//! The client's deadline (`grpc-timeout`) is kept here: what carries the call would end it by a bare CANCELLED, outside of everything that
//! is told of its end. A write that has taken its lock by then runs on. So is the time for a request to be whole.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep, sleep_until};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Span, field::Empty};

use crate::{
    auth::StreamPermit,
    deadline::{deadline, too_late},
    metrics::{Method, Methods, name_of},
};

/// Counts and traces the calls of a service.
#[derive(Debug, Clone)]
pub(crate) struct InstrumentationLayer {
    pub(crate) methods: Methods,
    /// The share of calls that get a span, 0 to 1. It is decided here, before a span is made, so that the calls that are
    /// not traced pay nothing for it.
    pub(crate) trace_sample_rate: f64,
}

impl<S> Layer<S> for InstrumentationLayer {
    type Service = InstrumentationService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InstrumentationService { layer: self.clone(), inner }
    }
}

/// A service behind [`InstrumentationLayer`].
#[derive(Debug, Clone)]
pub(crate) struct InstrumentationService<S> {
    layer: InstrumentationLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for InstrumentationService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = InstrumentationFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = Arc::clone(self.layer.methods.get(request.uri().path()));
        request.extensions_mut().insert(Arc::clone(&method));
        let deadline = deadline(request.headers()).map(sleep);
        let call = Call::begin(method, self.layer.trace_sample_rate);
        let inner = call.span.in_scope(|| self.inner.call(request));
        InstrumentationFuture { inner, call: Some(call), deadline }
    }
}

pin_project! {
    /// The answer to an instrumented call.
    pub(crate) struct InstrumentationFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
        #[pin]
        deadline: Option<Sleep>,
    }
}

impl<F, E> Future for InstrumentationFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = {
            let _entered = this.call.as_ref().map(|call| call.span.enter());
            this.inner.poll(cx)
        };
        let answered = match polled {
            Poll::Ready(answered) => answered,
            Poll::Pending => match this.deadline.as_mut().as_pin_mut().map(|deadline| deadline.poll(cx)) {
                Some(Poll::Ready(())) => Ok(too_late().into_http()),
                Some(Poll::Pending) | None => return Poll::Pending,
            },
        };
        let Some(call) = this.call.take() else { return Poll::Ready(answered) };
        Poll::Ready(match answered {
            Ok(mut response) if call.method.is_streaming && !response.headers().contains_key(Status::GRPC_STATUS) => {
                let permit = response.extensions_mut().remove::<StreamPermit>();
                let ends = this.deadline.as_ref().as_pin_ref().map(|deadline| deadline.deadline());
                let deadline = ends.map(|ends| Box::pin(sleep_until(ends)));
                let stream = |body| InstrumentationBody { body, call: Some(call), deadline, _permit: permit };
                Ok(response.map(|body| Body::new(stream(body))))
            }
            Ok(response) => {
                call.end(code(response.headers()).unwrap_or(Code::Ok));
                Ok(response)
            }
            Err(error) => {
                call.end(Code::Unknown);
                Err(error)
            }
        })
    }
}

/// The body of a stream, which ends with its status.
struct InstrumentationBody {
    body: Body,
    /// None once it has ended.
    call: Option<Call>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Its place among the streams of its caller.
    _permit: Option<StreamPermit>,
}

impl InstrumentationBody {
    fn end(&mut self, code: Code) {
        if let Some(call) = self.call.take() {
            call.end(code);
        }
    }
}

impl http_body::Body for InstrumentationBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.call.is_none() {
            return Poll::Ready(None);
        }
        let polled = {
            let _entered = this.call.as_ref().map(|call| call.span.enter());
            Pin::new(&mut this.body).poll_frame(cx)
        };
        let frame = match polled {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let Some(deadline) = &mut this.deadline else { return Poll::Pending };
                ready!(deadline.as_mut().poll(cx));
                let mut trailers = HeaderMap::new();
                // Its message and details are of characters that a header takes.
                let _ = too_late().add_header(&mut trailers);
                Some(Ok(Frame::trailers(trailers)))
            }
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(code(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(status)) => this.end(status.code()),
            // Without trailers nobody said how it ended.
            None => this.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none() || self.body.is_end_stream()
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|status| Code::from_bytes(status.as_bytes()))
}

/// A call that has begun. It is counted when it ends, or is dropped.
struct Call {
    method: Arc<Method>,
    began: Instant,
    span: Span,
    ended: bool,
}

impl Call {
    fn begin(method: Arc<Method>, trace_sample_rate: f64) -> Self {
        let span = if is_sampled(trace_sample_rate) {
            // The name of a span is fixed when the server is compiled; collectors show `otel.name`.
            tracing::info_span!(
                "call",
                otel.name = %method.name,
                otel.kind = "server",
                otel.status_code = Empty,
                rpc.system = "grpc",
                rpc.grpc.status_code = Empty,
                actor = Empty,
                request_id = Empty,
                venue_id = Empty,
                venue_symbol = Empty,
                items = Empty,
            )
        } else {
            Span::none()
        };
        Self { method, began: Instant::now(), span, ended: false }
    }

    fn end(mut self, code: Code) {
        self.count(code);
    }

    fn count(&mut self, code: Code) {
        self.ended = true;
        let took = self.began.elapsed();
        self.method.ended(code, took);
        if !self.span.is_disabled() {
            self.span.record("rpc.grpc.status_code", i32::from(code));
            if is_fault(code) {
                self.span.record("otel.status_code", "ERROR");
            }
        }
        tracing::debug!(
            parent: &self.span,
            method = %self.method.name,
            status_code = name_of(code),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "call ended"
        );
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.count(Code::Cancelled);
        }
    }
}

/// Whether the server is to blame, as OpenTelemetry's conventions for gRPC have it.
const fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Whether this call is one of the share that is traced: evenly, without a source of randomness or a shared counter.
fn is_sampled(rate: f64) -> bool {
    thread_local! {
        static DUE: Cell<f64> = const { Cell::new(0.0) };
    }
    if rate <= 0.0 {
        return false;
    }
    DUE.with(|due| {
        let now = due.get() + rate;
        let is_sampled = now >= 1.0;
        due.set(if is_sampled { (now - 1.0).min(1.0) } else { now });
        is_sampled
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use cqar_proto::DESCRIPTORS;
    use futures::{StreamExt, stream};
    use prometheus::{Registry, TextEncoder};
    use tonic_health::pb::{FILE_DESCRIPTOR_SET, HealthCheckRequest, health_client::HealthClient};
    use tower::{ServiceExt, service_fn};

    use super::*;

    const CHECK: &str = "grpc.health.v1.Health/Check";
    const WATCH: &str = "grpc.health.v1.Health/Watch";

    fn layer(metrics: &Registry) -> InstrumentationLayer {
        let methods = Methods::new(&[DESCRIPTORS, FILE_DESCRIPTOR_SET], metrics).unwrap();
        InstrumentationLayer { methods, trace_sample_rate: 0.0 }
    }

    /// How many calls of a method ended with a code, as a scrape tells it.
    fn counted(metrics: &Registry, method: &str, code: &str) -> u64 {
        let series = format!("cqar_grpc_calls_total{{method=\"{method}\",status_code=\"{code}\"}} ");
        let scraped = TextEncoder::new().encode_to_string(&metrics.gather()).unwrap();
        scraped.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
    }

    /// The health service behind the layer, with the reporter that says what it answers.
    fn health(metrics: &Registry) -> (tonic_health::server::HealthReporter, HealthClient<impl Clone + HealthChannel>) {
        let (reporter, service) = tonic_health::server::health_reporter();
        (reporter, HealthClient::new(layer(metrics).layer(service)))
    }

    trait HealthChannel:
        tonic::client::GrpcService<Body, ResponseBody = Body, Future: Send, Error = Infallible> + Send
    {
    }
    impl<S> HealthChannel for S where
        S: tonic::client::GrpcService<Body, ResponseBody = Body, Future: Send, Error = Infallible> + Send
    {
    }

    fn request(service: &str) -> HealthCheckRequest {
        HealthCheckRequest { service: service.to_owned() }
    }

    #[tokio::test]
    async fn unary_calls_count_by_their_status() {
        let metrics = Registry::new();
        let (_reporter, mut client) = health(&metrics);
        client.check(request("")).await.unwrap();
        client.check(request("")).await.unwrap();
        assert_eq!(client.check(request("other")).await.unwrap_err().code(), Code::NotFound);
        assert_eq!((counted(&metrics, CHECK, "OK"), counted(&metrics, CHECK, "NOT_FOUND")), (2, 1));
    }

    #[tokio::test]
    async fn a_stream_counts_when_it_ends() {
        let metrics = Registry::new();
        let (mut reporter, mut client) = health(&metrics);
        let mut watched = client.watch(request("")).await.unwrap().into_inner();
        watched.message().await.unwrap().unwrap();
        assert_eq!(counted(&metrics, WATCH, "OK"), 0);
        reporter.clear_service_status("").await;
        assert!(watched.message().await.unwrap().is_none());
        assert_eq!(counted(&metrics, WATCH, "OK"), 1);
    }

    #[tokio::test]
    async fn a_stream_that_its_client_leaves_counts_as_cancelled() {
        let metrics = Registry::new();
        let (_reporter, mut client) = health(&metrics);
        drop(client.watch(request("")).await.unwrap());
        assert_eq!(counted(&metrics, WATCH, "CANCELLED"), 1);
    }

    #[tokio::test]
    async fn a_stream_that_is_refused_counts_once() {
        let metrics = Registry::new();
        let (_reporter, mut client) = health(&metrics);
        assert_eq!(client.watch(request("other")).await.unwrap_err().code(), Code::NotFound);
        assert_eq!((counted(&metrics, WATCH, "NOT_FOUND"), counted(&metrics, WATCH, "CANCELLED")), (1, 0));
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_counts_as_cancelled() {
        let metrics = Registry::new();
        let never =
            service_fn(async |_: Request<()>| std::future::pending::<Result<Response<Body>, Infallible>>().await);
        let request = Request::builder().uri(format!("/{CHECK}")).body(()).unwrap();
        let call = layer(&metrics).layer(never).oneshot(request);
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
        assert_eq!(counted(&metrics, CHECK, "CANCELLED"), 1);
    }

    #[tokio::test]
    async fn what_is_no_method_counts_as_unknown() {
        let metrics = Registry::new();
        let refuse = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Status::unimplemented("").into_http()));
        let layer = layer(&metrics);
        stream::iter(0..100)
            .for_each(async |n| {
                let request = Request::builder().uri(format!("/no.Such/Method{n}")).body(()).unwrap();
                layer.clone().layer(refuse).oneshot(request).await.unwrap();
            })
            .await;
        assert_eq!(counted(&metrics, "unknown", "UNIMPLEMENTED"), 100);
        let families = metrics.gather();
        let calls = families.iter().find(|family| family.name() == "cqar_grpc_calls_total").unwrap();
        assert_eq!(calls.get_metric().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_longer_than_its_client_waits_ends_with_its_reason_and_so_does_a_stream() {
        let metrics = Registry::new();
        let never =
            service_fn(async |_: Request<()>| std::future::pending::<Result<Response<Body>, Infallible>>().await);
        let endless = service_fn(async |_: Request<()>| {
            let frames = stream::pending::<Result<Frame<Bytes>, Status>>();
            Ok::<_, Infallible>(Response::new(Body::new(http_body_util::StreamBody::new(frames))))
        });
        let request = |path| Request::builder().uri(format!("/{path}")).header("grpc-timeout", "5S").body(()).unwrap();
        let layer = layer(&metrics);
        let late = layer.clone().layer(never).oneshot(request(CHECK)).await.unwrap();
        let late = Status::from_header_map(late.headers()).unwrap();
        let reason = |status: &Status| tonic_types::StatusExt::get_details_error_info(status).unwrap().reason;
        assert_eq!((late.code(), reason(&late).as_str()), (Code::DeadlineExceeded, "DEADLINE_PASSED"));
        let mut stream = layer.layer(endless).oneshot(request(WATCH)).await.unwrap().into_body();
        let end = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut stream), cx)).await.unwrap();
        let end = Status::from_header_map(&end.unwrap().into_trailers().unwrap()).unwrap();
        assert_eq!((end.code(), reason(&end).as_str()), (Code::DeadlineExceeded, "DEADLINE_PASSED"));
        assert!(http_body::Body::is_end_stream(&stream));
        for method in [CHECK, WATCH] {
            assert_eq!(counted(&metrics, method, "DEADLINE_EXCEEDED"), 1, "{method}");
        }
    }

    #[test]
    fn the_share_of_calls_that_is_traced_is_kept() {
        let sampled = |rate| (0..1000).filter(|_| is_sampled(rate)).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 1000));
        assert!((99..=101).contains(&sampled(0.1)), "{}", sampled(0.1));
    }
}
