//! The answers of a connection: how many are open, and that a client takes them.
//!
//! A client may open calls and take no answer, by a window of nothing. The task that sends an answer then waits for it without
//! end, and with it what the call holds. Invariant: an answer of which nothing was taken for [`BLOCKED_TIMEOUT`] is reset. It is handed
//! over in small parts, since the transport takes a part as a whole as soon as the client has room for a byte of it.

use std::{
    cell::Cell,
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
use http::Response;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use prometheus::IntCounter;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::TaskTracker;
use tonic::{Status, body::Body};

/// After how long an answer is reset of which its client takes nothing.
pub(super) const BLOCKED_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of a part: the most of a frame, unless a client says otherwise.
const PART_BYTES: usize = 16 << 10;

/// The calls of a connection that are not ended yet. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct OpenCalls(Arc<Open>);

#[derive(Debug)]
struct Open {
    count: AtomicUsize,
    ended_last: Mutex<Instant>,
}

impl OpenCalls {
    /// Of a connection that begins now.
    pub(super) fn none() -> Self {
        Self(Arc::new(Open { count: AtomicUsize::new(0), ended_last: Mutex::new(Instant::now()) }))
    }

    /// Since when there is none; none if there are some.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.0.count.load(Ordering::Acquire) == 0).then(|| *self.0.ended_last.lock())
    }

    fn begin(&self) -> OpenCall {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        OpenCall(self.clone())
    }
}

/// A call that is not ended yet.
struct OpenCall(OpenCalls);

impl Drop for OpenCall {
    fn drop(&mut self) {
        let Self(OpenCalls(open)) = self;
        // Before it is counted off: who finds none open finds when the last one ended.
        if open.count.load(Ordering::Acquire) == 1 {
            *open.ended_last.lock() = Instant::now();
        }
        open.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What came of an answer while its task ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    None,
    /// The transport asked for more: what it had was taken.
    Taken,
    /// The transport has something that is to be taken.
    HandedOver,
}

thread_local! {
    /// The transport's task is opaque, and polled as a whole within a thread: this is how an answer tells it what became of it.
    static PROGRESS: Cell<Progress> = const { Cell::new(Progress::None) };
}

pin_project! {
    /// The answer to a call, as it is awaited.
    pub(super) struct Answer<F> {
        #[pin]
        inner: F,
        call: Option<OpenCall>,
    }
}

impl<F> Answer<F> {
    pub(super) fn new(inner: F, calls: &OpenCalls) -> Self {
        Self { inner, call: Some(calls.begin()) }
    }
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<AnswerBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answered = ready!(this.inner.poll(cx));
        PROGRESS.set(Progress::HandedOver);
        let call = this.call.take();
        Poll::Ready(answered.map(|response| response.map(|body| AnswerBody { body, rest: Bytes::new(), _call: call })))
    }
}

/// The body of an answer.
pub(super) struct AnswerBody {
    body: Body,
    /// What was not handed over yet of the last part of the body.
    rest: Bytes,
    _call: Option<OpenCall>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        PROGRESS.set(Progress::Taken);
        let this = &mut *self;
        if this.rest.is_empty() {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(trailers))) => {
                    PROGRESS.set(Progress::HandedOver);
                    return Poll::Ready(Some(Ok(trailers)));
                }
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
        PROGRESS.set(Progress::HandedOver);
        let part = this.rest.split_to(this.rest.len().min(PART_BYTES));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn size_hint(&self) -> SizeHint {
        // No part was handed over yet when it is asked for.
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// Runs what sends the answers of connections.
#[derive(Debug, Clone)]
pub(super) struct AnswerExecutor {
    pub(super) tracker: TaskTracker,
    pub(super) blocked: IntCounter,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for AnswerExecutor {
    fn execute(&self, inner: F) {
        let blocked = self.blocked.clone();
        self.tracker.spawn(Sending { inner, blocked_since: None, alarm: None, blocked });
    }
}

pin_project! {
    /// An answer being sent, which ends where it is not taken. What is dropped unsent is reset by the transport.
    struct Sending<F> {
        #[pin]
        inner: F,
        blocked_since: Option<Instant>,
        alarm: Option<Pin<Box<Sleep>>>,
        blocked: IntCounter,
    }
}

impl<F: Future<Output = ()>> Future for Sending<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        PROGRESS.set(Progress::None);
        if this.inner.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match PROGRESS.get() {
            Progress::None => {}
            Progress::Taken => (*this.blocked_since, *this.alarm) = (None, None),
            Progress::HandedOver => (*this.blocked_since, *this.alarm) = (Some(Instant::now()), None),
        }
        let Some(since) = *this.blocked_since else { return Poll::Pending };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(since + BLOCKED_TIMEOUT)));
        ready!(alarm.as_mut().poll(cx));
        this.blocked.inc();
        Poll::Ready(())
    }
}
