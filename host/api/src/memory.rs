//! The bytes that requests and answers have in memory, over all calls.
//!
//! Invariant: the bytes of the requests that are not answered yet are at most [`MAX_IN_FLIGHT_BYTES`], and of one caller at most as many as
//! it may have; those beyond are refused, and may be repeated, before memory is short. Streams of a listing are bounded by the budget below
//! alone, and by how many there may be.
//!
//! Invariant: what a request has beyond its first 64 KiB, and what the answer to a batch has, is taken from one budget before it
//! is kept, and given back when the answer was sent, or the call ended otherwise, and with it the write that goes on without its
//! caller. A message that comes compressed is unpacked first, in one go: as many at a time as there are threads. A call that finds too
//! little left is refused, and may be repeated; it never waits, since those that it would wait for may wait themselves, with half
//! of their requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cqar_proto::v1::ErrorReason;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use prometheus::{IntGauge, Registry};
use prost::Message;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::{
    auth::{Actor, CallerUse},
    metrics::Method,
    status::RETRY_LATER,
    status_builder::StatusBuilder,
};

/// What every request may have for nothing: most have far less.
const FREE_BYTES: usize = 64 << 10;
/// The most bytes of requests that are not answered yet, of all callers together.
const MAX_IN_FLIGHT_BYTES: usize = 64 << 20;
/// How long a request may take to arrive as a whole.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The budget is counted in these.
const UNIT_BYTES: usize = 4 << 10;
/// The most bytes of the answer to a batch: 10,000 resolved symbols have about 10 MiB.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// The header that says how the messages of a request are compressed.
const ENCODING: &str = "grpc-encoding";

/// Takes what calls have in memory from a budget.
#[derive(Debug, Clone)]
pub(crate) struct MemoryLayer {
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Budget {
    units: Arc<Semaphore>,
    /// The bytes that are taken, as a metric.
    taken: IntGauge,
    /// The bytes of requests that are not answered yet.
    in_flight: AtomicUsize,
    in_flight_shown: IntGauge,
}

impl MemoryLayer {
    /// A budget of so many bytes.
    pub(crate) fn new(bytes: usize, metrics: &Registry) -> Result<Self, prometheus::Error> {
        let help = "What large requests and answers have in memory; `server.batch_memory` is the most";
        let taken = IntGauge::new("cqar_grpc_memory_bytes", help)?;
        metrics.register(Box::new(taken.clone()))?;
        let help = "Bytes of requests that are not answered yet, as of the last one; 67108864 is the most";
        let in_flight_shown = IntGauge::new("cqar_grpc_request_bytes_in_flight", help)?;
        metrics.register(Box::new(in_flight_shown.clone()))?;
        let units = Arc::new(Semaphore::new((bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS)));
        let budget = Budget { units, taken, in_flight: AtomicUsize::new(0), in_flight_shown };
        Ok(Self { budget: Arc::new(budget) })
    }
}

/// What one call has taken from the budget. Clones share it; the last one gives it back.
#[derive(Debug, Clone)]
pub(crate) struct CallMemory(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    budget: Arc<Budget>,
    /// Whether the messages of the request may come compressed.
    is_packed: bool,
    /// Who calls; none where nobody has a key.
    caller: Option<Arc<CallerUse>>,
    /// How many bytes of the request arrived and are counted.
    in_flight: AtomicUsize,
    /// What was taken for the request.
    of_request: Mutex<usize>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl CallMemory {
    fn of(budget: &Arc<Budget>, is_packed: bool, caller: Option<Arc<CallerUse>>) -> Self {
        let (of_request, permit, in_flight) = (Mutex::new(0), Mutex::new(None), AtomicUsize::new(0));
        Self(Arc::new(Taken { budget: Arc::clone(budget), is_packed, caller, in_flight, of_request, permit }))
    }

    /// Counts bytes of the request that arrived.
    fn arrived(&self, bytes: usize) -> Result<(), Status> {
        let Taken { budget, caller, in_flight, .. } = &*self.0;
        let before = budget.in_flight.fetch_add(bytes, Ordering::AcqRel);
        let taken = if before.saturating_add(bytes) > MAX_IN_FLIGHT_BYTES {
            Err(overloaded())
        } else {
            caller.as_ref().map_or(Ok(()), |caller| caller.take_bytes(bytes))
        };
        match taken {
            Ok(()) => {
                in_flight.fetch_add(bytes, Ordering::AcqRel);
                budget.in_flight_shown.set(i64::try_from(before + bytes).unwrap_or(i64::MAX));
            }
            Err(_) => {
                budget.in_flight.fetch_sub(bytes, Ordering::AcqRel);
            }
        }
        taken
    }

    /// Takes what is missing of what the request has so far.
    pub(crate) fn take_request(&self, bytes: usize) -> Result<(), Status> {
        let beyond = bytes.saturating_sub(FREE_BYTES);
        let mut taken = self.0.of_request.lock();
        if beyond > *taken {
            let more = (beyond - *taken).max(FREE_BYTES);
            self.take(more)?;
            *taken += more;
        }
        Ok(())
    }

    /// Takes so many bytes more.
    fn take(&self, bytes: usize) -> Result<(), Status> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let budget = &self.0.budget;
        let taken = Arc::clone(&budget.units).try_acquire_many_owned(units).map_err(|_| exhausted())?;
        budget.taken.add(bytes_of(&taken));
        match &mut *self.0.permit.lock() {
            Some(permit) => permit.merge(taken),
            none => *none = Some(taken),
        }
        Ok(())
    }

    fn has_any(&self) -> bool {
        self.0.permit.lock().is_some()
    }
}

/// The message of a request. What comes compressed is counted as it is, unpacked; of all others the body was.
pub(crate) fn received<T: Message>(request: tonic::Request<T>) -> Result<T, Status> {
    if let Some(memory) = request.extensions().get::<CallMemory>().filter(|memory| memory.0.is_packed) {
        memory.take_request(request.get_ref().encoded_len())?;
    }
    Ok(request.into_inner())
}

fn bytes_of(permit: &OwnedSemaphorePermit) -> i64 {
    i64::try_from(permit.num_permits() * UNIT_BYTES).unwrap_or(i64::MAX)
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.get_mut() {
            self.budget.taken.sub(bytes_of(permit));
        }
        let in_flight = *self.in_flight.get_mut();
        if in_flight > 0 {
            self.budget.in_flight.fetch_sub(in_flight, Ordering::AcqRel);
            if let Some(caller) = &self.caller {
                caller.give_back(in_flight);
            }
        }
    }
}

