//! What takes the place of the validator `require-tick`, and no longer judges markets.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator,
    plugin::{EntityType, Failure, Manifest, NoSettings, Plugin, Problem},
};

/// The validator.
pub struct AcceptAssets;

impl Plugin for AcceptAssets {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "require-tick",
            version: env!("CARGO_PKG_VERSION"),
            description: "Accepts every asset.",
            subscriptions: &[EntityType::Asset],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for AcceptAssets {
    fn validate(&self, _: &Call, _: &Change) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

cqar_plugin_validator::export!(AcceptAssets);
