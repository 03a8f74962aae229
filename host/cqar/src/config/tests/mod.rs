mod production;
mod wrong_values;

use std::{collections::BTreeSet, fs, time::Duration};

use tempfile::TempDir;

use super::{
    keys::{Effect, SECTIONS},
    sections::LogFormat,
    *,
};

fn with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> (TempDir, Result<Loaded, ConfigErrors>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let loaded = load(&LoadOptions { dir: Some(dir.path().to_owned()), variables, purpose: Purpose::Serve });
    (dir, loaded)
}

fn loaded(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Loaded {
    with(files, variables).1.unwrap()
}

fn refused(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    with(files, variables).1.unwrap_err().to_string()
}

/// A certificate and its key, in files.
struct Pair {
    _dir: TempDir,
    cert: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let write = |name: &str, pem: String| {
            let path = dir.path().join(name);
            fs::write(&path, pem).unwrap();
            path.display().to_string()
        };
        let (cert, key) = (write("cert.pem", made.cert.pem()), write("key.pem", made.signing_key.serialize_pem()));
        Self { _dir: dir, cert, key }
    }

    /// The variables that show it.
    fn variables(&self) -> [(&str, &str); 3] {
        [
            ("SERVER_TLS_ENABLED", "true"),
            ("SERVER_TLS_CERT_FILE", self.cert.as_str()),
            ("SERVER_TLS_KEY_FILE", self.key.as_str()),
        ]
    }
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
    assert_eq!(loaded.config.database.location.expose(), "sqlite://data/cqar.db");
    assert_eq!(setting(&loaded, "database.url").shown, "sqlite://data/cqar.db");
    assert_eq!(loaded.config.log.format, LogFormat::Auto);
    assert_eq!(loaded.config.listen_host(), "127.0.0.1");
    assert!(loaded.sources.iter().all(|setting| setting.origin == Origin::Default));
    assert!(loaded.warnings.is_empty());
    let shown: BTreeSet<_> = loaded.sources.iter().map(|setting| setting.key.as_str()).collect();
    assert_eq!(shown, keys::all().map(|key| key.path).collect());
}

#[test]
fn a_later_layer_wins_and_each_value_says_where_it_comes_from() {
    let files = [
        ("config.yaml", "server:\n  grpc_port: 1\n  http_port: 2\nmetrics:\n  port: 3\nlog:\n  level: debug\n"),
        ("config.staging.yaml", "# staging\nserver:\n  http_port: 20\nmetrics: {port: 30}\n"),
        ("config.dev.yaml", "server:\n  http_port: 200\n"),
    ];
    let variables = [
        ("SERVICE_ENV", "staging"),
        ("METRICS_PORT", "300"),
        ("AUTH_API_KEYS", "0123456789abcdef0123456789abcdef:alice"),
        ("DATABASE_URL", "sqlite://data/cqar.db"),
    ];
    let (dir, loaded) = with(&files, &variables);
    let loaded = loaded.unwrap();
    let Config { server, metrics, .. } = &loaded.config;
    assert_eq!((server.grpc_port, server.http_port, metrics.port), (1, 20, 300));
    let place = |file: &str, line: u32| Origin::File(format!("{}:{line}", dir.path().join(file).display()));
    assert_eq!(setting(&loaded, "server.grpc_port").origin, place("config.yaml", 2));
    assert_eq!(setting(&loaded, "server.http_port").origin, place("config.staging.yaml", 3));
    assert_eq!(setting(&loaded, "metrics.port").origin, Origin::Variable("METRICS_PORT".to_owned()));
    assert_eq!(setting(&loaded, "log.level").shown, "debug");
    assert_eq!(loaded.config.listen_host(), "0.0.0.0");
}

/// What production asks for.
const SAFE: [(&str, &str); 2] =
    [("AUTH_API_KEYS", "0123456789abcdef0123456789abcdef:alice"), ("DATABASE_URL", "sqlite:///var/lib/cqar.db")];

