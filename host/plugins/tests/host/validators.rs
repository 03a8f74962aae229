//! What validators judge, and on what state.

use std::sync::Arc;

use cqar_domain::{
    finding::Severity,
    id::{EntityKey, EntityType},
    lookup::ReadSet,
};
use cqar_plugins::{Change, Operation, ValidateError};
use cqar_proto::v1::plugin::State;
use serde_json::json;

use crate::fixture::{Fixture, Instruments, component, context, market, market_with};

fn asset() -> Change {
    Change {
        operation: Operation::Create,
        entity_type: EntityType::Asset,
        id: "01890a5d-ac96-774b-bcce-b302099a8059".into(),
        before: None,
        after: Some(r#"{"symbol": "BTC"}"#.into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_validator_judges_what_it_subscribes_to_in_the_order_of_names() {
    let fixture = Fixture::with(&["require-tick", "market-sanity"]);
    let running = fixture.start().await;
    let changes = [asset(), market("BTCUSDT"), market_with("ETHUSDT", &json!({"tick_size": "", "taker_fee": "0.9"}))];
    let judgement = running.host.snapshot().validate(&context(), changes.into()).await.unwrap();

    let found: Vec<_> = judgement
        .findings
        .iter()
        .map(|(index, it)| (*index, it.plugin.as_str(), it.path.as_str(), it.severity))
        .collect();
    assert_eq!(
        found,
        [(2, "market-sanity", "taker_fee", Severity::Error), (2, "require-tick", "tick_size", Severity::Error)]
    );
    let hash = running.status("require-tick").hash;
    assert_eq!(judgement.judged_by[1], format!("require-tick@{}", &hash[..16]));
    assert_eq!(judgement.judged_by(EntityType::Market), judgement.judged_by);
    assert_eq!(judgement.judged_by(EntityType::Asset), [""; 0]);

    let judgement = running.host.snapshot().validate(&context(), [asset()].into()).await.unwrap();
    assert_eq!(judgement.judged_by, [""; 0]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_in_a_large_batch_names_its_change() {
    let fixture = Fixture::with(&["require-tick"]);
    let running = fixture.start().await;
    let odd = |index: usize| index % 97 == 5;
    let change = |index: usize| match index {
        _ if odd(index) => market_with("X", &json!({"tick_size": ""})),
        _ if index.is_multiple_of(3) => asset(),
        _ => market("X"),
    };
    let changes: Arc<[Change]> = (0..1000).map(change).collect();
    let judgement = running.host.snapshot().validate(&context(), changes).await.unwrap();
    let indices: Vec<_> = judgement.findings.iter().map(|(index, _)| *index).collect();
    assert_eq!(indices, (0..1000).filter(|index| odd(*index)).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_required_plugin_that_never_served_might_judge_is_refused_and_not_waved_through() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.config.required = vec!["require-tick".into()];
    let running = fixture.start().await;
    assert_eq!(running.status("require-tick").state(), State::Missing);
    assert!(running.host.degraded().unwrap().contains("require-tick: does not serve"));
    for change in [asset(), market("BTCUSDT")] {
        let refused = running.host.snapshot().validate(&context(), [change].into()).await;
        assert!(matches!(refused, Err(ValidateError::NotServing { plugin, .. }) if plugin == "require-tick"));
    }

    fixture.put("require-tick", &component("require-tick"));
    running.until("require-tick", |it| it.state() == State::Serving).await;
    running.host.snapshot().validate(&context(), [asset(), market("BTCUSDT")].into()).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_are_noted_with_their_revision_misses_included() {
    let mut fixture = Fixture::with(&["lookup"]);
    let instruments = Arc::new(Instruments::default());
    let known = "01890a5d-ac96-774b-bcce-b302099a8058";
    {
        let mut state = instruments.state.lock().await;
        state.codes.insert(known.into(), ("BTC/USDT".into(), 41));
    }
    fixture.lookup = Arc::clone(&instruments) as _;
    let running = fixture.start().await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8999";
    let changes = [market("BTCUSDT"), market_with("ETHUSDT", &json!({"instrument_id": unknown}))];
    let judgement = running.host.snapshot().validate(&context(), changes.into()).await.unwrap();
    let messages: Vec<_> = judgement.findings.iter().map(|(_, it)| it.message.as_str()).collect();
    assert_eq!(messages, ["BTC/USDT", "there is no such instrument"]);
    let [known, unknown] = [known, unknown].map(|id| EntityKey::parse(EntityType::Instrument, id).unwrap());
    let mut expected = ReadSet::default();
    assert!(expected.add(known, Some(41)) && expected.add(unknown, None));
    assert_eq!(judgement.read, expected);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_between_two_look_ups_fails_the_judgement_as_moved_and_other_rows_do_not() {
    let mut fixture = Fixture::with(&["lookup"]);
    let instruments = Arc::new(Instruments::default());
    let seen = "01890a5d-ac96-774b-bcce-b302099a8058";
    instruments.state.lock().await.codes.insert(seen.into(), ("BTC/USDT".into(), 1));
    fixture.lookup = Arc::clone(&instruments) as _;
    let running = fixture.start().await;
    instruments.state.lock().await.moving = true;
    let judged = running.host.snapshot().validate(&context(), [market("A"), market("B")].into()).await;
    assert!(matches!(judged, Err(ValidateError::Moved)), "{judged:?}");
    assert_eq!(running.status("lookup").failed_calls, 0, "the plugin did nothing wrong");

    instruments.state.lock().await.moving = false;
    running.host.snapshot().validate(&context(), [market("A"), market("B")].into()).await.unwrap();
    running.stop().await;
}
