//! What a plugin may ask of the registry, and what it saw.
//!
//! Look-ups are short reads, each of a snapshot of its own. They are one state because all that was read, misses and whole
//! found sets included, is compared before the answer counts: the rows, never the registry's revision as a whole, since
//! commits that touch none of them are nobody's business.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    entity::Revision,
    event::PortError,
    id::{EntityKey, EntityType},
};

/// The most documents that one key of an index finds; whether there are more is said.
pub const MAX_FOUND: usize = 16;

/// The longest part of a key: nothing that is looked up by is longer (a name of 200 characters).
const MAX_PART_BYTES: usize = 1024;

/// An index that plugins may look up by. Those of entities that the registry does not have yet are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as the interface names them")]
pub enum LookupIndex {
    AssetSymbol,
    AssetName,
    ChainCaip2,
    DeploymentAddress,
    DeploymentAsset,
    IdentifierExternalId,
    InstrumentCode,
    MarketSymbol,
    MarketInstrument,
    VenueAssetCode,
}

/// A key of an index, as many parts as the index has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexKey {
    index: LookupIndex,
    parts: Vec<String>,
}

/// An entity as a look-up found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDocument {
    /// Which.
    pub key: EntityKey,
    /// The revision of its last change.
    pub revision: Revision,
    /// Its proto3 JSON with proto field names.
    pub document: String,
}

/// What an index has under a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundDocuments {
    /// The undeleted entities, in the order of their ids; the first 16.
    pub documents: Vec<FoundDocument>,
    /// Whether there are more.
    pub more: bool,
}

/// Why a look-up was not answered.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// A key is not an id of that type, or has not the parts of the index.
    #[error("{0}")]
    InvalidKey(String),
    /// What is found has more bytes than one look-up may answer.
    #[error("the documents have more than {max_bytes} bytes; look up fewer keys at a time")]
    TooLarge {
        /// The most.
        max_bytes: usize,
    },
    /// The database could not answer.
    #[error(transparent)]
    Unavailable(#[from] PortError),
}

/// Look-ups for plugins.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Reads entities, all in one snapshot: each in the order of the ids, none where there is no such entity. Their documents
    /// have `max_bytes` together at most.
    async fn get(&self, keys: &[EntityKey], max_bytes: usize) -> Result<Vec<Option<FoundDocument>>, LookupError>;

    /// Reads entities by an index, all in one snapshot: what each key finds, in the order of the keys. The documents have
    /// `max_bytes` together at most.
    async fn find(&self, keys: &[IndexKey], max_bytes: usize) -> Result<Vec<FoundDocuments>, LookupError>;

    /// What was read, as it is now, all in one snapshot.
    async fn read_again(&self, read: &ReadSet) -> Result<ReadSet, LookupError>;

    /// The key of the entity of that type and id.
    fn key(&self, entity_type: EntityType, id: &str) -> Result<EntityKey, LookupError> {
        EntityKey::parse(entity_type, id)
            .map_err(|error| LookupError::InvalidKey(format!("{entity_type} {id:?}: {error}")))
    }
}

impl LookupIndex {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AssetSymbol,
        Self::AssetName,
        Self::ChainCaip2,
        Self::DeploymentAddress,
        Self::DeploymentAsset,
        Self::IdentifierExternalId,
        Self::InstrumentCode,
        Self::MarketSymbol,
        Self::MarketInstrument,
        Self::VenueAssetCode,
    ];
    /// The indexes of the interface whose entities the registry does not have yet.
    pub const ABSENT: [&str; 1] = ["quality_flag.target"];

    /// The name on the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AssetSymbol => "asset.symbol",
            Self::AssetName => "asset.name",
            Self::ChainCaip2 => "chain.caip2",
            Self::DeploymentAddress => "deployment.address",
            Self::DeploymentAsset => "deployment.asset",
            Self::IdentifierExternalId => "identifier.external_id",
            Self::InstrumentCode => "instrument.code",
            Self::MarketSymbol => "market.symbol",
            Self::MarketInstrument => "market.instrument",
            Self::VenueAssetCode => "venue_asset.code",
        }
    }

    /// The index of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|index| index.name() == name)
    }

    /// What the parts of its keys are.
    pub const fn parts(self) -> &'static [&'static str] {
        match self {
            Self::AssetSymbol => &["symbol"],
            Self::AssetName => &["name"],
            Self::ChainCaip2 => &["caip2"],
            Self::DeploymentAddress => &["chain", "address"],
            Self::DeploymentAsset => &["asset"],
            Self::IdentifierExternalId => &["source", "external_id"],
            Self::InstrumentCode => &["code"],
            Self::MarketSymbol => &["venue", "segment", "symbol"],
            Self::MarketInstrument => &["instrument"],
            Self::VenueAssetCode => &["venue", "segment", "code"],
        }
    }
}

impl IndexKey {
    /// The key of these parts.
    pub fn new(index: LookupIndex, parts: Vec<String>) -> Result<Self, LookupError> {
        if parts.len() != index.parts().len() {
            let (name, of, has) = (index.name(), index.parts().join(", "), parts.len());
            return Err(LookupError::InvalidKey(format!("a key of {name} is [{of}], and this one has {has} parts")));
        }
        if parts.iter().any(|part| part.len() > MAX_PART_BYTES) {
            let message = format!("a part of a key of {} has at most {MAX_PART_BYTES} bytes", index.name());
            return Err(LookupError::InvalidKey(message));
        }
        Ok(Self { index, parts })
    }