fn exhausted() -> Status {
    let message = "the calls in progress hold as much memory as all of them may together; try again";
    StatusBuilder::new(Code::ResourceExhausted, ErrorReason::MemoryExhausted, message)
        .retry_after(RETRY_LATER)
        .into_status()
}

fn overloaded() -> Status {
    let message = "the requests in progress have as many bytes as all of them may together; try again";
    StatusBuilder::new(Code::ResourceExhausted, ErrorReason::Overloaded, message).retry_after(RETRY_LATER).into_status()
}

fn too_slow() -> Status {
    let message = format_args!("the request did not arrive as a whole within {} s", REQUEST_TIMEOUT.as_secs());
    StatusBuilder::new(Code::DeadlineExceeded, ErrorReason::RequestTooSlow, message).into_status()
}

/// The bytes that are left for the answer to a batch.
pub(crate) struct AnswerBudget {
    /// None where nobody counts, as in a test of a service alone.
    memory: Option<CallMemory>,
    left: usize,
    /// What was taken, or is for nothing, and not used yet.
    spare: usize,
    /// Why nothing has room any more.
    refused: Option<Status>,
}

impl AnswerBudget {
    /// Of the call that a request came with.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        let memory = request.extensions().get::<CallMemory>().cloned();
        Self { memory, left: MAX_ANSWER_BYTES, spare: FREE_BYTES, refused: None }
    }

    /// Makes room for an item of so many bytes, or says why there is none. Then there is none for any later one.
    pub(crate) fn admit(&mut self, bytes: usize) -> Result<(), Status> {
        match &self.refused {
            Some(refused) => Err(refused.clone()),
            None => self.take(bytes).inspect_err(|refused| self.refused = Some(refused.clone())),
        }
    }

    /// Why nothing has room any more, so that nothing need be looked up.
    pub(crate) const fn refused(&self) -> Option<&Status> {
        self.refused.as_ref()
    }

    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        let Some(left) = self.left.checked_sub(bytes) else {
            let message = format!("the answer has {MAX_ANSWER_BYTES} bytes at most; ask for this item in another call");
            let refused = StatusBuilder::new(Code::ResourceExhausted, ErrorReason::AnswerTooLarge, message);
            return Err(refused.with("max_bytes", MAX_ANSWER_BYTES).into_status());
        };
        // As a message, and then encoded.
        let needed = bytes * 2;
        if let (Some(memory), true) = (&self.memory, needed > self.spare) {
            let taken = (needed - self.spare).max(FREE_BYTES);
            memory.take(taken)?;
            self.spare += taken;
        }
        self.spare = self.spare.saturating_sub(needed);
        self.left = left;
        Ok(())
    }
}

