//! What is counted of each call: `cqar_grpc_calls_total{method,status_code}`, `cqar_grpc_call_duration_seconds{method,status}`, and of
//! streams, which last as long as their clients like, `cqar_grpc_stream_duration_seconds{method,status}`.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;

use crate::auth::{Access, UnknownAccess, access};

/// The names of the status codes, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The methods that the server has, each with its metrics. Whatever else is called counts as `unknown`, so that no
/// client makes new series.
#[derive(Debug, Clone)]
pub(crate) struct Methods {
    by_path: Arc<HashMap<String, Arc<Method>>>,
    unknown: Arc<Method>,
}

/// One method. Its series are looked up once.
#[derive(Debug)]
pub(crate) struct Method {
    /// `cqar.v1.MarketService/ResolveMarket`
    pub(crate) name: String,
    /// Whether the server's answer is a stream, whose status is known at its end alone.
    pub(crate) is_streaming: bool,
    /// Whether the request is a stream, which takes as long as it takes.
    pub(crate) takes_stream: bool,
    /// What it needs; none if it is no method.
    pub(crate) access: Option<Access>,
    succeeded: Histogram,
    failed: Histogram,
    counters: [OnceLock<IntCounter>; CODES.len()],
    calls: IntCounterVec,
}

impl Methods {
    /// The methods of encoded descriptor sets.
    pub(crate) fn new(descriptors: &[&[u8]], registry: &Registry) -> Result<Self, MethodsError> {
        let metrics = Metrics::register(registry)?;
        let mut by_path = HashMap::new();
        for descriptors in descriptors {
            for file in FileDescriptorSet::decode(*descriptors)?.file {
                for service in &file.service {
                    for method in &service.method {
                        let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                        let access = Some(access(&name)?);
                        let streams = (method.server_streaming(), method.client_streaming());
                        by_path.insert(format!("/{name}"), Arc::new(metrics.of(name, streams, access)));
                    }
                }
            }
        }
        // Unknown methods are refused, which is no stream.
        Ok(Self {
            by_path: Arc::new(by_path),
            unknown: Arc::new(metrics.of("unknown".to_owned(), (false, false), None)),
        })
    }

    /// The method of a request's path.
    pub(crate) fn get(&self, path: &str) -> &Arc<Method> {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

impl Method {
    /// Counts a call that ended.
    pub(crate) fn ended(&self, code: Code, took: Duration) {
        let histogram = if code == Code::Ok { &self.succeeded } else { &self.failed };
        histogram.observe(took.as_secs_f64());
        let label = name_of(code);
        if let Some(counter) = usize::try_from(i32::from(code)).ok().and_then(|n| self.counters.get(n)) {
            counter.get_or_init(|| self.calls.with_label_values(&[self.name.as_str(), label])).inc();
        }
    }
}

/// Why the methods could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MethodsError {
    /// A descriptor set is malformed, which is a defect of the build.
    #[error("the contract's descriptors cannot be read: {0}")]
    Descriptors(#[from] prost::DecodeError),
    /// Nothing says who may call a method.
    #[error(transparent)]
    Access(#[from] UnknownAccess),
    /// The metrics are registered already.
    #[error("the metrics of calls cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

struct Metrics {
    calls: IntCounterVec,
    durations: HistogramVec,
    stream_durations: HistogramVec,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let calls = IntCounterVec::new(
            Opts::new("cqar_grpc_calls_total", "Calls that ended, by status"),
            &["method", "status_code"],
        )?;
        let options = HistogramOpts::new("cqar_grpc_call_duration_seconds", "Time from a call's headers to its status")
            // From a cached resolve to an import of a million markets.
            .buckets(prometheus::exponential_buckets(0.000_025, 2.5, 17)?);
        let durations = HistogramVec::new(options, &["method", "status"])?;
        let options =
            HistogramOpts::new("cqar_grpc_stream_duration_seconds", "Time from a stream's headers to its end")
                // From one that is refused to seven hours.
                .buckets(prometheus::exponential_buckets(0.1, 4.0, 10)?);
        let stream_durations = HistogramVec::new(options, &["method", "status"])?;
        registry.register(Box::new(calls.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(stream_durations.clone()))?;
        Ok(Self { calls, durations, stream_durations })
    }

    fn of(&self, name: String, (is_streaming, takes_stream): (bool, bool), access: Option<Access>) -> Method {
        let durations = if is_streaming { &self.stream_durations } else { &self.durations };
        let duration = |status| durations.with_label_values(&[name.as_str(), status]);
        Method {
            is_streaming,
            takes_stream,
            access,
            succeeded: duration("ok"),
            failed: duration("error"),
            counters: [const { OnceLock::new() }; CODES.len()],
            calls: self.calls.clone(),
            name,
        }
    }
}

/// The code's name in the gRPC specification.
pub(crate) fn name_of(code: Code) -> &'static str {
    usize::try_from(i32::from(code)).ok().and_then(|n| CODES.get(n)).copied().unwrap_or("UNKNOWN")
}