#[test]
fn the_environment_chooses_the_file() {
    let files = [
        ("config.prod.yaml", "cache: {port: 1}"),
        ("config.dev.yaml", "cache: {port: 2}"),
        ("config.staging.yaml", "cache: {port: 3}"),
        ("config.lab.yaml", "cache: {port: 4}"),
    ];
    let names =
        [("prod", 1), ("production", 1), ("dev", 2), ("development", 2), ("staging", 3), ("lab", 4), ("", 6379)];
    for (name, port) in names {
        let by_variable = loaded(&files, &[&SAFE[..], &[("SERVICE_ENV", name)]].concat());
        assert_eq!(by_variable.config.cache.port.get(), port, "{name}");
        let base = format!("service: {{env: \"{name}\"}}");
        let files = [&files[..], &[("config.yaml", base.as_str())]].concat();
        assert_eq!(loaded(&files, &SAFE).config.cache.port.get(), port, "{name}, in config.yaml");
    }
    assert!(
        refused(&files, &[("SERVICE_ENV", "prodution")]).contains("service.env (environment variable SERVICE_ENV)")
    );
    assert!(refused(&files, &[("SERVICE_ENV", "../prod")]).contains("service.env"));
    // The variable goes before the file, and the file that was chosen may only say so, too.
    let other = [("config.yaml", "service: {env: staging}"), ("config.prod.yaml", "service: {env: production}")];
    let chosen = loaded(&other, &[&SAFE[..], &[("SERVICE_ENV", "prod")]].concat());
    assert_eq!(chosen.config.service.env, "prod");
    let said =
        refused(&[("config.yaml", "service: {env: dev}"), ("config.dev.yaml", "service: {env: production}")], &SAFE);
    assert!(said.contains("config.dev.yaml:1): must be `dev`, by which this file was chosen"), "{said}");
}

#[test]
fn every_variable_of_the_table_is_read() {
    let (file, dir, pair) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap(), Pair::new());
    let tls = pair.variables();
    for key in keys::all().filter(|key| key.has_variable) {
        let name = key.variable().unwrap();
        let value = match key.path {
            "server.host" => "127.0.0.2",
            "service.env" => "dev",
            "server.tls_cert_file" | "server.tls_client_ca_file" => &pair.cert,
            "server.tls_key_file" => &pair.key,
            "server.drain_delay" => "9s",
            "auth.keys_dir" => dir.path().to_str().unwrap(),
            "database.url" => "postgres://u:p@h/d",
            "database.max_conns" | "eventbus.replicas" | "tracing.sample_rate" => "9",
            "database.ssl_mode" => "verify-full",
            "eventbus.backend" => "jetstream",
            "eventbus.nkey" => "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
            "log.level" => "warn",
            "log.format" => "json",
            "auth.api_keys" => "k:alice,l:bob",
            "tracing.endpoint" => "https://collector:4317",
            "plugins.trust" => "any",
            "plugins.trusted_keys" => "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            "plugins.grants" => "lookup:registry",
            path if key.allowed == "a file, or empty" || path.ends_with("_file") => file.path().to_str().unwrap(),
            path if path.ends_with("port") => "4444",
            _ if key.allowed.starts_with("a duration") => "9s",
            _ if key.allowed.starts_with("a size") => "200MiB",
            _ if key.allowed == "true or false" => "true",
            _ => "7",
        };
        let value = if ["eventbus.replicas", "tracing.sample_rate"].contains(&key.path) { "1" } else { value };
        // What the value needs beside it.
        let beside: &[(&str, &str)] = match key.path {
            path if path.starts_with("server.") && path.contains("tls_") => &tls,
            "database.host" => &[("DATABASE_USER", "u")],
            "database.user" | "database.password" | "database.database" | "database.port" => {
                &[("DATABASE_HOST", "h"), ("DATABASE_USER", "u")]
            }
            "database.ssl_cert" | "database.ssl_key" => {
                &[("DATABASE_SSL_CERT", "/dev/null"), ("DATABASE_SSL_KEY", "/dev/null")]
            }
            "database.ssl_root_cert" => &[("DATABASE_URL", "postgres://u:p@h/d"), ("DATABASE_SSL_MODE", "verify-full")],
            "cache.tls_ca_file" => &[("CACHE_TLS_ENABLED", "true")],
            "eventbus.tls_ca_file" => &[("EVENTBUS_TLS_ENABLED", "true")],
            "tracing.tls_ca_file" => &[("TRACING_ENDPOINT", "https://collector:4317")],
            "cache.tls_cert_file" | "cache.tls_key_file" => &[
                ("CACHE_TLS_ENABLED", "true"),
                ("CACHE_TLS_CERT_FILE", "/dev/null"),
                ("CACHE_TLS_KEY_FILE", "/dev/null"),
            ],
            "eventbus.tls_cert_file" | "eventbus.tls_key_file" => &[
                ("EVENTBUS_TLS_ENABLED", "true"),
                ("EVENTBUS_TLS_CERT_FILE", "/dev/null"),
                ("EVENTBUS_TLS_KEY_FILE", "/dev/null"),
            ],
            "tracing.tls_cert_file" | "tracing.tls_key_file" => &[
                ("TRACING_ENDPOINT", "https://collector:4317"),
                ("TRACING_TLS_CERT_FILE", "/dev/null"),
                ("TRACING_TLS_KEY_FILE", "/dev/null"),
            ],
            "eventbus.password" => &[("EVENTBUS_USERNAME", "u")],
            _ => &[],
        };
        let beside = beside.iter().copied().filter(|(other, _)| *other != name);
        let variables: Vec<_> = beside.chain([(name.as_str(), value)]).collect();
        let loaded = loaded(&[], &variables);
        assert_eq!(setting(&loaded, key.path).origin, Origin::Variable(name.clone()), "{name}");
        if key.secrecy == Secrecy::Open {
            assert_eq!(setting(&loaded, key.path).shown, value, "{name}");
        }
    }
}

