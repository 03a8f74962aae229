//! The write path: plan on a snapshot, run the validators outside of any transaction, and commit only if the plan and
//! everything that was looked up are unchanged; otherwise start over.
//!
//! Validators run before the transaction opens; no plugin ever runs while one is open. Inside it the write is planned
//! again if a commit meanwhile touched what the plan was made of. If that plan, or a row that a validator looked up, is another than what
//! was judged, everything is read and judged again. Rows are compared, never the registry's revision as a whole: other
//! commits are nobody's business, and however many there are, they hold up no write.

use std::{any::Any, sync::Arc};

use async_trait::async_trait;
use cqar_domain::{
    entities::Entity,
    entity::Revision,
    finding::{Finding, Severity},
    id::{Segment, VenueId},
    lookup::ReadSet,
    time::Timestamp,
};
use cqar_plugins::{CallContext, Judgement, PluginSet, ValidateError};
use cqar_proto::document::document;
use cqar_store::{Change, Footprint, IdempotencyKey, IdempotencyRecord, Snapshot, StateId, WriteAttribution};
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Inner, Registry, Revisioned,
    caller::Caller,
    error::Error,
    lookup::read_again,
    plan::{Plan, PlannedChange},
    symbologies,
};

/// Who writes, and how.
#[derive(Debug, Clone)]
pub struct WriteContext {
    /// The name of the caller's key.
    pub actor: String,
    /// The full gRPC method; part of what a request id is scoped to.
    pub method: &'static str,
    /// The client's id of the request.
    pub request_id: Option<Uuid>,
    /// What tells a repetition from another request: see [`request_hash`]. Empty where there is no id.
    pub body_hash: Vec<u8>,
    /// Run every rule and plugin, and commit nothing.
    pub validate_only: bool,
    /// What is dropped with the write alone, even if its caller leaves before.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

impl WriteContext {
    /// What plugins are told of the write.
    pub(crate) fn plugin_context(&self, now: Timestamp, revision: Revision) -> CallContext {
        CallContext {
            actor: self.actor.clone(),
            request_id: self.request_id,
            validate_only: self.validate_only,
            revision,
            ..CallContext::at(now)
        }
    }
}

/// Told apart from hashes of other rules, should these ever change.
const HASH_VERSION: u8 = 1;

/// The hash of a request: of its method, and of its message encoded anew without its id and without `validate_only`, in
/// as many pieces as suit. Maps are encoded in order, so that equal messages have equal hashes.
pub fn request_hash<'a>(method: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update([HASH_VERSION]);
    hash.update(method);
    hash.update([0]);
    pieces.into_iter().for_each(|piece| hash.update(piece));
    hash.finalize().to_vec()
}

/// How often a write is judged anew because the registry changed meanwhile.
const MAX_ATTEMPTS: usize = 5;
/// How often what is left of a write is judged again, after validators refused parts of it: each round is a plan and a judgement
/// of all that is left.
const MAX_ROUNDS: usize = 8;
/// The largest answer that is kept whole: those of a day are kept, however many there are.
const MAX_KEPT_BYTES: usize = 64 << 10;
/// How long an answered request is remembered.
const REQUEST_TTL_SECONDS: i64 = 24 * 3600;

/// What a write asks for, to be planned against a state as often as needed.
#[async_trait]
pub(crate) trait WriteCommand: Send + Sync + 'static {
    /// The plan, and what else the answer is made of.
    type Prepared: PreparedWrite;
    /// The answer.
    type Response: Message + Default + 'static;

    /// Plans against a state, leaving out what was refused.
    async fn prepare(
        &self,
        reads: &mut Snapshot,
        rejections: &Self::Rejections,
        now: Timestamp,
    ) -> Result<Self::Prepared, Error>;

    /// Adds what the validators rejected to `rejections`, which the next `prepare` leaves out; an error if they refuse the
    /// write as a whole.
    fn exclude_rejected(
        &self,
        prepared: &Self::Prepared,
        errors: Vec<(usize, Finding)>,
        rejections: &mut Self::Rejections,
    ) -> Result<(), Error>;

    /// What was left out so far.
    type Rejections: Default + Send + Sync;

    /// The response to a prepared write that was committed, or would be. The plan's entities have the revision and the times of
    /// their commit then; of what was not committed, those of the present state.
    fn respond(&self, prepared: &Self::Prepared, outcome: &WriteOutcome) -> Self::Response;

    /// What is kept of a response that is too large to be kept whole, for a repetition; none where only all of it says anything.
    fn condensed(_: &Self::Response) -> Option<Self::Response> {
        None
    }

    /// Notes in a response that it is the stored one of an earlier request, where the contract says that.
    fn mark_replayed(_: &mut Self::Response) {}

    /// Hears where the write is.
    fn entered(&self, _: WritePhase<'_, Self::Prepared>) {}
}

