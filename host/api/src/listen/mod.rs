//! The ports: our own accept loop over hyper, with a limit for everything that a client may hold or take its time for.
//!
//! Invariants: a port has at most so many connections, and those beyond are closed at once and counted, so that what serves goes on;
//! no connection is waited for without a deadline, whatever its client does or leaves; and where the process may open no more files,
//! accepting pauses, and nothing spins.
//!
//! | module | subject |
//! |---|---|
//! | `connection` | the life of one connection |
//! | `guarded_io`, `frames` | how far the client is within what it sends |
//! | `answers` | that the client takes what it is sent |
//! | `tls` | the certificate that a port shows, and those of clients |
//! | `metrics` | what is counted |

mod answers;
mod connection;
mod frames;
mod guarded_io;
mod metrics;
mod tls;

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt as _, util::Oneshot};

use crate::{
    status::{connection_old, shutting_down},
    throttle::Throttle,
};

use self::{
    answers::{Answer, AnswerBody, AnswerExecutor, OpenCalls},
    connection::{Ended, HEADER_TIMEOUT, Watched, old_at},
    guarded_io::{GuardedIo, IoState},
    metrics::PortMetrics,
};
pub use self::{
    metrics::ListenMetrics,
    tls::{Checked, Identity, ServerTls, TlsError},
};

/// Calls at once on one connection: beyond it a client opens another one, or waits. It bounds what a connection can hold.
const MAX_CONCURRENT_STREAMS: u32 = 1024;
/// The headers of a call, as HTTP/2 counts them; and the buffer for those of HTTP/1.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// A peer that is gone without a word is noticed after so long, twice.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long accepting pauses where no file can be opened: connections end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, for probes and scrapers.
    Http1,
    /// HTTP/2 from the first byte, for gRPC.
    Http2,
}

/// A port, and what bounds its connections.
#[derive(Debug)]
pub struct Port {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// Where it listens.
    pub listener: TcpListener,
    /// What is spoken there.
    pub protocol: Protocol,
    /// By what it is protected; none where it is not.
    pub tls: Option<ServerTls>,
    /// The most connections at once. Those beyond are closed as soon as they are accepted.
    pub max_connections: usize,
}

/// Where a request came from, as an extension of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The address of the client, or of the proxy before it.
    pub(crate) address: SocketAddr,
    /// What the client's certificate calls it: its URIs and DNS names. None without a certificate that an authority signed.
    pub(crate) names: Vec<Arc<str>>,
    /// Cancelled when the connection is to end. Streams end on it, in a way that clients go on from.
    pub(crate) closing: CancellationToken,
    /// The same of the whole port.
    port_closing: CancellationToken,
}

impl Peer {
    /// One whose certificate has these names.
    #[cfg(test)]
    pub(crate) fn named(names: Vec<Arc<str>>) -> Self {
        let (closing, port_closing) = Default::default();
        Self { address: ([127, 0, 0, 1], 1).into(), names, closing, port_closing }
    }

    /// Where a request came from; none where it came through no port.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get::<Arc<Self>>().map(AsRef::as_ref)
    }

    /// Resolves when a stream over the connection of a request is to end, with what it says then.
    pub(crate) fn stream_end<T>(request: &tonic::Request<T>) -> impl Future<Output = Status> + Send + use<T> {
        let tokens = Self::of(request).map(|peer| (peer.closing.clone(), peer.port_closing.clone()));
        async move {
            let Some((closing, port_closing)) = tokens else { return std::future::pending().await };
            closing.cancelled().await;
            if port_closing.is_cancelled() { shutting_down() } else { connection_old() }
        }
    }
}

/// Serves a port until the token is cancelled; then it accepts nothing more, tells every client to go, and returns when the
/// last connection has ended. How long that may take is the caller's to say.
pub async fn serve<S, F>(port: Port, service: S, metrics: &ListenMetrics, closing: CancellationToken)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>
        + Clone
        + Send
        + Sync
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let Port { name, listener, protocol, tls, max_connections } = port;
    if let Some(tls) = &tls {
        metrics.show_certificate(name, tls);
    }
    let metrics = metrics.of(name);
    metrics.limit.set(i64::try_from(max_connections).unwrap_or(i64::MAX));
    let tracker = TaskTracker::new();
    let served =
        Arc::new(Served { name, protocol, tls, service, tracker, metrics, closing, told: Throttle::default() });
    let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    // How old connections become is spread evenly, without a source of randomness.
    let mut made: u32 = 0;
    while let Some(accepted) = served.closing.run_until_cancelled(listener.accept()).await {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                served.not_accepted(&error).await;
                continue;
            }
        };
        served.metrics.accepted.inc();
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            served.metrics.over_limit.inc();
            if let Some(refused) = served.told.is_due() {
                tracing::warn!(port = name, %address, max_connections, refused, "connections_refused: there are as many as there may be");
            }
            continue;
        };
        made = made.wrapping_add(GOLDEN_RATIO);
        let spread = f64::from(made) / f64::from(u32::MAX);
        served.tracker.spawn(Arc::clone(&served).connection(stream, address, place, spread));
    }
    // From here on the port is closed to others, and open to another server.
    drop(listener);
    served.tracker.close();
    served.tracker.wait().await;
}

