//! PostgreSQL, Redis, NATS and a collector over TLS: each a real server that takes nothing else.

use cqar_tests::{
    certificates::{CLIENT, Certificates},
    collect::until,
    nats::Nats,
    postgres::{PASSWORD, Postgres},
    redis_server::RedisServer,
    server::{Options, Server},
};
use serde_json::Value;

use crate::{
    fixture::{apply, asset, create, mutation},
    traces::Collector,
};

/// With the parts of the database's address as settings, and not as a URL.
fn of_parts(postgres: &Postgres) -> Options {
    let address = postgres.address();
    let (host, port) = address.split_once(':').unwrap();
    Options::new()
        .without("DATABASE_URL")
        .with("DATABASE_HOST", host)
        .with("DATABASE_PORT", port)
        .with("DATABASE_USER", "cqar")
        .with("DATABASE_PASSWORD", PASSWORD)
        .with("DATABASE_DATABASE", postgres.database())
}

fn encrypted(postgres: &Postgres) -> String {
    postgres.query(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'cqar' AND datname = current_database()",
    )
}

async fn component(server: &Server, name: &str) -> (String, String) {
    let (_, body) = server.http_get(server.http(), "/health/ready").await;
    let ready: Value = serde_json::from_str(&body).unwrap();
    let text = |of: &str| ready[of][name].as_str().unwrap_or_default().to_owned();
    (text("components"), text("reasons"))
}

async fn is_ok(server: &Server, name: &str) {
    until(name, async || (component(server, name).await.0 == "ok").then_some(())).await;
}

