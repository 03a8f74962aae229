//! The way of every write: planned, judged by the validators, and committed only if what was judged still stands.
//!
//! Validators run before the transaction opens; no plugin ever runs while one is open. Inside it the write is planned
//! again unless nothing was committed meanwhile. If that plan, or a row that a validator looked up, is another than what
//! was judged, everything is read and judged again.

use std::{collections::HashMap, future::Future, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cqar_domain::{
    entities::Entity,
    entity::Revision,
    finding::{Finding, Severity},
    id::{EntityKey, Segment, VenueId},
    time::Timestamp,
};
use cqar_plugins::{CallContext, Judgement, PluginSet, ValidateError};
use cqar_proto::document::document;
use cqar_store::{AnsweredRequest, Author, Change, RequestKey, Snapshot, WriteTransaction};
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Answer, Inner, Registry,
    error::Error,
    plan::{Plan, PlannedChange},
};

/// Who writes, and how.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// The name of the caller's key.
    pub actor: String,
    /// The full gRPC method; part of what a request id is scoped to.
    pub method: &'static str,
    /// The client's id of the request.
    pub request_id: Option<Uuid>,
    /// The canonical encoding of the request without its id: what tells a repetition from another request.
    pub body: Vec<u8>,
    /// Run every rule and plugin, and commit nothing.
    pub validate_only: bool,
}

/// How often a write is judged anew because the registry changed meanwhile.
const MAX_ATTEMPTS: usize = 5;
/// How long an answered request is remembered.
const REQUEST_TTL_SECONDS: i64 = 24 * 3600;

/// What a write asks for, to be planned against a state as often as needed.
#[async_trait]
pub(crate) trait Proposal: Send + Sync + 'static {
    /// The plan, and what else the answer is made of.
    type Draft: Drafted;
    /// The answer.
    type Answer: Message + Default + 'static;

    /// Plans against a state, leaving out what was refused.
    async fn draft(&self, reads: &mut Snapshot, refused: &Self::Refused, now: Timestamp) -> Result<Self::Draft, Error>;

    /// What the validators' errors leave out of the next draft; an error if they refuse the write as a whole.
    fn refuse(
        &self,
        draft: &Self::Draft,
        errors: Vec<(usize, Finding)>,
        refused: &mut Self::Refused,
    ) -> Result<(), Error>;

    /// What was left out so far.
    type Refused: Default + Send + Sync;

    /// The answer to a draft that was written, or would be.
    fn answer(&self, draft: &Self::Draft, written: &Written) -> Self::Answer;
}

/// A plan with what belongs to it.
pub(crate) trait Drafted: Send + Sync {
    fn plan(&self) -> &Plan;
    /// The moments of a listing's segments.
    fn moments(&self) -> &[Moment];
}

/// When a segment of a venue was listed. Moments are kept outside the log, so no revision tells that one moved.
pub(crate) struct Moment {
    pub(crate) venue: VenueId,
    pub(crate) segment: Segment,
    /// The newest that was imported, as it was read.
    pub(crate) newest: Option<Timestamp>,
    /// That of the listing.
    pub(crate) observed: Timestamp,
}

impl Moment {
    /// Whether it is the newest from now on.
    fn moves(&self) -> bool {
        self.newest.is_none_or(|newest| newest < self.observed)
    }
}

/// What became of a plan.
pub(crate) struct Written {
    /// The new revision; the present one if nothing changed, or nothing was to be committed.
    pub(crate) revision: Revision,
    /// The changed entities, with their revision and times; those that are gone as they were.
    pub(crate) entities: HashMap<EntityKey, Entity>,
    /// How many changed.
    pub(crate) changed: usize,
    /// What the validators warned of; the path is that of the field in the request.
    pub(crate) warnings: Vec<(usize, Finding)>,
}

impl Registry {
    /// Runs a write to its end, whether or not the caller waits for it.
    pub(crate) async fn write<P: Proposal>(
        &self,
        request: WriteRequest,
        plugins: PluginSet,
        proposal: P,
    ) -> Result<Answer<P::Answer>, Error> {
        let inner = Arc::clone(&self.inner);
        let writing = async move { Writer::new(&inner, &request).run(&plugins, &proposal).await };
        self.detached(writing).await
    }

    /// The first answer to this very request, if it was answered: what is looked up before anything else is done for it.
    pub(crate) async fn replay<A: Message + Default>(
        &self,
        request: &WriteRequest,
    ) -> Result<Option<Answer<A>>, Error> {
        let writer = Writer::new(&self.inner, request);
        if writer.request_key().is_none() {
            return Ok(None);
        }
        let mut snapshot = self.inner.store.snapshot().await?;
        writer.replayed(&mut snapshot, self.inner.clock.now()).await
    }

    /// Runs in a task of its own, so that a client that goes away does not stop it halfway.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match self.inner.tracker.spawn(work).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Tasks are aborted with their runtime alone, and so is this caller.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

struct Writer<'a> {
    inner: &'a Inner,
    request: &'a WriteRequest,
    hash: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(inner: &'a Inner, request: &'a WriteRequest) -> Self {
        Self { inner, request, hash: Sha256::digest(&request.body).to_vec() }
    }

