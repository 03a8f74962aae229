//! Any entity, by type and key.

use std::fmt;

use crate::{
    asset::Asset,
    chain::Chain,
    id::{AssetId, ChainId, InstrumentId, MarketId, VenueAssetId, VenueId},
    instrument::Instrument,
    market::Market,
    time::Timestamp,
    venue::Venue,
    venue_asset::VenueAsset,
    violation::Violations,
};

/// A revision of the registry: the place of a committed write in the one order of all of them. 0 is the empty registry.
pub type Revision = i64;

/// What every entity carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// The revision of the last change; 0 before the first commit.
    pub revision: Revision,
    /// When it was created, unless it is not stored yet.
    pub create_time: Option<Timestamp>,
    /// When it was last changed.
    pub update_time: Option<Timestamp>,
    /// When it was soft-deleted, if it is.
    pub delete_time: Option<Timestamp>,
}

impl Meta {
    /// The etag of AIP-154: derived from the revision, which no two states of an entity share.
    pub fn etag(&self) -> String {
        format!("r{}", self.revision)
    }
}

/// The types of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityType {
    /// [`Asset`]
    Asset,
    /// [`Chain`]
    Chain,
    /// [`Venue`]
    Venue,
    /// [`VenueAsset`]
    VenueAsset,
    /// [`Instrument`]
    Instrument,
    /// [`Market`]
    Market,
}

impl EntityType {
    /// All of them, each after those that it may refer to, but for a chain's native asset.
    pub const ALL: [Self; 6] =
        [Self::Asset, Self::Chain, Self::Venue, Self::VenueAsset, Self::Instrument, Self::Market];

    /// The name in events, plugins and error details.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Chain => "chain",
            Self::Venue => "venue",
            Self::VenueAsset => "venue_asset",
            Self::Instrument => "instrument",
            Self::Market => "market",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names one entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKey {
    /// An asset.
    Asset(AssetId),
    /// A chain.
    Chain(ChainId),
    /// A venue.
    Venue(VenueId),
    /// A venue's code for an asset.
    VenueAsset(VenueAssetId),
    /// An instrument.
    Instrument(InstrumentId),
    /// A market.
    Market(MarketId),
}

impl EntityKey {
    /// The type of the entity.
    pub const fn entity_type(&self) -> EntityType {
        match self {
            Self::Asset(_) => EntityType::Asset,
            Self::Chain(_) => EntityType::Chain,
            Self::Venue(_) => EntityType::Venue,
            Self::VenueAsset(_) => EntityType::VenueAsset,
            Self::Instrument(_) => EntityType::Instrument,
            Self::Market(_) => EntityType::Market,
        }
    }

    /// The id as text.
    pub fn id(&self) -> String {
        match self {
            Self::Asset(id) => id.to_string(),
            Self::Chain(id) => id.to_string(),
            Self::Venue(id) => id.to_string(),
            Self::VenueAsset(id) => id.to_string(),
            Self::Instrument(id) => id.to_string(),
            Self::Market(id) => id.to_string(),
        }
    }

    /// The key of the entity of that type and id.
    pub fn parse(entity_type: EntityType, id: &str) -> Result<Self, crate::id::IdError> {
        Ok(match entity_type {
            EntityType::Asset => Self::Asset(id.parse()?),
            EntityType::Chain => Self::Chain(id.parse()?),
            EntityType::Venue => Self::Venue(id.parse()?),
            EntityType::VenueAsset => Self::VenueAsset(id.parse()?),
            EntityType::Instrument => Self::Instrument(id.parse()?),
            EntityType::Market => Self::Market(id.parse()?),
        })
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.entity_type(), self.id())
    }
}

/// An entity of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "markets, the largest, are also the most frequent")]
pub enum Entity {
    /// An asset.
    Asset(Asset),
    /// A chain.
    Chain(Chain),
    /// A venue.
    Venue(Venue),
    /// A venue's code for an asset.
    VenueAsset(VenueAsset),
    /// An instrument.
    Instrument(Instrument),
    /// A market.
    Market(Market),
}

macro_rules! from_entities {
    ($($entity:ident)*) => {$(
        impl From<$entity> for Entity {
            fn from(entity: $entity) -> Self {
                Self::$entity(entity)
            }
        }
    )*};
}
from_entities!(Asset Chain Venue VenueAsset Instrument Market);

