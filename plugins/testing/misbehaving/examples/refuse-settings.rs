//! A validator that no settings please.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator,
    plugin::{EntityType, Failure, Manifest, Plugin, Problem, problem},
};

/// The validator.
pub struct RefuseSettings;

impl Plugin for RefuseSettings {
    type Settings = serde_json::Value;

    fn manifest() -> Manifest {
        Manifest {
            name: "refuse-settings",
            version: env!("CARGO_PKG_VERSION"),
            description: "Refuses all settings.",
            subscriptions: &[EntityType::Market],
            ..Manifest::default()
        }
    }

    fn configure(_: serde_json::Value) -> Result<Self, Vec<Problem>> {
        Err(vec![problem("limit", "NEVER_RIGHT", "must be something else")])
    }
}

impl Validator for RefuseSettings {
    fn validate(&self, _: &Call, _: &Change) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

cqar_plugin_validator::export!(RefuseSettings);