    async fn run<P: Proposal>(&self, plugins: &PluginSet, proposal: &P) -> Result<Answer<P::Answer>, Error> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(answer) = self.attempt(plugins, proposal).await? {
                return Ok(answer);
            }
        }
        Err(Error::Contended)
    }

    /// None if what was judged no longer stands.
    async fn attempt<P: Proposal>(
        &self,
        plugins: &PluginSet,
        proposal: &P,
    ) -> Result<Option<Answer<P::Answer>>, Error> {
        let now = self.inner.clock.now();
        let mut refused = P::Refused::default();
        let (draft, judgement) = loop {
            // Given back before the validators are asked: they may take their time, and look up more.
            let mut snapshot = self.inner.store.snapshot().await?;
            if let Some(answer) = self.replayed::<P::Answer>(&mut snapshot, now).await? {
                return Ok(Some(answer));
            }
            let draft = proposal.draft(&mut snapshot, &refused, now).await?;
            drop(snapshot);
            let Some(judgement) = self.judge(plugins, draft.plan(), now).await? else { return Ok(None) };
            let errors = findings(&judgement, Severity::Error);
            if errors.is_empty() {
                break (draft, judgement);
            }
            proposal.refuse(&draft, errors, &mut refused)?;
        };
        let plan = draft.plan();
        let remembers = self.request.request_id.is_some() || draft.moments().iter().any(Moment::moves);
        if self.request.validate_only || (plan.changes.is_empty() && !remembers) {
            let written = imagined(plan, &judgement);
            return Ok(Some(Answer { revision: plan.revision, value: proposal.answer(&draft, &written) }));
        }
        self.commit(proposal, &draft, &judgement, &refused, now).await
    }

    /// The first answer to this very request, if it was answered.
    async fn replayed<A: Message + Default>(
        &self,
        reads: &mut Snapshot,
        now: Timestamp,
    ) -> Result<Option<Answer<A>>, Error> {
        let Some(key) = self.request_key() else { return Ok(None) };
        let Some(answered) = reads.answered_request(&key, now).await? else { return Ok(None) };
        if answered.body_hash != self.hash {
            return Err(Error::RequestIdReused);
        }
        let value = A::decode(answered.answer).map_err(|error| {
            let reason = format!("answer: {error}");
            cqar_store::Error::Corrupt { table: "idempotent_requests", reason }
        })?;
        Ok(Some(Answer { revision: answered.revision, value }))
    }

    /// None if nothing is to be remembered for the request: it has no id, or only asks what would be.
    fn request_key(&self) -> Option<RequestKey> {
        let request_id = self.request.request_id.filter(|_| !self.request.validate_only)?;
        Some(RequestKey { actor: self.request.actor.clone(), method: self.request.method.to_owned(), request_id })
    }

    async fn judge(&self, plugins: &PluginSet, plan: &Plan, now: Timestamp) -> Result<Option<Judgement>, Error> {
        let context = CallContext {
            now,
            actor: self.request.actor.clone(),
            request_id: self.request.request_id,
            validate_only: self.request.validate_only,
            revision: plan.revision,
        };
        let changes: Vec<cqar_plugins::Change> = plan.changes.iter().filter_map(judged).collect();
        if changes.is_empty() {
            return Ok(Some(Judgement::default()));
        }
        match plugins.validate(&context, changes.into()).await {
            Ok(judgement) => Ok(Some(judgement)),
            Err(ValidateError::Moved) => Ok(None),
            Err(ValidateError::NotServing { plugin, reason }) => Err(Error::PluginNotServing { plugin, reason }),
            Err(ValidateError::Failed { plugin, reason }) => Err(Error::PluginFailed { plugin, reason }),
        }
    }

    async fn commit<P: Proposal>(
        &self,
        proposal: &P,
        draft: &P::Draft,
        judgement: &Judgement,
        refused: &P::Refused,
        now: Timestamp,
    ) -> Result<Option<Answer<P::Answer>>, Error> {
        let mut tx = self.inner.store.begin_write().await?;
        // A twin with the same id may have been committed while this one waited.
        if let Some(answer) = self.replayed(tx.reads(), now).await? {
            return Ok(Some(answer));
        }
        if tx.locked() != draft.plan().revision
            && !self.still_stands(&mut tx, proposal, draft, judgement, refused, now).await?
        {
            return Ok(None);
        }
        for moment in draft.moments() {
            if tx.reads().import_watermark(&moment.venue, &moment.segment).await? != moment.newest {
                return Ok(None);
            }
        }
        let plan = draft.plan();
        // After the lock, so that times of commits never run against the order of revisions by more than the clock does.
        let author = Author {
            actor: self.request.actor.clone(),
            request_id: self.request.request_id,
            time: self.inner.clock.now(),
        };
        let changes = tx.write(store_changes(plan, judgement), &author).await?;
        let revision = if changes.is_empty() { tx.locked() } else { tx.locked() + 1 };
        let written = written(plan, changes, revision, judgement);
        let answer = proposal.answer(draft, &written);
        for Moment { venue, segment, observed, .. } in draft.moments().iter().filter(|moment| moment.moves()) {
            tx.save_import_watermark(venue, segment, *observed).await?;
        }
        if let Some(key) = self.request_key() {
            let answered =
                AnsweredRequest { body_hash: self.hash.clone(), revision, answer: Bytes::from(answer.encode_to_vec()) };
            tx.save_request(&key, &answered, now, now.plus_seconds(REQUEST_TTL_SECONDS)).await?;
        }
        let committed = tx.commit().await?;
        if !committed.events.is_empty() {
            self.inner.feed.committed(committed.events);
        }
        // Acknowledged only once no read of this server can return what was before. If that takes too long (the log
        // cannot be read), the write stands but is not acknowledged: who repeats it with its id learns that it stands.
        self.inner.reach(revision).await?;
        Ok(Some(Answer { revision, value: answer }))
    }

    /// Whether the write, planned again inside the transaction, is what was judged, and so is all that was looked up.
    async fn still_stands<P: Proposal>(
        &self,
        tx: &mut WriteTransaction,
        proposal: &P,
        draft: &P::Draft,
        judgement: &Judgement,
        refused: &P::Refused,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let again = proposal.draft(tx.reads(), refused, now).await?;
        if !same(draft.plan(), again.plan()) {
            return Ok(false);
        }
        let Some(seen_at) = judgement.lookup_revision else { return Ok(true) };
        let keys: Vec<(EntityKey, bool)> = judgement
            .looked_up
            .iter()
            .filter_map(|(entity_type, id, found)| Some((EntityKey::parse(*entity_type, id).ok()?, *found)))
            .collect();
        let entities = tx.reads().entities(&keys.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>()).await?;
        Ok(entities.iter().zip(&keys).all(|(entity, (_, found))| match entity {
            Some(entity) => *found && entity.meta().revision <= seen_at,
            None => !found,
        }))
    }
}