/// A part of the way of a write.
pub(crate) enum WritePhase<'a, P> {
    /// It is planned.
    Preparing,
    /// The validators judge it.
    Judging(&'a P),
    /// It is written.
    Committing(&'a P),
}

/// A plan with what belongs to it.
pub(crate) trait PreparedWrite: Send + Sync {
    fn plan(&self) -> &Plan;
    fn plan_mut(&mut self) -> &mut Plan;
    /// The watermarks of a listing's segments.
    fn watermarks(&self) -> &[ImportWatermark];
}

/// The newest moment of which a listing of a venue's segment was imported. It is stored outside the event log, so no
/// revision tells that it moved: it is compared at commit.
pub(crate) struct ImportWatermark {
    pub(crate) venue: VenueId,
    pub(crate) segment: Segment,
    /// The stored one, as it was read; none if no listing was imported.
    pub(crate) newest: Option<Timestamp>,
    /// The moment of the listing that is imported.
    pub(crate) observed: Timestamp,
    /// Whether the listing tells how things are in the segment.
    pub(crate) is_seen: bool,
}

impl ImportWatermark {
    /// Whether it is the newest from now on.
    fn moves(&self) -> bool {
        self.is_seen && self.newest.is_none_or(|newest| newest < self.observed)
    }
}

/// The result of a write that was committed, or would be.
pub(crate) struct WriteOutcome {
    /// The new revision; the present one if nothing changed, or nothing was to be committed.
    pub(crate) revision: Revision,
    /// What the validators warned of; the path is that of the field in the request.
    pub(crate) warnings: Vec<(usize, Finding)>,
}

impl Registry {
    /// Runs a write to its end, whether or not the caller waits for it.
    pub(crate) async fn write<P: WriteCommand>(
        &self,
        request: WriteContext,
        plugins: PluginSet,
        command: P,
    ) -> Result<Revisioned<P::Response>, Error> {
        let this = self.clone();
        self.detached(|caller| async move { this.write_for(caller, request, plugins, command).await }).await
    }

    /// The same, in a task of its own already.
    pub(crate) async fn write_for<P: WriteCommand>(
        &self,
        caller: Caller,
        request: WriteContext,
        plugins: PluginSet,
        command: P,
    ) -> Result<Revisioned<P::Response>, Error> {
        Writer { inner: &self.inner, request: &request, caller }.run(&plugins, &command).await
    }

    /// The first answer to this very request, if it was answered: what is looked up before anything else is done for it.
    pub(crate) async fn replay<P: WriteCommand>(
        &self,
        request: &WriteContext,
    ) -> Result<Option<Revisioned<P::Response>>, Error> {
        let writer = Writer { inner: &self.inner, request, caller: Caller::default() };
        if writer.idempotency_key().is_none() {
            return Ok(None);
        }
        let mut snapshot = self.inner.store.snapshot().await?;
        let Some(answer) = writer.replayed::<P>(&mut snapshot, self.inner.clock.now()).await? else { return Ok(None) };
        drop(snapshot);
        self.inner.wait_for_revision(answer.revision).await?;
        Ok(Some(answer))
    }
}

struct Writer<'a> {
    inner: &'a Inner,
    request: &'a WriteContext,
    caller: Caller,
}

