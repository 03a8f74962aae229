//! What becomes of connections whose clients leave things undone, by the clock of the test.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{Empty, Full, StreamBody};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
    time::Instant,
};
use tower::{service_fn, util::BoxCloneSyncService};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// `:method: POST`, `:scheme: http`, `:path: PATH`, `:authority: x`, as RFC 7541 writes them without a table.
fn headers(path: &str) -> Vec<u8> {
    let path = [&[0x04, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat();
    [&[0x83, 0x86], &path[..], &[0x01, 1, b'x']].concat()
}

fn call(stream: u8, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers(path))
}

/// `/never` is not answered, `/large` by a megabyte, `/stream` by a stream that ends with the connection, and all else by nothing.
fn service() -> BoxCloneSyncService<Request<Body>, Response<Body>, Infallible> {
    BoxCloneSyncService::new(service_fn(async |request: Request<Body>| {
        let body = match request.uri().path() {
            "/never" => std::future::pending().await,
            "/large" => Body::new(Full::new(Bytes::from(vec![b'x'; 1 << 20]))),
            "/stream" => {
                let end = Peer::stream_end(&tonic::Request::from_parts(
                    tonic::metadata::MetadataMap::new(),
                    request.extensions().clone(),
                    (),
                ));
                Body::new(StreamBody::new(stream::once(end).map(Err::<http_body::Frame<Bytes>, Status>)))
            }
            _ => Body::new(Empty::<Bytes>::new()),
        };
        Ok(Response::new(body))
    }))
}

/// A connection to a port that is served, as its client sees it.
struct Client {
    io: DuplexStream,
    ending: JoinHandle<Ended>,
    port: CancellationToken,
    blocked: Arc<Mutex<Vec<u64>>>,
    began: Instant,
}

impl Client {
    fn connect(protocol: Protocol, buffer: usize) -> Self {
        let (io, server) = duplex(buffer);
        let metrics = ListenMetrics::register(&prometheus::Registry::new()).unwrap().of("test");
        let (port, blocked) = (CancellationToken::new(), Arc::default());
        let (closing, seen): (_, Arc<Mutex<Vec<u64>>>) = (port.clone(), Arc::clone(&blocked));
        let port_served = Served {
            name: "test",
            protocol,
            tls: None,
            service: service(),
            tracker: TaskTracker::new(),
            metrics,
            closing,
            told: Throttle::default(),
        };
        let ending = tokio::spawn(async move {
            let ended = port_served.speak(server, ([127, 0, 0, 1], 1).into(), Vec::new(), 0.5).await;
            port_served.tracker.close();
            port_served.tracker.wait().await;
            seen.lock().unwrap().push(port_served.metrics.blocked_answers.get());
            ended
        });
        Self { io, ending, port, blocked, began: Instant::now() }
    }

    /// One that has said hello, with these settings.
    async fn greeted(settings: &[u8]) -> Self {
        let mut client = Self::connect(Protocol::Http2, 64 << 10);
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// The next frame: type, flags and stream; none when the connection has ended. What the server asks for is answered.
    async fn frame(&mut self) -> Option<(u8, u8, u8)> {
        let mut header = [0; 9];
        self.io.read_exact(&mut header).await.ok()?;
        let [high, middle, low, kind, flags, .., stream] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let payload = if kind == PING { payload } else { Vec::new() };
            // It may be gone by now.
            let _ = self.io.write_all(&frame(kind, ACK, 0, &payload)).await;
        }
        Some((kind, flags, stream))
    }

    /// The stream of the next frame of that type.
    async fn until(&mut self, kind: u8) -> u8 {
        loop {
            let frame = self.frame().await.expect("the connection has not ended");
            if frame.0 == kind {
                return frame.2;
            }
        }
    }

    /// Why it ended, after how many seconds. It says nothing more meanwhile, and takes all that it is sent.
    async fn ended(mut self) -> (Ended, u64) {
        let seen = async {
            let mut byte = [0; 4096];
            while self.io.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        };
        let ((), ended) = tokio::join!(seen, self.ending);
        (ended.unwrap(), self.began.elapsed().as_secs())
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_never_speaks_is_cut_after_10_s() {
    assert_eq!(Client::connect(Protocol::Http2, 1024).ended().await, (Ended::PrefaceTimeout, 10));
    let (ended, after) = Client::connect(Protocol::Http1, 1024).ended().await;
    assert_eq!((ended, after), (Ended::Failed, 10));
}

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_are_cut_after_10_s() {
    let mut client = Client::greeted(&[]).await;
    let (began, call) = (Instant::now(), call(1, "/"));
    for byte in call.iter().cycle().take(call.len() - 1) {
        if client.io.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.ended().await.0, Ended::HeaderTimeout);
    assert!(began.elapsed() <= Duration::from_secs(call.len() as u64));

    let mut client = Client::connect(Protocol::Http1, 1024);
    client.send(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    for _ in 0..30 {
        if client.io.write_all(b"x").await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.ended().await.0, Ended::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_never_ends_is_cut_after_30_s() {
    let mut client = Client::greeted(&[]).await;
    client.send(&frame(HEADERS, END_HEADERS, 1, &headers("/never"))).await;
    client.send(&frame(DATA, 0, 1, &[0; 100])[..50]).await;
    assert_eq!(client.ended().await, (Ended::FrameTimeout, 30));
}

#[tokio::test(start_paused = true)]
async fn one_that_reads_nothing_is_cut_after_30_s() {
    let mut client = Client::connect(Protocol::Http2, 256);
    // A window of 2^31 - 1 for each stream and for all of them.
    client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])].concat()).await;
    client.send(&call(1, "/large")).await;
    let (ended, after) = (client.ending.await.unwrap(), client.began.elapsed().as_secs());
    assert_eq!((ended, after), (Ended::WriteTimeout, 30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_reset_after_30_s_and_the_connection_goes_on() {
    // A window of nothing.
    let mut client = Client::greeted(&[0, 4, 0, 0, 0, 0]).await;
    let began = Instant::now();
    client.send(&call(1, "/large")).await;
    assert_eq!(client.until(RST_STREAM).await, 1);
    assert_eq!(began.elapsed().as_secs(), 30);
    client.send(&call(3, "/")).await;
    assert_eq!(client.until(HEADERS).await, 3);
    client.port.cancel();
    client.until(GOAWAY).await;
    let blocked = Arc::clone(&client.blocked);
    assert_eq!(client.ended().await.0, Ended::Drained);
    assert_eq!(*blocked.lock().unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn one_without_a_call_is_told_to_go_after_15_min() {
    let mut client = Client::greeted(&[]).await;
    client.until(GOAWAY).await;
    assert_eq!(client.began.elapsed().as_secs(), 15 * 60);
    assert_eq!(client.ended().await.0, Ended::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_old_one_is_told_to_go_its_streams_end_and_calls_that_do_not_are_cut() {
    let mut client = Client::greeted(&[]).await;
    client.send(&[call(1, "/stream"), call(3, "/never")].concat()).await;
    client.until(GOAWAY).await;
    assert_eq!(client.began.elapsed().as_secs(), 30 * 60);
    assert_eq!(client.until(RST_STREAM).await, 1, "the stream ended");
    while client.frame().await.is_some() {}
    assert_eq!(client.ended().await, (Ended::Old, 35 * 60));
}

#[tokio::test(start_paused = true)]
async fn when_the_port_closes_silent_ones_are_gone_in_a_second_and_calls_end() {
    for mut client in
        [Client::connect(Protocol::Http2, 1024), Client::connect(Protocol::Http1, 1024), Client::greeted(&[]).await]
    {
        client.began = Instant::now();
        client.port.cancel();
        let (ended, after) = client.ended().await;
        assert!(ended == Ended::Drained && after <= 1, "{ended:?} after {after} s");
    }
    let mut client = Client::greeted(&[]).await;
    client.send(&call(1, "/stream")).await;
    client.until(HEADERS).await;
    client.port.cancel();
    client.until(RST_STREAM).await;
    assert_eq!(client.ended().await.0, Ended::Drained);
}
