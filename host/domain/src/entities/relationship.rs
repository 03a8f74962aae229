//! Relationships: what one asset is of another.

use std::cmp::Ordering;

use crate::{
    decimal::Decimal,
    entity::{Meta, TypedEntity, references},
    id::{AssetId, EntityKey, EntityType, RelationshipId},
    text::PROTOCOL_NAME,
    time::Timestamp,
    unique_key::UniqueKey,
    violation::Violations,
};

/// An asset, the derivative, made of another, the underlying. No two have the same assets and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relationship {
    /// Its id.
    pub id: RelationshipId,
    /// The derivative; immutable.
    pub from_asset_id: AssetId,
    /// The underlying; immutable.
    pub to_asset_id: AssetId,
    /// In which way; immutable.
    pub relationship_type: RelationshipType,
    /// What one is worth of the other.
    pub rate: Rate,
    /// From when it holds.
    pub effective_time: Option<Timestamp>,
    /// Who makes it so, or empty.
    pub protocol: String,
    /// Revision and times.
    pub meta: Meta,
}

/// In which way an asset is made of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the contract's relationship.proto says what each is")]
pub enum RelationshipType {
    Wraps,
    Bridges,
    Stakes,
    SyntheticOf,
    LiquidityPair,
    MigratesTo,
    ForksFrom,
    Rebases,
}

/// How many units of the underlying one unit of the derivative is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rate {
    /// So many, always.
    Fixed(Decimal),
    /// So many now: amounts change, and not the rate.
    Rebasing(Decimal),
    /// What an oracle says, which is not here.
    Oracle,
    /// There is none.
    None,
}

impl RelationshipType {
    /// The name in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wraps => "wraps",
            Self::Bridges => "bridges",
            Self::Stakes => "stakes",
            Self::SyntheticOf => "synthetic_of",
            Self::LiquidityPair => "liquidity_pair",
            Self::MigratesTo => "migrates_to",
            Self::ForksFrom => "forks_from",
            Self::Rebases => "rebases",
        }
    }

    /// Those by which the derivative is another form of the underlying: variants of an asset are found along them.
    pub const VARIANTS: [Self; 4] = [Self::Wraps, Self::Bridges, Self::Stakes, Self::Rebases];

    /// Whether it is one of [`Self::VARIANTS`].
    pub fn is_variant(self) -> bool {
        Self::VARIANTS.contains(&self)
    }

    /// The types whose relationships may form no circle with one of this: one may not of any type, and wrapping and bridging are forms
    /// of each other.
    pub const fn circle_types(self) -> &'static [Self] {
        match self {
            Self::Wraps | Self::Bridges => &[Self::Wraps, Self::Bridges],
            Self::Stakes => &[Self::Stakes],
            Self::SyntheticOf => &[Self::SyntheticOf],
            Self::LiquidityPair => &[Self::LiquidityPair],
            Self::MigratesTo => &[Self::MigratesTo],
            Self::ForksFrom => &[Self::ForksFrom],
            Self::Rebases => &[Self::Rebases],
        }
    }
}

impl Rate {
    /// The number, where there is one.
    pub const fn number(&self) -> Option<&Decimal> {
        match self {
            Self::Fixed(rate) | Self::Rebasing(rate) => Some(rate),
            Self::Oracle | Self::None => None,
        }
    }

    /// Whether both are fixed, or both what an oracle says, and so on.
    pub const fn is_same_kind(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Fixed(_), Self::Fixed(_))
                | (Self::Rebasing(_), Self::Rebasing(_))
                | (Self::Oracle, Self::Oracle)
                | (Self::None, Self::None)
        )
    }
}

/// The most underlyings of a share in a liquidity pool.
pub const MAX_PAIR: usize = 2;

impl TypedEntity for Relationship {
    const TYPE: EntityType = EntityType::Relationship;
    const SOFT_DELETE: bool = false;

    fn key(&self) -> EntityKey {
        EntityKey::Relationship(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        if self.from_asset_id == self.to_asset_id {
            found.add("to_asset_id", "SAME_ASSET", "must be another asset");
        }
        if self.rate.number().is_some_and(|rate| rate.sign() != Ordering::Greater) {
            found.add("conversion_rate", "NOT_POSITIVE", "must be above 0");
        }
        PROTOCOL_NAME.check("protocol", &self.protocol, found);
    }

    fn changed_fields(&self, after: &Self) -> Vec<&'static str> {
        let Self { id: _, from_asset_id, to_asset_id, relationship_type, rate, effective_time, protocol, meta: _ } =
            after;
        let compared = [
            ("from_asset_id", self.from_asset_id == *from_asset_id),
            ("to_asset_id", self.to_asset_id == *to_asset_id),
            ("type", self.relationship_type == *relationship_type),
            ("rate_kind", self.rate.is_same_kind(rate)),
            ("conversion_rate", self.rate.number() == rate.number()),
            ("effective_time", self.effective_time == *effective_time),
            ("protocol", self.protocol == *protocol),
        ];
        compared.into_iter().filter_map(|(field, is_same)| (!is_same).then_some(field)).collect()
    }

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        let parts = [self.from_asset_id.to_string(), self.to_asset_id.to_string()];
        let [from, to] = &parts;
        vec![("to_asset_id", UniqueKey::new("relationship.assets", &[from, to, self.relationship_type.name()]))]
    }

    references!(from_asset_id, to_asset_id);
}
