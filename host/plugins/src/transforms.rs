//! The enabled transforms, as the relay runs them.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use cqar_domain::{
    event::LoggedEvent,
    lookup::Lookup,
    relay::{OutboundMessage, TransformFailure, Transforms},
    time::{Clock, Timestamp},
};
use cqar_proto::v1;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::watch;

use crate::{
    context::CallContext,
    error::CallError,
    kinds::transform::{Action, Document, Transform, Transformer, compose},
    plugin_set::PluginSet,
    runtime::{chunk::chunks, sandbox::Scope},
    table::PluginTable,
};

/// The enabled transforms of a host.
pub(crate) struct EnabledTransforms {
    names: Vec<String>,
    table: Arc<PluginTable>,
    lookup: Arc<dyn Lookup>,
    clock: Arc<dyn Clock>,
    /// Follows the versions of the set of plugins; what it saw last is the set that the last call used.
    versions: Mutex<watch::Receiver<u64>>,
    /// Why the last batch of events stopped, if it did.
    held: Mutex<Option<TransformFailure>>,
}

impl EnabledTransforms {
    /// These transforms, in this order.
    pub(crate) fn new(
        names: Vec<String>,
        table: Arc<PluginTable>,
        lookup: Arc<dyn Lookup>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let versions = Mutex::new(table.subscribe());
        Self { names, table, lookup, clock, versions, held: Mutex::default() }
    }
}

#[async_trait]
impl Transforms for EnabledTransforms {
    async fn transform(
        &self,
        events: &[LoggedEvent],
        subject_prefix: &str,
    ) -> (Vec<Vec<OutboundMessage>>, Option<TransformFailure>) {
        // Before the snapshot: a swap in between shows as a change.
        self.versions.lock().mark_unchanged();
        let plugins = PluginSet::of(&self.table);
        let mut answers = vec![vec![OutboundMessage::default()]; events.len()];
        let mut failure = None;
        let now = self.clock.now();
        for name in &self.names {
            let end = match plugins.transform(name) {
                Ok((transformer, generation)) => {
                    let subscribed =
                        |event: &LoggedEvent| generation.manifest.subscribes(event.event_type.entity_type());
                    let looks_up = generation.manifest.looks_up;
                    let lookup = &*self.lookup;
                    let pass = Pass { lookup, transformer, now, subject_prefix, subscribed: &subscribed, looks_up };
                    pass.apply(events, &mut answers).await
                }
                Err(reason) => End::Failed(0, reason),
            };
            // Later transforms see only what came before; if they fail, they fail earlier.
            match end {
                End::All => {}
                End::Full(index) => {
                    answers.truncate(index);
                    failure = None;
                }
                End::Failed(index, message) => {
                    answers.truncate(index);
                    failure = Some(TransformFailure { plugin: name.clone(), message });
                }
            }
        }
        self.ended(failure.as_ref());
        (answers, failure)
    }