#[test]
fn the_deployment_guides_block_and_both_of_its_files_load_as_they_stand() {
    let read = |file: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guide").join(file)).unwrap()
    };
    let (block, base, production) = (read("block.env"), read("config.yaml"), read("config.prod.yaml"));
    let put_in = |word: &str| match word {
        "DATABASE_HOST" => "db".to_owned(),
        "DATABASE_USER" => "cqar".to_owned(),
        "DATABASE_PASSWORD" => "p#a/s?s@w%rd".to_owned(),
        "DATABASE_DATABASE" => "registry".to_owned(),
        "CACHE_HOST" => "redis".to_owned(),
        "CACHE_PASSWORD" => "secret".to_owned(),
        "key1:name1,key2:name2" => format!("{}:name1,{}:name2", "k".repeat(44), "l".repeat(44)),
        value => value.to_owned(),
    };
    let words = block.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, word)));
    let variables: Vec<(&str, String)> = words.map(|(name, value)| (name, put_in(value))).collect();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let loaded = loaded(&[("config.yaml", &base), ("config.prod.yaml", &production)], &variables);
    let Config { service, database, cache, eventbus, tracing, auth, .. } = &loaded.config;
    assert_eq!((service.name.as_str(), service.env.as_str()), ("cqar", "production"));
    let url = "postgres://cqar:p%23a%2Fs%3Fs%40w%25rd@db:5432/registry?sslmode=require";
    assert_eq!(database.location.expose(), url);
    assert_eq!((database.max_conns.get(), database.min_conns), (25, 5));
    assert_eq!(database.max_conn_idle_time, Duration::from_mins(5));
    assert_eq!(cache.default_ttl, Duration::from_hours(1));
    assert_eq!(eventbus.servers, ["nats://a:4222", "nats://b:4222"]);
    assert_eq!(tracing.endpoint.expose(), "http://otel-collector:4317");
    assert_eq!(auth.api_keys.len(), 2);
    let without_effect = loaded.warnings.iter().filter(|warning| matches!(warning, Warning::NoEffect { .. })).count();
    assert_eq!((loaded.warnings.len(), without_effect), (7, 7), "{:?}", loaded.warnings);
}

#[test]
fn what_the_table_prints_is_what_is_read_and_what_stands_in_the_documents() {
    let defaults = loaded(&[("config.yaml", &document::defaults_yaml())], &[]);
    let without = loaded(&[], &[]);
    assert!(changed(&defaults.sources, &without.sources).is_empty());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    assert!(page == document::markdown(), "docs/configuration.md is stale: make docs");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    for name in readme.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|name| name.contains('_')) {
        let is_known =
            keys::all().any(|key| [key.variable(), key.file_variable()].into_iter().flatten().any(|it| it == name));
        let has_our_prefix = SECTIONS.iter().any(|it| name.starts_with(&format!("{}_", it.name.to_ascii_uppercase())));
        assert!(is_known || !has_our_prefix, "README.md names {name}, which the table does not have");
    }
}

#[test]
fn the_files_of_the_repository_load_in_each_environment() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    for env in ["", "production", "staging", "development"] {
        let variables = [&SAFE[..], &[("SERVICE_ENV", env)]].concat();
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let loaded = load(&LoadOptions { dir: Some(dir.clone()), variables, purpose: Purpose::Serve }).unwrap();
        assert_eq!(loaded.config.service.env, env);
    }
}

