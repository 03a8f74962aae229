//! Every wrong value of every key, and what is said of it.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{refused, with};
use crate::config::keys::{self, PLUGIN_SETTINGS};

/// A variable, and a value that is refused.
const WRONG: &[(&str, &str)] = &[
    ("SERVICE_NAME", ""),
    ("SERVICE_NAME", "two words"),
    ("SERVICE_ENV", "prodution"),
    ("SERVICE_ENV", "../prod"),
    ("SERVICE_MESH", "istio"),
    ("SERVER_HOST", "0.0.0.0"),
    ("SERVER_HOST", "http://localhost"),
    ("DATABASE_HOST", "u:p@h"),
    ("DATABASE_HOST", "${DB_HOST}"),
    ("CACHE_HOST", "redis://h"),
    ("DATABASE_URL", "postgres://h/d"),
    ("TRACING_ENDPOINT", "collector"),
    ("SERVER_GRPC_PORT", ""),
    ("SERVER_GRPC_PORT", "-1"),
    ("SERVER_GRPC_PORT", "65536"),
    ("SERVER_GRPC_PORT", "tcp://10.0.0.1:9090"),
    ("SERVER_HTTP_PORT", "70000"),
    ("SERVER_HTTP_PORT", "9090"),
    ("SERVER_HTTP_PORT", "9091"),
    ("SERVER_START_TIMEOUT", "0s"),
    ("SERVER_START_TIMEOUT", "25h"),
    ("SERVER_SHUTDOWN_TIMEOUT", "30"),
    ("SERVER_SHUTDOWN_TIMEOUT", "-1s"),
    ("SERVER_STALE_READS", "quarter"),
    ("SERVER_MIN_REVISION_TIMEOUT", "0ms"),
    ("SERVER_MAX_REQUEST_BYTES", "0"),
    ("SERVER_MAX_REQUEST_BYTES", "16 megs"),
    ("SERVER_MAX_REQUEST_BYTES", "300MiB"),
    ("SERVER_BATCH_MEMORY", "1MiB"),
    ("SERVER_REFLECTION_REQUIRES_KEY", "maybe"),
    ("SERVER_TLS_ENABLED", "true"),
    ("SERVER_TLS_ENABLED", "perhaps"),
    ("SERVER_HTTP_TLS_ENABLED", "perhaps"),
    ("SERVER_HTTP_TLS_ENABLED", "true"),
    ("SERVER_TLS_CERT_FILE", "/nonexistent/cert.pem"),
    ("SERVER_TLS_KEY_FILE", "/nonexistent/key.pem"),
    ("SERVER_TLS_CLIENT_CA_FILE", "/nonexistent/ca.pem"),
    ("SERVER_DRAIN_DELAY", "soon"),
    ("SERVER_MAX_CONNECTIONS", "0"),
    ("AUTH_KEYS_FILE", "/nonexistent/keys.yaml"),
    ("AUTH_KEYS_FILE", "hidden-key"),
    ("AUTH_KEYS_DIR", "/nonexistent"),
    ("AUTH_REQUESTS_PER_SECOND", "-1"),
    ("AUTH_CONCURRENT_CALLS", "0"),
    ("AUTH_STREAMS", "many"),
    ("AUTH_BYTES_IN_FLIGHT", "much"),
    ("AUTH_API_KEYS", "hidden:system"),
    ("DATABASE_URL", "mysql://h/d"),
    ("DATABASE_URL", "postgres://"),
    ("DATABASE_URL", "postgres:///d"),
    ("DATABASE_URL", "postgres://u:hid#den@h/d"),
    ("DATABASE_URL", "postgres://u:hid/den@h/d"),
    ("DATABASE_URL", "postgres://u:hid?den@h/d"),
    ("DATABASE_URL", "postgres://u:hid@den@h/d"),
    ("DATABASE_URL", "postgres://u:hid%zen@h/d"),
    ("DATABASE_URL", "postgres://u:hid:den@h/d"),
    ("DATABASE_URL", "postgres://u:5432/hidden@h/d"),
    ("DATABASE_URL", "postgres://u:hidden@h:port/d"),
    ("DATABASE_URL", "postgres://u:hidden@h/d?sslmode=allow"),
    ("DATABASE_URL", "postgres://u:hidden@h/d?sslmode=Allow"),
    ("DATABASE_URL", "postgres://u:hidden@h/d?sslmode=allo%77"),
    ("DATABASE_URL", "postgres://u:hidden@h/d?sslmode=require&sslmode=allow"),
    ("DATABASE_URL", "postgres://u:hidden@h/d?ssl%6Dode=disable"),
    ("DATABASE_URL", "postgres://u@h/d?sslpassword=hidden"),
    ("DATABASE_URL", "postgres://u@h/d?password=a&hidden"),
    ("DATABASE_URL", "postgres://u:hid\tden@h/d"),
    ("DATABASE_URL", "postgres://u:hidden@:5432/d"),
    ("DATABASE_URL", "postgres://u:hidden@/d?host=x"),
    ("DATABASE_URL", "postgres://u:hidden@h1:5432,h2:5432/d"),
    ("DATABASE_URL", "postgres://u:hidden@fe80::1/d"),
    ("DATABASE_URL", "sqlite:"),
    ("DATABASE_URL", "sqlite:%66ile:/x%3Fvfs=memdb"),
    ("DATABASE_URL", "sqlite:sqlite:"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite::memory:"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("DATABASE_URL", "sqlite://:MEMORY:"),
    ("DATABASE_URL", "sqlite://%3amemory%3A"),
    ("DATABASE_URL", "sqlite:file::memory:?cache=shared"),
    ("DATABASE_URL", "sqlite://x.db?mode=memory"),
    ("DATABASE_URL", "sqlite://x.db?mode=ro"),
    ("DATABASE_URL", "sqlite://x.db?mode=rw"),
    ("DATABASE_URL", "sqlite://x.db?immutable=1"),
    ("DATABASE_URL", "sqlite://x.db?cache=shared"),
    ("DATABASE_URL", "sqlite://x.db?vfs=unix-none"),
    ("DATABASE_URL", "sqlite:file:x.db"),
    ("DATABASE_PORT", "0"),
    ("DATABASE_PORT", "5432"),
    ("DATABASE_PORT", "tcp://10.0.0.1:5432"),
    ("DATABASE_USER", "u"),
    ("DATABASE_HOST", "h"),
    ("DATABASE_PASSWORD", "hidden"),
    ("DATABASE_DATABASE", "d"),
    ("DATABASE_SSL_MODE", "allow"),
    ("DATABASE_SSL_MODE", "on"),
    ("DATABASE_SSL_ROOT_CERT", "/nowhere/ca.pem"),
    ("DATABASE_SSL_CERT", "/nowhere/cert.pem"),
    ("DATABASE_SSL_KEY", "/dev/null"),
    ("DATABASE_SSL_KEY", "-----BEGIN PRIVATE KEY----- hidden"),
    ("DATABASE_SSL_ROOT_CERT", "/dev/null"),
    ("DATABASE_MAX_CONNS", "0"),
    ("DATABASE_MAX_CONNS", "many"),
    ("DATABASE_MIN_CONNS", "-1"),
    ("DATABASE_MIN_CONNS", "17"),
    ("DATABASE_MAX_CONN_LIFETIME", "0s"),
    ("DATABASE_MAX_CONN_IDLE_TIME", "5"),
    ("DATABASE_CONNECT_TIMEOUT", "25h"),
    ("DATABASE_QUERY_TIMEOUT", "0s"),
    ("DATABASE_MAX_WAITING_WRITES", "none"),
    ("DATABASE_STATEMENT_CACHE", "-5"),
    ("CACHE_ENABLED", "maybe"),
    ("CACHE_MAX_BYTES", "0"),
    ("CACHE_DEFAULT_TTL", "60"),
    ("CACHE_PORT", "0"),
    ("CACHE_PORT", "tcp://10.96.0.7:6379"),
    ("CACHE_DB", "main"),
    ("CACHE_TIMEOUT", "0ms"),
    ("CACHE_TLS_ENABLED", "2"),
    ("CACHE_TLS_CA_FILE", "/nowhere/ca.pem"),
    ("CACHE_TLS_CA_FILE", "/dev/null"),
    ("CACHE_TLS_CERT_FILE", "/dev/null"),
    ("CACHE_TLS_KEY_FILE", "/dev/null"),
    ("CACHE_MAX_RETRIES", "often"),
    ("CACHE_MIN_IDLE_CONNS", "-1"),
    ("CACHE_POOL_SIZE", "0"),
    ("EVENTBUS_BACKEND", "kafka"),
    ("EVENTBUS_SERVERS", "nats://u:hidden@h"),
    ("EVENTBUS_SERVERS", "a b"),
    ("EVENTBUS_SERVERS", "http://a:4222"),
    ("EVENTBUS_SERVERS", "a:port"),
    ("EVENTBUS_STREAM_NAME", "a.b"),
    ("EVENTBUS_STREAM_NAME", ""),
    ("EVENTBUS_SUBJECT_PREFIX", "cqc..events"),
    ("EVENTBUS_SUBJECT_PREFIX", "cqc.>"),
    ("EVENTBUS_PASSWORD", "hidden"),
    ("EVENTBUS_NKEY", "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"),
    ("EVENTBUS_CREDENTIALS_FILE", "/nowhere/user.creds"),
    ("EVENTBUS_TLS_ENABLED", "yes please"),
    ("EVENTBUS_TLS_CA_FILE", "/nowhere/ca.pem"),
    ("EVENTBUS_TLS_CERT_FILE", "/dev/null"),
    ("EVENTBUS_TLS_KEY_FILE", "/dev/null"),
    ("EVENTBUS_DUPLICATE_WINDOW", "two minutes"),
    ("EVENTBUS_REPLICAS", "0"),
    ("EVENTBUS_REPLICAS", "6"),
    ("EVENTBUS_CONSUMER_NAME", "a.b"),
    ("EVENTBUS_MAX_DELIVER", "0"),
    ("EVENTBUS_ACK_WAIT", "0s"),
    ("EVENTBUS_MAX_ACK_PENDING", "all"),
    ("PLUGINS_GRANTS", "lookup"),
    ("PLUGINS_GRANTS", "lookup:files"),
    ("PLUGINS_DEADLINE", "0ms"),
    ("PLUGINS_CALL_TIMEOUT", "1ms"),
    ("PLUGINS_MEMORY", "0"),
    ("PLUGINS_MEMORY", "4GiB"),
    ("PLUGINS_REUSE_MEMORY", "much"),
    ("PLUGINS_MEMORY_BUDGET", "1MiB"),
    ("PLUGINS_OUTPUT", "-1"),
    ("PLUGINS_CONCURRENCY", "0"),
    ("PLUGINS_TRUST", "some"),
    ("PLUGINS_TRUST", "signed"),
    ("PLUGINS_TRUSTED_KEYS", "abc"),
    ("PLUGINS_COMPILE_MEMORY", "0"),
    ("AUTH_API_KEYS", "hidden"),
    ("AUTH_API_KEYS", "${API_KEYS}"),
    ("CACHE_HOST", "redis://:hidden@h"),
    ("AUTH_API_KEYS", "hidden:"),
    ("AUTH_API_KEYS", ":alice"),
    ("AUTH_API_KEYS", "hidden:alice smith"),
    ("AUTH_API_KEYS", "hidden:alice,hidden:bob"),
    ("LOG_LEVEL", "verbos"),
    ("LOG_FORMAT", "xml"),
    ("LOG_ADD_CALLER", "no way"),
    ("METRICS_ENABLED", ""),
    ("METRICS_PORT", "8080"),
    ("METRICS_PORT", "http"),
    ("TRACING_ENABLED", "1.5"),
    ("TRACING_ENDPOINT", "ftp://collector"),
    ("TRACING_ENDPOINT", ""),
    ("TRACING_SAMPLE_RATE", "1.5"),
    ("TRACING_SAMPLE_RATE", "-0.1"),
    ("TRACING_TLS_CA_FILE", "/nowhere/ca.pem"),
    ("TRACING_TLS_CA_FILE", "/dev/null"),
    ("TRACING_TLS_CERT_FILE", "/dev/null"),
    ("TRACING_TLS_KEY_FILE", "/dev/null"),
];

/// What is set beside a wrong value, without which it would be right, or wrong for another reason.
fn beside(variable: &str, value: &str) -> Vec<(&'static str, &'static str)> {
    match (variable, value) {
        ("DATABASE_PORT", "5432") | ("DATABASE_USER" | "DATABASE_PASSWORD" | "DATABASE_DATABASE", _) => {
            vec![("DATABASE_URL", "postgres://u:p@h/d")]
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_wrong_value_is_named_with_its_source_and_what_is_allowed() {
    let mut said = String::new();
    for (variable, value) in WRONG {
        let mut variables = beside(variable, value);
        variables.push((variable, value));
        let refusal = refused(&[], &variables);
        assert!(!refusal.contains("hid") && !refusal.contains("en@"), "{refusal}");
        let refusal = refusal.strip_prefix("the configuration is refused\n").unwrap();
        let shown = if value.contains("hid") { "…" } else { value };
        let _ = writeln!(said, "{variable}={shown}\n{refusal}\n");
    }
    insta::assert_snapshot!(said);
}

#[test]
fn every_key_has_a_wrong_value_unless_anything_goes() {
    let tried: BTreeSet<&str> = WRONG.iter().map(|(variable, _)| *variable).collect();
    for key in keys::all().filter(|key| key.path != PLUGIN_SETTINGS) {
        let anything_goes = ["text", "a directory", "a directory, or empty", "a host name or an IP address, or empty"]
            .contains(&key.allowed)
            || key.allowed.starts_with("names of plugins");
        let variable = key.variable().unwrap();
        assert!(anything_goes || tried.contains(variable.as_str()), "{variable} has no wrong value");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let files = [("config.yaml", "server:\n  shutdown_timeout: 30\n  http_port: 70000\nplugins: {settings: 5}\n")];
    let (dir, outcome) = with(&files, &[("DATABASE_MAX_CONNS", "many"), ("LOG_LEVEL", "verbos")]);
    let said = outcome.unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(said);
}
