//! The settings as types, section by section. The table of keys says what each is for.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use cqar_plugins::TrustedKey;
use serde::Deserialize;

use super::{
    contents::Contents,
    database::{DatabaseUrl, SslMode},
    values::{self, ApiKey, OtlpEndpoint, Secret},
};

/// Every setting.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this deployment is.
    pub service: Service,
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
    /// What Prometheus scrapes.
    pub metrics: Metrics,
    /// Which spans are sent, and where.
    pub tracing: Tracing,
    /// What stands in the files that it names, read by [`Contents::read`].
    #[serde(skip)]
    pub contents: Contents,
}

/// What this deployment is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What traces call it.
    #[serde(deserialize_with = "values::label")]
    pub name: String,
    /// The version that traces show; empty means the binary's.
    pub version: String,
    /// As it was written; see [`super::environment::Environment`].
    pub env: String,
    /// Whether a mesh encrypts what goes between the pods.
    pub mesh: bool,
}

/// What Prometheus scrapes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Whether anything is.
    pub enabled: bool,
    /// The port of the metrics; 0 takes a free one.
    pub port: u16,
}

/// Where and how the server listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address; empty means that [`Config::listen_host`] chooses.
    #[serde(deserialize_with = "values::host")]
    pub host: String,
    /// The port of gRPC; 0 takes a free one.
    pub grpc_port: u16,
    /// The port of HTTP; 0 takes a free one.
    pub http_port: u16,
    /// How long the start waits for the database.
    #[serde(deserialize_with = "values::timeout")]
    pub start_timeout: Duration,
    /// How long running calls may take to end.
    #[serde(deserialize_with = "values::duration")]
    pub shutdown_timeout: Duration,
    /// How long it goes on accepting after SIGTERM; none where the environment says.
    #[serde(deserialize_with = "values::duration_or_auto")]
    pub drain_delay: Option<Duration>,
    /// The most connections of the gRPC port.
    pub max_connections: NonZeroU32,
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
    /// For how long the cache is served while the database is away.
    #[serde(deserialize_with = "values::duration")]
    pub stale_reads: Duration,
    /// Whether the gRPC port speaks TLS.
    pub tls_enabled: bool,
    /// Whether the HTTP ports do.
    pub http_tls_enabled: bool,
    /// The certificate of the ports.
    pub tls_cert_file: PathBuf,
    /// Its key.
    pub tls_key_file: PathBuf,
    /// Who signs client certificates of the gRPC port; empty asks for none.
    pub tls_client_ca_file: PathBuf,
}

/// Where the registry is stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The whole of what the keys below say, made by [`super::database::locate`].
    #[serde(skip)]
    pub location: DatabaseUrl,
    /// A URL; empty means that the keys below say where it is.
    pub url: Secret,
    /// The host of PostgreSQL.
    #[serde(deserialize_with = "values::host")]
    pub host: String,
    /// Its port.
    pub port: NonZeroU16,
    /// Its user.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// The database; empty means that it is called as the user is.
    #[allow(clippy::struct_field_names, reason = "as DATABASE_DATABASE has it")]
    pub database: String,
    /// Whether connections are encrypted.
    pub ssl_mode: SslMode,
    /// Who may have signed the server's certificate; empty means none is named.
    pub ssl_root_cert: String,
    /// The client certificate; empty means none.
    pub ssl_cert: String,
    /// Its key; empty means none.
    pub ssl_key: String,
    /// The most connections.
    pub max_conns: NonZeroU32,
    /// Connections for reads that are kept open.
    pub min_conns: u32,
    /// After how long a connection is replaced.
    #[serde(deserialize_with = "values::timeout")]
    pub max_conn_lifetime: Duration,
    /// After how long without use one is closed.
    #[serde(deserialize_with = "values::timeout")]
    pub max_conn_idle_time: Duration,
    /// How long waiting for a connection, or making one, may take.
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
    /// How long what is kept longest stays.
    #[serde(deserialize_with = "values::timeout")]
    pub default_ttl: Duration,
    /// The host of Redis; empty means none.
    #[serde(deserialize_with = "values::host")]
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
    /// Whether it is spoken to over TLS.
    pub tls_enabled: bool,
    /// Who may have signed its certificate; empty means the system's authorities.
    pub tls_ca_file: PathBuf,
    /// The client certificate; empty means none.
    pub tls_cert_file: PathBuf,
    /// Its key; empty means none.
    pub tls_key_file: PathBuf,
    /// Without effect.
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub max_retries: u32,
    /// Without effect.
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub min_idle_conns: u32,
    /// Without effect.
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub pool_size: NonZeroU32,
}

