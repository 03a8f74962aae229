//! What a plugin may ask of the registry, and what it saw.
//!
//! Look-ups are short reads, each of a snapshot of its own. They are one state because every row that was read, misses
//! included, is compared before the answer counts: the rows, never the registry's revision as a whole, since commits that
//! touch none of them are nobody's business.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    entity::Revision,
    event::PortError,
    id::{EntityKey, EntityType},
};

/// An entity as a look-up found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDocument {
    /// The revision of its last change.
    pub revision: Revision,
    /// Its proto3 JSON with proto field names.
    pub document: String,
}

/// Why a look-up was not answered.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// A key is not an id of that type.
    #[error("{0}")]
    InvalidKey(String),
    /// The database could not answer.
    #[error(transparent)]
    Unavailable(#[from] PortError),
}

/// Look-ups for plugins.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Reads entities, all in one snapshot: each in the order of the ids, none where there is no such entity.
    async fn get(&self, keys: &[EntityKey]) -> Result<Vec<Option<FoundDocument>>, LookupError>;

    /// The key of the entity of that type and id.
    fn key(&self, entity_type: EntityType, id: &str) -> Result<EntityKey, LookupError> {
        EntityKey::parse(entity_type, id)
            .map_err(|error| LookupError::InvalidKey(format!("{entity_type} {id:?}: {error}")))
    }
}

/// The rows that were read, each with the revision of its last change then; none where there was no such row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet(BTreeMap<EntityKey, Option<Revision>>);

impl ReadSet {
    /// Notes a row. False if it was read before, and was another one then: what was seen is no one state.
    #[must_use]
    pub fn add(&mut self, key: EntityKey, revision: Option<Revision>) -> bool {
        *self.0.entry(key).or_insert(revision) == revision
    }

    /// Takes in what was read elsewhere. False if a row was another one there.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        other.0.iter().fold(true, |same, (key, revision)| self.add(key.clone(), *revision) && same)
    }

    /// The rows, in the order of [`ReadSet::is_current`].
    pub fn keys(&self) -> Vec<EntityKey> {
        self.0.keys().cloned().collect()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the rows are as they were read, given their revisions now, in the order of [`ReadSet::keys`].
    pub fn is_current(&self, revisions: impl IntoIterator<Item = Option<Revision>>) -> bool {
        self.0.values().copied().eq(revisions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue(id: &str) -> EntityKey {
        EntityKey::Venue(id.parse().unwrap())
    }

    #[test]
    fn rows_are_compared_one_by_one_misses_included() {
        let mut read = ReadSet::default();
        assert!(read.add(venue("b"), Some(7)) && read.add(venue("a"), None) && read.add(venue("b"), Some(7)));
        assert_eq!(read.keys(), [venue("a"), venue("b")]);
        assert!(read.is_current([None, Some(7)]));
        for moved in [[None, Some(8)], [None, None], [Some(1), Some(7)]] {
            assert!(!read.is_current(moved), "{moved:?}");
        }
    }

    #[test]
    fn a_row_that_changes_between_two_look_ups_is_no_one_state() {
        let mut read = ReadSet::default();
        assert!(read.add(venue("a"), None));
        assert!(!read.add(venue("a"), Some(1)));
    }
}
