//! Rolling restarts behind a proxy that tries nothing twice: no call fails, and no watcher misses or hears twice what happened.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cqar_proto::v1::{
    ApplyRequest, ImportListingOptions, ResolveMarketRequest, WatchRequest, event_service_client::EventServiceClient,
    market_service_client::MarketServiceClient, registry_service_client::RegistryServiceClient, watch_response::Step,
};
use cqar_tests::{
    certificates::Certificates,
    collect::until,
    envoy::Envoy,
    fixtures::{Imported, asset, create, import, mutation},
    port,
    postgres::Postgres,
    server::{Options, Server},
};
use futures::StreamExt as _;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::{Code, Status, transport::Channel};
use uuid::Uuid;

/// Three replicas on one database, behind Envoy.
struct Fixture {
    envoy: Envoy,
    servers: Vec<Server>,
    _certificates: Certificates,
    _postgres: Postgres,
}

impl Fixture {
    async fn start(drain_delay: &str) -> Self {
        let (postgres, certificates) = (Postgres::start(), Certificates::new());
        let ports = [port::free(), port::free(), port::free()];
        let options = |port: u16| {
            Options::new()
                .with("DATABASE_URL", postgres.url())
                .with("SERVER_GRPC_PORT", port)
                .with("SERVER_HOST", "127.0.0.1")
                .with("SERVER_DRAIN_DELAY", drain_delay)
                .with("SERVER_TLS_ENABLED", true)
                .with("SERVER_TLS_CERT_FILE", certificates.path("server.pem"))
                .with("SERVER_TLS_KEY_FILE", certificates.path("server.key"))
        };
        options(ports[0]).migrate_up();
        let mut servers = vec![options(ports[0]).with_starter().start().await];
        for port in &ports[1..] {
            servers.push(options(*port).start().await);
        }
        let envoy = Envoy::start(&ports, &certificates.path("ca.pem"));
        let this = Self { envoy, servers, _certificates: certificates, _postgres: postgres };
        until("the proxy has found a replica", async || {
            let channel = Channel::from_shared(this.envoy.grpc()).unwrap().connect().await.ok()?;
            resolve(&mut MarketServiceClient::new(channel)).await.ok()
        })
        .await;
        this
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(self.envoy.grpc()).unwrap().connect().await.unwrap()
    }