/// What the start says that ends at once, since what is wrong stays.
async fn refused(options: &Options) -> String {
    let (status, log) = options.begin().await.ended().await;
    let log = log.join("\n");
    assert!(!status.success() && !log.contains("waiting_for_database") && !log.contains(PASSWORD), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_spoken_to_as_each_sslmode_says() {
    let certificates = Certificates::new();
    let postgres = Postgres::start_with_tls(&certificates, None);
    let options = of_parts(&postgres);
    let ca = certificates.path("ca.pem");
    options.migrate_up();
    for (mode, root) in [("prefer", ""), ("require", ""), ("verify-ca", ca.as_str()), ("verify-full", ca.as_str())] {
        let options = options.clone().with("DATABASE_SSL_MODE", mode).with("DATABASE_SSL_ROOT_CERT", root);
        let server = options.start().await;
        apply(&server, vec![mutation(create(asset("TLS")))]).await.unwrap();
        assert_eq!(encrypted(&postgres), "t", "{mode}");
        assert!(server.terminate().await.success());
    }
    // A URL that says nothing of it takes the mode that is configured.
    let url = postgres.url().replace("?sslmode=require", "");
    let by_url = Options::new().with("DATABASE_URL", url).with("DATABASE_SSL_MODE", "verify-full");
    let trusted = by_url.clone().with("DATABASE_SSL_ROOT_CERT", &ca).start().await;
    assert_eq!(encrypted(&postgres), "t");
    drop(trusted);
    // Whoever signed its certificate is not known, it is another host's, or it takes no plaintext.
    let stranger = Certificates::new();
    for (mode, root, host, why) in [
        ("disable", "", "127.0.0.1", "no encryption"),
        ("verify-ca", stranger.path("ca.pem").as_str(), "127.0.0.1", "certificate"),
        ("verify-full", "", "127.0.0.1", "certificate"),
        ("verify-full", ca.as_str(), "127.0.0.2", "not valid for name"),
    ] {
        let options = options.clone().with("DATABASE_SSL_MODE", mode).with("DATABASE_SSL_ROOT_CERT", root);
        let said = refused(&options.with("DATABASE_HOST", host)).await;
        assert!(said.contains(why), "{mode}: {said}");
    }
    // All but the name is right.
    let by_other_name = options.clone().with("DATABASE_SSL_MODE", "verify-ca").with("DATABASE_SSL_ROOT_CERT", &ca);
    by_other_name.with("DATABASE_HOST", "127.0.0.2").start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_takes_a_client_certificate_in_place_of_a_password() {
    let certificates = Certificates::new();
    let postgres = Postgres::start_with_tls(&certificates, None);
    of_parts(&postgres).migrate_up();
    let options = of_parts(&postgres)
        .with("DATABASE_USER", CLIENT)
        .without("DATABASE_PASSWORD")
        .with("DATABASE_SSL_MODE", "verify-full")
        .with("DATABASE_SSL_ROOT_CERT", certificates.path("ca.pem"))
        .with("DATABASE_SSL_CERT", certificates.path("client.pem"))
        .with("DATABASE_SSL_KEY", certificates.path("client.key"));
    let server = options.start().await;
    apply(&server, vec![mutation(create(asset("TLS")))]).await.unwrap();
    assert_eq!(encrypted(&postgres), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_spoken_to_over_tls_with_a_client_certificate_and_a_password() {
    let certificates = Certificates::new();
    let redis = RedisServer::start_with_tls(&certificates, &["--requirepass", PASSWORD]);
    let options = Options::new()
        .with("CACHE_HOST", "localhost")
        .with("CACHE_PORT", redis.port())
        .with("CACHE_TIMEOUT", "1s")
        .with("CACHE_PASSWORD", PASSWORD)
        .with("CACHE_TLS_ENABLED", true)
        .with("CACHE_TLS_CA_FILE", certificates.path("ca.pem"))
        .with("CACHE_TLS_CERT_FILE", certificates.path("client.pem"))
        .with("CACHE_TLS_KEY_FILE", certificates.path("client.key"));
    is_ok(&options.start().await, "cache").await;
    for without in [
        options.clone().with("CACHE_TLS_CA_FILE", ""),
        options.clone().with("CACHE_TLS_CERT_FILE", "").with("CACHE_TLS_KEY_FILE", ""),
        options
            .with("CACHE_TLS_ENABLED", false)
            .with("CACHE_TLS_CA_FILE", "")
            .with("CACHE_TLS_CERT_FILE", "")
            .with("CACHE_TLS_KEY_FILE", ""),
    ] {
        let server = without.start().await;
        until("it says why", async || {
            let (state, why) = component(&server, "cache").await;
            assert_eq!(state, "degraded");
            (why != "not connected yet").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_spoken_to_over_tls_with_each_kind_of_credentials() {
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const USER: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let certificates = Certificates::new();
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        certificates.path("server.pem"),
        certificates.path("server.key"),
        certificates.path("ca.pem")
    );
    for (server_takes, settings) in [
        (
            format!("authorization {{ user: cqar, password: {PASSWORD} }}"),
            vec![("EVENTBUS_USERNAME", "cqar"), ("EVENTBUS_PASSWORD", PASSWORD)],
        ),
        (format!("authorization {{ token: {PASSWORD} }}"), vec![("EVENTBUS_TOKEN", PASSWORD)]),
        (format!("authorization {{ users: [{{ nkey: {USER} }}] }}"), vec![("EVENTBUS_NKEY", SEED)]),
    ] {
        let nats = Nats::start_with(&format!("{tls}\n{server_takes}"));
        let options = Options::new()
            .with("EVENTBUS_SERVERS", nats.address())
            .with("EVENTBUS_TLS_ENABLED", true)
            .with("EVENTBUS_TLS_CA_FILE", certificates.path("ca.pem"))
            .with("EVENTBUS_TLS_CERT_FILE", certificates.path("client.pem"))
            .with("EVENTBUS_TLS_KEY_FILE", certificates.path("client.key"));
        let with = settings.iter().fold(options.clone(), |options, (name, value)| options.with(name, value));
        is_ok(&with.start().await, "eventbus").await;
        // Without them it is not let in, and says so.
        let server = options.start().await;
        until("it is refused", async || {
            let (state, why) = component(&server, "eventbus").await;
            (state == "degraded" && why.to_lowercase().contains("authorization")).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_over_tls_is_who_it_says_or_is_not_spoken_to() {
    let (certificates, stranger) = (Certificates::new(), Certificates::new());
    let tls = |of: &Certificates| {
        format!("tls {{ cert_file: {:?}, key_file: {:?} }}", of.path("server.pem"), of.path("server.key"))
    };
    for (takes, expected) in [(tls(&certificates), "ok"), (tls(&stranger), "degraded"), (String::new(), "degraded")] {
        let nats = Nats::start_with(&takes);
        // Each with a database of its own, of which no other server holds the lease.
        let options = Options::new()
            .with("EVENTBUS_SERVERS", nats.address())
            .with("EVENTBUS_TLS_ENABLED", true)
            .with("EVENTBUS_TLS_CA_FILE", certificates.path("ca.pem"));
        let server = options.start().await;
        until(expected, async || {
            let (state, why) = component(&server, "eventbus").await;
            assert!(expected == "ok" || state != "ok", "{takes}");
            let is_tried = expected == "ok" || !(why.is_empty() || why.contains("not connected yet"));
            (state == expected && is_tried).then_some(())
        })
        .await;
    }
}

/// A file as `nsc` makes it: a JWT, whose servers trust who signed it, and the seed of its key.
#[tokio::test(flavor = "multi_thread")]
async fn nats_takes_a_credentials_file() {
    let folder = tempfile::tempdir().unwrap();
    let trust = jwt::Trust::new();
    let creds = folder.path().join("user.creds");
    std::fs::write(&creds, trust.credentials()).unwrap();
    let nats = Nats::start_with(&trust.server_configuration());
    let options = Options::new().with("EVENTBUS_SERVERS", nats.address());
    is_ok(&options.clone().with("EVENTBUS_CREDENTIALS_FILE", creds.display()).start().await, "eventbus").await;
    let server = options.start().await;
    until("it is refused", async || (component(&server, "eventbus").await.0 == "degraded").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_sent_over_tls() {
    let certificates = Certificates::new();
    let collector = Collector::default();
    let port = collector.start_with_tls(&certificates).await;
    let options = Options::new()
        .with("TRACING_ENABLED", true)
        .with("TRACING_ENDPOINT", format!("https://localhost:{port}"))
        .with("TRACING_SAMPLE_RATE", "1")
        .with("TRACING_TLS_CA_FILE", certificates.path("ca.pem"))
        .with("TRACING_TLS_CERT_FILE", certificates.path("client.pem"))
        .with("TRACING_TLS_KEY_FILE", certificates.path("client.key"));
    let server = options.start().await;
    apply(&server, vec![mutation(create(asset("TRACED")))]).await.unwrap();
    assert!(server.terminate().await.success());
    until("the span", async || collector.names().iter().any(|it| it.contains("Apply")).then_some(())).await;
}

/// An operator and an account of NATS, and a user of it: what its decentralised authentication is made of.
/// <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/jwt>
mod jwt {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use nkeys::KeyPair;
    use serde_json::{Value, json};

    pub struct Trust {
        operator: KeyPair,
        system: KeyPair,
        account: KeyPair,
        user: KeyPair,
    }

    impl Trust {
        pub fn new() -> Self {
            Self {
                operator: KeyPair::new_operator(),
                system: KeyPair::new_account(),
                account: KeyPair::new_account(),
                user: KeyPair::new_user(),
            }
        }

        /// What stands in a `.creds` file.
        pub fn credentials(&self) -> String {
            let jwt =
                signed(&self.account, &self.user.public_key(), "user", &json!({"subs": -1, "data": -1, "payload": -1}));
            let seed = self.user.seed().unwrap();
            format!(
                "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            )
        }

        /// A server that trusts the operator.
        pub fn server_configuration(&self) -> String {
            let system = self.system.public_key();
            let operator =
                signed(&self.operator, &self.operator.public_key(), "operator", &json!({"system_account": system}));
            let unlimited = json!({
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
                "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1
            });
            let of = |key: &KeyPair, limits: &Value| {
                signed(&self.operator, &key.public_key(), "account", &json!({"limits": limits}))
            };
            let mut of_system = unlimited.clone();
            for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
                of_system.as_object_mut().unwrap().remove(limit);
            }
            format!(
                "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{\n  {system}: {}\n  {}: {}\n}}",
                of(&self.system, &of_system),
                self.account.public_key(),
                of(&self.account, &unlimited)
            )
        }
    }

    /// A JWT of NATS, version 2.
    fn signed(by: &KeyPair, subject: &str, kind: &str, nats: &Value) -> String {
        let mut claims = nats.clone();
        claims["type"] = kind.into();
        claims["version"] = 2.into();
        let payload = json!({
            "jti": subject, "iat": 1_700_000_000, "iss": by.public_key(), "name": kind, "sub": subject, "nats": claims
        });
        let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        let head = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
        let body = format!("{head}.{}", encode(payload.to_string().as_bytes()));
        format!("{body}.{}", encode(&by.sign(body.as_bytes()).unwrap()))
    }
}