    async fn changed(&self) {
        let mut versions = self.versions.lock().clone();
        // An error means that the host is gone, and nothing will change any more.
        if versions.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl EnabledTransforms {
    /// What keeps events from being published, for the operator.
    pub(crate) fn problems(&self) -> Vec<String> {
        let plugins = PluginSet::of(&self.table);
        let absent = |name: &String| {
            let reason = plugins.transform(name).err()?;
            Some(format!("{name}: the transform is enabled and does not serve: {reason}"))
        };
        let held = self.held.lock();
        let holds = held.iter().map(|held| format!("{}: holds the events: {}", held.plugin, held.message));
        self.names.iter().filter_map(absent).chain(holds).collect()
    }

    /// Notes how a batch of events ended.
    fn ended(&self, failure: Option<&TransformFailure>) {
        let mut held = self.held.lock();
        match (&*held, failure) {
            (None, Some(failure)) => {
                tracing::error!(plugin = failure.plugin, reason = failure.message, "a transform holds the events");
            }
            (Some(_), None) => tracing::info!("no transform holds the events any more"),
            _ => {}
        }
        if let Some(failure) = failure
            && let Some(plugin) = self.table.load().by_name.get(&failure.plugin)
            && let Some(generation) = &plugin.serving
        {
            generation.monitor.note_failure("transform", failure.message.clone());
        }
        *held = failure.cloned();
    }
}

/// How often a call is made again because what it looked up changed meanwhile: rows that change so fast are rare, and the
/// relay tries again in any case.
const MAX_ATTEMPTS: usize = 5;

/// What the answers to one batch may take in memory, and one answer more: the relay asks for the rest later.
const MAX_BATCH_BYTES: usize = 32 << 20;

/// How far a transform came, as an index in the batch.
enum End {
    All,
    /// Those before it are answered, and have all the room that there is.
    Full(usize),
    /// Those before it are answered, and this one is not.
    Failed(usize, String),
}

/// One transform over a batch of events.
struct Pass<'a> {
    lookup: &'a dyn Lookup,
    transformer: &'a Transformer,
    now: Timestamp,
    subject_prefix: &'a str,
    subscribed: &'a (dyn Fn(&LoggedEvent) -> bool + Sync),
    looks_up: bool,
}

impl Pass<'_> {
    /// Applies the transform to the events that still become anything.
    async fn apply(&self, events: &[LoggedEvent], answers: &mut [Vec<OutboundMessage>]) -> End {
        let mut room = MAX_BATCH_BYTES;
        let mut indices = Vec::new();
        let mut documents = Vec::new();
        let mut damaged = None;
        for (index, (event, answer)) in events.iter().zip(answers.iter()).enumerate() {
            if answer.is_empty() || !(self.subscribed)(event) {
                continue;
            }
            match self.document(event) {
                Ok(document) => documents.push(document),
                // Those before it are transformed all the same.
                Err(message) => {
                    damaged = Some((index, message));
                    break;
                }
            }
            indices.push(index);
        }
        let ranges = chunks(documents.iter().map(|it| it.json.len()), self.looks_up);
        let documents: Arc<[Document]> = documents.into();
        for range in ranges {
            let (actions, failed) = self.actions(&documents, range.clone(), room).await;
            let positions = indices.get(range.start..).unwrap_or_default();
            for (&index, action) in positions.iter().zip(actions) {
                let Some(answer) = answers.get_mut(index) else { continue };
                room = room.saturating_sub(action.bytes());
                if let Err(message) = compose(answer, action) {
                    return End::Failed(index, message);
                }
                if room == 0 {
                    return End::Full(index + 1);
                }
            }
            if let Some((position, message)) = failed {
                return End::Failed(positions.get(position).copied().unwrap_or(0), message);
            }
        }
        damaged.map_or(End::All, |(index, message)| End::Failed(index, message))
    }

    /// The actions for a chunk. If the call fails, each event has a call of its own, up to the one that it fails for: those before are not
    /// held back. There are fewer actions than events where they take all the room that is left.
    async fn actions(
        &self,
        documents: &Arc<[Document]>,
        range: Range<usize>,
        mut room: usize,
    ) -> (Vec<Action>, Option<(usize, String)>) {
        let single = range.len() == 1;
        match self.call(documents, range.clone()).await {
            Ok(actions) => return (actions, None),
            Err(message) if single => return (Vec::new(), Some((0, message))),
            Err(_) => {}
        }
        let mut actions = Vec::with_capacity(range.len());
        for (position, index) in range.enumerate() {
            match self.call(documents, index..index + 1).await {
                Ok(mut action) => {
                    room = room.saturating_sub(action.iter().map(Action::bytes).sum());
                    actions.append(&mut action);
                }
                Err(message) => return (actions, Some((position, message))),
            }
            if room == 0 {
                break;
            }
        }
        (actions, None)
    }

    /// Calls until all that was looked up is one state.
    async fn call(&self, documents: &Arc<[Document]>, range: Range<usize>) -> Result<Vec<Action>, String> {
        for _ in 0..MAX_ATTEMPTS {
            let (scope, range) = (Scope::at(self.now), range.clone());
            let read_set = scope.read_set.clone();
            let call = CallContext::at(self.now).document_with_prefix(self.subject_prefix);
            let call = Transform { call, documents: Arc::clone(documents), range };
            match self.transformer.pool.call(call, scope).await {
                Ok(actions) if read_set.is_one_state(self.lookup).await.map_err(|error| error.to_string())? => {
                    return Ok(actions);
                }
                Ok(_) | Err(CallError::Moved) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(CallError::Moved.to_string())
    }

    fn document(&self, event: &LoggedEvent) -> Result<Document, String> {
        let message =
            v1::Event::decode(event.body.clone()).map_err(|error| format!("the event is damaged: {error}"))?;
        let event_type = event.event_type.to_string();
        Ok(Document {
            subject: format!("{}.{event_type}", self.subject_prefix),
            event_type,
            json: cqar_proto::document::json(&message),
        })
    }
}