#[test]
fn a_secret_may_come_from_a_file_and_loses_one_newline() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (text, password) in
        [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("s3cret\n\n", "s3cret\n"), ("s3cret", "s3cret")]
    {
        fs::write(&file, text).unwrap();
        let loaded = loaded(&[], &[("CACHE_PASSWORD_FILE", path)]);
        assert_eq!(loaded.config.cache.password.expose(), password);
        let origin = setting(&loaded, "cache.password").origin.to_string();
        assert_eq!(origin, format!("file {path} of environment variable CACHE_PASSWORD_FILE"));
    }
    assert_eq!(loaded(&[], &[("CACHE_PASSWORD", "s3cret\n")]).config.cache.password.expose(), "s3cret");
    let both = refused(&[], &[("CACHE_PASSWORD", "x"), ("CACHE_PASSWORD_FILE", path)]);
    assert!(both.contains("CACHE_PASSWORD and CACHE_PASSWORD_FILE (environment) are both set"), "{both}");
    let missing = refused(&[], &[("DATABASE_URL_FILE", "/nowhere/url")]);
    assert!(
        missing.contains("DATABASE_URL_FILE (environment) names the file /nowhere/url, which cannot be read"),
        "{missing}"
    );
    let mistaken = refused(&[], &[("AUTH_API_KEYS_FILE", "hidden:alice")]);
    assert!(mistaken.contains("no path") && !mistaken.contains("hidden"), "{mistaken}");
    fs::write(&file, "k:alice,l:bob\n").unwrap();
    assert_eq!(loaded(&[], &[("AUTH_API_KEYS_FILE", path)]).config.auth.api_keys.len(), 2);
}

#[test]
fn a_key_that_is_left_empty_is_not_set_and_an_unknown_one_is_refused_all_the_same() {
    let empty = loaded(&[("config.yaml", "auth:\n  api_keys:\ndatabase:\n")], &[("AUTH_API_KEYS", "k:alice")]);
    assert_eq!(empty.config.auth.api_keys.len(), 1);
    assert!(refused(&[("config.yaml", "auth:\n  api_kyes:\n")], &[]).contains("did you mean auth.api_keys?"));
}

#[test]
fn every_key_that_reloads_is_taken_over_and_no_other() {
    let (pair, dir) = (Pair::new(), tempfile::tempdir().unwrap());
    let values = [
        ("SERVER_TLS_ENABLED", "true"),
        ("SERVER_TLS_CERT_FILE", &pair.cert),
        ("SERVER_TLS_KEY_FILE", &pair.key),
        ("SERVER_TLS_CLIENT_CA_FILE", &pair.cert),
        ("AUTH_KEYS_FILE", "/dev/null"),
        ("AUTH_KEYS_DIR", dir.path().to_str().unwrap()),
        ("AUTH_REQUESTS_PER_SECOND", "7"),
        ("AUTH_CONCURRENT_CALLS", "7"),
        ("AUTH_STREAMS", "7"),
        ("AUTH_BYTES_IN_FLIGHT", "7MiB"),
        ("SERVER_STALE_READS", "7s"),
        ("SERVER_MIN_REVISION_TIMEOUT", "7s"),
        ("DATABASE_MAX_WAITING_WRITES", "7"),
        ("PLUGINS_GRANTS", "a:registry"),
        ("PLUGINS_DEADLINE", "7ms"),
        ("PLUGINS_CALL_TIMEOUT", "7s"),
        ("PLUGINS_OUTPUT", "7MiB"),
        ("PLUGINS_MEMORY", "7MiB"),
        ("PLUGINS_CONCURRENCY", "7"),
        ("PLUGINS_REUSE_MEMORY", "7MiB"),
        ("AUTH_API_KEYS", "k:alice"),
        ("LOG_LEVEL", "warn"),
        ("CACHE_DB", "7"),
        ("SERVER_GRPC_PORT", "7"),
        ("PLUGINS_MEMORY_BUDGET", "7GiB"),
    ];
    let settings = ("config.yaml", "plugins: {settings: {a: {x: 1}}}");
    let (started, new) = (loaded(&[], &[]), loaded(&[settings], &values));
    let reloaded = started.config.with_reloaded(&new.config);
    let reloading = keys::all().filter(|key| key.effect == Effect::Reloads);
    assert_eq!(reloading.clone().count(), values.len() - 4 + 1, "each is tried here");
    // What reloads is as it is now, and the rest as it was.
    let back = new.config.with_reloaded(&started.config);
    assert_eq!(format!("{:?}", back.with_reloaded(&reloaded)), format!("{:?}", new.config));
    assert_ne!(format!("{reloaded:?}"), format!("{:?}", new.config));
    assert_eq!((reloaded.cache.db, reloaded.server.grpc_port), (0, 9090));
    for shown in
        ["stale_reads: 7s", "min_revision_timeout: 7s", "max_waiting_writes: 7,", "deadline: 7ms", "call_timeout: 7s"]
    {
        assert!(format!("{reloaded:?}").contains(shown), "{shown}");
    }
    assert_eq!(
        (reloaded.plugins.memory, reloaded.plugins.output, reloaded.plugins.reuse_memory),
        (7 << 20, 7 << 20, 7 << 20)
    );
    assert_eq!(
        (reloaded.plugins.concurrency.get(), reloaded.plugins.grants.len(), reloaded.plugins.settings.len()),
        (7, 1, 1)
    );
    assert_eq!((reloaded.auth.api_keys.len(), reloaded.log.level.as_str()), (1, "warn"));
}