/// 2^32 divided by the golden ratio: its multiples fill the range evenly.
const GOLDEN_RATIO: u32 = 2_654_435_769;

/// A port that is served.
struct Served<S> {
    name: &'static str,
    protocol: Protocol,
    tls: Option<ServerTls>,
    service: S,
    tracker: TaskTracker,
    metrics: PortMetrics,
    closing: CancellationToken,
    /// So that a flood does not fill the log.
    told: Throttle,
}

impl<S, F> Served<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>
        + Clone
        + Send
        + Sync
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        spread: f64,
    ) {
        self.metrics.open.inc();
        // Small answers are not held back for others to join them; where that cannot be, the connection is gone.
        let _ = stream.set_nodelay(true);
        if let Some(why) = self.protect_and_speak(stream, address, spread).await {
            self.metrics.ended(why);
            tracing::debug!(port = self.name, %address, why = why.name(), "connection_ended");
        }
        self.metrics.open.dec();
        drop(place);
    }

    /// Agrees on TLS first, where the port is protected. None if that fails.
    async fn protect_and_speak(&self, stream: TcpStream, address: SocketAddr, spread: f64) -> Option<Ended> {
        // Much is boxed, as most connections are idle, and a future is as large as all that it may ever hold.
        let Some(tls) = &self.tls else {
            return Some(Box::pin(self.speak(stream, address, Vec::new(), spread)).await);
        };
        let accepting = TlsAcceptor::from(tls.config()).accept(stream);
        let handshake = timeout(HEADER_TIMEOUT, Box::pin(async { accepting.await.map(Box::new) }));
        let agreed = match self.closing.run_until_cancelled(handshake).await? {
            Ok(agreed) => agreed.map_err(|error| error.to_string()),
            Err(_) => Err(format!("not done within {} s", HEADER_TIMEOUT.as_secs())),
        };
        match agreed {
            Ok(stream) => {
                let (_, session) = stream.get_ref();
                let names = session.peer_certificates().and_then(|chain| chain.first()).map(tls::names);
                Some(Box::pin(self.speak(stream, address, names.unwrap_or_default(), spread)).await)
            }
            Err(reason) => {
                self.metrics.no_handshake.inc();
                tracing::debug!(port = self.name, %address, reason, "tls_handshake_failed");
                None
            }
        }
    }

    async fn speak<T>(&self, io: T, address: SocketAddr, names: Vec<Arc<str>>, spread: f64) -> Ended
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let closing = self.closing.child_token();
        let (state, calls) = (IoState::new(self.protocol == Protocol::Http2), OpenCalls::none());
        let io = TokioIo::new(GuardedIo { io, state: state.clone() });
        let port_closing = self.closing.clone();
        let peer = Arc::new(Peer { address, names, closing: closing.clone(), port_closing });
        let service = CallService { inner: self.service.clone(), peer, calls: calls.clone() };
        let watched = Watched { io: state, calls, old_at: old_at(spread), closing };
        match self.protocol {
            Protocol::Http1 => watched.serve(Box::pin(http1().serve_connection(io, service))).await,
            Protocol::Http2 => {
                let blocked = self.metrics.blocked_answers.clone();
                let executor = AnswerExecutor { tracker: self.tracker.clone(), blocked };
                watched.serve(Box::pin(http2(executor).serve_connection(io, service))).await
            }
        }
    }

    /// Most errors are of a client that left before it was accepted. Where no file can be opened, whoever waits goes on waiting.
    async fn not_accepted(&self, error: &io::Error) {
        self.metrics.accept_errors.inc();
        let is_of_client = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
        );
        if !is_of_client {
            if self.told.is_due().is_some() {
                tracing::error!(port = self.name, %error, "connections_not_accepted");
            }
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

fn http1() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES as usize);
    http
}

fn http2(executor: AnswerExecutor) -> http2::Builder<AnswerExecutor> {
    let mut http = http2::Builder::new(executor);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    http
}

/// The service, as one connection sees it.
struct CallService<S> {
    inner: S,
    peer: Arc<Peer>,
    calls: OpenCalls,
}

impl<S> hyper::service::Service<Request<Incoming>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answer<Oneshot<S, Request<Body>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&self.peer));
        Answer::new(self.inner.clone().oneshot(request), &self.calls)
    }
}

#[cfg(test)]
mod tests;
