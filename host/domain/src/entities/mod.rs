//! The entities, one file each: what such an entity is, its invariants, its unique keys, and what it refers to.
//!
//! A new one is a file here, with its module, and a line in the list.

pub mod asset;
pub mod chain;
pub mod deployment;
pub mod group;
pub mod identifier;
pub mod instrument;
pub mod market;
pub mod relationship;
pub mod venue;
pub mod venue_asset;

use std::{sync::Arc, time::Duration};

use crate::{
    entity::{Meta, TypedEntity},
    id::{EntityKey, EntityType, VenueId},
    unique_key::UniqueKey,
    violation::Violations,
};

/// The list of all types: each after those that it may refer to, but for a chain's native asset. A line says the module, which also is
/// the name, the entity, what its ids are, and what one is called.
macro_rules! all_types {
    ($apply:ident!($($arguments:tt)*)) => {
        $apply! {
            ($($arguments)*)
            asset Asset(uuid AssetId) "an asset";
            chain Chain(slug ChainId) "a chain";
            deployment Deployment(uuid DeploymentId) "an asset on a chain";
            venue Venue(slug VenueId) "a venue";
            venue_asset VenueAsset(uuid VenueAssetId) "a venue's code for an asset";
            instrument Instrument(uuid InstrumentId) "an instrument";
            market Market(uuid MarketId) "a market";
            identifier Identifier(uuid IdentifierId) "what others call an entity";
            relationship Relationship(uuid RelationshipId) "what an asset is of another";
            group Group(uuid GroupId) "a group of assets";
        }
    };
}
pub(crate) use all_types;

/// What of an entity follows from its line.
macro_rules! entities {
    (() $($module:ident $entity:ident($form:ident $id:ident) $described:literal;)+) => {
        $(use self::$module::$entity;)+

        /// An entity of any type. Clones share it until one of them is changed: a write passes it through many hands, and changes it
        /// in few.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Entity {
            $(#[doc = concat!("It is ", $described, ".")] $entity(Arc<$entity>),)+
        }

        impl EntityType {
            fn properties(self) -> TypeProperties {
                match self { $(Self::$entity => TypeProperties::of::<$entity>()),+ }
            }
        }

        $(
            impl From<$entity> for Entity {
                fn from(entity: $entity) -> Self {
                    Self::$entity(Arc::new(entity))
                }
            }

            impl TryFrom<Entity> for $entity {
                /// The entity, which is of another type.
                type Error = Entity;

                fn try_from(entity: Entity) -> Result<Self, Entity> {
                    if let Entity::$entity(it) = entity { Ok(Arc::unwrap_or_clone(it)) } else { Err(entity) }
                }
            }

            impl EntityVariant for $entity {
                fn of(entity: &Entity) -> Option<&Self> {
                    if let Entity::$entity(it) = entity { Some(it) } else { None }
                }
            }
        )+
    };
}
all_types!(entities!());

/// Evaluates the same for whichever type of entity it is.
macro_rules! each {
    (($of:expr, $it:ident => $body:expr) $($module:ident $entity:ident($form:ident $id:ident) $described:literal;)+) => {
        match $of { $(Entity::$entity($it) => $body),+ }
    };
    ($of:expr, $it:ident => $body:expr) => {
        all_types!(each!($of, $it => $body))
    };
}

/// What [`TypedEntity`] says of each type.
struct TypeProperties {
    soft_delete: bool,
    kept_once_referred_to: bool,
    cache_ttl: Duration,
}

impl TypeProperties {
    const fn of<E: TypedEntity>() -> Self {
        Self { soft_delete: E::SOFT_DELETE, kept_once_referred_to: E::KEPT_ONCE_REFERRED_TO, cache_ttl: E::CACHE_TTL }
    }
}

impl EntityType {
    /// See [`TypedEntity::SOFT_DELETE`].
    pub fn has_soft_delete(self) -> bool {
        self.properties().soft_delete
    }

    /// See [`TypedEntity::KEPT_ONCE_REFERRED_TO`].
    pub fn is_kept_once_referred_to(self) -> bool {
        self.properties().kept_once_referred_to
    }

    /// See [`TypedEntity::CACHE_TTL`].
    pub fn cache_ttl(self) -> Duration {
        self.properties().cache_ttl
    }
}

/// One arm of [`Entity`].
pub trait EntityVariant: TypedEntity + Into<Entity> + TryFrom<Entity, Error = Entity> {
    /// The entity, if it is of this type.
    fn of(entity: &Entity) -> Option<&Self>;
}

impl Entity {
    /// What names it.
    pub fn key(&self) -> EntityKey {
        each!(self, it => it.key())
    }

    /// Its revision and times.
    pub fn meta(&self) -> &Meta {
        each!(self, it => it.meta())
    }

    /// Its revision and times, to be set.
    pub fn meta_mut(&mut self) -> &mut Meta {
        each!(self, it => Arc::make_mut(it).meta_mut())
    }

    /// Whether it is soft-deleted.
    pub fn is_deleted(&self) -> bool {
        self.meta().delete_time.is_some()
    }

    /// The invariants of one entity alone: bounds, and fields that must agree.
    pub fn check(&self) -> Violations {
        let mut found = Violations::default();
        each!(self, it => it.check(&mut found));
        found
    }

    /// The venue that it is or belongs to.
    pub fn venue(&self) -> Option<&VenueId> {
        each!(self, it => it.venue())
    }

    /// See [`TypedEntity::unique_keys`].
    pub fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        each!(self, it => it.unique_keys())
    }

    /// The unique keys of which each alone says which entity it is.
    pub fn identifying_keys(&self) -> impl Iterator<Item = UniqueKey> + use<> {
        fn first_of_several<E: TypedEntity>(_: &E) -> &'static [&'static str] {
            E::FIRST_OF_SEVERAL
        }
        let others = each!(self, it => first_of_several(it.as_ref()));
        self.unique_keys().into_iter().filter(|(field, _)| !others.contains(field)).map(|(_, key)| key)
    }

    /// See [`TypedEntity::contradictions`]. Entities of different types say nothing of each other.
    pub fn contradictions(&self, existing: &Self, found: &mut Violations) {
        fn of<E: EntityVariant>(new: &E, existing: &Entity, found: &mut Violations) {
            if let Some(existing) = E::of(existing) {
                new.contradictions(existing, found);
            }
        }
        each!(self, it => of(it.as_ref(), existing, found));
    }

    /// See [`TypedEntity::excluded_keys`].
    pub fn excluded_keys(&self) -> Vec<(String, UniqueKey)> {
        each!(self, it => it.excluded_keys())
    }

    /// The entities that it refers to, with the path of the field that does.
    pub fn references(&self) -> Vec<(&'static str, EntityKey)> {
        let mut references = Vec::new();
        each!(self, it => it.visit_references(&mut |field, target| references.push((field, target))));
        references
    }

    /// See [`TypedEntity::replace_references`].
    pub fn replace_references(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        each!(self, it => Arc::make_mut(it).replace_references(replace));
    }

    /// The names of the fields that differ, system fields but for `delete_time` left out. Empty for different types.
    pub fn changed_fields(&self, after: &Self) -> Vec<&'static str> {
        fn changed<E: EntityVariant>(before: &E, after: &Entity) -> Option<Vec<&'static str>> {
            E::of(after).map(|after| before.changed_fields(after))
        }
        let Some(mut fields) = each!(self, it => changed(it.as_ref(), after)) else { return Vec::new() };
        if self.meta().delete_time != after.meta().delete_time {
            fields.push("delete_time");
        }
        fields
    }
}
