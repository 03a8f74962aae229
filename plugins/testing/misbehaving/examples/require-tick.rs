//! A validator that wants a tick size for every market.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator, document,
    plugin::{EntityType, Failure, Manifest, NoSettings, Plugin, Problem},
};
use serde::Deserialize;

/// The validator.
pub struct RequireTick;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Market {
    tick_size: String,
}

impl Plugin for RequireTick {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "require-tick",
            version: env!("CARGO_PKG_VERSION"),
            description: "Wants a tick size for every market.",
            subscriptions: &[EntityType::Market],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for RequireTick {
    fn validate(&self, _: &Call, change: &Change) -> Result<Vec<Finding>, Failure> {
        let Some(after) = change.after.as_deref() else { return Ok(Vec::new()) };
        let market: Market = document::read(after)?;
        let missing = || Finding::error("tick_size", "TICK_SIZE_REQUIRED", "must be given");
        Ok(market.tick_size.is_empty().then(missing).into_iter().collect())
    }
}

cqar_plugin_validator::export!(RequireTick);
