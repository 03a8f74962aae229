//! The settings as types, section by section. `defaults.yaml` says what each is for.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use cqar_plugins::TrustedKey;
use serde::Deserialize;

use super::values::{self, ApiKey, DatabaseUrl, HttpUrl, Secret};

/// Every setting.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where and how it listens.
    pub server: Server,
    /// Where the registry is stored.
    pub database: Database,
    /// What is kept in memory and in Redis.
    pub cache: Cache,
    /// Where events are published.
    pub eventbus: EventBus,
    /// Which plugins run, and within which bounds.
    pub plugins: Plugins,
    /// Who may call.
    pub auth: Auth,
    /// What is logged.
    pub log: Log,
    /// Which spans are sent, and where.
    pub tracing: Tracing,
}

/// Where and how the server listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address; empty means that [`Config::listen_host`] chooses.
    pub host: String,
    /// The port of gRPC; 0 takes a free one.
    pub grpc_port: u16,
    /// The port of HTTP; 0 takes a free one.
    pub http_port: u16,
    /// The port of the metrics; 0 takes a free one.
    pub metrics_port: u16,
    /// How long running calls may take to end.
    #[serde(deserialize_with = "values::duration")]
    pub shutdown_timeout: Duration,
    /// The largest message that is accepted.
    #[serde(deserialize_with = "values::byte_size")]
    pub max_request_bytes: usize,
    /// The most bytes that large requests and answers have in memory together.
    #[serde(deserialize_with = "values::call_memory")]
    pub batch_memory: usize,
    /// Whether reflection needs a key.
    pub reflection_requires_key: bool,
    /// How long a read waits for a revision.
    #[serde(deserialize_with = "values::timeout")]
    pub min_revision_timeout: Duration,
}

/// Where the registry is stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// SQLite or PostgreSQL.
    pub url: DatabaseUrl,
    /// The most connections.
    pub max_conns: NonZeroU32,
    /// How long a call waits for a connection.
    #[serde(deserialize_with = "values::timeout")]
    pub acquire_timeout: Duration,
    /// How long connecting may take.
    #[serde(deserialize_with = "values::timeout")]
    pub connect_timeout: Duration,
    /// How long a read's statement may take.
    #[serde(deserialize_with = "values::timeout")]
    pub query_timeout: Duration,
    /// The most writes that wait for their turn.
    pub max_waiting_writes: usize,
    /// Prepared statements for each connection; 0 behind `PgBouncer`.
    pub statement_cache: usize,
}

/// What is kept in memory and in Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Whether answers are kept in this process.
    pub enabled: bool,
    /// How much memory they may take.
    #[serde(deserialize_with = "values::byte_size")]
    pub max_bytes: usize,
    /// The host of Redis; empty means none.
    pub host: String,
    /// The port of Redis.
    pub port: NonZeroU16,
    /// Empty means the default user.
    pub username: String,
    /// Empty means none.
    pub password: Secret,
    /// The number of the database.
    pub db: u16,
    /// How long a reader waits for Redis.
    #[serde(deserialize_with = "values::timeout")]
    pub timeout: Duration,
}

/// Where events are published.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBus {
    /// NATS servers; none means that nothing is published.
    #[serde(deserialize_with = "values::servers")]
    pub servers: Vec<String>,
    /// The stream.
    #[serde(deserialize_with = "values::token")]
    pub stream: String,
    /// What comes before the event's type in a subject.
    #[serde(deserialize_with = "values::subject")]
    pub subject_prefix: String,
    /// Empty means none.
    pub username: String,
    /// Empty means none.
    pub password: Secret,
    /// Empty means none.
    pub token: Secret,
    /// The stream's window for duplicates.
    #[serde(deserialize_with = "values::duration")]
    pub duplicate_window: Duration,
    /// How many servers keep each message.
    #[serde(deserialize_with = "values::replicas")]
    pub replicas: usize,
}

