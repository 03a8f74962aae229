//! What a transform does to the bus: it holds the events from the one that it fails on, says why, and loses none.

use cqar_proto::v1::component::State;
use cqar_tests::{
    collect::{log, until},
    environment::TestEnvironment,
};

use super::{PEAK_KIB, behave, configured, memory_kib, start, well_behaved};
use crate::{
    bus::{bus, bus_comes_to},
    fixture::{apply, create, market, mutation},
    follower::Follower,
    load::Load,
    swap::plugin,
};

const TRANSFORM: &str = "hostile-transform";

/// What it does, and what is said of it.
const CASES: &[(&str, &str)] = &[
    ("loop", "took longer than"),
    ("eat", "needed more than 64 MiB of memory"),
    ("recurse", "call stack exhausted"),
    ("trap", "told to trap"),
    ("fail", "TOLD_TO_FAIL"),
    ("fail-control-characters", "failed: "),
    ("sleep", "took longer than"),
    ("print", "took longer than"),
    ("log-flood", "took longer than"),
    ("large-answer", ""),
    ("wrong-number", "gave an answer that is none"),
    ("control-characters", "gave an answer that is none"),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_transform_does_holds_the_events_and_loses_none() {
    let environment = TestEnvironment::all();
    let enabled = |options: cqar_tests::server::Options| options.with("PLUGINS_TRANSFORMS", TRANSFORM);
    let (server, registered) = start(&environment, &[TRANSFORM], enabled).await;
    let follower = Follower::start(environment.nats().unwrap()).await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    for (does, says) in CASES {
        behave(&server, TRANSFORM, does, "transform").await;
        let create = create(market("okx", &format!("HOSTILE-{does}"), &registered.spot));
        apply(&server, vec![mutation(create)]).await.unwrap();
        let held = until(&format!("{does} holds the bus"), async || {
            let bus = bus(&server).await;
            (bus.state() == State::Degraded && bus.message.contains(says)).then_some(bus.message)
        })
        .await;
        assert!(held.len() < 5000 && !held.contains(char::is_control), "{held}");
        assert!(!plugin(&server, TRANSFORM).await.failures.is_empty());
        configured(&server, TRANSFORM, "").await;
        bus_comes_to(&server, State::Ok).await;
    }
    follower.received(&log(&server).await).await;
    load.goes_on().await;
    load.end().await;
    assert!(memory_kib(&server, "VmHWM") < PEAK_KIB, "{}", memory_kib(&server, "VmHWM"));
}