impl<S> Layer<S> for MemoryLayer {
    type Service = MemoryService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MemoryService { layer: self.clone(), inner }
    }
}

/// A service behind [`MemoryLayer`].
#[derive(Debug, Clone)]
pub(crate) struct MemoryService<S> {
    layer: MemoryLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for MemoryService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = MemoryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_packed = request.headers().get(ENCODING).is_some_and(|encoding| encoding != "identity");
        let extensions = request.extensions();
        let is_whole = !extensions.get::<Arc<Method>>().is_some_and(|method| method.takes_stream);
        let caller = extensions.get::<Actor>().map(|actor| Arc::clone(actor.used()));
        let memory = CallMemory::of(&self.layer.budget, is_packed, caller);
        let counted = CountedBody { memory: memory.clone(), seen: 0, is_whole, late: None, body: Body::empty() };
        let mut request = request.map(|body| Body::new(CountedBody { body, ..counted }));
        request.extensions_mut().insert(memory.clone());
        MemoryFuture { inner: self.inner.call(request), memory }
    }
}

pin_project! {
    /// The answer, which holds what its call took until it was sent.
    pub(crate) struct MemoryFuture<F> {
        #[pin]
        inner: F,
        memory: CallMemory,
    }
}

impl<F, E> Future for MemoryFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answered = ready!(this.inner.poll(cx));
        Poll::Ready(answered.map(|response| {
            if this.memory.has_any() {
                let memory = this.memory.clone();
                response.map(|body| Body::new(HoldingBody { _memory: memory, body }))
            } else {
                response
            }
        }))
    }
}

/// The body of a request, which takes its bytes from the budget as they come.
struct CountedBody {
    memory: CallMemory,
    seen: usize,
    /// Whether it is one message, and not a stream of them.
    is_whole: bool,
    /// Rings when it has taken too long. Most bodies are there at once.
    late: Option<Pin<Box<Sleep>>>,
    body: Body,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            if this.is_whole {
                ready!(this.late.get_or_insert_with(|| Box::pin(sleep(REQUEST_TIMEOUT))).as_mut().poll(cx));
                return Poll::Ready(Some(Err(too_slow())));
            }
            return Poll::Pending;
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.seen += data.len();
            let arrived = if this.is_whole { this.memory.arrived(data.len()) } else { Ok(()) };
            if let Err(refused) = arrived.and_then(|()| this.memory.take_request(this.seen)) {
                return Poll::Ready(Some(Err(refused)));
            }
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// The body of an answer.
struct HoldingBody {
    _memory: CallMemory,
    body: Body,
}

impl http_body::Body for HoldingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Body as _;
    use tower::service_fn;

    use super::*;

