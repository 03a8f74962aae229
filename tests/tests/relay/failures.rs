//! Messages that are lost, doubled or put between, and servers that take no more.

use cqar_events::relay::RelayState;
use cqar_tests::{
    nats::Nats,
    nats_proxy::{NatsProxy, PublishFault},
};

use crate::bus::{Log, Rule, Server, Tap, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_lost_in_the_middle_of_the_window_is_published_in_its_place() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let server = Server::start(&log, settings(proxy.url()), Rule::pass());
    log.write(1).await;
    server.caught_up().await;
    for lost in [0, 1, 17, 99] {
        proxy.plan((0..lost).map(|_| PublishFault::Pass).chain([PublishFault::Lose]));
        log.write(100).await;
        server.caught_up().await;
    }
    assert_eq!(Tap::new(nats.client().await).names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_in_the_middle_of_the_window_makes_no_event_be_passed_by() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let server = Server::start(&log, settings(proxy.url()), Rule::pass());
    log.write(1).await;
    server.caught_up().await;
    proxy.plan([PublishFault::Pass, PublishFault::Pass, PublishFault::Hold]);
    log.write(10).await;
    proxy.holds_publish().await;
    tap.holds(3).await;
    let foreign = tap.jetstream.publish("cqc.events.v1.foreign", "not ours".into()).await.unwrap().await.unwrap();
    proxy.release();
    let health = server.comes_to(RelayState::Refused).await;
    assert!(health.message.contains("cqc.events.v1.foreign"), "{}", health.message);
    assert_eq!(
        tap.messages().await.len(),
        4,
        "without the id of the message before, the fourth would follow the foreign one"
    );

    tap.stream().await.delete_message(foreign.sequence).await.unwrap();
    server.caught_up().await;
    assert_eq!(tap.names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_are_lost_double_nothing() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let proxy = NatsProxy::start(nats.address()).await;
    let server = Server::start(&log, settings(proxy.url()), Rule::pass());
    log.write(1).await;
    server.caught_up().await;
    proxy.hold_answers();
    log.write(30).await;
    tap.holds(31).await;
    proxy.cut();
    server.caught_up().await;
    log.write(30).await;
    server.caught_up().await;
    assert_eq!(tap.names().await, log.names().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_removed_is_made_again_and_goes_on() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let tap = Tap::new(nats.client().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(2).await;
    server.caught_up().await;
    server.stop().await;
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    server.caught_up().await;
    tap.jetstream.delete_stream("cqc_events").await.unwrap();
    log.write(2).await;
    server.caught_up().await;
    assert_eq!(tap.names().await, ["2.0.0", "2.1.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_larger_than_the_server_takes_holds_and_says_so() {
    let (nats, log) = (Nats::start_with("max_payload: 4096"), Log::new().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write(3).await;
    log.write_described(1, &"x".repeat(5000)).await;
    let health = server.comes_to(RelayState::Refused).await;
    assert!(health.message.contains("message 2.0.0") && health.message.contains("4096"), "{}", health.message);
    assert_eq!(Tap::new(nats.client().await).names().await, ["1.0.0", "1.1.0", "1.2.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_event_fits_the_default_server() {
    let (nats, log) = (Nats::start(), Log::new().await);
    let server = Server::start(&log, settings(nats.url()), Rule::pass());
    log.write_described(2, &"x".repeat(520_000)).await;
    server.caught_up().await;
    assert_eq!(Tap::new(nats.client().await).names().await, log.names().await);
}
