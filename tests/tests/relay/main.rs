//! The relay on a real NATS server: the stream holds every event of the log once, in order, whatever crashes when.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bus;
mod failures;
mod resuming;
mod transforms;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use bus::{Log, Rule, Server, Tap, header, settings};
use cqar_domain::relay::OutboundMessage;
use cqar_events::relay::{Credentials, Relay, RelayError, RelaySettings, RelayState};
use cqar_proto::v1;
use cqar_tests::{collect::until, nats::Nats};
use futures::StreamExt;
use prost::Message;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_published_once_in_order_as_a_cloud_event() {
    let (nats, log) = (Nats::start(), Log::new().await);
    for size in [1, 3, 600, 1] {
        log.write(size).await;
    }
    let server = Server::start(&log, settings(nats.url()), Rule::new(|_| Ok(vec![OutboundMessage::default()])));
    log.write(2).await;
    server.caught_up().await;

    let tap = Tap::new(nats.client().await);
    let (messages, events) = (tap.messages().await, log.events().await);
    assert_eq!(tap.names().await, log.names().await);
    for (message, event) in messages.iter().zip(&events) {
        assert_eq!(message.subject.as_str(), "cqc.events.v1.asset_created");
        assert_eq!(message.payload, event.body);
        let header = |name: &str| header(&message.headers, name);
        let log_id = log.tailer.log_id();
        assert_eq!(header("ce-specversion"), "1.0");
        assert_eq!(header("ce-source"), format!("urn:uuid:{log_id}"));
        assert_eq!(header("ce-type"), "asset_created");
        assert_eq!(header("Nats-Msg-Id"), format!("{log_id}:{}.0", event.position));
        let body = v1::Event::decode(message.payload.clone()).unwrap();
        assert_eq!((body.revision, body.index), (event.position.revision, event.position.index));
        assert_eq!(header("ce-subject"), format!("asset/{}", body.entity_id));
    }
    assert_eq!(server.relay.health().published, events.last().map(|event| event.position));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_sees_each_event_once_in_order_while_the_server_is_killed_again_and_again() {
    let (mut nats, log) = (Nats::start(), Log::new().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    server.caught_up().await;
    for _ in 0..4 {
        for size in [1, 40, 300, 7] {
            log.write(size).await;
        }
        // In the middle of it.
        nats.kill();
        log.write(25).await;
        nats.restart();
    }
    server.caught_up().await;

    let tap = Tap::new(nats.client().await);
    let names = log.names().await;
    assert_eq!(tap.names().await, names);
    let consumer = tap.stream().await.create_consumer(OrderedConfig::default()).await.unwrap();
    let seen = consumer.messages().await.unwrap().take(names.len());
    let seen: Vec<String> =
        seen.map(|message| header(message.unwrap().headers.as_ref().unwrap(), "ce-id")).collect().await;
    assert_eq!(seen, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_while_nats_is_away_and_flow_when_it_comes() {
    let (mut nats, log) = (Nats::stopped(""), Log::new().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    for _ in 0..20 {
        log.write(3).await;
    }
    let health = until("lag", || async { Some(server.relay.health()).filter(|h| h.lag_revisions == Some(20)) }).await;
    assert_eq!(health.state, RelayState::Waiting);
    assert!(health.message.starts_with("NATS: "), "{}", health.message);
    nats.restart();
    server.caught_up().await;
    assert_eq!(Tap::new(nats.client().await).names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_publishes_and_another_takes_over_when_it_is_gone() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let first = Server::start(&log, settings(nats.url()), Rule::pass());
    first.caught_up().await;
    let second = Server::start(&log, settings(nats.url()), Rule::pass());
    let health = second.comes_to(RelayState::Standby).await;
    assert_eq!(health.lag_revisions, None);
    log.write(5).await;
    first.caught_up().await;
    assert_eq!(second.relay.health().published, None);

    first.crash();
    log.write(5).await;
    second.caught_up().await;
    second.stop().await;
    let third = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(5).await;
    third.caught_up().await;
    assert_eq!(Tap::new(nats.client().await).names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_could_not_publish_says_so() {
    let (nats, mut away, log) = (Nats::start(), Nats::stopped(""), Log::new().await);
    let first = Server::start(&log, settings(nats.url()), Rule::pass());
    first.caught_up().await;
    let second = Server::start(&log, settings(away.url()), Rule::pass());
    let told = || async { Some(second.relay.health()).filter(|health| health.message.starts_with("NATS: ")) };
    assert_eq!(until("reported", told).await.state, RelayState::Waiting);
    away.restart();
    second.comes_to(RelayState::Standby).await;
    assert_eq!(first.relay.health().state, RelayState::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_used_and_a_wrong_one_is_reported() {
    let nats = Nats::start_with("authorization { user: cqar, password: \"right\" }");
    let log = Log::new().await;
    log.write(1).await;
    let with = |password: &str| {
        let credentials = Credentials::UserAndPassword { user: "cqar".into(), password: password.into() };
        RelaySettings { credentials, ..settings(nats.url()) }
    };
    let wrong = Server::start(&log, with("wrong"), Rule::pass());
    let refused = || async { Some(wrong.relay.health()).filter(|h| h.message.contains("authorization")) };
    let health = until("reported", refused).await;
    assert!(!health.message.contains("wrong"), "{}", health.message);
    wrong.stop().await;
    Server::start(&log, with("right"), Rule::pass()).caught_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_stop_the_start() {
    let log = Log::new().await;
    let start = |change: fn(&mut RelaySettings)| {
        let mut settings = settings("127.0.0.1:4222");
        change(&mut settings);
        let (tracker, token) = Default::default();
        let store = log.store.clone();
        let applied = log.tailer.subscribe();
        let metrics = prometheus::Registry::new();
        Relay::start(settings, store.clone(), store, Rule::pass(), applied, &metrics, &tracker, token)
    };
    assert!(matches!(start(|it| it.servers = vec![]), Err(RelayError::NoServer)));
    assert!(matches!(start(|it| it.servers = vec!["http://x".into()]), Err(RelayError::Address { .. })));
    assert!(matches!(start(|it| it.stream = "a.b".into()), Err(RelayError::Stream(_))));
    assert!(matches!(start(|it| it.subject_prefix = "a.>".into()), Err(RelayError::SubjectPrefix(_))));
}
