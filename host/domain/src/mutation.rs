//! What a write asks for.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    entities::Entity,
    id::{EntityKey, MarketId},
    time::Timestamp,
    violation::Violation,
};

/// Computes an entity from its present state: the fields of an update's mask, laid over it.
#[derive(Clone)]
pub struct Patch(Arc<PatchFn>);

type PatchFn = dyn Fn(&Entity) -> Result<Entity, Vec<Violation>> + Send + Sync;

impl Patch {
    /// A patch that runs the function.
    pub fn new(patch: impl Fn(&Entity) -> Result<Entity, Vec<Violation>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(patch))
    }

    /// The entity after the patch.
    pub fn apply(&self, before: &Entity) -> Result<Entity, Vec<Violation>> {
        (self.0)(before)
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patch")
    }
}

/// A mutation as a request has it.
#[derive(Debug, Clone)]
pub struct RequestedMutation {
    /// The path of its field in the request, such as `mutations[3].create.asset`, for messages about it.
    pub field: String,
    /// Why it is made, as the client says; may be empty.
    pub reason: String,
    /// What it does.
    pub mutation: Mutation,
}

/// One change to be made.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// Create an entity.
    Create {
        /// It, with its id.
        entity: Entity,
        /// If it exists by id or unique key, leave it as it is.
        allow_existing: bool,
    },
    /// Change an entity.
    Update {
        /// Which.
        key: EntityKey,
        /// Refuse unless it is the current etag.
        etag: Option<String>,
        /// How.
        patch: Patch,
    },
    /// Delete an entity, softly where its type has that.
    Delete {
        /// Which.
        key: EntityKey,
        /// Refuse unless it is the current etag.
        etag: Option<String>,
    },
    /// Take a soft-delete back.
    Undelete {
        /// Which.
        key: EntityKey,
        /// Refuse unless it is the current etag.
        etag: Option<String>,
    },
    /// End a market.
    Delist {
        /// Which.
        market: MarketId,
        /// From when; now if absent.
        at: Option<Timestamp>,
        /// Refuse unless it is the current etag.
        etag: Option<String>,
    },
}

/// The entities that creations with `allow_existing` turned out to mean, by the id that was made for them.
#[derive(Debug, Default)]
pub struct KeyRemap(HashMap<EntityKey, EntityKey>);

impl KeyRemap {
    /// Notes that `made` means `existing`.
    pub fn insert(&mut self, made: EntityKey, existing: EntityKey) {
        if made != existing {
            self.0.insert(made, existing);
        }
    }

    /// The key, or what it means.
    pub fn key(&self, key: &EntityKey) -> EntityKey {
        self.0.get(key).unwrap_or(key).clone()
    }

    /// Replaces what the entity refers to.
    pub fn apply(&self, entity: &mut Entity) {
        if !self.0.is_empty() {
            entity.replace_references(&|key| self.0.get(key).cloned());
        }
    }
}
