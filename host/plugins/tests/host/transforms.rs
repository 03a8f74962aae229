//! What transforms make of events.

use std::sync::Arc;

use cqar_domain::{
    event::{EventType, LogPosition, LoggedEvent},
    id::{EntityKey, EntityType},
    relay::OutboundMessage,
};
use cqar_proto::v1::{self, plugin::State};
use prost::Message;
use serde_json::json;

use crate::fixture::{Fixture, Instruments, component};

const PREFIX: &str = "cqc.events.v1";
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn event(index: i32, event_type: &str, symbol: &str) -> LoggedEvent {
    let event_type = EventType::from_name(event_type).unwrap();
    let market = v1::Market { venue_id: "binance".into(), venue_symbol: symbol.into(), ..Default::default() };
    let is_market = event_type.entity_type() == EntityType::Market;
    let message = v1::Event {
        revision: 1,
        index,
        r#type: event_type.to_string(),
        entity_type: event_type.entity_type().to_string(),
        venue_id: if is_market { "binance".into() } else { String::new() },
        after: is_market.then_some(v1::Entity { entity: Some(v1::entity::Entity::Market(market)) }),
        ..Default::default()
    };
    LoggedEvent {
        position: LogPosition { revision: 1, index },
        event_type,
        key: EntityKey::parse(event_type.entity_type(), ID).unwrap(),
        venue: None,
        body: message.encode_to_vec().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_market_goes_out_under_its_venue_and_others_pass() {
    let mut fixture = Fixture::with(&["route-by-venue"]);
    fixture.config.transforms = vec!["route-by-venue".into()];
    let running = fixture.start().await;
    let events = [event(0, "market_listed", "BTCUSDT"), event(1, "asset_created", "")];
    let (answers, failure) = running.host.transforms().transform(&events, PREFIX).await;
    assert!(failure.is_none());
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(answers[0][0].subject_suffix, "binance");
    assert_eq!(answers[0][0].attributes, [("venue".to_owned(), "binance".to_owned())]);
    assert_eq!(answers[1][0], OutboundMessage::default());
    assert_eq!(running.host.degraded(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_that_fails_holds_its_event_and_those_after_it() {
    let mut fixture = Fixture::with(&["fail-on-demand", "route-by-venue"]);
    fixture.config.transforms = vec!["route-by-venue".into(), "fail-on-demand".into()];
    let running = fixture.start().await;
    let transforms = running.host.transforms();
    let events = [event(0, "market_listed", "A"), event(1, "market_listed", "HOLD"), event(2, "market_listed", "B")];
    let (answers, failure) = transforms.transform(&events, PREFIX).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][0].subject_suffix, "binance");
    let failure = failure.unwrap();
    assert_eq!(failure.to_string(), "transform fail-on-demand: failed: ON_HOLD: told to hold it back");
    assert_eq!(running.status("fail-on-demand").last_failure, "transform failed: ON_HOLD: told to hold it back");
    assert!(running.host.degraded().unwrap().contains("fail-on-demand: holds the events"));
    running.stop().await;

    fixture.config.plugins.settings.insert("fail-on-demand".into(), json!({"mended": true}));
    let running = fixture.start().await;
    let (answers, failure) = running.host.transforms().transform(&events, PREFIX).await;
    assert_eq!((answers.len(), failure.is_none()), (3, true));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enabled_transform_that_is_not_there_holds_everything_until_it_comes() {
    let mut fixture = Fixture::new();
    fixture.config.transforms = vec!["route-by-venue".into()];
    let running = fixture.start().await;
    let transforms = running.host.transforms();
    let events = [event(0, "asset_created", "")];
    let (answers, failure) = transforms.transform(&events, PREFIX).await;
    assert!(answers.is_empty() && failure.is_some());
    assert!(running.host.degraded().unwrap().contains("is enabled and does not serve"));

    fixture.put("route-by-venue", &component("route-by-venue"));
    let waiting = async {
        loop {
            transforms.changed().await;
            let (answers, failure) = transforms.transform(&events, PREFIX).await;
            if failure.is_none() {
                return answers;
            }
        }
    };
    let answers = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(running.status("route-by-venue").state(), State::Serving);
    running.stop().await;
}

/// A market's event, of the instrument.
fn of_instrument(index: i32, instrument: &str) -> LoggedEvent {
    let listed = event(index, "market_listed", "BTCUSDT");
    let mut message = v1::Event::decode(listed.body.clone()).unwrap();
    if let Some(v1::entity::Entity::Market(market)) = message.after.as_mut().and_then(|it| it.entity.as_mut()) {
        market.instrument_id = instrument.into();
    }
    LoggedEvent { body: message.encode_to_vec().into(), ..listed }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_that_looks_up_is_held_by_what_it_saw_alone_and_not_by_other_commits() {
    let mut fixture = Fixture::with(&["name-instrument"]);
    fixture.config.transforms = vec!["name-instrument".into()];
    let instruments = Arc::new(Instruments::default());
    instruments.state.lock().await.codes.insert(ID.into(), ("BTC/USDT".into(), 1));
    fixture.lookup = Arc::clone(&instruments) as _;
    let running = fixture.start().await;
    let transforms = running.host.transforms();
    let events: Vec<_> = (0..12).map(|index| of_instrument(index, ID)).collect();

    // Each look-up is followed by a commit of another row.
    let (answers, failure) = transforms.transform(&events, PREFIX).await;
    assert!(failure.is_none(), "{failure:?}");
    let named = |part: &OutboundMessage| part.attributes == [("instrument".to_owned(), "BTC/USDT".to_owned())];
    assert!(answers.len() == 12 && answers.iter().flatten().all(named), "{answers:?}");
    assert!(instruments.state.lock().await.others >= 12);

    // A row that changes between two look-ups of one call is no one state.
    instruments.state.lock().await.moving = true;
    let (answers, failure) = transforms.transform(&events, PREFIX).await;
    assert_eq!((answers.len(), failure.is_none()), (12, true), "each event alone looks up once, which is one state");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_batch_becomes_is_bounded_and_the_rest_is_answered_later() {
    let mut fixture = Fixture::with(&["hostile-transform"]);
    fixture.config.transforms = vec!["hostile-transform".into()];
    fixture.config.plugins.limits.call.guest = std::time::Duration::from_secs(5);
    let text = "[settings]\ndoes = \"many-parts\"\non = \"LARGE\"\n";
    std::fs::write(fixture.file("hostile-transform").with_extension("toml"), text).unwrap();
    let running = fixture.start().await;
    let transforms = running.host.transforms();
    let events: Vec<_> = (0..20).map(|index| event(index, "market_listed", "LARGE")).collect();
    // All of them would be 150 MB.
    let mut rest = events.as_slice();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let (answers, failure) = transforms.transform(rest, PREFIX).await;
        assert!(failure.is_none() && answers.iter().all(|parts| parts.len() == 15), "{failure:?}");
        batches.push(answers.len());
        rest = &rest[answers.len()..];
    }
    assert_eq!(batches, [5, 5, 5, 5]);
    assert_eq!(running.host.degraded(), None);
    running.stop().await;
}
