//! Where a relay goes on: after a crash, on a stream that was purged, on one that is not its own.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use cqar_domain::{event::LogPosition, relay::RelayStateStore};
use cqar_events::relay::{RelaySettings, RelayState};
use cqar_tests::{
    collect::{DEADLINE, until},
    nats::Nats,
    nats_proxy::{NatsProxy, PublishFault},
};
use futures::{StreamExt, future::ready};
use tokio::time::timeout;

use crate::bus::{Log, Rule, Server, Tap, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_publishing_and_remembering_it_loses_and_doubles_nothing() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    for round in 1..=3 {
        let server = Server::start(&log, settings(nats.url()), Rule::pass());
        log.write(400).await;
        // Not all of it, or all of it, and no cursor says so.
        tap.holds(round * 400 - 200).await;
        server.crash();
    }
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    server.caught_up().await;
    assert_eq!(tap.names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_the_duplicate_window_doubles_nothing() {
    let (mut nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let window = Duration::from_millis(200);
    tap.create(|config| config.duplicate_window = window).await;
    let proxy = NatsProxy::start(nats.address()).await;
    let server = Server::start(&log, settings(proxy.url()), Rule::pass());
    log.write(1).await;
    server.caught_up().await;
    proxy.hold_answers();
    log.write(50).await;
    tap.holds(51).await;
    // Stored, and not one of them acknowledged.
    nats.kill();
    tokio::time::sleep(window * 3).await;
    nats.restart();
    proxy.cut();
    log.write(10).await;
    server.caught_up().await;
    assert_eq!(Tap::new(nats.client().await).names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_stream_goes_on_at_the_cursor() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(10).await;
    server.caught_up().await;
    let next = Some(LogPosition::start_of(2));
    until("remembered", || async { (log.store.cursor().await.unwrap() == next).then_some(()) }).await;
    tap.stream().await.purge().await.unwrap();
    log.write(3).await;
    server.caught_up().await;
    assert_eq!(tap.names().await, ["2.0.0", "2.1.0", "2.2.0"]);

    server.stop().await;
    tap.stream().await.purge().await.unwrap();
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(1).await;
    server.caught_up().await;
    assert_eq!(tap.names().await, ["3.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_purged_before_the_cursor_was_saved_is_not_published_again() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(10).await;
    tap.holds(10).await;
    server.crash();
    assert_eq!(log.store.cursor().await.unwrap(), None);
    tap.stream().await.purge().await.unwrap();
    log.write(2).await;
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    server.caught_up().await;
    assert_eq!(tap.names().await, ["2.0.0", "2.1.0"], "the stream still knows the others as duplicates");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_message_that_was_removed_is_not_published_again() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(3).await;
    server.caught_up().await;
    server.stop().await;
    tap.stream().await.delete_message(3).await.unwrap();
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(1).await;
    server.caught_up().await;
    assert_eq!(tap.names().await, ["1.0.0", "1.1.0", "2.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_another_log_is_left_alone_and_reported() {
    let (nats, other, log) = (Nats::start(), Log::new().await, Log::new().await);
    let tap = Tap::new(nats.client().await);
    other.write(2).await;
    let server = Server::start(&other, settings(nats.url()), Rule::pass());
    server.caught_up().await;
    server.stop().await;

    log.write(4).await;
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    let health = server.comes_to(RelayState::Refused).await;
    assert!(health.message.contains(&other.tailer.log_id().to_string()), "{}", health.message);
    assert_eq!(health.lag_revisions, Some(1));
    assert_eq!(tap.names().await, other.names().await);

    tap.stream().await.purge().await.unwrap();
    server.caught_up().await;
    assert_eq!(tap.names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ahead_of_the_log_is_left_alone_and_reported() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    log.write(1).await;
    tap.create(|_| {}).await;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{}:7.0.0", log.tailer.log_id()));
    headers.insert("ce-parts", "1");
    tap.jetstream.publish_with_headers("cqc.events.v1.x", headers, "".into()).await.unwrap().await.unwrap();
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    let health = server.comes_to(RelayState::Refused).await;
    assert!(health.message.contains("ends with event 7.0"), "{}", health.message);
    assert_eq!(tap.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_configured_otherwise_is_left_alone_and_reported() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    tap.create(|config| {
        config.subjects = vec!["cqc.events.v1.>".into(), "orders".into()];
        config.max_messages_per_subject = 5;
    })
    .await;
    log.write(1).await;
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    let health = server.comes_to(RelayState::Refused).await;
    assert!(health.message.contains("orders") && health.message.contains("of each subject"), "{}", health.message);
    assert_eq!(tap.messages().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_server_sent_and_arrives_late_changes_nothing() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let first = Server::start(&log, settings(proxy.url()), Rule::pass());
    log.write(5).await;
    first.caught_up().await;
    proxy.plan([PublishFault::Pass, PublishFault::Pass, PublishFault::Hold]);
    log.write(20).await;
    proxy.holds_publish().await;
    first.crash();
    // Another rule, so that what comes late is not even what is published now.
    let second = Server::start(&log, settings(nats.url()), Rule::split(2));
    until("published", || async { second.relay.health().published }).await;
    proxy.release();
    second.caught_up().await;
    let names = tap.names().await;
    let whole = |name: &String| name.split('.').next() == Some("1") || ["2.0.0", "2.1.0"].contains(&name.as_str());
    assert_eq!(names.iter().filter(|name| whole(name)).count(), 7);
    let split: Vec<_> = (2..20).flat_map(|index| [format!("2.{index}.0"), format!("2.{index}.1")]).collect();
    assert_eq!(names[7..], split);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_late_is_not_mistaken_for_a_part_of_another_split() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let (old_way, new_way) = (NatsProxy::start(nats.address()).await, NatsProxy::start(nats.address()).await);
    let first = Server::start(&log, settings(old_way.url()), Rule::pass());
    first.caught_up().await;
    old_way.plan([PublishFault::Pass, PublishFault::Hold].into_iter().chain([PublishFault::Lose; 100]));
    log.write(4).await;
    old_way.holds_publish().await;
    first.crash();
    new_way.plan([PublishFault::Hold]);
    let second = Server::start(&log, settings(new_way.url()), Rule::split(2));
    new_way.holds_publish().await;
    old_way.release();
    tap.holds(2).await;
    new_way.release();
    second.caught_up().await;
    assert_eq!(tap.names().await, ["1.0.0", "1.1.0", "1.2.0", "1.2.1", "1.3.0", "1.3.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_late_does_not_go_on_after_the_first_part_of_a_split() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let (old_way, new_way) = (NatsProxy::start(nats.address()).await, NatsProxy::start(nats.address()).await);
    let first = Server::start(&log, settings(old_way.url()), Rule::pass());
    log.write(2).await;
    first.caught_up().await;
    old_way.plan([PublishFault::Hold]);
    log.write(4).await;
    old_way.holds_publishes(4).await;
    first.crash();
    new_way.plan([PublishFault::Pass, PublishFault::Hold]);
    // It waits for as long as it is held here.
    let patient = RelaySettings { ack_timeout: DEADLINE, ..settings(new_way.url()) };
    let second = Server::start(&log, patient, Rule::split(2));
    new_way.holds_publish().await;
    // The stream ends with the first part. To the four that come late it is the whole event, and the next one would follow it.
    let client = nats.client().await;
    let answers = client.subscribe("_INBOX.>").await.unwrap();
    // Those of other requests say of which type they are.
    let is_of_publish = |answer: &Message| !answer.payload.windows(7).any(|it| it == b"\"type\":");
    let mut answers = answers.filter(|answer| ready(is_of_publish(answer))).take(4);
    client.flush().await.unwrap();
    old_way.release();
    while let Some(answer) = timeout(DEADLINE, answers.next()).await.expect("each is answered") {
        assert!(answer.payload.windows(5).any(|it| it == b"error"), "{answer:?}");
    }
    new_way.release();
    second.caught_up().await;
    let split: Vec<_> = (0..4).flat_map(|index| [format!("2.{index}.0"), format!("2.{index}.1")]).collect();
    assert_eq!(tap.names().await, [vec!["1.0.0".to_owned(), "1.1.0".to_owned()], split].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_late_is_not_doubled_when_the_stream_has_forgotten_it() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let window = Duration::from_millis(200);
    tap.create(|config| config.duplicate_window = window).await;
    let (old_way, new_way) = (NatsProxy::start(nats.address()).await, NatsProxy::start(nats.address()).await);
    let first = Server::start(&log, settings(old_way.url()), Rule::pass());
    first.caught_up().await;
    old_way.plan([PublishFault::Hold]);
    log.write(3).await;
    old_way.holds_publish().await;
    first.crash();
    new_way.plan([PublishFault::Hold]);
    let second = Server::start(&log, settings(new_way.url()), Rule::pass());
    new_way.holds_publish().await;
    old_way.release();
    tap.holds(1).await;
    tokio::time::sleep(window * 3).await;
    new_way.release();
    second.caught_up().await;
    assert_eq!(tap.names().await, log.names().await);
}
