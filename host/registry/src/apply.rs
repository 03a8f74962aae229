//! `Apply`: many mutations, all or none. A write of one entity is an `Apply` of one.

use std::collections::HashMap;

use async_trait::async_trait;
use cqar_domain::{entities::Entity, finding::Finding, id::EntityKey, mutation::RequestedMutation, time::Timestamp};
use cqar_proto::v1;
use cqar_store::Snapshot;
use prost::Message;

use crate::{
    Registry, Revisioned, caller_rules,
    error::Error,
    plan::{self, Plan, PlannedChange},
    write::{ImportWatermark, PreparedWrite, WriteCommand, WriteContext, WriteOutcome},
};

impl Registry {
    /// Makes all the changes or none.
    pub async fn apply(
        &self,
        request: WriteContext,
        mutations: Vec<RequestedMutation>,
    ) -> Result<Revisioned<v1::ApplyResponse>, Error> {
        self.write(request, self.inner.plugins.snapshot(), Mutations(mutations)).await
    }
}

/// The most bytes of the entities that one request is about: they are answered, and written with their events, in one piece.
const MAX_BYTES: usize = 32 << 20;

/// Refuses what would answer more than one answer holds, before any of it is written. Every mutation is answered by its entity,
/// however many are about the same.
fn check_size(plan: &Plan) -> Result<(), Error> {
    let entities = plan.changes.iter().filter_map(PlannedChange::entity).chain(plan.unchanged.values());
    let sizes: HashMap<EntityKey, usize> = entities.map(|it| (it.key(), v1::Entity::from(it).encoded_len())).collect();
    let bytes: usize = plan.subjects.iter().filter_map(|key| sizes.get(key)).sum();
    if bytes > MAX_BYTES { Err(Error::TooManyBytes { bytes, limit: MAX_BYTES }) } else { Ok(()) }
}

struct Mutations(Vec<RequestedMutation>);

impl PreparedWrite for Plan {
    fn plan(&self) -> &Plan {
        self
    }

    fn plan_mut(&mut self) -> &mut Plan {
        self
    }

    fn watermarks(&self) -> &[ImportWatermark] {
        &[]
    }
}

#[async_trait]
impl WriteCommand for Mutations {
    type Prepared = Plan;
    type Response = v1::ApplyResponse;
    type Rejections = ();

    async fn prepare(&self, reads: &mut Snapshot, (): &(), now: Timestamp) -> Result<Plan, Error> {
        let plan = plan::plan(reads, &self.0, now).await?.map_err(plan::merge)?;
        check_size(&plan)?;
        caller_rules::check(plan, &self.0, now)
    }

    fn exclude_rejected(&self, prepared: &Plan, errors: Vec<(usize, Finding)>, (): &mut ()) -> Result<(), Error> {
        let located = |(n, finding): (usize, Finding)| (self.field(prepared, n, &finding), finding);
        Err(Error::RejectedByValidator(errors.into_iter().map(located).collect()))
    }

    fn respond(&self, prepared: &Plan, outcome: &WriteOutcome) -> v1::ApplyResponse {
        let changed = prepared.changes.iter().filter_map(PlannedChange::entity);
        let changed: HashMap<EntityKey, &Entity> = changed.map(|it| (it.key(), it)).collect();
        let subject = |key: &EntityKey| changed.get(key).copied().or_else(|| prepared.unchanged.get(key));
        let results = prepared.subjects.iter().map(|key| subject(key).map(Into::into).unwrap_or_default());
        let warnings = outcome.warnings.iter().map(|(n, finding)| {
            v1::Finding::from(&Finding { path: self.field(prepared, *n, finding), ..finding.clone() })
        });
        v1::ApplyResponse {
            revision: outcome.revision,
            results: results.collect(),
            warnings: warnings.collect(),
            // Bounded by the mutations and by the codes that they may change.
            changed: i32::try_from(prepared.changes.len()).unwrap_or(i32::MAX),
        }
    }
}

impl Mutations {
    /// The path in the request of a field that a finding about a change names.
    fn field(&self, prepared: &Plan, change: usize, finding: &Finding) -> String {
        let mutation = prepared.changes.get(change).and_then(|change| self.0.get(change.mutation));
        let path = mutation.map_or("", |it| it.field.as_str());
        match (path, finding.path.as_str()) {
            (path, "") => path.to_owned(),
            ("", field) => field.to_owned(),
            (path, field) => format!("{path}.{field}"),
        }
    }
}