    /// Of which index.
    pub const fn index(&self) -> LookupIndex {
        self.index
    }

    /// Its parts, in the order of the index.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }
}

impl FoundDocuments {
    /// What is compared of it: the whole set, and the revision of each.
    fn trace(&self) -> FoundTrace {
        let revisions = self.documents.iter().map(|found| (found.key.clone(), found.revision)).collect();
        FoundTrace { revisions, more: self.more }
    }
}

/// What was read: rows, each with the revision of its last change then (none where there was no such row), and the whole
/// sets that indexes found. It stands as long as reading it again gives the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    rows: BTreeMap<EntityKey, Option<Revision>>,
    sets: BTreeMap<IndexKey, FoundTrace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FoundTrace {
    revisions: Vec<(EntityKey, Revision)>,
    more: bool,
}

impl ReadSet {
    /// Notes a row. False if it was read before, and was another one then: what was seen is no one state.
    #[must_use]
    pub fn add(&mut self, key: EntityKey, revision: Option<Revision>) -> bool {
        *self.rows.entry(key).or_insert(revision) == revision
    }

    /// Notes what an index found. False if it was asked before, and found another set then.
    #[must_use]
    pub fn add_found(&mut self, key: IndexKey, found: &FoundDocuments) -> bool {
        self.add_trace(key, &found.trace())
    }

    fn add_trace(&mut self, key: IndexKey, found: &FoundTrace) -> bool {
        self.sets.entry(key).or_insert_with(|| found.clone()) == found
    }

    /// Takes in what was read elsewhere. False if any of it was something else there.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        let rows = other.rows.iter().fold(true, |same, (key, revision)| self.add(key.clone(), *revision) && same);
        other.sets.iter().fold(rows, |same, (key, found)| self.add_trace(key.clone(), found) && same)
    }

    /// The rows that were read.
    pub fn rows(&self) -> Vec<EntityKey> {
        self.rows.keys().cloned().collect()
    }

    /// The keys that indexes were asked for.
    pub fn sets(&self) -> Vec<IndexKey> {
        self.sets.keys().cloned().collect()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.sets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue(id: &str) -> EntityKey {
        EntityKey::Venue(id.parse().unwrap())
    }

    fn found(ids: &[(&str, Revision)]) -> FoundDocuments {
        let document = |(id, revision): &(&str, Revision)| FoundDocument {
            key: venue(id),
            revision: *revision,
            document: String::new(),
        };
        FoundDocuments { documents: ids.iter().map(document).collect(), more: false }
    }

    #[test]
    fn rows_are_compared_one_by_one_misses_included() {
        let read = |a, b| {
            let mut read = ReadSet::default();
            assert!(read.add(venue("b"), b) && read.add(venue("a"), a) && read.add(venue("b"), b));
            read
        };
        let before = read(None, Some(7));
        assert_eq!(before.rows(), [venue("a"), venue("b")]);
        assert_eq!(before, read(None, Some(7)));
        for (a, b) in [(None, Some(8)), (None, None), (Some(1), Some(7))] {
            assert_ne!(before, read(a, b));
        }
    }

    #[test]
    fn of_what_an_index_found_the_whole_set_is_compared() {
        let key = || IndexKey::new(LookupIndex::AssetSymbol, vec!["BTC".into()]).unwrap();
        let read = |found: &FoundDocuments| {
            let mut read = ReadSet::default();
            assert!(read.add_found(key(), found) && read.add_found(key(), found));
            read
        };
        let before = read(&found(&[("a", 1)]));
        assert_eq!(before, read(&found(&[("a", 1)])));
        let more = FoundDocuments { more: true, ..found(&[("a", 1)]) };
        for other in [found(&[]), found(&[("a", 2)]), found(&[("a", 1), ("b", 1)]), more] {
            assert_ne!(before, read(&other));
            assert!(!before.clone().add_found(key(), &other), "no one state");
        }
    }

    #[test]
    fn a_row_that_changes_between_two_look_ups_is_no_one_state() {
        let mut read = ReadSet::default();
        assert!(read.add(venue("a"), None));
        assert!(!read.add(venue("a"), Some(1)));
    }

    #[test]
    fn a_key_has_the_parts_of_its_index() {
        for index in LookupIndex::ALL {
            assert_eq!(LookupIndex::from_name(index.name()), Some(index));
            let parts = vec![String::new(); index.parts().len()];
            assert!(IndexKey::new(index, parts).is_ok());
        }
        let error = IndexKey::new(LookupIndex::MarketSymbol, vec!["binance".into()]).unwrap_err();
        let says = "a key of market.symbol is [venue, segment, symbol], and this one has 1 parts";
        assert_eq!(error.to_string(), says);
        let long = IndexKey::new(LookupIndex::AssetName, vec!["x".repeat(MAX_PART_BYTES + 1)]);
        assert!(matches!(long, Err(LookupError::InvalidKey(_))));
    }
}
