//! What no single value shows: what contradicts another, what is refused in production, and what is unwise there.

use std::{net::IpAddr, path::Path};

use cqar_api::listen::{Protocol, ServerTls};

use super::{
    environment::is_guarded,
    sections::{Auth, Config, Plugins, Server, Trust},
};

/// A key, and what is wrong with its value. It shows nothing of a secret.
pub type Violation = (&'static str, String);

/// As many characters as 128 bits have in hexadecimal.
const MIN_KEY_CHARS: usize = 32;

/// Everything that stops the start. `names_database` is whether anybody said where the database is.
pub fn violations(config: &Config, names_database: bool) -> Vec<Violation> {
    let mut found = contradictions(config);
    if is_guarded(&config.service.env) {
        found.extend(unsafe_in_production(config, names_database));
    }
    found
}

fn contradictions(config: &Config) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut add = |key, message: &str| found.push((key, message.to_owned()));
    let Server { host, grpc_port, http_port, max_request_bytes, batch_memory, .. } = &config.server;
    if config.contents.is_nobody_known() && !host.is_empty() && !is_loopback(host) {
        add("server.host", "must be a loopback address while nobody has a key: set AUTH_API_KEYS=KEY:NAME,…");
    }
    let same = |a: u16, b: u16| a != 0 && a == b;
    if same(*grpc_port, *http_port) {
        add("server.http_port", "must differ from server.grpc_port");
    }
    let metrics = &config.metrics;
    if metrics.enabled && (same(*grpc_port, metrics.port) || same(*http_port, metrics.port)) {
        add("metrics.port", "must differ from server.grpc_port and server.http_port");
    }
    if max_request_bytes > batch_memory {
        add("server.max_request_bytes", "must be at most server.batch_memory, of which each request is a part");
    }
    let database = &config.database;
    if !database.location.is_sqlite() && database.max_conns.get() < cqar_store::MIN_POSTGRES_CONNECTIONS {
        add(
            "database.max_conns",
            "must be at least 5 with PostgreSQL: two are for writes, one is the relay's, one listens",
        );
    }
    if database.min_conns > database.max_conns.get() {
        add("database.min_conns", "must be at most database.max_conns");
    }
    if database.ssl_cert.is_empty() != database.ssl_key.is_empty() {
        add("database.ssl_cert", "must be set together with database.ssl_key");
    }
    for (key, cert, private_key) in [
        ("cache.tls_cert_file", &config.cache.tls_cert_file, &config.cache.tls_key_file),
        ("eventbus.tls_cert_file", &config.eventbus.tls_cert_file, &config.eventbus.tls_key_file),
        ("tracing.tls_cert_file", &config.tracing.tls_cert_file, &config.tracing.tls_key_file),
    ] {
        if is_empty(cert) != is_empty(private_key) {
            add(key, "must be set together with the tls_key_file beside it");
        }
    }
    if let Some(identity) = &config.contents.grpc_tls
        && let Err(error) = ServerTls::new(identity, Protocol::Http2)
    {
        add("server.tls_cert_file", &format!("cannot be shown: {error}"));
    }
    for (key, why) in unused_tls(config) {
        add(key, why);
    }
    for (key, file) in files(config) {
        if !is_empty(file)
            && let Err(error) = std::fs::File::open(file)
        {
            add(key, &format!("names {}, which cannot be read: {error}", shown_path(file)));
        }
    }
    let bus = &config.eventbus;
    let credentials = [
        !bus.username.is_empty(),
        !bus.token.expose().is_empty(),
        !bus.nkey.expose().is_empty(),
        !is_empty(&bus.credentials_file),
    ];
    if credentials.iter().filter(|is_given| **is_given).count() > 1 {
        add(
            "eventbus.username",
            "is one of four ways to say who publishes: set one of username, token, nkey and credentials_file",
        );
    }
    if bus.username.is_empty() && !bus.password.expose().is_empty() {
        add("eventbus.username", "must be set beside eventbus.password");
    }
    let plugins = &config.plugins;
    if plugins.call_timeout < plugins.deadline {
        add("plugins.call_timeout", "must be at least plugins.deadline, which is a part of it");
    }
    if plugins.trust == Trust::Signed && plugins.trusted_keys.is_empty() {
        add("plugins.trusted_keys", "must name a key while plugins.trust is `signed`: nothing could serve");
    }
    if plugins.memory_budget < plugins.memory {
        add("plugins.memory_budget", "must be at least plugins.memory, which each plugin is guaranteed");
    }
    found
}