/// Which plugins run, and within which bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    /// The watched directory.
    pub dir: PathBuf,
    /// Where the last good bytes are.
    pub data_dir: PathBuf,
    /// Plugins without which writes are refused.
    #[serde(deserialize_with = "values::names")]
    pub required: Vec<String>,
    /// The relay's transforms, in order.
    #[serde(deserialize_with = "values::names")]
    pub transforms: Vec<String>,
    /// What each plugin is configured with.
    pub settings: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// What each plugin may look up.
    #[serde(deserialize_with = "values::grants")]
    pub grants: BTreeMap<String, Vec<String>>,
    /// The time that one call may compute.
    #[serde(deserialize_with = "values::timeout")]
    pub deadline: Duration,
    /// The time of one call in all.
    #[serde(deserialize_with = "values::timeout")]
    pub call_timeout: Duration,
    /// The memory of one instance, in bytes.
    #[serde(deserialize_with = "values::byte_size")]
    pub memory: usize,
    /// What an instance may have to be used again, in bytes.
    #[serde(deserialize_with = "values::byte_size")]
    pub reuse_memory: usize,
    /// The memory of all instances together, in bytes.
    #[serde(deserialize_with = "values::byte_size")]
    pub memory_budget: usize,
    /// The bytes that one call may return.
    #[serde(deserialize_with = "values::byte_size")]
    pub output: usize,
    /// Calls of one plugin at once.
    pub concurrency: NonZeroUsize,
    /// The memory of the compiler, in bytes.
    #[serde(deserialize_with = "values::byte_size")]
    pub compile_memory: usize,
    /// Whose plugins may serve.
    pub trust: Trust,
    /// The minisign keys, one of which must have signed each plugin.
    #[serde(deserialize_with = "values::trusted_keys")]
    pub trusted_keys: Vec<TrustedKey>,
    /// Where machine code is kept; empty means below `data_dir`.
    pub compiled_dir: PathBuf,
}

/// Whose plugins may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Anybody's who can write to the directory.
    Any,
    /// Those that a trusted key signed.
    Signed,
}

/// Who may call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// None means everyone on this machine.
    #[serde(deserialize_with = "values::api_keys")]
    pub api_keys: Vec<ApiKey>,
}

/// What is logged.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Directives of a tracing filter.
    #[serde(deserialize_with = "values::log_level")]
    pub level: String,
    /// As text or JSON.
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Which spans are sent, and where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// Whether any are.
    pub enabled: bool,
    /// An OTLP collector over gRPC.
    pub endpoint: HttpUrl,
    /// The share of requests that is traced, 0 to 1.
    #[serde(deserialize_with = "values::share")]
    pub sample_rate: f64,
}

impl Config {
    /// The address to listen on: as configured, else every address, or only loopback while nobody has a key.
    pub fn listen_host(&self) -> &str {
        match (self.server.host.as_str(), self.auth.api_keys.is_empty()) {
            ("", true) => "127.0.0.1",
            ("", false) => "0.0.0.0",
            (host, _) => host,
        }
    }

    /// What no single value shows: a key, and what is wrong with it together with others.
    pub(super) fn contradictions(&self, production: bool) -> Vec<(&'static str, &'static str)> {
        let Server { host, grpc_port, http_port, metrics_port, max_request_bytes, batch_memory, .. } = &self.server;
        let same = |a: &u16, b: &u16| *a != 0 && a == b;
        let mut found = Vec::new();
        if self.auth.api_keys.is_empty() {
            if production {
                found.push(("auth.api_keys", "must be set with SERVICE_ENV=production: AUTH_API_KEYS=KEY:NAME,…"));
            }
            if !host.is_empty() && !is_loopback(host) {
                found.push((
                    "server.host",
                    "must be a loopback address while auth.api_keys is empty: set AUTH_API_KEYS=KEY:NAME,…",
                ));
            }
        }
        if same(grpc_port, http_port) {
            found.push(("server.http_port", "must differ from server.grpc_port"));
        }
        if same(grpc_port, metrics_port) || same(http_port, metrics_port) {
            found.push(("server.metrics_port", "must differ from server.grpc_port and server.http_port"));
        }
        if self.plugins.call_timeout < self.plugins.deadline {
            found.push(("plugins.call_timeout", "must be at least plugins.deadline, which is a part of it"));
        }
        if self.plugins.trust == Trust::Signed && self.plugins.trusted_keys.is_empty() {
            found
                .push(("plugins.trusted_keys", "must name a key while plugins.trust is `signed`: nothing could serve"));
        }
        if self.plugins.memory_budget < self.plugins.memory {
            found.push(("plugins.memory_budget", "must be at least plugins.memory, which each plugin is guaranteed"));
        }
        if max_request_bytes > batch_memory {
            found.push((
                "server.max_request_bytes",
                "must be at most server.batch_memory, of which each request is a part",
            ));
        }
        found
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
