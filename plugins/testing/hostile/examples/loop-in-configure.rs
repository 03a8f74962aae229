//! A validator whose `configure` never returns.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator,
    plugin::{EntityType, Failure, Manifest, NoSettings, Plugin, Problem},
};

/// The validator.
pub struct LoopInConfigure;

impl Plugin for LoopInConfigure {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "loop-in-configure",
            version: env!("CARGO_PKG_VERSION"),
            description: "Is never configured.",
            subscriptions: &[EntityType::Market],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

impl Validator for LoopInConfigure {
    fn validate(&self, _: &Call, _: &Change) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

cqar_plugin_validator::export!(LoopInConfigure);
