//! The invariants of relationships: assets are made of one another in no circle, and a share in a pool is one of two assets at most.

use std::collections::{HashMap, HashSet};

use cqar_domain::{
    entities::{
        Entity,
        relationship::{MAX_PAIR, Relationship, RelationshipType},
    },
    id::{AssetId, EntityKey},
    violation::Violations,
};
use cqar_store::{End, Snapshot};

use super::{
    LoadedState,
    mutate::{StagedEntity, StagedState},
    rules::Rules,
};

/// The stored relationships by which the underlyings of new ones are made of others.
#[derive(Debug, Default)]
pub(crate) struct Underlyings {
    by_derivative: HashMap<AssetId, Vec<EntityKey>>,
    /// Whether there are more than are looked through.
    is_cut_off: bool,
}

/// The most relationships that are looked through for a circle: what assets are made of, not what is made of them. For each new one
/// there may be a few more.
const MAX_CLIMBED: usize = 10_000;
const MORE_CLIMBED: usize = 4;
/// The most steps from an asset to what it is made of at last.
const MAX_LEVELS: usize = 256;
/// The most steps that all new relationships of a request are followed along.
pub(super) const MAX_STEPS: usize = 2_000_000;

/// The new ones among touched relationships: what makes a circle never changes.
fn new_relationships<'a>(
    loaded: &LoadedState,
    touched: impl Iterator<Item = (&'a EntityKey, &'a StagedEntity)>,
) -> impl Iterator<Item = &'a Relationship> {
    touched.filter_map(|(key, state)| match &state.after {
        Some(Entity::Relationship(it)) if loaded.entity(key).is_none() => Some(it.as_ref()),
        _ => None,
    })
}

impl LoadedState {
    /// What the assets of new relationships are made of, and what that is made of, one step after the other.
    pub(super) async fn fetch_underlyings(
        &mut self,
        snapshot: &mut Snapshot,
        touched: &[(&EntityKey, &StagedEntity)],
    ) -> Result<(), cqar_store::Error> {
        let new: Vec<&Relationship> = new_relationships(self, touched.iter().copied()).collect();
        let mut open: HashSet<AssetId> = new.iter().flat_map(|it| [it.from_asset_id, it.to_asset_id]).collect();
        let types: HashSet<RelationshipType> =
            new.iter().flat_map(|it| it.relationship_type.circle_types()).copied().collect();
        let types: Vec<RelationshipType> = types.into_iter().collect();
        let mut left = MAX_CLIMBED + new.len() * MORE_CLIMBED;
        for level in 0.. {
            if open.is_empty() {
                break;
            }
            if level == MAX_LEVELS {
                self.underlyings.is_cut_off = true;
                break;
            }
            let assets: Vec<AssetId> = open.drain().collect();
            let limit = u32::try_from(left + 1).unwrap_or(u32::MAX);
            let found = snapshot.relationships(End::From, &assets, Some(&types), limit).await?;
            self.underlyings.by_derivative.extend(assets.into_iter().map(|asset| (asset, Vec::new())));
            let Some(fewer) = left.checked_sub(found.len()) else {
                self.underlyings.is_cut_off = true;
                return Ok(());
            };
            left = fewer;
            for relationship in found {
                let Relationship { id, from_asset_id, to_asset_id, .. } = relationship;
                self.underlyings.by_derivative.entry(from_asset_id).or_default().push(id.into());
                if !self.underlyings.by_derivative.contains_key(&to_asset_id) {
                    open.insert(to_asset_id);
                }
                self.entities.insert(id.into(), Some(relationship.into()));
            }
        }
        Ok(())
    }
}

/// The new relationships of each derivative.
pub(super) fn by_derivative<'a>(
    loaded: &LoadedState,
    staged: &'a StagedState,
) -> HashMap<AssetId, Vec<&'a Relationship>> {
    let mut new: HashMap<AssetId, Vec<&Relationship>> = HashMap::new();
    for relationship in new_relationships(loaded, staged.touched()) {
        new.entry(relationship.from_asset_id).or_default().push(relationship);
    }
    new
}

const TOO_MANY_RELATED: &str = "is made of more assets than are looked through for a circle at once";

impl Rules<'_> {
    pub(super) fn relationship(&self, key: &EntityKey, relationship: &Relationship, found: &mut Violations) {
        if self.loaded.entity(key).is_some() {
            return;
        }
        if self.loaded.underlyings.is_cut_off {
            return found.add("to_asset_id", "TOO_MANY_RELATED", TOO_MANY_RELATED);
        }
        let of_type = relationship.relationship_type;
        let (mut seen, mut open) = (HashSet::new(), vec![relationship.to_asset_id]);
        while let Some(asset) = open.pop() {
            let Some(left) = self.steps_left.get().checked_sub(1) else {
                return found.add("to_asset_id", "TOO_MANY_RELATED", TOO_MANY_RELATED);
            };
            self.steps_left.set(left);
            if asset == relationship.from_asset_id {
                let message = "is made of the derivative itself, by relationships of these types";
                found.add("to_asset_id", "CYCLE", message);
                break;
            }
            if seen.insert(asset) {
                let above = self.underlyings(asset);
                open.extend(
                    above.filter(|it| of_type.circle_types().contains(&it.relationship_type)).map(|it| it.to_asset_id),
                );
            }
        }
        let pairs = || self.underlyings(relationship.from_asset_id).filter(|it| it.relationship_type == of_type);
        if of_type == RelationshipType::LiquidityPair && pairs().count() > MAX_PAIR {
            let message = format_args!("is one too many: a share in a pool is of {MAX_PAIR} assets");
            found.add("to_asset_id", "TOO_MANY", message);
        }
    }

    /// What an asset is made of once the request is done: stored relationships and new ones.
    fn underlyings(&self, derivative: AssetId) -> impl Iterator<Item = &Relationship> {
        let stored = self.loaded.underlyings.by_derivative.get(&derivative).into_iter().flatten();
        let stored = stored.filter_map(|key| match self.staged.current(self.loaded, key) {
            Some(Entity::Relationship(it)) => Some(it.as_ref()),
            _ => None,
        });
        stored.chain(self.new_relationships.get(&derivative).into_iter().flatten().copied())
    }
}
