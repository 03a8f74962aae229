use std::{collections::BTreeSet, fs, time::Duration};

use tempfile::TempDir;

use super::{keys::PLUGIN_SETTINGS, sections::LogFormat, *};

fn with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> (TempDir, Result<Loaded, ConfigErrors>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let loaded = load(&LoadOptions { dir: Some(dir.path().to_owned()), variables });
    (dir, loaded)
}

fn loaded(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Loaded {
    with(files, variables).1.unwrap()
}

fn refused(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    with(files, variables).1.unwrap_err().to_string()
}

fn setting<'a>(loaded: &'a Loaded, key: &str) -> &'a Setting {
    loaded.sources.iter().find(|setting| setting.key == key).unwrap()
}

#[test]
fn the_defaults_are_complete_and_name_every_key_of_the_table_and_no_other() {
    let loaded = loaded(&[], &[]);
    assert_eq!(loaded.config.server.grpc_port, 9090);
    assert_eq!(loaded.config.server.shutdown_timeout, Duration::from_secs(30));
    assert_eq!(loaded.config.server.max_request_bytes, 16 << 20);
    assert_eq!(loaded.config.database.url.expose(), "sqlite://data/cqar.db");
    assert_eq!(loaded.config.log.format, LogFormat::Auto);
    assert_eq!(loaded.config.listen_host(), "127.0.0.1");
    assert!(loaded.sources.iter().all(|setting| setting.origin == Origin::Default));
    assert!(loaded.warnings.is_empty());
    let shown: BTreeSet<_> = loaded.sources.iter().map(|setting| setting.key.as_str()).collect();
    assert_eq!(shown, KEYS.iter().map(|key| key.path).collect());
}

#[test]
fn a_later_layer_wins_and_each_value_says_where_it_comes_from() {
    let files = [
        ("config.yaml", "server:\n  grpc_port: 1\n  http_port: 2\n  metrics_port: 3\nlog:\n  level: debug\n"),
        ("config.prod.yaml", "# production\nserver:\n  http_port: 20\n  metrics_port: 30\n"),
        ("config.dev.yaml", "server:\n  http_port: 200\n"),
    ];
    let variables = [("SERVICE_ENV", "production"), ("SERVER_METRICS_PORT", "300"), ("AUTH_API_KEYS", "k:alice")];
    let (dir, loaded) = with(&files, &variables);
    let loaded = loaded.unwrap();
    let server = &loaded.config.server;
    assert_eq!((server.grpc_port, server.http_port, server.metrics_port), (1, 20, 300));
    let place = |file: &str, line: u32| Origin::File(format!("{}:{line}", dir.path().join(file).display()));
    assert_eq!(setting(&loaded, "server.grpc_port").origin, place("config.yaml", 2));
    assert_eq!(setting(&loaded, "server.http_port").origin, place("config.prod.yaml", 3));
    assert_eq!(setting(&loaded, "server.metrics_port").origin, Origin::Variable("SERVER_METRICS_PORT".to_owned()));
    assert_eq!(setting(&loaded, "log.level").shown, "debug");
    assert_eq!(loaded.config.listen_host(), "0.0.0.0");
}

#[test]
fn service_env_chooses_the_file() {
    let files = [
        ("config.prod.yaml", "cache: {port: 1}"),
        ("config.dev.yaml", "cache: {port: 2}"),
        ("config.staging.yaml", "cache: {port: 3}"),
    ];
    for (name, port) in [("prod", 1), ("production", 1), ("dev", 2), ("development", 2), ("staging", 3), ("", 6379)] {
        let loaded = loaded(&files, &[("SERVICE_ENV", name), ("AUTH_API_KEYS", "k:alice")]);
        assert_eq!(loaded.config.cache.port.get(), port, "{name}");
    }
    assert!(refused(&files, &[("SERVICE_ENV", "prodution")]).contains("SERVICE_ENV"));
    assert!(refused(&files, &[("SERVICE_ENV", "../prod")]).contains("SERVICE_ENV"));
}

#[test]
fn every_variable_of_the_table_is_read() {
    for key in KEYS.iter().filter(|key| key.path != PLUGIN_SETTINGS) {
        let name = key.variable.unwrap();
        let value = match key.path {
            "server.host" => "127.0.0.2",
            "database.url" => "postgres://u:p@h/d",
            "database.max_conns" | "eventbus.replicas" | "tracing.sample_rate" => "1",
            "log.level" => "warn",
            "log.format" => "json",
            "auth.api_keys" => "k:alice,l:bob",
            "tracing.endpoint" => "http://collector:4317",
            path if path.ends_with("_timeout")
                || ["cache.timeout", "plugins.deadline", "eventbus.duplicate_window"].contains(&path) =>
            {
                "7s"
            }
            path if [
                "server.max_request_bytes",
                "server.batch_memory",
                "cache.max_bytes",
                "plugins.memory",
                "plugins.compile_memory",
                "plugins.reuse_memory",
                "plugins.memory_budget",
                "plugins.output",
            ]
            .contains(&path) =>
            {
                "200MiB"
            }
            path if ["cache.enabled", "tracing.enabled", "server.reflection_requires_key"].contains(&path) => "true",
            path if path.ends_with("port") => "4444",
            "plugins.trust" => "any",
            "plugins.trusted_keys" => "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            "plugins.grants" => "lookup:registry",
            _ => "7",
        };
        let loaded = loaded(&[], &[(name, value)]);
        assert_eq!(setting(&loaded, key.path).origin, Origin::Variable(name.to_owned()), "{name}");
        if key.secrecy == Secrecy::Open {
            assert_eq!(setting(&loaded, key.path).shown, value, "{name}");
        }
    }
}

