//! Events that transforms drop, split or hold.

use cqar_domain::relay::TransformFailure;
use cqar_events::relay::RelayState;
use cqar_tests::{
    collect::until,
    nats::Nats,
    nats_proxy::{NatsProxy, PublishFault},
};

use crate::bus::{Log, Rule, Server, Tap, header, outgoing, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_half_published_event_is_finished_as_it_was_begun() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let first = Server::start(&log, settings(proxy.url()), Rule::split(4));
    // Two of the four parts of the second event.
    proxy.plan([PublishFault::Pass; 6].into_iter().chain([PublishFault::Lose; 100]));
    log.write(3).await;
    tap.holds(6).await;
    first.crash();

    let second = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(1).await;
    second.caught_up().await;
    let expected = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.2.0", "2.0.0"];
    assert_eq!(tap.names().await, expected);
    let last_part = &tap.messages().await[7];
    assert_eq!(last_part.subject.as_str(), "cqc.events.v1.asset_created.part-3");
    assert_eq!(header(&last_part.headers, "ce-parts"), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_that_was_remembered_is_kept_to_although_none_of_it_arrived() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let first = Server::start(&log, settings(proxy.url()), Rule::split(2));
    first.caught_up().await;
    proxy.plan([PublishFault::Hold]);
    log.write(2).await;
    proxy.holds_publish().await;
    first.crash();
    let second = Server::start(&log, settings(nats.url()), Rule::pass());
    second.caught_up().await;
    proxy.release();
    log.write(1).await;
    second.caught_up().await;
    assert_eq!(tap.names().await, ["1.0.0", "1.0.1", "1.1.0", "2.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_that_fails_holds_the_relay_until_it_is_mended() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let rule = Rule::new(|event| match event.position.index {
        2 => Err(TransformFailure { plugin: "route".into(), message: "no such venue".into() }),
        _ => Ok(vec![outgoing("x")]),
    });
    let server = Server::start(&log, settings(nats.url()), rule.clone());
    log.write(5).await;
    let health = server.comes_to(RelayState::Held).await;
    assert_eq!(health.message, "event 1.2: transform route: no such venue");
    assert_eq!(health.lag_revisions, Some(1));
    assert_eq!(tap.names().await, ["1.0.0", "1.1.0"], "what came before it is published");
    log.write(1).await;
    rule.swap(|_| Ok(vec![outgoing("y")]));
    server.caught_up().await;
    assert_eq!(tap.names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_events_are_passed_by_and_resumed_after() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let odd = || Rule::new(|event| Ok(if event.position.index % 2 == 1 { vec![outgoing("x")] } else { vec![] }));
    let server = Server::start(&log, settings(nats.url()), odd());
    log.write(7).await;
    server.caught_up().await;
    server.stop().await;
    log.write(1).await;
    let server = Server::start(&log, settings(nats.url()), odd());
    server.caught_up().await;
    server.crash();
    let server = Server::start(&log, settings(nats.url()), odd());
    log.write(4).await;
    server.caught_up().await;
    assert_eq!(tap.names().await, ["1.1.0", "1.3.0", "1.5.0", "3.1.0", "3.3.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_sent_keeps_the_event_from_being_begun() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let rule = Rule::new(|_| Ok(vec![outgoing("fine"), outgoing("not.>.fine")]));
    let server = Server::start(&log, settings(nats.url()), rule.clone());
    log.write(1).await;
    let health = server.comes_to(RelayState::Refused).await;
    assert!(health.message.contains("not.>.fine"), "{}", health.message);
    assert_eq!(tap.messages().await.len(), 0);
    rule.swap(|_| Ok(vec![outgoing("mended")]));
    server.caught_up().await;
    assert_eq!(tap.names().await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_lost_at_any_place_are_published_in_their_place() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let server = Server::start(&log, settings(proxy.url()), Rule::split(3));
    server.caught_up().await;
    let mut expected = Vec::new();
    for lost in 0..6 {
        proxy.plan((0..lost).map(|_| PublishFault::Pass).chain([PublishFault::Lose]));
        let revision = log.write(2).await;
        expected.extend((0..6).map(|place| format!("{revision}.{}.{}", place / 3, place % 3)));
        server.caught_up().await;
    }
    let tap = Tap::new(nats.client().await);
    until("all there", || async { (tap.messages().await.len() == expected.len()).then_some(()) }).await;
    assert_eq!(tap.names().await, expected);
}