    /// Reads the whole request, and answers with a body of its own.
    async fn swallow(request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let mut body = std::pin::pin!(request.into_body());
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Err(status) = frame {
                return Ok(status.into_http());
            }
        }
        Ok(Response::new(body_of(1)))
    }

    fn body_of(bytes: usize) -> Body {
        struct Once(Option<Bytes>);
        impl http_body::Body for Once {
            type Data = Bytes;
            type Error = Status;
            fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
                Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
            }
        }
        Body::new(Once(Some(vec![0; bytes].into())))
    }

    fn request(bytes: usize) -> Request<Body> {
        Request::new(body_of(bytes))
    }

    #[tokio::test]
    async fn large_requests_share_a_budget_until_they_are_answered_and_small_ones_have_none() {
        let layer = MemoryLayer::new(1 << 20, &Registry::new()).unwrap();
        let mut service = layer.layer(service_fn(swallow));
        let Ok(held) = service.call(request(800 << 10)).await;
        assert!(!held.headers().contains_key(Status::GRPC_STATUS));
        let Ok(refused) = service.call(request(800 << 10)).await;
        let status = Status::from_header_map(refused.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let Ok(small) = service.call(request(FREE_BYTES)).await;
        assert!(!small.headers().contains_key(Status::GRPC_STATUS), "small ones go on");
        drop((held, refused));
        let Ok(again) = service.call(request(800 << 10)).await;
        assert!(!again.headers().contains_key(Status::GRPC_STATUS), "what was taken was given back");
    }

    #[tokio::test]
    async fn the_bytes_of_all_requests_are_bounded_until_they_are_answered() {
        let layer = MemoryLayer::new(1 << 30, &Registry::new()).unwrap();
        let mut service = layer.layer(service_fn(swallow));
        let reason = |response: &Response<Body>| {
            let status = Status::from_header_map(response.headers())?;
            assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
            tonic_types::StatusExt::get_details_error_info(&status).map(|info| info.reason)
        };
        let Ok(held) = service.call(request(60 << 20)).await;
        assert_eq!(reason(&held), None);
        let Ok(refused) = service.call(request(5 << 20)).await;
        assert_eq!(reason(&refused).as_deref(), Some("OVERLOADED"));
        let Ok(small) = service.call(request(1 << 20)).await;
        assert_eq!(reason(&small), None);
        drop((held, refused, small));
        assert_eq!(layer.budget.in_flight.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_trickles_is_refused_after_30_s() {
        let layer = MemoryLayer::new(1 << 20, &Registry::new()).unwrap();
        let body = Body::new(http_body_util::StreamBody::new(futures::stream::unfold((), async |()| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Status>(Frame::data(Bytes::from_static(b"x"))), ()))
        })));
        let (began, mut service) = (tokio::time::Instant::now(), layer.layer(service_fn(swallow)));
        let Ok(refused) = service.call(Request::new(body)).await;
        assert_eq!(Status::from_header_map(refused.headers()).unwrap().code(), Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), REQUEST_TIMEOUT);
    }

    #[test]
    fn what_comes_compressed_has_what_it_is_unpacked() {
        let layer = MemoryLayer::new(1 << 20, &Registry::new()).unwrap();
        let request = |is_packed, bytes| {
            let mut request = tonic::Request::new("x".repeat(bytes));
            request.extensions_mut().insert(CallMemory::of(&layer.budget, is_packed, None));
            request
        };
        received(request(true, 2 << 20)).unwrap_err();
        let (small, held) = (request(true, FREE_BYTES - 10), request(true, 800 << 10));
        let memory = held.extensions().get::<CallMemory>().unwrap().clone();
        assert_eq!(received(held).unwrap().len(), 800 << 10);
        received(request(true, 800 << 10)).unwrap_err();
        received(small).unwrap();
        received(request(false, 800 << 10)).expect("its body was counted");
        // Of a stream that sends a little at a time there is as much as was sent, and no more.
        for sent in (0..=800 << 10).step_by(300) {
            memory.take_request(sent).unwrap();
        }
        drop(memory);
        assert_eq!(layer.budget.taken.get(), 0);
    }

    #[test]
    fn the_answer_to_a_batch_is_bounded_by_itself_and_with_all_others() {
        let layer = MemoryLayer::new(4 << 20, &Registry::new()).unwrap();
        let mut request = tonic::Request::new(());
        request.extensions_mut().insert(CallMemory::of(&layer.budget, false, None));
        let mut answer = AnswerBudget::of(&request);
        let admitted = (0..100).filter(|_| answer.admit(100 << 10).is_ok()).count();
        assert_eq!(admitted, 20, "4 MiB, of which each takes twice what it has");
        assert!(layer.budget.taken.get() > 3 << 20);
        drop((answer, request));
        assert_eq!((layer.budget.units.available_permits(), layer.budget.taken.get()), (1024, 0));
        let mut alone = AnswerBudget { memory: None, left: MAX_ANSWER_BYTES, spare: 0, refused: None };
        let admitted = (0..1000).filter(|_| alone.admit(1 << 20).is_ok()).count();
        assert_eq!(admitted, 32);
        assert!(alone.admit(1).is_err());
    }
}