    /// Restarts one replica after the other, so many times in all.
    async fn restart(&mut self, times: usize) {
        for _ in 0..times {
            let oldest = self.servers.remove(0);
            let options = oldest.options.clone();
            let status = oldest.terminate().await;
            assert!(status.success(), "{status}");
            self.servers.push(options.start().await);
            // As an orchestrator does: the next one once this one is known to be ready.
            sleep(Duration::from_millis(600)).await;
        }
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    imports: AtomicU64,
    /// How often a watch ended in a way that it goes on from.
    resumed: AtomicU64,
    failed: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Seen {
    fn note<T>(&self, what: &str, outcome: Result<T, Status>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Err(status) = outcome {
            self.failed.lock().unwrap().push(format!("{what}: {:?}: {}", status.code(), status.message()));
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

async fn resolve(client: &mut MarketServiceClient<Channel>) -> Result<(), Status> {
    let (venue_id, venue_symbol) = ("binance".to_owned(), "BTCUSDT".to_owned());
    let segment = Some("spot".to_owned());
    let request = ResolveMarketRequest { venue_id, venue_symbol, segment, ..Default::default() };
    client.resolve_market(request).await.map(drop)
}

/// So many reads in a second, each when its time has come, whatever became of those before.
async fn reads(channel: Channel, seen: Arc<Seen>, per_second: u32) {
    let mut due = interval(Duration::from_secs(1) / per_second);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    while seen.goes_on() {
        due.tick().await;
        let (mut client, seen) = (MarketServiceClient::new(channel.clone()), Arc::clone(&seen));
        calls.spawn(async move { seen.note("a read", resolve(&mut client).await) });
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

async fn writes(channel: Channel, seen: Arc<Seen>, name: &str) {
    let mut client = RegistryServiceClient::new(channel);
    for n in 0.. {
        if !seen.goes_on() {
            break;
        }
        let mutations = vec![mutation(create(asset(&format!("{name}{n}"))))];
        let request_id = Uuid::now_v7().to_string();
        seen.note("a write", client.apply(ApplyRequest { mutations, request_id, ..Default::default() }).await);
        sleep(Duration::from_millis(20)).await;
    }
}

/// Imports, each of which sends for so long.
async fn imports(channel: Channel, seen: Arc<Seen>, lasts: Duration) {
    let options = ImportListingOptions { venue_id: "binance".into(), validate_only: true, ..Default::default() };
    let listing = br#"{"symbols": []}"#;
    while seen.goes_on() {
        let parts: Vec<_> = import(options.clone(), listing).collect().await;
        let pause = lasts / u32::try_from(parts.len()).unwrap();
        let slowly = futures::stream::iter(parts).then(move |part| async move {
            sleep(pause).await;
            part
        });
        let outcome = match RegistryServiceClient::new(channel.clone()).import_listing(slowly).await {
            Ok(steps) => Imported::receive(steps.into_inner()).await.map(drop),
            Err(status) => Err(status),
        };
        seen.imports.fetch_add(1, Ordering::Relaxed);
        seen.note("an import", outcome);
    }
}

/// Follows the log through every restart, and says where each event stood.
async fn watch(channel: Channel, seen: Arc<Seen>, through: impl Fn() -> Option<i64>) -> Vec<(i64, i32)> {
    let mut places: Vec<(i64, i32)> = Vec::new();
    loop {
        let (start_revision, start_index) = places.last().map_or((0, 0), |(revision, index)| (*revision, index + 1));
        let request = WatchRequest { start_revision: Some(start_revision), start_index, ..WatchRequest::default() };
        let mut steps = match EventServiceClient::new(channel.clone()).watch(request).await {
            Ok(steps) => steps.into_inner(),
            Err(status) => {
                seen.note("a watch's beginning", Err::<(), _>(status));
                return places;
            }
        };
        loop {
            match steps.message().await {
                Ok(Some(step)) => match step.step.unwrap() {
                    Step::Event(event) => places.push((event.revision, event.index)),
                    Step::Progress(revision) if through().is_some_and(|through| revision >= through) => return places,
                    Step::Progress(_) => {}
                },
                Err(status) if status.code() == Code::Unavailable => break,
                ended => {
                    seen.note("a watch", ended.and_then(|_| Err::<(), _>(Status::unknown("it ended"))));
                    return places;
                }
            }
        }
        seen.resumed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Restarts replicas under load, and returns what the clients saw.
async fn restarted(drain_delay: &str, times: usize, import: Duration) -> Arc<Seen> {
    let mut fixture = Fixture::start(drain_delay).await;
    let (seen, through) = (Arc::new(Seen::default()), Arc::new(Mutex::new(None)));
    let mut load = JoinSet::new();
    for n in 0..4 {
        load.spawn(reads(fixture.channel().await, Arc::clone(&seen), 250));
        if n < 2 {
            let (channel, seen) = (fixture.channel().await, Arc::clone(&seen));
            load.spawn(async move { writes(channel, seen, &format!("R{n}X")).await });
        }
    }
    load.spawn(imports(fixture.channel().await, Arc::clone(&seen), import));
    let (channel, watching, until_there) = (fixture.channel().await, Arc::clone(&seen), Arc::clone(&through));
    let watched = tokio::spawn(watch(channel, watching, move || *until_there.lock().unwrap()));

    fixture.restart(times).await;
    seen.stop.store(true, Ordering::Relaxed);
    load.join_all().await;
    let mut registry = RegistryServiceClient::new(fixture.channel().await);
    let revision = registry.get_status(cqar_proto::v1::GetStatusRequest {}).await.unwrap().into_inner().revision;
    *through.lock().unwrap() = Some(revision);
    let places = watched.await.unwrap();
    // Each event follows the one before.
    for (before, after) in places.iter().zip(places.iter().skip(1)) {
        let follows = *after == (before.0, before.1 + 1) || *after == (before.0 + 1, 0);
        assert!(follows, "{before:?}, then {after:?}");
    }
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "{times} restarts: {} calls, {} of them imports; {} events, the watch resumed {} times; {} failed",
        count(&seen.calls),
        count(&seen.imports),
        places.len(),
        count(&seen.resumed),
        seen.failed.lock().unwrap().len()
    );
    if seen.failed.lock().unwrap().is_empty() {
        assert_eq!(places.last().map(|(revision, _)| *revision), Some(revision));
    }
    seen
}

fn none_failed(seen: &Seen) {
    let failed = seen.failed.lock().unwrap();
    assert!(failed.is_empty(), "{} failed, such as {:?}", failed.len(), &failed[..failed.len().min(10)]);
    assert!(seen.resumed.load(Ordering::Relaxed) > 0 && seen.imports.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_rolling_restarts_fail_no_call() {
    let seen = restarted("2s", 3, Duration::from_secs(4)).await;
    none_failed(&seen);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes"]
async fn twenty_rolling_restarts_fail_no_call() {
    let seen = restarted("2s", 20, Duration::from_secs(20)).await;
    none_failed(&seen);
}

/// What the delay is for: without it the port closes before the proxy knows.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_delay_some_calls_fail() {
    let seen = restarted("0s", 3, Duration::from_secs(2)).await;
    assert!(!seen.failed.lock().unwrap().is_empty());
}