/// Files of TLS that nothing would look at: who sets them means to be safe by them.
fn unused_tls(config: &Config) -> Vec<(&'static str, &'static str)> {
    let Config { database, cache, eventbus, tracing, .. } = config;
    let any = |files: [&Path; 3]| files.iter().any(|file| !is_empty(file));
    let mut found = Vec::new();
    let server = &config.server;
    if any([&server.tls_cert_file, &server.tls_key_file, &server.tls_client_ca_file])
        && !server.tls_enabled
        && !server.http_tls_enabled
    {
        found.push(("server.tls_enabled", "must be true where a file of TLS is named, or the port speaks plaintext"));
    }
    if !is_empty(&server.tls_client_ca_file) && !server.tls_enabled {
        found.push(("server.tls_client_ca_file", "is looked at by the gRPC port: set server.tls_enabled"));
    }
    if !database.ssl_root_cert.is_empty() && !database.location.verifies() {
        found.push((
            "database.ssl_root_cert",
            "is looked at with verify-ca and verify-full alone: set database.ssl_mode",
        ));
    }
    if any([&cache.tls_ca_file, &cache.tls_cert_file, &cache.tls_key_file]) && !cache.tls_enabled {
        found.push((
            "cache.tls_enabled",
            "must be true where a file of TLS is named, or Redis is spoken to in plaintext",
        ));
    }
    let is_tls = eventbus.tls_enabled || eventbus.servers.iter().all(|server| server.starts_with("tls://"));
    if any([&eventbus.tls_ca_file, &eventbus.tls_cert_file, &eventbus.tls_key_file]) && !is_tls {
        found.push((
            "eventbus.tls_enabled",
            "must be true where a file of TLS is named, or the server decides whether it is used",
        ));
    }
    if any([&tracing.tls_ca_file, &tracing.tls_cert_file, &tracing.tls_key_file]) && !tracing.endpoint.is_tls() {
        found.push((
            "tracing.endpoint",
            "must begin with https:// where a file of TLS is named, or spans are sent in plaintext",
        ));
    }
    found
}

/// A path, if it looks like one: what was meant for another key must not be shown for it, a private key least of all.
pub fn shown_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_path =
        ["/", "./", "../"].iter().any(|begin| text.starts_with(begin)) && text.len() < 512 && !text.contains('\n');
    if is_path {
        format!("the file {text}")
    } else {
        "something that is no path beginning with / or . (not shown)".to_owned()
    }
}

