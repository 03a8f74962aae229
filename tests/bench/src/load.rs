//! The load: so many connections, each with so many calls at a time, for a while.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use http::uri::PathAndQuery;
use tonic::{
    Request,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::codec::Codec;

/// Calls before the measurement: connections, branch predictors and caches settle in less.
const WARM_UP: Duration = Duration::from_millis(500);
/// What the kernel counts processor time in, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server under load.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `http://127.0.0.1:9090`
    pub(crate) address: String,
    /// What it is called with as `authorization`, if anything.
    pub(crate) key: Option<MetadataValue<Ascii>>,
    /// Its process.
    pub(crate) pid: u32,
}

/// Which calls are made.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The method.
    pub(crate) path: &'static str,
    /// Encoded requests, taken in turn.
    pub(crate) requests: Arc<[Bytes]>,
    /// How many connections.
    pub(crate) connections: usize,
    /// How many calls at a time on each.
    pub(crate) streams: usize,
}

/// What came of it.
pub(crate) struct Measured {
    /// Calls that ended within the time, divided by it.
    pub(crate) calls_per_second: f64,
    /// From before a call was sent until its answer was there, in nanoseconds.
    pub(crate) latency_ns: Histogram<u64>,
    /// Processor time of the server for each call, in microseconds.
    pub(crate) cpu_us: f64,
}

impl Measured {
    /// The 99th percentile in milliseconds.
    pub(crate) fn p99_ms(&self) -> f64 {
        in_ms(self.latency_ns.value_at_quantile(0.99))
    }
}

/// Nanoseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "52 bits of nanoseconds are 52 days")]
pub(crate) fn in_ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl Load {
    /// Calls for that long, after a warm-up. Every call must succeed.
    pub(crate) async fn run(&self, target: &Target, time: Duration) -> anyhow::Result<Measured> {
        let channels = try_join_all((0..self.connections).map(|_| target.connect())).await?;
        let cpu_before = cpu_seconds(target.pid)?;
        let starts = Instant::now() + WARM_UP;
        let ends = starts + time;
        let count = self.connections * self.streams;
        let streams =
            channels.iter().flat_map(|channel| vec![channel; self.streams]).enumerate().map(|(n, channel)| {
                let first = n * self.requests.len() / count;
                let stream =
                    Stream { calls: EncodedClient::on(channel.clone(), target, self.path), load: self.clone(), first };
                tokio::spawn(stream.run(starts, ends))
            });
        let mut all = Histogram::new(3)?;
        let mut calls = 0;
        for stream in try_join_all(streams.collect::<Vec<_>>()).await? {
            let (latency, made) = stream.with_context(|| format!("{} of {}", self.path, target.address))?;
            all.add(latency)?;
            calls += made;
        }
        let cpu_seconds = cpu_seconds(target.pid)? - cpu_before;
        Ok(Measured {
            calls_per_second: float(all.len()) / time.as_secs_f64(),
            latency_ns: all,
            cpu_us: cpu_seconds * 1e6 / float(calls),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "no benchmark counts to 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Target {
    /// A connection of its own.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(self.address.clone())?.tcp_nodelay(true);
        endpoint.connect().await.with_context(|| format!("cannot connect to {}", self.address))
    }

    /// A request with the key.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("authorization", key.clone());
        }
        request
    }
}

/// Calls of one method on one connection, of encoded requests.
pub(crate) struct EncodedClient {
    client: Grpc<Channel>,
    target: Target,
    path: PathAndQuery,
}

impl EncodedClient {
    /// Calls of a method.
    pub(crate) fn on(channel: Channel, target: &Target, path: &'static str) -> Self {
        let client = Grpc::new(channel).max_decoding_message_size(64 << 20);
        Self { client, target: target.clone(), path: PathAndQuery::from_static(path) }
    }

    /// Makes a call that must succeed. Returns its answer, encoded.
    pub(crate) async fn call(&mut self, request: Bytes) -> anyhow::Result<Bytes> {
        self.client.ready().await?;
        let request = self.target.request(request);
        let answer = self.client.unary(request, self.path.clone(), Codec::<Bytes, Bytes>::default()).await?;
        Ok(answer.into_inner())
    }
}

/// One of the calls that are made at a time.
struct Stream {
    calls: EncodedClient,
    load: Load,
    first: usize,
}

impl Stream {
    /// The latencies of what ended within the time, and the number of all calls.
    async fn run(mut self, starts: Instant, ends: Instant) -> anyhow::Result<(Histogram<u64>, u64)> {
        let mut latency = Histogram::new(3)?;
        let mut made = 0;
        for request in self.load.requests.iter().cycle().skip(self.first) {
            let began = Instant::now();
            let answer = self.calls.call(request.clone()).await?;
            ensure!(!answer.is_empty(), "an empty answer");
            let ended = Instant::now();
            made += 1;
            if ended >= ends {
                break;
            }
            if ended >= starts {
                latency.record(nanoseconds(ended - began))?;
            }
        }
        Ok((latency, made))
    }
}

/// A duration in nanoseconds; half a millennium at most.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The processor time that a process has used.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
    // After the name, which may hold anything: state is the 1st field, user and system time are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/<pid>/stat has another form")?;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}
