//! From what a write asks for to what it changes: every invariant of the core is checked here, against one snapshot.
//!
//! Planning is the same before the validators are asked and inside the write transaction; only if both come to the same
//! plan is it committed.

mod loaded_state;
mod mutate;
mod relationships;
mod rules;

use std::collections::HashMap;

use cqar_domain::{entities::Entity, entity::Revision, id::EntityKey, mutation::RequestedMutation, time::Timestamp};
use cqar_store::Snapshot;

use crate::error::Error;

pub(crate) use loaded_state::LoadedState;

/// The net changes of a write, planned for one state of the registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The state that it was made for.
    pub(crate) revision: Revision,
    /// The net change of each entity that changes, in the order of their first mutation.
    pub(crate) changes: Vec<PlannedChange>,
    /// What each mutation is about, in order; a creation that found what it was to create is about that.
    pub(crate) subjects: Vec<EntityKey>,
    /// The present state of the subjects that do not change.
    pub(crate) unchanged: HashMap<EntityKey, Entity>,
}

/// The net change of one entity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedChange {
    /// The entity as it is stored.
    pub(crate) before: Option<Entity>,
    /// The entity as it becomes.
    pub(crate) after: Option<Entity>,
    /// From when it holds in the world, where that is another time than the commit's.
    pub(crate) effective_time: Option<Timestamp>,
    /// Why it is made, as the client says.
    pub(crate) reason: String,
    /// The last mutation that made it, by its place in the request.
    pub(crate) mutation: usize,
}

/// What is wrong with one mutation.
#[derive(Debug, Clone)]
pub(crate) struct MutationError {
    /// Its place in the request.
    pub(crate) mutation: usize,
    /// Why it cannot be.
    pub(crate) error: Error,
}

impl PlannedChange {
    /// The entity after, or before if it is gone.
    pub(crate) fn entity(&self) -> Option<&Entity> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// Plans the mutations. All of what is wrong is found, not only the first.
pub(crate) async fn plan(
    snapshot: &mut Snapshot,
    mutations: &[RequestedMutation],
    now: Timestamp,
) -> Result<Result<Plan, Vec<MutationError>>, cqar_store::Error> {
    let mut loaded = LoadedState::default();
    loaded.fetch_targets(snapshot, mutations).await?;
    let mut staged = mutate::stage(&loaded, mutations, now);
    loaded.fetch_related(snapshot, &staged.touched().collect::<Vec<_>>()).await?;
    if staged.has_replaced() {
        // Only now is it known who has the terms of those assets, and what is at the addresses of those chains.
        staged = mutate::stage(&loaded, mutations, now);
        loaded.fetch_related(snapshot, &staged.touched().collect::<Vec<_>>()).await?;
    }
    staged.failures.extend(rules::violated_rules(&loaded, &staged, mutations));
    if !staged.failures.is_empty() {
        staged.failures.sort_by_key(|failure| failure.mutation);
        return Ok(Err(staged.failures));
    }
    Ok(Ok(staged.into_plan(&loaded, mutations, snapshot.revision())))
}

/// One error of all failures: the violations of all together, unless something graver than a violation comes first.
pub(crate) fn merge(failures: Vec<MutationError>) -> Error {
    let mut violations = Vec::new();
    for failure in failures {
        match failure.error {
            Error::Invalid(found) => violations.extend(found),
            graver if violations.is_empty() => return graver,
            _ => {}
        }
    }
    Error::Invalid(violations)
}