/// Whether two plans change the same in the same way, whatever revision each was made for.
fn same(a: &Plan, b: &Plan) -> bool {
    a.changes == b.changes && a.subjects == b.subjects && a.unchanged == b.unchanged
}

/// The change as validators see it. None for one that is nothing.
fn judged(change: &PlannedChange) -> Option<cqar_plugins::Change> {
    use cqar_plugins::Operation;
    let entity = change.entity()?;
    let deleted = |entity: &Option<Entity>| entity.as_ref().is_none_or(|it| it.meta().delete_time.is_some());
    let operation = match (&change.before, deleted(&change.before), deleted(&change.after)) {
        (None, ..) => Operation::Create,
        (Some(_), false, true) => Operation::Delete,
        (Some(_), true, false) => Operation::Undelete,
        (Some(_), ..) => Operation::Update,
    };
    let key = entity.key();
    Some(cqar_plugins::Change {
        operation,
        entity_type: key.entity_type(),
        id: key.id(),
        before: change.before.as_ref().map(document),
        after: change.after.as_ref().map(document),
    })
}

fn findings(judgement: &Judgement, severity: Severity) -> Vec<(usize, Finding)> {
    judgement.findings.iter().filter(|(_, finding)| finding.severity == severity).cloned().collect()
}

fn store_changes(plan: &Plan, judgement: &Judgement) -> Vec<Change> {
    let mut changes: Vec<Change> = plan
        .changes
        .iter()
        .map(|change| Change {
            before: change.before.clone(),
            after: change.after.clone(),
            effective_time: change.effective_time,
            judged_by: change.entity().map(|it| judgement.judged_by(it.key().entity_type())).unwrap_or_default(),
            warnings: Vec::new(),
        })
        .collect();
    for (n, finding) in findings(judgement, Severity::Warning) {
        if let Some(change) = changes.get_mut(n) {
            change.warnings.push(finding);
        }
    }
    changes
}

fn written(plan: &Plan, changes: Vec<Change>, revision: Revision, judgement: &Judgement) -> Written {
    let count = changes.len();
    let mut entities = plan.unchanged.clone();
    entities.extend(changes.into_iter().filter_map(|change| change.after.or(change.before)).map(|it| (it.key(), it)));
    Written { revision, entities, changed: count, warnings: findings(judgement, Severity::Warning) }
}

/// What would be written; revisions and times are those of the present state.
fn imagined(plan: &Plan, judgement: &Judgement) -> Written {
    let changed = plan.changes.len();
    let mut entities = plan.unchanged.clone();
    entities.extend(plan.changes.iter().filter_map(PlannedChange::entity).map(|it| (it.key(), it.clone())));
    Written { revision: plan.revision, entities, changed, warnings: findings(judgement, Severity::Warning) }
}
