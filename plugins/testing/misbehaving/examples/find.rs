//! A validator that looks up by indexes. It wants every asset to have a name of its own; of a market it warns with what the
//! index in its label `index` has under the key in its label `key`, whose parts are joined by `|`. With a label `times` it asks
//! for the key so many times in one look-up.

use std::collections::BTreeMap;

use cqar_plugin_validator::{
    Call, Change, Finding, Validator, document,
    plugin::{EntityType, Failure, Grant, Manifest, NoSettings, Plugin, Problem},
    registry,
};
use serde::Deserialize;

/// The validator.
pub struct Find;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entity {
    id: String,
    name: String,
    labels: BTreeMap<String, String>,
}

impl Plugin for Find {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "find",
            version: env!("CARGO_PKG_VERSION"),
            description: "Wants names of assets to be unique, and warns with what an index has.",
            subscriptions: &[EntityType::Asset, EntityType::Market],
            grants: &[Grant::Registry],
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Validator for Find {
    fn validate(&self, _: &Call, change: &Change) -> Result<Vec<Finding>, Failure> {
        let Some(after) = change.after.as_deref() else { return Ok(Vec::new()) };
        let entity: Entity = document::read(after)?;
        if change.entity_type == "asset" {
            return unique_name(&entity);
        }
        let (Some(index), Some(key)) = (entity.labels.get("index"), entity.labels.get("key")) else {
            return Ok(Vec::new());
        };
        let key = key.split('|').map(str::to_owned).collect();
        let times = entity.labels.get("times").and_then(|times| times.parse().ok()).unwrap_or(1);
        // A refusal is what some of the tests ask for.
        Ok(vec![match find(index, key, times) {
            Ok(found) => Finding::warning("labels.key", "FOUND", found),
            Err(refused) => Finding::warning("labels.index", &refused.code, refused.message),
        }])
    }
}

fn unique_name(asset: &Entity) -> Result<Vec<Finding>, Failure> {
    let found = registry::find::<Entity>("asset.name", &[vec![asset.name.clone()]])?;
    let is_taken = found.iter().flat_map(|found| &found.entities).any(|other| other.id != asset.id);
    Ok(if is_taken { vec![Finding::error("name", "NAME_TAKEN", "another asset has it")] } else { Vec::new() })
}

fn find(index: &str, key: Vec<String>, times: usize) -> Result<String, Failure> {
    let found = registry::find::<Entity>(index, &vec![key; times])?;
    let ids = |entities: &[Entity]| entities.iter().map(|it| it.id.as_str()).collect::<Vec<_>>().join(" ");
    let said = |found: &registry::Found<Entity>| {
        let more = if found.more { " and more" } else { "" };
        format!("{}: {}{more}", found.entities.len(), ids(&found.entities))
    };
    Ok(found.first().map(said).unwrap_or_default())
}

cqar_plugin_validator::export!(Find);