#[test]
fn what_variables_say_arrives() {
    let config = loaded(
        &[],
        &[
            ("DATABASE_MAX_CONNS", "32"),
            ("DATABASE_ACQUIRE_TIMEOUT", "15m"),
            ("PLUGINS_REQUIRED", "market-sanity, other"),
            ("EVENTBUS_SERVERS", "a:4222,nats://b:4222"),
            ("TRACING_ENABLED", "true"),
            ("TRACING_SAMPLE_RATE", "0.25"),
            ("CACHE_MAX_BYTES", "1GiB"),
            ("SERVER_GRPC_PORT", "0"),
            ("SERVER_HTTP_PORT", "0"),
        ],
    )
    .config;
    assert_eq!(config.database.max_conns.get(), 32);
    assert_eq!(config.database.acquire_timeout, Duration::from_mins(15));
    assert_eq!(config.plugins.required, ["market-sanity", "other"]);
    assert_eq!(config.eventbus.servers, ["a:4222", "nats://b:4222"]);
    assert!(config.tracing.enabled);
    assert!((config.tracing.sample_rate - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.cache.max_bytes, 1 << 30);
    assert_eq!(config.server.grpc_port, 0);
}

#[test]
fn a_password_of_digits_stays_as_it_is_written() {
    let config = loaded(&[("config.yaml", "cache:\n  password: 007\n")], &[("EVENTBUS_PASSWORD", "0123456789")]).config;
    assert_eq!(config.cache.password.expose(), "007");
    assert_eq!(config.eventbus.password.expose(), "0123456789");
    let config = loaded(&[("config.yaml", "cache: {password: true, username: 1e3}")], &[]).config;
    assert_eq!((config.cache.password.expose(), config.cache.username.as_str()), ("true", "1e3"));
}

#[test]
fn the_settings_of_plugins_keep_their_types_and_merge() {
    let files = [
        ("config.yaml", "plugins:\n  settings:\n    market-sanity: {max_fee: \"0.02\", strict: true, days: 3}\n"),
        ("config.dev.yaml", "plugins:\n  settings:\n    market-sanity:\n      days: 4\n"),
    ];
    let (dir, loaded) = with(&files, &[("SERVICE_ENV", "dev")]);
    let loaded = loaded.unwrap();
    let settings = serde_json::to_value(&loaded.config.plugins.settings).unwrap();
    assert_eq!(settings, serde_json::json!({"market-sanity": {"max_fee": "0.02", "strict": true, "days": 4}}));
    let days = setting(&loaded, "plugins.settings.market-sanity.days");
    let place = format!("{}:4", dir.path().join("config.dev.yaml").display());
    assert_eq!((days.shown.as_str(), &days.origin), ("4", &Origin::File(place)));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_key() {
    let said = refused(&[("config.yaml", "server:\n  grpc_prot: 1\nserver2: {}\n")], &[]);
    assert!(said.contains("server.grpc_prot ("), "{said}");
    assert!(said.contains("config.yaml:2): there is no such key; did you mean server.grpc_port?"), "{said}");
    assert!(said.contains("server2 ("), "{said}");
    let said = refused(&[("config.yaml", "server: 5\n")], &[]);
    assert!(said.contains("must be a section with the keys host, grpc_port"), "{said}");
    assert_eq!(loaded(&[("config.yaml", "server:\n  # grpc_port: 1\n")], &[]).config.server.grpc_port, 9090);
}

#[test]
fn every_bad_value_is_named_with_its_source_and_what_is_allowed() {
    let files = [("config.yaml", "server:\n  shutdown_timeout: 30\n  http_port: 70000\n")];
    let said =
        refused(&files, &[("DATABASE_MAX_CONNS", "many"), ("LOG_LEVEL", "verbos"), ("CACHE_PASSWORD", "s3cret")]);
    assert!(said.contains("config.yaml:2): must be a duration such as 50ms, 30s, 15m or 1h, and is `30`"), "{said}");
    assert!(said.contains("config.yaml:3): must be a port, 0 to 65535 (0 takes a free one), and is `70000`"), "{said}");
    let named = "database.max_conns (environment variable DATABASE_MAX_CONNS): must be a whole number, 1 or more, and is `many`";
    assert!(said.contains(named), "{said}");
    assert!(said.contains("log.level (environment variable LOG_LEVEL): must be off, error"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    for (name, value) in [
        ("DATABASE_URL", "mysql://h/d"),
        ("DATABASE_URL", ""),
        ("TRACING_SAMPLE_RATE", "1.5"),
        ("DATABASE_QUERY_TIMEOUT", "0s"),
        ("DATABASE_CONNECT_TIMEOUT", "25h"),
        ("SERVER_BATCH_MEMORY", "1MiB"),
        ("CACHE_ENABLED", "maybe"),
        ("EVENTBUS_REPLICAS", "0"),
        ("EVENTBUS_SERVERS", "nats://u:hidden@h"),
        ("EVENTBUS_STREAM", "a.b"),
        ("SERVER_HTTP_PORT", "9090"),
        ("SERVER_GRPC_PORT", ""),
    ] {
        let said = refused(&[], &[(name, value)]);
        assert!(said.contains(&format!("environment variable {name}")), "{name}={value}: {said}");
        assert!(!said.contains("hidden"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_yaml_is_refused_without_its_text() {
    let said = refused(&[("config.yaml", "cache:\n  password: \"s3cret\n")], &[]);
    assert!(said.contains("config.yaml: is not YAML") && !said.contains("s3cret"), "{said}");
    assert!(refused(&[("config.yaml", "cache: {port: 1, port: 2}")], &[]).contains("is not YAML"));
    assert!(refused(&[("config.yaml", "- a\n")], &[]).contains("must be a map of sections"));
}

#[test]
fn a_directory_that_is_named_must_exist_and_the_default_one_need_not() {
    let variables = Vec::new();
    let missing = LoadOptions { dir: Some("/nowhere/config".into()), variables };
    assert!(load(&missing).unwrap_err().to_string().contains("/nowhere/config: cannot be read"));
}

#[test]
fn a_variable_that_nearly_matches_is_warned_about() {
    let loaded = loaded(&[], &[("DATABASE_MAX_CONNECTIONS", "5"), ("PATH", "/bin")]);
    let said: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["the environment variable DATABASE_MAX_CONNECTIONS sets nothing; did you mean DATABASE_MAX_CONNS?"]
    );
}

#[test]
fn without_keys_production_does_not_start_and_nothing_listens_beyond_loopback() {
    let said = refused(&[], &[("SERVICE_ENV", "production")]);
    assert!(said.contains("auth.api_keys (default): must be set with SERVICE_ENV=production"), "{said}");
    let said = refused(&[], &[("SERVER_HOST", "0.0.0.0")]);
    assert!(said.contains("server.host (environment variable SERVER_HOST): must be a loopback address"), "{said}");
    assert_eq!(loaded(&[], &[("SERVER_HOST", "::1")]).config.listen_host(), "::1");
    let keyed = loaded(&[], &[("SERVER_HOST", "10.0.0.1"), ("AUTH_API_KEYS", "k:alice")]);
    assert_eq!(keyed.config.listen_host(), "10.0.0.1");
}

#[test]
fn a_request_fits_into_the_memory_of_all_calls() {
    let said = refused(&[], &[("SERVER_MAX_REQUEST_BYTES", "300MiB")]);
    assert!(said.contains("SERVER_MAX_REQUEST_BYTES): must be at most server.batch_memory"), "{said}");
    loaded(&[], &[("SERVER_MAX_REQUEST_BYTES", "300MiB"), ("SERVER_BATCH_MEMORY", "300MiB")]);
}

#[test]
fn api_keys_are_pairs() {
    let keys = loaded(&[], &[("AUTH_API_KEYS", "a:b:alice, 007:bob,")]).config.auth.api_keys;
    let pairs: Vec<_> = keys.iter().map(|key| (key.key.expose(), key.name.as_str())).collect();
    assert_eq!(pairs, [("a:b", "alice"), ("007", "bob")]);
    let listed = loaded(&[("config.yaml", "auth:\n  api_keys: [\"k:alice\", \"l:bob\"]\n")], &[]).config.auth.api_keys;
    assert_eq!(listed.len(), 2);
    for bad in ["secret", "secret:", ":alice", "secret:alice smith", "secret:alice,secret:bob", "sec ret:alice"] {
        let said = refused(&[], &[("AUTH_API_KEYS", bad)]);
        assert!(said.contains("must be KEY:NAME pairs") && !said.contains("sec"), "{bad}: {said}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let loaded = loaded(
        &[("config.yaml", "eventbus:\n  token: s3cret\n")],
        &[
            ("DATABASE_URL", "postgres://u:s3cret@h/d"),
            ("CACHE_PASSWORD", "s3cret"),
            ("EVENTBUS_PASSWORD", "s3cret"),
            ("AUTH_API_KEYS", "s3cret:alice"),
        ],
    );
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(setting(&loaded, "database.url").shown, "postgres://u:***@h/d");
    assert_eq!(setting(&loaded, "auth.api_keys").shown, "***");
}
