//! Redis and NATS that refuse, and go on refusing: said as it is, told once, and over as soon as it is over.

use std::time::{Duration, Instant};

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy},
};
use cqar_proto::v1::component::State;
use cqar_tests::{
    collect,
    nats::Nats,
    port,
    redis_server::RedisServer,
    server::{Options, Server},
};

use crate::writers::{create, lines, told};

/// Several attempts of what is tried again.
const WHILE: Duration = Duration::from_secs(6);

async fn component(server: &Server, name: &str) -> (State, String) {
    let status = collect::status(server).await;
    let component = status.components.into_iter().find(|it| it.name == name).unwrap();
    (component.state(), component.message)
}

async fn becomes(server: &Server, name: &str, state: State) -> String {
    collect::until(&format!("{name} is {state:?}"), async || {
        let (is, message) = component(server, name).await;
        (is == state).then_some(message)
    })
    .await
}

/// It never says that it works meanwhile, and says why it does not.
async fn stays(server: &Server, name: &str, text: &str) {
    let began = Instant::now();
    collect::until(&format!("{name} says {text:?}"), async || {
        let (state, message) = component(server, name).await;
        assert_ne!(state, State::Ok, "{message}");
        message.contains(text).then_some(())
    })
    .await;
    while began.elapsed() < WHILE {
        let (state, message) = component(server, name).await;
        assert!(state == State::Degraded && message.contains(text), "{state:?} {message}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What worked until now is refused.
async fn comes_to(server: &Server, name: &str, text: &str) {
    collect::until(&format!("{name} says {text:?}"), async || {
        component(server, name).await.1.contains(text).then_some(())
    })
    .await;
}

async fn with_redis(redis: &RedisServer) -> Server {
    Options::new().with("CACHE_HOST", "127.0.0.1").with("CACHE_PORT", redis.port()).start().await
}

async fn tell(redis: &RedisServer, command: &[&str]) {
    let mut call = redis::Cmd::new();
    call.arg(command);
    call.exec_async(&mut redis.connect().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_in_cluster_mode_is_named_as_such() {
    // The port of the cluster's own, which by default is one that the system hands out by itself.
    let cluster_port = port::free().to_string();
    let redis = RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-port", &cluster_port]);
    let server = with_redis(&redis).await;
    stays(&server, "cache", "cluster mode").await;
    told(&server, "redis_away", 1).await;
    assert_eq!(lines(&server, "redis_serving").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_denies_a_command_serves_as_soon_as_it_allows_it() {
    let redis = RedisServer::start();
    tell(&redis, &["ACL", "SETUSER", "default", "-mget"]).await;
    let server = with_redis(&redis).await;
    stays(&server, "cache", "mget").await;
    told(&server, "redis_away", 1).await;
    assert_eq!(lines(&server, "redis_serving").len(), 0);
    tell(&redis, &["ACL", "SETUSER", "default", "+mget"]).await;
    becomes(&server, "cache", State::Ok).await;
    told(&server, "redis_serving", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_out_of_memory_serves_as_soon_as_it_has_some() {
    let redis = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    tell(&redis, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let server = with_redis(&redis).await;
    stays(&server, "cache", "OOM").await;
    told(&server, "redis_away", 1).await;
    tell(&redis, &["CONFIG", "SET", "maxmemory", "0"]).await;
    becomes(&server, "cache", State::Ok).await;
}

async fn with_nats(nats: &Nats) -> Server {
    Options::new().with("EVENTBUS_SERVERS", nats.address()).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_refused_until_it_has_room() {
    let nats = Nats::start();
    let streams = jetstream::new(nats.client().await);
    let of = |most: i64| Config {
        name: "cqc_events".into(),
        subjects: vec!["cqc.events.v1.>".into()],
        max_messages: most,
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    streams.create_stream(of(1)).await.unwrap();
    let server = with_nats(&nats).await;
    let channel = server.channel().await;
    for symbol in ["A", "B"] {
        create(&channel, symbol).await.unwrap();
    }
    comes_to(&server, "eventbus", "maximum messages exceeded").await;
    stays(&server, "eventbus", "maximum messages exceeded").await;
    told(&server, "maximum messages exceeded", 1).await;
    streams.update_stream(of(100)).await.unwrap();
    becomes(&server, "eventbus", State::Ok).await;
    let mut stream = streams.get_stream("cqc_events").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_limit_of_a_message_is_noticed() {
    let nats = Nats::start_with("max_payload: 4096");
    let server = with_nats(&nats).await;
    let channel = server.channel().await;
    let id = create(&channel, "SMALL").await.unwrap();
    becomes(&server, "eventbus", State::Ok).await;
    describe(&channel, &id, &"x".repeat(4000)).await;
    comes_to(&server, "eventbus", "takes at most 4096").await;
    stays(&server, "eventbus", "takes at most 4096").await;
    told(&server, "takes at most 4096", 1).await;
    nats.reload("max_payload: 1048576");
    becomes(&server, "eventbus", State::Ok).await;
}

async fn describe(channel: &tonic::transport::Channel, id: &str, description: &str) {
    use cqar_proto::v1::{Asset, UpdateAssetRequest, asset_service_client::AssetServiceClient};
    let asset = Asset { id: id.into(), description: description.into(), ..Asset::default() };
    let request = UpdateAssetRequest { asset: Some(asset), ..UpdateAssetRequest::default() };
    AssetServiceClient::new(channel.clone()).update_asset(request).await.unwrap();
}
