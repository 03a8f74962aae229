//! What every entity is: the trait that each file of `entities` implements, and what all of them carry.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    id::{EntityId, EntityKey, EntityType, VenueId},
    time::Timestamp,
    unique_key::UniqueKey,
    violation::Violations,
};

/// A revision of the registry: the place of a committed write in the one order of all of them. 0 is the empty registry.
pub type Revision = i64;

/// How long a cache keeps what changes seldom, unless it is configured otherwise.
pub const DEFAULT_CACHE_TTL: Duration = Duration::from_hours(1);

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

/// An entity of one type, and everything that the registry must know of that type. Checks of references and keys,
/// look-ups, deletions, the caches and the log all follow from this; nothing else repeats it.
pub trait TypedEntity: Clone + PartialEq {
    /// Its type.
    const TYPE: EntityType;
    /// Whether a deletion only marks it (AIP-164): it keeps its unique keys, takes no new references, and can be undeleted.
    const SOFT_DELETE: bool;
    /// Whether it is never deleted once anything referred to it, so that its id and its unique keys never mean another.
    const KEPT_ONCE_REFERRED_TO: bool = false;
    /// The fields whose unique keys say which of several is the first, and not which entity it is.
    const FIRST_OF_SEVERAL: &'static [&'static str] = &[];
    /// How long a cache keeps an answer about it at most. A safety net: it is the log that invalidates. [`DEFAULT_CACHE_TTL`] stands
    /// for what is configured.
    const CACHE_TTL: Duration = DEFAULT_CACHE_TTL;

    /// What names it.
    fn key(&self) -> EntityKey;

    /// Its revision and times.
    fn meta(&self) -> &Meta;

    /// Its revision and times, to be set.
    fn meta_mut(&mut self) -> &mut Meta;

    /// The invariants of it alone: bounds, and fields that must agree.
    fn check(&self, found: &mut Violations);

    /// The names of the fields that differ, but for those of [`Meta`].
    fn changed_fields(&self, after: &Self) -> Vec<&'static str>;

    /// The venue that it is or belongs to.
    fn venue(&self) -> Option<&VenueId> {
        None
    }

    /// The keys that no other entity may have, each with the field that a collision is about.
    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        Vec::new()
    }

    /// The keys that no other entity may have beside it, though it has them not itself, each with the path of the field that says so.
    fn excluded_keys(&self) -> Vec<(String, UniqueKey)> {
        Vec::new()
    }

    /// Notes what it says otherwise than an entity that exists by the same key, where it cannot be meant by both.
    fn contradictions(&self, existing: &Self, found: &mut Violations) {
        let _ = (existing, found);
    }

    /// Visits each field that refers to another entity: its name, and what it refers to.
    fn visit_references(&self, visit: &mut dyn FnMut(&'static str, EntityKey)) {
        let _ = visit;
    }

    /// Makes each of the same fields refer to what `replace` returns for what it refers to, if anything.
    fn replace_references(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        let _ = replace;
    }
}

/// A field that refers to other entities, or may.
pub(crate) trait ReferenceField {
    /// Visits what it refers to.
    fn visit(&self, visit: &mut dyn FnMut(EntityKey));

    /// Makes it refer to what `replace` returns, if anything. A key of another type is none that it can hold.
    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>);
}

impl<I: EntityId> ReferenceField for I {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        visit(self.clone().into());
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        if let Some(Ok(id)) = replace(&self.clone().into()).map(I::try_from) {
            *self = id;
        }
    }
}

impl<F: ReferenceField> ReferenceField for Option<F> {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        if let Some(field) = self {
            field.visit(visit);
        }
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        if let Some(field) = self {
            field.replace(replace);
        }
    }
}

impl<F: ReferenceField> ReferenceField for Vec<F> {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        for field in self {
            field.visit(visit);
        }
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        for field in self {
            field.replace(replace);
        }
    }
}

impl<K, F: ReferenceField> ReferenceField for BTreeMap<K, F> {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        for field in self.values() {
            field.visit(visit);
        }
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        for field in self.values_mut() {
            field.replace(replace);
        }
    }
}

/// Both methods of [`TypedEntity`] about references, from one list of the fields that refer to others.
macro_rules! references {
    ($($field:ident),+ $(,)?) => {
        fn visit_references(&self, visit: &mut dyn FnMut(&'static str, $crate::id::EntityKey)) {
            $($crate::entity::ReferenceField::visit(&self.$field, &mut |target| visit(stringify!($field), target));)+
        }

        fn replace_references(
            &mut self,
            replace: &dyn Fn(&$crate::id::EntityKey) -> Option<$crate::id::EntityKey>,
        ) {
            $($crate::entity::ReferenceField::replace(&mut self.$field, replace);)+
        }
    };
}
pub(crate) use references;

/// The method of [`TypedEntity`] that compares two states, from the list of all fields but `id` and `meta`; `as` where the
/// contract calls one otherwise.
macro_rules! changed_fields {
    ($($field:ident $(as $name:literal)?),+ $(,)?) => {
        fn changed_fields(&self, after: &Self) -> Vec<&'static str> {
            let mut fields = Vec::new();
            $(if self.$field != after.$field {
                fields.push($crate::entity::changed_fields!(@name $field $($name)?));
            })+
            fields
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
pub(crate) use changed_fields;