impl Writer<'_> {
    async fn run<P: WriteCommand>(&self, plugins: &PluginSet, command: &P) -> Result<Revisioned<P::Response>, Error> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(answer) = self.attempt(plugins, command).await? {
                // Acknowledged only once no read of this server can return what was before. If that takes too long (the log
                // cannot be read), the write stands but is not acknowledged: who repeats it with its id learns that it stands.
                self.inner.wait_for_revision(answer.revision).await?;
                return Ok(answer);
            }
        }
        Err(Error::Contended)
    }

    /// None if what was judged no longer stands.
    async fn attempt<P: WriteCommand>(
        &self,
        plugins: &PluginSet,
        command: &P,
    ) -> Result<Option<Revisioned<P::Response>>, Error> {
        let now = self.inner.clock.now();
        let mut rejections = P::Rejections::default();
        // What was refused on the way was judged by what was looked up then.
        let mut read = ReadSet::default();
        let mut since = None;
        let mut rounds = 0;
        let mut judged = loop {
            rounds += 1;
            self.caller.still_waits()?;
            // Given back before the validators are asked: they may take their time, and look up more.
            let mut snapshot = self.inner.store.snapshot().await?;
            if let Some(answer) = self.replayed::<P>(&mut snapshot, now).await? {
                return Ok(Some(answer));
            }
            command.entered(WritePhase::Preparing);
            snapshot.keep_footprint();
            let prepared = command.prepare(&mut snapshot, &rejections, now).await?;
            let footprint = snapshot.take_footprint();
            let since = *since.get_or_insert(snapshot.state());
            drop(snapshot);
            command.entered(WritePhase::Judging(&prepared));
            let Some(mut judgement) = self.judge(plugins, prepared.plan(), now).await? else { return Ok(None) };
            if !read.merge(&judgement.read) {
                return Ok(None);
            }
            let errors = findings(&judgement, Severity::Error);
            if errors.is_empty() {
                judgement.read = read;
                break Judged::<P> { prepared, footprint, rejections, judgement, since, now };
            }
            if rounds == MAX_ROUNDS {
                return Err(Error::RefusedTooOften { rounds, last: first_refusal(&errors) });
            }
            command.exclude_rejected(&prepared, errors, &mut rejections)?;
        };
        let (plan, watermarks) = (judged.prepared.plan(), judged.prepared.watermarks());
        let remembers = self.request.request_id.is_some() || watermarks.iter().any(ImportWatermark::moves);
        if self.request.validate_only || (plan.changes.is_empty() && !remembers) {
            // Nothing is committed that would compare what was read.
            if !judged.stands(&mut self.inner.store.snapshot().await?, command).await? {
                return Ok(None);
            }
            let outcome =
                WriteOutcome { revision: plan.revision, warnings: findings(&judged.judgement, Severity::Warning) };
            let value = command.respond(&judged.prepared, &outcome);
            return Ok(Some(Revisioned { revision: plan.revision, value }));
        }
        self.commit(command, &mut judged).await
    }

    /// The first answer to this very request, if it was answered.
    async fn replayed<P: WriteCommand>(
        &self,
        reads: &mut Snapshot,
        now: Timestamp,
    ) -> Result<Option<Revisioned<P::Response>>, Error> {
        let Some(key) = self.idempotency_key() else { return Ok(None) };
        let Some(answered) = reads.idempotency_record(&key, now).await? else { return Ok(None) };
        if answered.body_hash != self.request.body_hash {
            return Err(Error::RequestIdReused);
        }
        if !answered.is_whole && answered.answer.is_empty() {
            return Err(Error::AnswerNotKept { revision: answered.revision });
        }
        let mut value = P::Response::decode(answered.answer).map_err(|error| {
            let reason = format!("answer: {error}");
            cqar_store::Error::Corrupt { table: "idempotent_requests", reason }
        })?;
        P::mark_replayed(&mut value);
        Ok(Some(Revisioned { revision: answered.revision, value }))
    }

    /// What is remembered of an answered request.
    fn record<P: WriteCommand>(&self, answer: &P::Response, revision: Revision) -> IdempotencyRecord {
        let is_whole = answer.encoded_len() <= MAX_KEPT_BYTES;
        let kept = if is_whole { answer.encode_to_vec() } else { condensed::<P>(answer) };
        IdempotencyRecord { body_hash: self.request.body_hash.clone(), revision, answer: kept.into(), is_whole }
    }

    /// None if nothing is to be remembered for the request: it has no id, or only asks what would be.
    fn idempotency_key(&self) -> Option<IdempotencyKey> {
        let request_id = self.request.request_id.filter(|_| !self.request.validate_only)?;
        Some(IdempotencyKey { actor: self.request.actor.clone(), method: self.request.method.to_owned(), request_id })
    }

    async fn judge(&self, plugins: &PluginSet, plan: &Plan, now: Timestamp) -> Result<Option<Judgement>, Error> {
        let context = self.request.plugin_context(now, plan.revision);
        let changes: Vec<cqar_plugins::Change> = plan.changes.iter().filter_map(judged).collect();
        if changes.is_empty() {
            return Ok(Some(Judgement::default()));
        }
        match plugins.validate(&context, changes.into()).await {
            Ok(mut judgement) => {
                judgement.findings.extend(symbologies::unserved(plan, plugins));
                Ok(Some(judgement))
            }
            Err(ValidateError::Moved) => Ok(None),
            Err(ValidateError::NotServing { plugin, reason }) => Err(Error::PluginNotServing { plugin, reason }),
            Err(ValidateError::Failed { plugin, reason }) => Err(Error::PluginFailed { plugin, reason }),
        }
    }

    async fn commit<P: WriteCommand>(
        &self,
        command: &P,
        judged: &mut Judged<P>,
    ) -> Result<Option<Revisioned<P::Response>>, Error> {
        let now = judged.now;
        command.entered(WritePhase::Committing(&judged.prepared));
        // From here on it runs to its end, whoever waits for it.
        let begin = async { Ok(self.inner.store.begin_write().await?) };
        let mut tx = self.caller.unless_left(begin).await?;
        // A twin with the same id may have been committed while this one waited.
        if let Some(answer) = self.replayed::<P>(tx.reads(), now).await? {
            return Ok(Some(answer));
        }
        if !judged.stands(tx.reads(), command).await? {
            return Ok(None);
        }
        let Judged { prepared, judgement, .. } = judged;
        for watermark in prepared.watermarks() {
            if tx.reads().import_watermark(&watermark.venue, &watermark.segment).await? != watermark.newest {
                return Ok(None);
            }
        }
        // After the lock, so that times of commits never run against the order of revisions by more than the clock does.
        let attribution = WriteAttribution {
            actor: self.request.actor.clone(),
            request_id: self.request.request_id,
            time: self.inner.clock.now(),
        };
        let plan = prepared.plan_mut();
        let written = tx.write(store_changes(plan, judgement), &attribution).await?;
        let revision = if written.is_empty() { tx.base_revision() } else { tx.base_revision() + 1 };
        for (planned, Change { before, after, .. }) in plan.changes.iter_mut().zip(written) {
            (planned.before, planned.after) = (before, after);
        }
        let outcome = WriteOutcome { revision, warnings: findings(judgement, Severity::Warning) };
        let answer = command.respond(prepared, &outcome);
        for ImportWatermark { venue, segment, observed, .. } in
            prepared.watermarks().iter().filter(|watermark| watermark.moves())
        {
            tx.save_import_watermark(venue, segment, *observed).await?;
        }
        if let Some(key) = self.idempotency_key() {
            let answered = self.record::<P>(&answer, revision);
            tx.save_request(&key, &answered, now, now.plus_seconds(REQUEST_TTL_SECONDS)).await?;
        }
        let committed = tx.commit().await?;
        if !committed.events.is_empty() {
            self.inner.tailer.committed(committed.events);
        }
        Ok(Some(Revisioned { revision, value: answer }))
    }
}

