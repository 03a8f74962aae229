//! A transform that fails on every event of a market whose symbol contains `HOLD`, until its settings say `mended`.

use cqar_plugin_transform::{
    Action, Call, Event, Transform, document,
    plugin::{EntityType, Failure, Manifest, Plugin, Problem},
};
use serde::Deserialize;

/// The transform.
pub struct FailOnDemand {
    mended: bool,
}

/// Whether it passes what it else fails on.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub struct Settings {
    mended: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MarketEvent {
    before: Entity,
    after: Entity,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entity {
    market: Market,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Market {
    venue_symbol: String,
}

impl Plugin for FailOnDemand {
    type Settings = Settings;

    fn manifest() -> Manifest {
        Manifest {
            name: "fail-on-demand",
            version: env!("CARGO_PKG_VERSION"),
            description: "Fails on markets whose symbol contains HOLD.",
            subscriptions: &[EntityType::Market],
            settings_schema: serde_json::json!({
                "type": "object",
                "additionalProperties": false,
                "properties": { "mended": { "type": "boolean", "default": false } },
            }),
            ..Manifest::default()
        }
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self { mended: settings.mended })
    }
}

impl Transform for FailOnDemand {
    fn transform(&self, _: &Call, event: &Event) -> Result<Action, Failure> {
        let event: MarketEvent = document::read(&event.event)?;
        let is_held = [&event.before, &event.after].iter().any(|it| it.market.venue_symbol.contains("HOLD"));
        if !is_held || self.mended {
            return Ok(Action::Pass);
        }
        let message = "told to hold it back".to_owned();
        Ok(Action::Fail(Failure { code: "ON_HOLD".to_owned(), message, retryable: true }))
    }
}

cqar_plugin_transform::export!(FailOnDemand);
