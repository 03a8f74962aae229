//! Look-ups in the registry, for plugins that were granted them. All look-ups of one call see one state: each row that was
//! read, misses included, is compared before the answer counts.
//!
//! One call may look up 1,024 keys in all (`TOO_MANY_LOOKUPS`), and a look-up finds 8 MiB of documents at most
//! (`ANSWER_TOO_LARGE`). Each look-up waits for the database, within the deadline of the call, so that plugins that look up are
//! asked about 64 changes or events at a time; several keys in one look-up cost little more than one.

use serde::de::DeserializeOwned;

use crate::{
    bindings::cqar::plugin::registry,
    document,
    plugin::{EntityType, Failure},
};

/// The undeleted entities that an index has under one key: 16 at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The entities, in the order of their ids.
    pub entities: Vec<T>,
    /// Whether there are more than these.
    pub more: bool,
}

/// Reads entities by an index, such as `market.symbol`, whose keys are `[venue, segment, symbol]`: one answer for each
/// key, in order.
pub fn find<T: DeserializeOwned>(index: &str, keys: &[Vec<String>]) -> Result<Vec<Found<T>>, Failure> {
    let read = |found: registry::Found| {
        let entities = found.documents.iter().map(|document| document::read(document)).collect::<Result<_, _>>()?;
        Ok(Found { entities, more: found.more })
    };
    registry::find(index, keys)?.into_iter().map(read).collect()
}

/// Reads entities by id: None where there is none, in the order of the ids.
pub fn get<T: DeserializeOwned>(entity_type: EntityType, ids: &[String]) -> Result<Vec<Option<T>>, Failure> {
    registry::get(entity_type.name(), ids)?
        .iter()
        .map(|found| found.as_deref().map(document::read).transpose())
        .collect()
}
