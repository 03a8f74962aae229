//! A transform: puts the venue of a market's event at the end of its subject, so that
//! `cqc.events.v1.market_listed.binance` is one venue's and `cqc.events.v1.market_listed.>` is still everyone's.

use cqar_plugin_transform::{
    Action, Call, Event, Outgoing, Transform, document,
    plugin::{EntityType, Failure, Field, Manifest, NoSettings, Plugin, Problem},
};
use serde::Deserialize;

/// The transform.
pub struct RouteByVenue;

impl Plugin for RouteByVenue {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "route-by-venue",
            version: env!("CARGO_PKG_VERSION"),
            description: "Puts the venue of a market event at the end of its subject.",
            subscriptions: &[EntityType::Market],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Transform for RouteByVenue {
    fn transform(&self, _: &Call, event: &Event) -> Result<Action, Failure> {
        let market: MarketEvent = document::read(&event.event)?;
        if market.entity_type != EntityType::Market.name() || market.venue_id.is_empty() {
            return Ok(Action::Pass);
        }
        Ok(Action::Emit(vec![Outgoing {
            subject_suffix: Some(market.venue_id.clone()),
            attributes: vec![Field { key: "venue".to_owned(), value: market.venue_id }],
            body: None,
        }]))
    }
}

cqar_plugin_transform::export!(RouteByVenue);

/// What is read of an event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MarketEvent {
    entity_type: String,
    /// A slug, which is a valid token of a subject as it stands.
    venue_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(event: &str) -> Result<Action, Failure> {
        let event = Event {
            event_type: "market_listed".to_owned(),
            subject: "cqc.events.v1.market_listed".to_owned(),
            event: event.to_owned(),
        };
        RouteByVenue.transform(&Call::default(), &event)
    }

    #[test]
    fn a_market_event_goes_out_under_its_venue_with_its_own_body() {
        let action = transform(r#"{"entity_type": "market", "venue_id": "binance", "revision": "7"}"#).unwrap();
        let Action::Emit(outgoing) = action else { panic!("{action:?}") };
        assert_eq!(outgoing.len(), 1);
        assert_eq!(outgoing[0].subject_suffix.as_deref(), Some("binance"));
        assert_eq!(outgoing[0].attributes, [Field { key: "venue".to_owned(), value: "binance".to_owned() }]);
        assert_eq!(outgoing[0].body, None);
    }

    #[test]
    fn what_is_no_market_or_has_no_venue_passes() {
        assert_eq!(transform(r#"{"entity_type": "venue", "venue_id": "binance"}"#).unwrap(), Action::Pass);
        assert_eq!(transform(r#"{"entity_type": "market"}"#).unwrap(), Action::Pass);
    }

    #[test]
    fn an_unreadable_event_fails_the_call() {
        assert_eq!(transform("{").unwrap_err().code, "UNREADABLE_DOCUMENT");
    }
}
