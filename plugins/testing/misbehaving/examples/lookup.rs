//! A validator that looks its market's instrument up, and warns with what it saw.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator, document,
    plugin::{EntityType, Failure, Grant, Manifest, NoSettings, Plugin, Problem},
    registry,
};
use serde::Deserialize;

/// The validator.
pub struct Lookup;

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

impl Plugin for Lookup {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "lookup",
            version: env!("CARGO_PKG_VERSION"),
            description: "Warns with the code of a market's instrument.",
            subscriptions: &[EntityType::Market],
            grants: &[Grant::Registry],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for Lookup {
    fn validate(&self, _: &Call, change: &Change) -> Result<Vec<Finding>, Failure> {
        let Some(after) = change.after.as_deref() else { return Ok(Vec::new()) };
        let market: Market = document::read(after)?;
        let found: Vec<Option<Instrument>> = registry::get(EntityType::Instrument, &[market.instrument_id])?;
        let saw = match found.first() {
            Some(Some(instrument)) => Finding::warning("instrument_id", "INSTRUMENT_SEEN", instrument.code.as_str()),
            _ => Finding::warning("instrument_id", "INSTRUMENT_UNSEEN", "there is no such instrument"),
        };
        Ok(vec![saw])
    }
}

cqar_plugin_validator::export!(Lookup);
