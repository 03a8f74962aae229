//! The table of keys: every setting, its environment variable, and what is allowed.

/// What may be shown of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Open,
    /// Nothing.
    Secret,
    /// All but the credentials in a URL.
    Url,
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// The environment variable, if it has one.
    pub variable: Option<&'static str>,
    /// What is allowed, to follow "must be".
    pub allowed: &'static str,
    /// What may be shown.
    pub secrecy: Secrecy,
}

const DURATION: &str = "a duration such as 50ms, 30s, 15m or 1h";
const TIMEOUT: &str = "a duration from 1ms to 24h, such as 50ms, 30s or 15m";
const SIZE: &str = "a size in bytes such as 512KiB, 64MiB or 1GiB";
const PORT: &str = "a port, 0 to 65535 (0 takes a free one)";
const SWITCH: &str = "true or false";
const TEXT: &str = "text";
const COUNT: &str = "a whole number, 1 or more";
const COUNT_OR_0: &str = "a whole number, 0 or more";
const DIRECTORY: &str = "a directory";
const NAMES: &str = "names of plugins, as a list or separated by commas";

/// The table. It is explicit because a variable cut at each `_` would read `DATABASE_MAX_CONNS` as a section `max`.
pub const KEYS: &[Key] = &[
    open("server.host", "SERVER_HOST", "a host name or an IP address, or empty"),
    open("server.grpc_port", "SERVER_GRPC_PORT", PORT),
    open("server.http_port", "SERVER_HTTP_PORT", PORT),
    open("server.metrics_port", "SERVER_METRICS_PORT", PORT),
    open("server.shutdown_timeout", "SERVER_SHUTDOWN_TIMEOUT", DURATION),
    open("server.max_request_bytes", "SERVER_MAX_REQUEST_BYTES", SIZE),
    open("server.batch_memory", "SERVER_BATCH_MEMORY", "a size in bytes of at least 128MiB"),
    open("server.reflection_requires_key", "SERVER_REFLECTION_REQUIRES_KEY", SWITCH),
    open("server.min_revision_timeout", "SERVER_MIN_REVISION_TIMEOUT", TIMEOUT),
    url("database.url", "DATABASE_URL", "sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME"),
    open("database.max_conns", "DATABASE_MAX_CONNS", COUNT),
    open("database.acquire_timeout", "DATABASE_ACQUIRE_TIMEOUT", TIMEOUT),
    open("database.connect_timeout", "DATABASE_CONNECT_TIMEOUT", TIMEOUT),
    open("database.query_timeout", "DATABASE_QUERY_TIMEOUT", TIMEOUT),
    open("database.max_waiting_writes", "DATABASE_MAX_WAITING_WRITES", COUNT_OR_0),
    open("database.statement_cache", "DATABASE_STATEMENT_CACHE", COUNT_OR_0),
    open("cache.enabled", "CACHE_ENABLED", SWITCH),
    open("cache.max_bytes", "CACHE_MAX_BYTES", SIZE),
    open("cache.host", "CACHE_HOST", "a host name or an IP address, or empty"),
    open("cache.port", "CACHE_PORT", "a port, 1 to 65535"),
    open("cache.username", "CACHE_USERNAME", TEXT),
    secret("cache.password", "CACHE_PASSWORD", TEXT),
    open("cache.db", "CACHE_DB", COUNT_OR_0),
    open("cache.timeout", "CACHE_TIMEOUT", TIMEOUT),
    url(
        "eventbus.servers",
        "EVENTBUS_SERVERS",
        "host:port or nats://host:port without credentials, separated by commas",
    ),
    open("eventbus.stream", "EVENTBUS_STREAM", "the name of a stream: letters, digits, `_` and `-`"),
    open(
        "eventbus.subject_prefix",
        "EVENTBUS_SUBJECT_PREFIX",
        "tokens of letters, digits, `_` and `-`, separated by dots",
    ),
    open("eventbus.username", "EVENTBUS_USERNAME", TEXT),
    secret("eventbus.password", "EVENTBUS_PASSWORD", TEXT),
    secret("eventbus.token", "EVENTBUS_TOKEN", TEXT),
    open("eventbus.duplicate_window", "EVENTBUS_DUPLICATE_WINDOW", DURATION),
    open("eventbus.replicas", "EVENTBUS_REPLICAS", "1 to 5"),
    open("plugins.dir", "PLUGINS_DIR", DIRECTORY),
    open("plugins.data_dir", "PLUGINS_DATA_DIR", DIRECTORY),
    open("plugins.required", "PLUGINS_REQUIRED", NAMES),
    open("plugins.transforms", "PLUGINS_TRANSFORMS", NAMES),
    Key {
        path: "plugins.settings",
        variable: None,
        allowed: "for each plugin's name, a map of its settings",
        secrecy: Secrecy::Open,
    },
    open(
        "plugins.grants",
        "PLUGINS_GRANTS",
        "NAME:registry for each plugin that may look up, as a list or separated by commas",
    ),
    open("plugins.deadline", "PLUGINS_DEADLINE", TIMEOUT),
    open("plugins.call_timeout", "PLUGINS_CALL_TIMEOUT", TIMEOUT),
    open("plugins.memory", "PLUGINS_MEMORY", SIZE),
    open("plugins.reuse_memory", "PLUGINS_REUSE_MEMORY", SIZE),
    open("plugins.memory_budget", "PLUGINS_MEMORY_BUDGET", SIZE),
    open("plugins.output", "PLUGINS_OUTPUT", SIZE),
    open("plugins.concurrency", "PLUGINS_CONCURRENCY", COUNT),
    open("plugins.trust", "PLUGINS_TRUST", "any or signed"),
    open("plugins.trusted_keys", "PLUGINS_TRUSTED_KEYS", "minisign public keys, as a list or separated by commas"),
    open("plugins.compile_memory", "PLUGINS_COMPILE_MEMORY", SIZE),
    open("plugins.compiled_dir", "PLUGINS_COMPILED_DIR", "a directory, or empty"),
    secret(
        "auth.api_keys",
        "AUTH_API_KEYS",
        "KEY:NAME pairs, separated by commas; names of letters, digits, `_`, `-`, `.` and `@`",
    ),
    open(
        "log.level",
        "LOG_LEVEL",
        "off, error, warn, info, debug or trace, or directives such as info,cqar_store=debug",
    ),
    open("log.format", "LOG_FORMAT", "auto, json or text"),
    open("tracing.enabled", "TRACING_ENABLED", SWITCH),
    url("tracing.endpoint", "TRACING_ENDPOINT", "an http:// URL"),
    open("tracing.sample_rate", "TRACING_SAMPLE_RATE", "a number from 0 to 1"),
];

