//! What takes the place of the validator `require-tick`, and is a transform: a rule that would be gone.

use cqar_plugin_transform::{
    Action, Call, Event, Transform,
    plugin::{EntityType, Failure, Manifest, NoSettings, Plugin, Problem},
};

/// The transform.
pub struct PassAll;

impl Plugin for PassAll {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "require-tick",
            version: env!("CARGO_PKG_VERSION"),
            description: "Passes every event.",
            subscriptions: &[EntityType::Market],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Transform for PassAll {
    fn transform(&self, _: &Call, _: &Event) -> Result<Action, Failure> {
        Ok(Action::Pass)
    }
}

cqar_plugin_transform::export!(PassAll);
