//! A validator whose `describe` never returns.

use cqar_plugin_validator::{
    Call, Change, Finding, Validator,
    plugin::{Failure, Manifest, NoSettings, Plugin, Problem},
};

/// The validator.
pub struct LoopInDescribe;

impl Plugin for LoopInDescribe {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for LoopInDescribe {
    fn validate(&self, _: &Call, _: &Change) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }
}

cqar_plugin_validator::export!(LoopInDescribe);
