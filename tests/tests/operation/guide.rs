//! The deployment guide's block of variables and both of its files (`tests/guide`) as they stand: only hosts and keys are put in. Its ports are those
//! of this machine's own servers, too, so the test runs in a network of its own, which has a loopback and nothing else.

use std::process::Command;

use cqar_proto::v1::{self, GetAssetRequest, asset_service_client::AssetServiceClient};
use cqar_tests::{
    certificates::Certificates,
    collect::until,
    nats::Nats,
    postgres::{PASSWORD, Postgres},
    redis_server::RedisServer,
    server::{Options, Server, repository},
};
use tonic::{Request, transport::Channel};

use crate::fixture::asset;

/// 44 characters of base64, as `openssl rand -base64 32` makes them.
const KEYS: [&str; 2] =
    ["fHx1eW9uZSBtYXkgcmVhZCB0aGlzIGtleSBvZiB0aGU=", "YW5vdGhlciBrZXkgdGhhdCBub2JvZHkga2VlcHMuLi4="];

/// Runs the test below in a network of its own.
#[test]
fn the_guides_block_and_files_serve_as_they_stand() {
    let test = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    // PostgreSQL does not run as root, not even as one of a name space.
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
    if !is_root {
        command.args(["--map-current-user", "--keep-caps"]);
    }
    let script =
        "PATH=$PATH:/usr/sbin; ip link set lo up && exec \"$0\" --ignored --exact guide::in_a_network_of_its_own";
    let ran = command.args(["--net", "sh", "-c", script]).arg(&test).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
}

/// Whether the test runs in a network of its own.
const INSIDE: &str = "CQAR_TEST_OWN_NETWORK";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the test above runs it, in a network of its own"]
async fn in_a_network_of_its_own() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let certificates = Certificates::new();
    let postgres = Postgres::start_with_tls(&certificates, Some(5432));
    let redis = RedisServer::start_at(6379, &["--requirepass", PASSWORD]);
    let mut nats = Nats::stopped_at(4222, "");
    nats.restart();
    let options = options(&postgres);
    options.migrate_up();

    let server = options.start().await;
    let mut assets = client(&server).await;
    let (created, most) = async {
        let created =
            assets.create_asset(keyed(v1::CreateAssetRequest { asset: Some(asset("GUIDE")), ..Default::default() }));
        let created = created.await.unwrap().into_inner().asset.unwrap();
        let mut most = 0;
        for _ in 0..100 {
            let mut clients = vec![assets.clone(); 64];
            let reads = clients.iter_mut().map(|assets| assets.list_assets(keyed(v1::ListAssetsRequest::default())));
            // Looked at while they run: it blocks this task alone.
            let looked_at = tokio::task::spawn_blocking({
                let url = postgres.url().to_owned();
                move || connections(&url)
            });
            let (listed, open) = tokio::join!(futures::future::join_all(reads), looked_at);
            assert!(listed.iter().all(Result::is_ok), "{listed:?}");
            most = most.max(open.unwrap());
        }
        (created, most)
    }
    .await;
    assert!((5..=25).contains(&most), "{most} connections");
    let encrypted =
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'cqar'";
    assert_eq!(postgres.query(encrypted), "t");
    assert!(server.log().iter().all(|line| !line.contains(PASSWORD) && !line.contains(KEYS[0])));
    assert!(server.terminate().await.success());

    // A restart, and it is there; its event is in the stream, its key in Redis.
    let server = options.start().await;
    // What is read before Redis is connected is kept in the process alone.
    until("Redis serves", async || {
        let (_, ready) = server.http_get("http://127.0.0.1:8080", "/health/ready").await;
        ready.contains("\"cache\":\"ok\"").then_some(())
    })
    .await;
    let request = GetAssetRequest { asset_id: created.id.clone(), ..Default::default() };
    let mut assets = client(&server).await;
    let read = assets.get_asset(keyed(request)).await.unwrap().into_inner();
    assert_eq!(read.symbol, "GUIDE");
    let stream = async_nats::jetstream::new(nats.client().await).get_stream("cqc_events").await.unwrap();
    let last = stream.get_last_raw_message_by_subject("cqc.events.v1.asset_created").await.unwrap();
    assert!(!last.payload.is_empty());
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", redis.port());
    let cache = redis_connection(&url).await;
    until("its key", async || {
        let pattern = format!("*asset:{}", created.id);
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut cache.clone()).await.unwrap();
        (keys.len() == 1).then_some(())
    })
    .await;
}

/// The block, with hosts and keys put in, and both files.
fn options(postgres: &Postgres) -> Options {
    let mut options = Options::new();
    let config = options.folder().join("config");
    std::fs::create_dir(&config).unwrap();
    for file in ["config.yaml", "config.prod.yaml"] {
        std::fs::copy(repository().join("tests/guide").join(file), config.join(file)).unwrap();
    }
    let block = std::fs::read_to_string(repository().join("tests/guide/block.env")).unwrap();
    // What the tests set of themselves is not in the block.
    for variable in ["DATABASE_URL", "PLUGINS_REQUIRED", "PLUGINS_GRANTS"] {
        options = options.without(variable);
    }
    for word in block.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let value = match name {
            "DATABASE_HOST" | "CACHE_HOST" => "127.0.0.1".to_owned(),
            "DATABASE_USER" => "cqar".to_owned(),
            "DATABASE_PASSWORD" | "CACHE_PASSWORD" => PASSWORD.to_owned(),
            "DATABASE_DATABASE" => postgres.database().to_owned(),
            "EVENTBUS_SERVERS" => value.replace("//a:", "//127.0.0.1:").replace("//b:", "//localhost:"),
            "TRACING_ENDPOINT" => value.replace("otel-collector", "127.0.0.1"),
            "AUTH_API_KEYS" => value.replace("key1", KEYS[0]).replace("key2", KEYS[1]),
            _ => value.to_owned(),
        };
        options = options.with(name, value);
    }
    options
}

fn connections(url: &str) -> usize {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cqar'";
    let counted = Command::new("psql").arg(url).args(["-Atqc", sql]).output().unwrap();
    String::from_utf8_lossy(&counted.stdout).trim().parse().unwrap()
}

async fn client(server: &Server) -> AssetServiceClient<Channel> {
    assert!(server.grpc().ends_with(":9090"), "{}", server.grpc());
    let channel = Channel::from_static("http://127.0.0.1:9090").connect().await.unwrap();
    AssetServiceClient::new(channel)
}

fn keyed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", KEYS[1]).parse().unwrap());
    request
}

async fn redis_connection(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}