/// Files that are read at the start or with each connection.
fn files(config: &Config) -> [(&'static str, &Path); 13] {
    let Config { database, cache, eventbus, tracing, .. } = config;
    [
        ("database.ssl_root_cert", Path::new(&database.ssl_root_cert)),
        ("database.ssl_cert", Path::new(&database.ssl_cert)),
        ("database.ssl_key", Path::new(&database.ssl_key)),
        ("cache.tls_ca_file", &cache.tls_ca_file),
        ("cache.tls_cert_file", &cache.tls_cert_file),
        ("cache.tls_key_file", &cache.tls_key_file),
        ("eventbus.credentials_file", &eventbus.credentials_file),
        ("eventbus.tls_ca_file", &eventbus.tls_ca_file),
        ("eventbus.tls_cert_file", &eventbus.tls_cert_file),
        ("eventbus.tls_key_file", &eventbus.tls_key_file),
        ("tracing.tls_ca_file", &tracing.tls_ca_file),
        ("tracing.tls_cert_file", &tracing.tls_cert_file),
        ("tracing.tls_key_file", &tracing.tls_key_file),
    ]
}

fn unsafe_in_production(config: &Config, names_database: bool) -> Vec<Violation> {
    let env = &config.service.env;
    let mut found = Vec::new();
    let Auth { api_keys, .. } = &config.auth;
    if config.contents.is_nobody_known() {
        found.push(("auth.api_keys", format!("must be set with SERVICE_ENV={env}: AUTH_API_KEYS=KEY:NAME,…")));
    }
    for short in api_keys.iter().filter(|key| key.key.expose().chars().count() < MIN_KEY_CHARS) {
        let message = format!(
            "must have keys of at least {MIN_KEY_CHARS} characters with SERVICE_ENV={env}, and that of {} is shorter: make one with \
             `openssl rand -base64 32`",
            short.name
        );
        found.push(("auth.api_keys", message));
    }
    if !names_database {
        let message = format!(
            "must be named with SERVICE_ENV={env}, or all data would be in a file of the pod: DATABASE_HOST=HOST with DATABASE_USER, \
             DATABASE_PASSWORD and DATABASE_DATABASE, or DATABASE_URL=postgres://…, or, if one file is meant, DATABASE_URL=sqlite://PATH"
        );
        found.push(("database.url", message));
    }
    for (key, secret) in secrets(config) {
        if is_unexpanded(secret) {
            let variable = key.replace('.', "_").to_ascii_uppercase();
            found.push((
                key,
                format!("reads like ${{NAME}}, which nothing expanded: set {variable} to the value, or {variable}_FILE to a file with it"),
            ));
        }
    }
    found
}

fn secrets(config: &Config) -> Vec<(&'static str, &str)> {
    let mut secrets = vec![
        ("database.url", config.database.url.expose()),
        ("database.password", config.database.password.expose()),
        ("cache.password", config.cache.password.expose()),
        ("eventbus.password", config.eventbus.password.expose()),
        ("eventbus.token", config.eventbus.token.expose()),
        ("eventbus.nkey", config.eventbus.nkey.expose()),
    ];
    secrets.extend(config.auth.api_keys.iter().map(|key| ("auth.api_keys", key.key.expose())));
    secrets
}

/// What a template's reference begins and ends with: `${NAME}`, and `$(NAME)` as Kubernetes writes it.
const REFERENCES: [(&str, char); 2] = [("${", '}'), ("$(", ')')];

/// Whether a text is a reference as a whole; or, where it is a URL, has one in it.
pub fn is_unexpanded(text: &str) -> bool {
    let is_whole = |(open, close): (&str, char)| text.starts_with(open) && text.ends_with(close);
    if text.contains("://") { holds_reference(text) } else { REFERENCES.into_iter().any(is_whole) }
}

fn holds_reference(text: &str) -> bool {
    REFERENCES.into_iter().any(|(open, close)| text.split_once(open).is_some_and(|(_, rest)| rest.contains(close)))
}

/// What is unwise where the environment is guarded, and what is missing: what `cqar config check --strict` finds.
pub fn findings(config: &Config) -> Vec<Violation> {
    let mut found = Vec::new();
    let Plugins { dir, required, .. } = &config.plugins;
    for plugin in required {
        let file = dir.join(format!("{plugin}.wasm"));
        if !file.is_file() {
            let message = format!(
                "names {plugin}, and there is no {}: what it judges would be answered UNAVAILABLE, and the server be degraded",
                file.display()
            );
            found.push(("plugins.required", message));
        }
    }
    if !is_guarded(&config.service.env) {
        return found;
    }
    let level = config.log.level.to_ascii_lowercase();
    if level.contains("debug") || level.contains("trace") {
        found.push(("log.level", "logs every request: info is meant for production".to_owned()));
    }
    for (key, _) in secrets(config).into_iter().filter(|(_, secret)| holds_reference(secret) && !is_unexpanded(secret))
    {
        found.push((
            key,
            "has a ${NAME} in it: right only if the secret itself reads so, as nothing expands it".to_owned(),
        ));
    }
    if !config.service.mesh {
        found.extend(plaintext(config));
    }
    found.extend(connection_arithmetic(config));
    found
}

/// What goes over the network as it is.
fn plaintext(config: &Config) -> Vec<Violation> {
    const MESH: &str = "or service.mesh: true where a mesh encrypts it";
    let mut found = Vec::new();
    let url = config.database.location.expose();
    if ["sslmode=disable", "sslmode=prefer"].iter().any(|mode| url.contains(mode)) {
        found.push(("database.ssl_mode", format!("allows plaintext: set verify-full or require, {MESH}")));
    }
    if url.contains("sslmode=verify-ca") {
        found.push((
            "database.ssl_mode",
            "takes any host that a public authority signed for, too: set verify-full".to_owned(),
        ));
    }
    let cache = &config.cache;
    if cache.enabled && !cache.host.is_empty() && !cache.tls_enabled {
        found.push(("cache.tls_enabled", format!("is false: set it, {MESH}")));
    }
    let bus = &config.eventbus;
    let is_plain = |server: &String| !server.starts_with("tls://");
    if !bus.tls_enabled && bus.servers.iter().any(is_plain) {
        found.push(("eventbus.tls_enabled", format!("is false: set it, {MESH}")));
    }
    if config.tracing.enabled && !config.tracing.endpoint.is_tls() {
        found.push(("tracing.endpoint", format!("is plaintext: write https://, {MESH}")));
    }
    if !config.server.tls_enabled && !is_loopback(config.listen_host()) {
        found.push(("server.tls_enabled", format!("is false: set it, {MESH}")));
    }
    found
}

/// Three replicas, and the one more that a rolling update adds.
const SERVERS: u32 = 4;
/// PostgreSQL's own default, of which three are for its administrators.
const DEFAULT_MAX_CONNECTIONS: u32 = 97;

fn connection_arithmetic(config: &Config) -> Option<Violation> {
    let database = &config.database;
    let all = database.max_conns.get().saturating_mul(SERVERS);
    let is_too_many = !database.location.is_sqlite() && all > DEFAULT_MAX_CONNECTIONS;
    is_too_many.then(|| {
        let message = format!(
            "is {}: three replicas and the one more of a rolling update take up to {all} connections, and a PostgreSQL with its default \
             max_connections has {DEFAULT_MAX_CONNECTIONS} for them",
            database.max_conns
        );
        ("database.max_conns", message)
    })
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
