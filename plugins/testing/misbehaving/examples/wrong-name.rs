//! A validator that says another name than its file's.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator,
    plugin::{EntityType, Failure, Manifest, NoSettings, Plugin, Problem},
};

/// The validator.
pub struct WrongName;

impl Plugin for WrongName {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "right-name",
            version: env!("CARGO_PKG_VERSION"),
            description: "Is not who it says it is.",
            subscriptions: &[EntityType::Market],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for WrongName {
    fn validate(&self, _: &Call, _: &Change) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

cqar_plugin_validator::export!(WrongName);