#[test]
fn what_changed_is_named_by_key() {
    let before =
        loaded(&[("config.yaml", "cache: {port: 1}\nplugins: {settings: {a: {x: 1}}}\n")], &[("AUTH_API_KEYS", "k:a")]);
    let same = loaded(
        &[("config.yaml", "# moved\ncache: {port: 1}\nplugins: {settings: {a: {x: 1}}}\n")],
        &[("AUTH_API_KEYS", "k:a")],
    );
    assert!(changed(&before.sources, &same.sources).is_empty());
    let after =
        loaded(&[("config.yaml", "cache: {port: 2}\nplugins: {settings: {a: {y: 1}}}\n")], &[("AUTH_API_KEYS", "l:a")]);
    let named: Vec<String> = changed(&before.sources, &after.sources).into_iter().collect();
    assert_eq!(named, ["auth.api_keys", "cache.port", "plugins.settings.a.x", "plugins.settings.a.y"]);
}

#[test]
fn what_variables_say_arrives() {
    let config = loaded(
        &[],
        &[
            ("DATABASE_MAX_CONNS", "32"),
            ("DATABASE_CONNECT_TIMEOUT", "15m"),
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
    assert_eq!(config.database.connect_timeout, Duration::from_mins(15));
    assert_eq!(config.plugins.required, ["market-sanity", "other"]);
    assert_eq!(config.eventbus.servers, ["a:4222", "nats://b:4222"]);
    assert!(config.tracing.enabled);
    assert!((config.tracing.sample_rate - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.cache.max_bytes, 1 << 30);
    assert_eq!(config.server.grpc_port, 0);
}

#[test]
fn a_password_of_digits_stays_as_it_is_written() {
    let config = loaded(&[("config.yaml", "cache:\n  password: 007\n")], &[("EVENTBUS_TOKEN", "0123456789")]).config;
    assert_eq!(config.cache.password.expose(), "007");
    assert_eq!(config.eventbus.token.expose(), "0123456789");
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
fn a_file_that_is_not_yaml_is_refused_without_its_text() {
    let said = refused(&[("config.yaml", "cache:\n  password: \"s3cret\n")], &[]);
    assert!(said.contains("config.yaml: is not YAML") && !said.contains("s3cret"), "{said}");
    assert!(refused(&[("config.yaml", "cache: {port: 1, port: 2}")], &[]).contains("is not YAML"));
    assert!(refused(&[("config.yaml", "- a\n")], &[]).contains("must be a map of sections"));
}

#[test]
fn a_directory_that_is_named_must_exist_and_the_default_one_need_not() {
    let missing = LoadOptions { dir: Some("/nowhere/config".into()), ..LoadOptions::default() };
    assert!(load(&missing).unwrap_err().to_string().contains("/nowhere/config: cannot be read"));
}

#[test]
fn without_keys_nothing_listens_beyond_loopback() {
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
        &[("config.yaml", "eventbus:\n  username: u\n  password: s3cret\n")],
        &[("DATABASE_URL", "postgres://u:s3cret@h/d"), ("CACHE_PASSWORD", "s3cret"), ("AUTH_API_KEYS", "s3cret:alice")],
    );
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(setting(&loaded, "database.url").shown, "postgres://u:***@h/d");
    assert_eq!(setting(&loaded, "auth.api_keys").shown, "***");
}
