//! From the configuration to the settings of each part.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cqar_api::{
    GrpcSettings,
    auth::Callers,
    listen::{Identity, Protocol, ServerTls, TlsError},
};
use cqar_cache::{Bounds, L2Settings, L2Tls};
use cqar_events::relay::{Credentials, RelaySettings, RelayTls};
use cqar_plugins::{CompilerConfig, HostConfig, Limits, PluginSettings, SETTLE_TIMEOUT, START_TIMEOUT, TimeLimit};
use cqar_registry::ReadLimits;
use cqar_store::StoreSettings;

use super::listeners::PortsTls;
use crate::config::{
    contents::Contents,
    sections::{self, Config, Trust},
};

/// How to reach the configured database.
pub fn store_settings(database: &sections::Database) -> StoreSettings {
    StoreSettings {
        url: database.location.expose().to_owned(),
        max_connections: database.max_conns.get(),
        min_connections: database.min_conns,
        max_lifetime: database.max_conn_lifetime,
        idle_timeout: database.max_conn_idle_time,
        connect_timeout: database.connect_timeout,
        query_timeout: database.query_timeout,
        max_waiting_writes: database.max_waiting_writes,
        statement_cache: database.statement_cache,
    }
}

/// How long reads wait, and what is cached is served.
pub fn read_limits(server: &sections::Server) -> ReadLimits {
    ReadLimits { min_revision_timeout: server.min_revision_timeout, stale_reads: server.stale_reads }
}

/// What the caches of this process may have; none if they are off.
pub fn cache_bounds(cache: &sections::Cache) -> Option<Bounds> {
    cache.enabled.then_some(Bounds { max_bytes: cache.max_bytes as u64, default_ttl: cache.default_ttl })
}

/// What is said of plugins, and may be changed while they run.
pub fn plugin_settings(plugins: &sections::Plugins) -> PluginSettings {
    let settings: BTreeMap<String, serde_json::Value> =
        plugins.settings.iter().map(|(name, settings)| (name.clone(), settings.clone().into())).collect();
    PluginSettings {
        settings,
        grants: plugins.grants.clone(),
        limits: Limits {
            call: TimeLimit { guest: plugins.deadline, total: plugins.call_timeout },
            memory_bytes: plugins.memory,
            reuse_bytes: plugins.reuse_memory,
            output_bytes: plugins.output,
            concurrency: plugins.concurrency.get(),
            ..Limits::default()
        },
    }
}

/// How plugins run.
pub fn host_config(plugins: &sections::Plugins) -> HostConfig {
    HostConfig {
        dir: plugins.dir.clone(),
        data_dir: plugins.data_dir.clone(),
        required: plugins.required.clone(),
        transforms: plugins.transforms.clone(),
        plugins: plugin_settings(plugins),
        compiler: CompilerConfig {
            // The file that lies on the disk may be another build by now.
            program: "/proc/self/exe".into(),
            cache_dir: if plugins.compiled_dir.as_os_str().is_empty() {
                plugins.data_dir.join("compiled")
            } else {
                plugins.compiled_dir.clone()
            },
            memory_bytes: plugins.compile_memory as u64,
        },
        memory_budget_bytes: plugins.memory_budget,
        trusted_keys: (plugins.trust == Trust::Signed).then(|| plugins.trusted_keys.clone()),
        start_timeout: START_TIMEOUT,
        settle_timeout: SETTLE_TIMEOUT,
    }
}

/// How to reach Redis, if it is used.
pub fn l2_settings(cache: &sections::Cache) -> Option<L2Settings> {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let host = given(&cache.host).filter(|_| cache.enabled)?;
    Some(L2Settings {
        username: given(&cache.username),
        password: cache.password.given(),
        database: cache.db,
        timeout: cache.timeout,
        default_ttl: cache.default_ttl,
        tls: cache.tls_enabled.then(|| L2Tls {
            ca_file: file(&cache.tls_ca_file),
            client: pair(&cache.tls_cert_file, &cache.tls_key_file),
        }),
        ..L2Settings::at(host, cache.port.get())
    })
}

/// How to reach the event bus, if there is one.
pub fn relay_settings(bus: &sections::EventBus) -> Option<RelaySettings> {
    if bus.servers.is_empty() {
        return None;
    }
    // At most one of them is given.
    let credentials = match (bus.token.given(), bus.nkey.given(), file(&bus.credentials_file), bus.username.as_str()) {
        (Some(token), _, _, _) => Credentials::Token(token),
        (None, Some(seed), _, _) => Credentials::Nkey(seed),
        (None, None, Some(file), _) => Credentials::File(file),
        (None, None, None, "") => Credentials::None,
        (None, None, None, user) => {
            Credentials::UserAndPassword { user: user.to_owned(), password: bus.password.expose().to_owned() }
        }
    };
    Some(RelaySettings {
        servers: bus.servers.clone(),
        credentials,
        tls: RelayTls {
            is_required: bus.tls_enabled,
            ca_file: file(&bus.tls_ca_file),
            client: pair(&bus.tls_cert_file, &bus.tls_key_file),
        },
        stream: bus.stream_name.clone(),
        subject_prefix: bus.subject_prefix.clone(),
        duplicate_window: bus.duplicate_window,
        replicas: bus.replicas,
        ..RelaySettings::default()
    })
}

/// What the ports show of themselves.
pub fn ports_tls(contents: &Contents) -> Result<PortsTls, TlsError> {
    let tls = |identity: &Option<Identity>, protocol| {
        identity.as_ref().map(|identity| ServerTls::new(identity, protocol)).transpose()
    };
    Ok(PortsTls { grpc: tls(&contents.grpc_tls, Protocol::Http2)?, http: tls(&contents.http_tls, Protocol::Http1)? })
}

/// How the gRPC port behaves.
pub fn grpc_settings(config: &Config, callers: Callers) -> GrpcSettings {
    GrpcSettings {
        max_request_bytes: config.server.max_request_bytes,
        batch_memory_bytes: config.server.batch_memory,
        reflection_requires_key: config.server.reflection_requires_key,
        callers,
        trace_sample_rate: if config.tracing.enabled { config.tracing.sample_rate } else { 0.0 },
    }
}

fn file(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

fn pair(cert: &Path, key: &Path) -> Option<(PathBuf, PathBuf)> {
    file(cert).zip(file(key))
}
