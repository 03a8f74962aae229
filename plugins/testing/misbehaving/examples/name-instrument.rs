//! A transform that looks the instrument of a market up, and gives the event its code as the attribute `instrument`.

use cqar_plugin_transform::{
    Action, Call, Event, Outgoing, Transform, document,
    plugin::{EntityType, Failure, Field, Grant, Manifest, NoSettings, Plugin, Problem},
    registry,
};
use serde::Deserialize;

/// The transform.
pub struct NameInstrument;

#[derive(Default, Deserialize)]
#[serde(default)]
struct MarketEvent {
    after: After,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct After {
    market: Market,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Market {
    instrument_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instrument {
    code: String,
}

impl Plugin for NameInstrument {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "name-instrument",
            version: env!("CARGO_PKG_VERSION"),
            description: "Gives events of markets the code of their instrument.",
            subscriptions: &[EntityType::Market],
            grants: &[Grant::Registry],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Transform for NameInstrument {
    fn transform(&self, _: &Call, event: &Event) -> Result<Action, Failure> {
        let event: MarketEvent = document::read(&event.event)?;
        let id = event.after.market.instrument_id;
        if id.is_empty() {
            return Ok(Action::Pass);
        }
        let found: Vec<Option<Instrument>> = registry::get(EntityType::Instrument, &[id])?;
        let Some(Some(instrument)) = found.into_iter().next() else { return Ok(Action::Pass) };
        let attributes = vec![Field { key: "instrument".to_owned(), value: instrument.code }];
        Ok(Action::Emit(vec![Outgoing { subject_suffix: None, attributes, body: None }]))
    }
}

cqar_plugin_transform::export!(NameInstrument);
