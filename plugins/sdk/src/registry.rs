//! Look-ups in the registry, for plugins that were granted them. All look-ups of one call see one revision.

use serde::de::DeserializeOwned;

use crate::{
    bindings::cqar::plugin::registry,
    document,
    plugin::{EntityType, Failure},
};

/// Reads entities by id: None where there is none, in the order of the ids.
pub fn get<T: DeserializeOwned>(entity_type: EntityType, ids: &[String]) -> Result<Vec<Option<T>>, Failure> {
    registry::get(entity_type.name(), ids)?
        .iter()
        .map(|found| found.as_deref().map(document::read).transpose())
        .collect()
}