/// Calls the same method on whichever entity it is.
macro_rules! each {
    ($entity:expr, $it:ident => $body:expr) => {
        match $entity {
            Entity::Asset($it) => $body,
            Entity::Chain($it) => $body,
            Entity::Venue($it) => $body,
            Entity::VenueAsset($it) => $body,
            Entity::Instrument($it) => $body,
            Entity::Market($it) => $body,
        }
    };
}

impl Entity {
    /// Its key.
    pub fn key(&self) -> EntityKey {
        match self {
            Self::Asset(it) => EntityKey::Asset(it.id),
            Self::Chain(it) => EntityKey::Chain(it.id.clone()),
            Self::Venue(it) => EntityKey::Venue(it.id.clone()),
            Self::VenueAsset(it) => EntityKey::VenueAsset(it.id),
            Self::Instrument(it) => EntityKey::Instrument(it.id),
            Self::Market(it) => EntityKey::Market(it.id),
        }
    }

    /// Its revision and times.
    pub fn meta(&self) -> &Meta {
        each!(self, it => &it.meta)
    }

    /// Its revision and times, to be set.
    pub fn meta_mut(&mut self) -> &mut Meta {
        each!(self, it => &mut it.meta)
    }

    /// The invariants of one entity alone: bounds, and fields that must agree.
    pub fn check(&self) -> Violations {
        let mut found = Violations::default();
        each!(self, it => it.check(&mut found));
        found
    }

    /// The venue that it is or belongs to.
    pub fn venue(&self) -> Option<&VenueId> {
        match self {
            Self::Venue(it) => Some(&it.id),
            Self::VenueAsset(it) => Some(&it.venue),
            Self::Market(it) => Some(&it.venue),
            Self::Asset(_) | Self::Chain(_) | Self::Instrument(_) => None,
        }
    }

    /// The entities that it refers to, with the field that does.
    pub fn references(&self) -> Vec<(&'static str, EntityKey)> {
        match self {
            Self::Asset(_) => Vec::new(),
            Self::Chain(it) => it.native_asset.map(|id| ("native_asset", EntityKey::Asset(id))).into_iter().collect(),
            Self::Venue(it) => it.chain.clone().map(|id| ("chain", EntityKey::Chain(id))).into_iter().collect(),
            Self::VenueAsset(it) => {
                vec![("venue", EntityKey::Venue(it.venue.clone())), ("asset", EntityKey::Asset(it.asset))]
            }
            Self::Instrument(it) => {
                it.terms.assets().into_iter().map(|(field, id)| (field, EntityKey::Asset(id))).collect()
            }
            Self::Market(it) => vec![
                ("venue", EntityKey::Venue(it.venue.clone())),
                ("instrument", EntityKey::Instrument(it.instrument)),
            ],
        }
    }

    /// The names of the fields that differ, system fields but for `delete_time` left out. Empty for different types.
    pub fn changed_fields(&self, after: &Self) -> Vec<&'static str> {
        let mut fields = match (self, after) {
            (Self::Asset(a), Self::Asset(b)) => a.changed_fields(b),
            (Self::Chain(a), Self::Chain(b)) => a.changed_fields(b),
            (Self::Venue(a), Self::Venue(b)) => a.changed_fields(b),
            (Self::VenueAsset(a), Self::VenueAsset(b)) => a.changed_fields(b),
            (Self::Instrument(a), Self::Instrument(b)) => a.changed_fields(b),
            (Self::Market(a), Self::Market(b)) => a.changed_fields(b),
            _ => return Vec::new(),
        };
        if self.meta().delete_time != after.meta().delete_time {
            fields.push("delete_time");
        }
        fields
    }
}

/// Implements `changed_fields` by comparing the named fields.
macro_rules! changed_fields {
    ($type:ty: $($field:ident $(as $name:literal)?),+ $(,)?) => {
        impl $type {
            /// The names of the fields that differ.
            pub(crate) fn changed_fields(&self, after: &Self) -> Vec<&'static str> {
                let mut fields = Vec::new();
                $(if self.$field != after.$field {
                    fields.push($crate::entity::changed_fields!(@name $field $($name)?));
                })+
                fields
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
pub(crate) use changed_fields;