/// A write as validators accepted it, and what they saw.
struct Judged<P: WriteCommand> {
    prepared: P::Prepared,
    /// What was read to plan it.
    footprint: Footprint,
    /// What was refused on the way.
    rejections: P::Rejections,
    judgement: Judgement,
    /// What was read first. Later rounds may have read later states.
    since: StateId,
    /// The time for which it was planned.
    now: Timestamp,
}

impl<P: WriteCommand> Judged<P> {
    /// Whether a state is the one that was judged. If something was committed since: whether nothing of it touched what the plan was
    /// made of, or else the write, planned again, is the same; and so is all that was looked up.
    async fn stands(&self, reads: &mut Snapshot, command: &P) -> Result<bool, Error> {
        if reads.state() == self.since {
            return Ok(true);
        }
        let plan = self.prepared.plan();
        if reads.has_changed(&self.footprint).await? {
            let again = command.prepare(reads, &self.rejections, self.now).await?;
            if !same(plan, again.plan()) {
                return Ok(false);
            }
        }
        Ok(read_again(reads, &self.judgement.read).await? == self.judgement.read)
    }
}

/// What of an answer is kept that is too large; nothing where that is too large, too.
fn condensed<P: WriteCommand>(answer: &P::Response) -> Vec<u8> {
    let kept = P::condensed(answer).filter(|kept| kept.encoded_len() <= MAX_KEPT_BYTES);
    kept.map(|kept| kept.encode_to_vec()).unwrap_or_default()
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

fn first_refusal(errors: &[(usize, Finding)]) -> String {
    errors.first().map(|(_, it)| format!("{} refused {}: {}", it.plugin, it.path, it.message)).unwrap_or_default()
}

fn findings(judgement: &Judgement, severity: Severity) -> Vec<(usize, Finding)> {
    judgement.findings.iter().filter(|(_, finding)| finding.severity == severity).cloned().collect()
}

/// The changes as the store makes them. It is handed the entities, and hands them back as they are stored.
fn store_changes(plan: &mut Plan, judgement: &Judgement) -> Vec<Change> {
    let mut changes: Vec<Change> = plan
        .changes
        .iter_mut()
        .map(|change| Change {
            judged_by: change.entity().map(|it| judgement.judged_by(it.key().entity_type())).unwrap_or_default(),
            before: change.before.take(),
            after: change.after.take(),
            effective_time: change.effective_time,
            reason: change.reason.clone(),
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
