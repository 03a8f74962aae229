//! What arrives on the event bus, and what happens when it does not.

use cqar_proto::v1::{
    Component, Event, GetStatusRequest, component::State, entity::Entity as Kind, mutation::Operation,
};
use cqar_tests::{
    collect::{log, until},
    environment::TestEnvironment,
    nats::Nats,
    server::{Options, Server, testing_plugins},
};
use prost::Message as _;

use crate::{
    fixture::{apply, asset, create, instrument, market, mutation},
    follower::{Follower, header},
    swap::put,
};

pub async fn bus(server: &Server) -> Component {
    let status = server.registry().await.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    status.components.into_iter().find(|component| component.name == "eventbus").unwrap()
}

pub async fn bus_comes_to(server: &Server, state: State) -> Component {
    until(&format!("the bus is {state:?}"), async || Some(bus(server).await).filter(|it| it.state() == state)).await
}

async fn write(server: &Server, operation: Operation) -> i64 {
    apply(server, vec![mutation(operation)]).await.unwrap().revision
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_markets_carry_their_venue_and_all_are_cloud_events() {
    let s = TestEnvironment::all();
    let server = s.options().with_starter().start().await;
    let follower = Follower::start(s.nats().unwrap()).await;
    let spot = instrument(&server, "BTC/USDT").await;
    write(&server, create(asset("BUS"))).await;
    write(&server, create(market("kraken", "ON-THE-BUS", &spot))).await;
    let log = log(&server).await;
    follower.received(&log).await;

    let messages = follower.messages();
    let log_id = server.registry().await.get_status(GetStatusRequest {}).await.unwrap().into_inner().log_id;
    for (message, event) in messages.iter().zip(&log) {
        assert_eq!(&Event::decode(message.payload.clone()).unwrap(), event);
        let place = format!("{}.{}.0", event.revision, event.index);
        for (name, expected) in [
            ("Nats-Msg-Id", format!("{log_id}:{place}")),
            ("ce-specversion", "1.0".to_owned()),
            ("ce-source", format!("urn:uuid:{log_id}")),
            ("ce-id", place),
            ("ce-type", event.r#type.clone()),
            ("ce-subject", format!("{}/{}", event.entity_type, event.entity_id)),
            ("ce-datacontenttype", "application/protobuf".to_owned()),
        ] {
            assert_eq!(header(message, name), expected);
        }
        assert!(!header(message, "ce-time").is_empty());
        let mut subject = format!("cqc.events.v1.{}", event.r#type);
        if event.entity_type == "market" {
            subject = format!("{subject}.{}", event.venue_id);
        }
        assert_eq!(message.subject.as_str(), subject);
    }
    let last = messages.last().unwrap();
    assert_eq!(last.subject.as_str(), "cqc.events.v1.market_listed.kraken");
    let Some(Kind::Market(market)) = log.last().unwrap().after.clone().unwrap().entity else { panic!() };
    assert_eq!(market.venue_symbol, "ON-THE-BUS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_that_fails_holds_the_events_until_it_is_mended_and_no_write() {
    let s = TestEnvironment::all();
    let options = s.options().with("PLUGINS_TRANSFORMS", "fail-on-demand");
    put(&options, "fail-on-demand", &std::fs::read(testing_plugins().join("fail-on-demand.wasm")).unwrap());
    let server = options.clone().with_starter().start().await;
    let follower = Follower::start(s.nats().unwrap()).await;
    let spot = instrument(&server, "BTC/USDT").await;
    follower.received(&log(&server).await).await;

    let held = write(&server, create(market("kraken", "HOLD-IT", &spot))).await;
    let degraded = bus_comes_to(&server, State::Degraded).await;
    assert!(degraded.message.starts_with("held: "), "{}", degraded.message);
    assert!(degraded.message.contains("fail-on-demand"), "{}", degraded.message);
    let last = write(&server, create(asset("BEHIND"))).await;
    assert_eq!(last, held + 1, "writes go on");
    let (code, ready) = server.http_get(server.http(), "/health/ready").await;
    assert!(code == 200 && ready.contains("degraded"), "{code} {ready}");
    until("the lag is 2", async || {
        let (_, metrics) = server.http_get(server.metrics(), "/metrics").await;
        metrics.lines().any(|line| line == "cqar_relay_lag_revisions 2").then_some(())
    })
    .await;
    let output = String::from_utf8(server.cli(&["plugin", "list"]).stdout).unwrap();
    let line = output.lines().find(|line| line.starts_with("fail-on-demand")).unwrap();
    assert!(line.contains("ON_HOLD"), "{line}");
    assert_eq!(follower.messages().len(), log(&server).await.len() - 2);

    assert!(server.terminate().await.success());
    let config = options.folder().join("config");
    std::fs::create_dir(&config).unwrap();
    let mended = "plugins: {settings: {fail-on-demand: {mended: true}}}\n";
    std::fs::write(config.join("config.yaml"), mended).unwrap();
    let server = options.start().await;
    follower.received(&log(&server).await).await;
    bus_comes_to(&server, State::Ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_blocks_no_write_and_gets_every_event_later() {
    let mut nats = Nats::stopped("");
    let server = Options::new().with("EVENTBUS_SERVERS", nats.address()).start().await;
    write(&server, create(asset("EARLY"))).await;
    bus_comes_to(&server, State::Degraded).await;
    nats.restart();
    bus_comes_to(&server, State::Ok).await;
    for n in 0..3 {
        nats.kill();
        write(&server, create(asset(&format!("AWAY{n}")))).await;
        bus_comes_to(&server, State::Degraded).await;
        write(&server, create(asset(&format!("STILL{n}")))).await;
        nats.restart();
        bus_comes_to(&server, State::Ok).await;
    }
    Follower::start(&nats).await.received(&log(&server).await).await;
}