/// The free-form part: what is below belongs to the plugins.
pub const PLUGIN_SETTINGS: &str = "plugins.settings";

/// The key that is, or that holds, this path.
pub fn holding(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| path == key.path || path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether the path is a known key, or a plugin's setting.
pub fn is_known(path: &str) -> bool {
    holding(path).is_some_and(|key| key.path == path || key.path == PLUGIN_SETTINGS)
}

/// The keys of a section, without its name; none if there is no such section.
pub fn in_section(section: &str) -> Vec<&'static str> {
    KEYS.iter()
        .filter_map(|key| key.path.split_once('.'))
        .filter(|(own, _)| *own == section)
        .map(|(_, name)| name)
        .collect()
}

/// The known key that is most like this path.
pub fn nearest(path: &str) -> &'static str {
    KEYS.iter()
        .map(|key| key.path)
        .max_by(|a, b| strsim::jaro_winkler(path, a).total_cmp(&strsim::jaro_winkler(path, b)))
        .unwrap_or(PLUGIN_SETTINGS)
}

/// The variable of the table that this one was probably meant to be: one of the same section with a similar name, or
/// one that is two strokes away. `None` for the table's own, and for those that other programs use.
pub fn near_miss(variable: &str) -> Option<&'static str> {
    const SIMILAR: f64 = 0.85;
    const STROKES: usize = 2;
    let variables = || KEYS.iter().filter_map(|key| key.variable);
    if variables().any(|known| known == variable) {
        return None;
    }
    let upper = variable.to_ascii_uppercase();
    let likeness = |known: &str| {
        let same_section = match (upper.split_once('_'), known.split_once('_')) {
            (Some((section, name)), Some((known_section, known_name))) if section == known_section => {
                strsim::jaro_winkler(name, known_name)
            }
            _ => 0.0,
        };
        let close = strsim::damerau_levenshtein(&upper, known) <= STROKES;
        if close { 1.0 } else { same_section }
    };
    variables()
        .map(|known| (likeness(known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .map(|(_, known)| known)
}

const fn open(path: &'static str, variable: &'static str, allowed: &'static str) -> Key {
    Key { path, variable: Some(variable), allowed, secrecy: Secrecy::Open }
}

const fn secret(path: &'static str, variable: &'static str, allowed: &'static str) -> Key {
    Key { path, variable: Some(variable), allowed, secrecy: Secrecy::Secret }
}

const fn url(path: &'static str, variable: &'static str, allowed: &'static str) -> Key {
    Key { path, variable: Some(variable), allowed, secrecy: Secrecy::Url }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_its_key_in_capitals() {
        for key in KEYS.iter().filter(|key| key.path != PLUGIN_SETTINGS) {
            assert_eq!(key.variable, Some(key.path.replace('.', "_").to_ascii_uppercase().as_str()), "{}", key.path);
        }
    }

    #[test]
    fn a_variable_that_nearly_matches_is_found_and_a_foreign_one_is_not() {
        assert_eq!(near_miss("SERVER_GRPCPORT"), Some("SERVER_GRPC_PORT"));
        assert_eq!(near_miss("DATABASE_MAX_CONNECTIONS"), Some("DATABASE_MAX_CONNS"));
        assert_eq!(near_miss("AUTH_API_KEY"), Some("AUTH_API_KEYS"));
        assert_eq!(near_miss("SERVR_HOST"), Some("SERVER_HOST"));
        assert_eq!(near_miss("database_url"), Some("DATABASE_URL"));
        for foreign in ["DATABASE_URL", "PATH", "HOME", "SERVER_NAME", "LOG_FILE", "CARGO_HOME", "SERVICE_ENV"] {
            assert_eq!(near_miss(foreign), None, "{foreign}");
        }
    }
}