/// Where events are published.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBus {
    /// What publishes them.
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub backend: Backend,
    /// NATS servers; none means that nothing is published.
    #[serde(deserialize_with = "values::servers")]
    pub servers: Vec<String>,
    /// The stream.
    #[serde(deserialize_with = "values::token")]
    pub stream_name: String,
    /// What comes before the event's type in a subject.
    #[serde(deserialize_with = "values::subject")]
    pub subject_prefix: String,
    /// Empty means none.
    pub username: String,
    /// Empty means none.
    pub password: Secret,
    /// Empty means none.
    pub token: Secret,
    /// The seed of an nkey; empty means none.
    #[serde(deserialize_with = "values::nkey_seed")]
    pub nkey: Secret,
    /// A JWT and the seed of its nkey; empty means none.
    pub credentials_file: PathBuf,
    /// Whether the servers must be spoken to over TLS.
    pub tls_enabled: bool,
    /// Who may have signed their certificates; empty means the system's authorities.
    pub tls_ca_file: PathBuf,
    /// The client certificate; empty means none.
    pub tls_cert_file: PathBuf,
    /// Its key; empty means none.
    pub tls_key_file: PathBuf,
    /// The stream's window for duplicates.
    #[serde(deserialize_with = "values::duration")]
    pub duplicate_window: Duration,
    /// How many servers keep each message.
    #[serde(deserialize_with = "values::replicas")]
    pub replicas: usize,
    /// Without effect.
    #[serde(deserialize_with = "values::token")]
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub consumer_name: String,
    /// Without effect.
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub max_deliver: NonZeroU32,
    /// Without effect.
    #[serde(deserialize_with = "values::timeout")]
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub ack_wait: Duration,
    /// Without effect.
    #[expect(dead_code, reason = "it is checked, and has no effect")]
    pub max_ack_pending: NonZeroU32,
}

/// What publishes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// NATS JetStream.
    Jetstream,
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
    /// Keys with all scopes.
    #[serde(deserialize_with = "values::api_keys")]
    pub api_keys: Vec<ApiKey>,
    /// Callers with what each may do; empty means none.
    pub keys_file: PathBuf,
    /// A directory with a file for the key of each caller; empty means none.
    pub keys_dir: PathBuf,
    /// How many calls a caller may begin within a second, unless its entry says otherwise; 0 for any number.
    pub requests_per_second: u32,
    /// How many of its calls may be unanswered at once.
    pub concurrent_calls: NonZeroUsize,
    /// How many streams it may have open.
    pub streams: NonZeroUsize,
    /// How many bytes of its requests may be unanswered at once.
    #[serde(deserialize_with = "values::byte_size")]
    pub bytes_in_flight: usize,
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
    /// Whether each line says where in the code it is from.
    pub add_caller: bool,
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
    pub endpoint: OtlpEndpoint,
    /// The share of requests that is traced, 0 to 1.
    #[serde(deserialize_with = "values::share")]
    pub sample_rate: f64,
    /// Who may have signed its certificate; empty means the system's authorities.
    pub tls_ca_file: PathBuf,
    /// The client certificate; empty means none.
    pub tls_cert_file: PathBuf,
    /// Its key; empty means none.
    pub tls_key_file: PathBuf,
}

impl Config {
    /// The address to listen on: as configured, else every address, or only loopback while nobody has a key.
    pub fn listen_host(&self) -> &str {
        match (self.server.host.as_str(), self.contents.callers.is_empty()) {
            ("", true) => "127.0.0.1",
            ("", false) => "0.0.0.0",
            (host, _) => host,
        }
    }

    /// This configuration, with what of another acts without a restart (`Effect::Reloads` in the table of keys).
    pub fn with_reloaded(&self, new: &Self) -> Self {
        let mut config = self.clone();
        config.auth = new.auth.clone();
        config.contents = new.contents.clone();
        config.server.tls_cert_file.clone_from(&new.server.tls_cert_file);
        config.server.tls_key_file.clone_from(&new.server.tls_key_file);
        config.server.tls_client_ca_file.clone_from(&new.server.tls_client_ca_file);
        config.log.level.clone_from(&new.log.level);
        config.server.stale_reads = new.server.stale_reads;
        config.server.min_revision_timeout = new.server.min_revision_timeout;
        config.database.max_waiting_writes = new.database.max_waiting_writes;
        let (plugins, new) = (&mut config.plugins, &new.plugins);
        plugins.settings.clone_from(&new.settings);
        plugins.grants.clone_from(&new.grants);
        plugins.deadline = new.deadline;
        plugins.call_timeout = new.call_timeout;
        plugins.output = new.output;
        plugins.memory = new.memory;
        plugins.concurrency = new.concurrency;
        plugins.reuse_memory = new.reuse_memory;
        config
    }
}
