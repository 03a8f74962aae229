//! A validator whose manifest is large: 7 MiB of description, within the 8 MiB that the host takes in at once, and one
//! subscription 5,000 times. Nothing else is wrong with it.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator,
    plugin::{EntityType, Failure, Manifest, NoSettings, Plugin, Problem},
};

/// The validator.
pub struct LargeManifest;

const DESCRIPTION_BYTES: usize = 7 << 20;
static SUBSCRIPTIONS: [EntityType; 5000] = [EntityType::Market; 5000];

impl Plugin for LargeManifest {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "large-manifest",
            version: env!("CARGO_PKG_VERSION"),
            description: "x".repeat(DESCRIPTION_BYTES).leak(),
            subscriptions: &SUBSCRIPTIONS,
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for LargeManifest {
    fn validate(&self, _: &Call, _: &Change) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

cqar_plugin_validator::export!(LargeManifest);
