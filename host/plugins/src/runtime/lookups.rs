//! The look-ups of a call: what is granted, how many are left, and the trace of what was seen.

use std::sync::Arc;

use cqar_domain::{
    id::{EntityKey, EntityType},
    lookup::{IndexKey, Lookup, LookupError, LookupIndex, ReadSet},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    bindings::cqar::plugin::{
        registry::{self, Found},
        types::Failure,
    },
    sandbox::{Purpose, Sandbox, Scope},
};
use crate::{
    config::Limits,
    error::CallError,
    text::{MAX_CODE_BYTES, clean},
};

/// A look-up, and what it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedLookup {
    pub(crate) request: LookupRequest,
    pub(crate) answer: LookupAnswer,
}

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LookupRequest {
    Get { entity_type: String, ids: Vec<String> },
    Find { index: String, keys: Vec<Vec<String>> },
}

/// What a look-up is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LookupAnswer {
    Got(Vec<Option<String>>),
    Found(Vec<FoundAnswer>),
    Refused { code: String, message: String },
}

/// What an index finds for one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundAnswer {
    documents: Vec<String>,
    more: bool,
}

/// A call that looked up more is not recorded.
const MAX_RECORDED_BYTES: usize = 1 << 20;

impl LookupAnswer {
    fn refused(failure: &Failure) -> Self {
        Self::Refused { code: failure.code.clone(), message: failure.message.clone() }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Got(documents) => documents.iter().flatten().map(String::len).sum(),
            Self::Found(found) => found.iter().flat_map(|it| &it.documents).map(String::len).sum(),
            Self::Refused { .. } => 0,
        }
    }
}

/// What one instance may look up.
pub(crate) struct Lookups {
    /// None where none are granted.
    lookup: Option<Arc<dyn Lookup>>,
    /// What answers instead, in a replay.
    replayed: Option<Arc<[RecordedLookup]>>,
    /// What was asked and answered, where that is recorded.
    recorded: Option<Vec<RecordedLookup>>,
    recorded_bytes: usize,
    read_set: SharedReadSet,
    keys_left: usize,
    max_bytes: usize,
}

/// The trace of the look-ups of one or more calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedReadSet(Arc<Mutex<Observed>>);

/// What was looked up, in how many snapshots.
#[derive(Debug, Default)]
struct Observed {
    read: ReadSet,
    snapshots: usize,
}

impl SharedReadSet {
    /// What was looked up.
    pub(crate) fn take(&self) -> ReadSet {
        std::mem::take(&mut *self.0.lock()).read
    }

    /// Whether all that was looked up is one state. What one snapshot showed is; of more, all must be now as it was.
    pub(crate) async fn is_one_state(&self, lookup: &dyn Lookup) -> Result<bool, LookupError> {
        let (read, snapshots) = {
            let seen = self.0.lock();
            (seen.read.clone(), seen.snapshots)
        };
        Ok(snapshots < 2 || lookup.read_again(&read).await? == read)
    }

    /// Notes what a snapshot showed. False if it is no one state with what was seen before.
    fn note(&self, add: impl FnOnce(&mut ReadSet) -> bool) -> bool {
        let mut seen = self.0.lock();
        seen.snapshots += 1;
        add(&mut seen.read)
    }
}

/// A look-up that the plugin may hear of as refused. What the plugin must not judge by ends the call instead.
type Answer<T> = wasmtime::Result<Result<Vec<T>, Failure>>;

impl Lookups {
    pub(crate) fn new(lookup: Option<Arc<dyn Lookup>>) -> Self {
        Self {
            lookup,
            replayed: None,
            recorded: None,
            recorded_bytes: 0,
            read_set: SharedReadSet::default(),
            keys_left: 0,
            max_bytes: 0,
        }
    }

    /// Gets ready for a call.
    pub(crate) fn begin(&mut self, scope: &Scope, limits: &Limits) {
        self.read_set = scope.read_set.clone();
        (self.recorded, self.recorded_bytes) = (scope.is_recorded.then(Vec::new), 0);
        self.replayed = match &scope.purpose {
            Purpose::Replay(recorded) => Some(Arc::clone(recorded)),
            Purpose::Live | Purpose::Trial => None,
        };
        (self.keys_left, self.max_bytes) = (limits.lookup_keys, limits.lookup_bytes);
    }

    /// What a replay answers; None where look-ups are live. The error ends the call: it was never asked that.
    fn replayed(&self, request: impl FnOnce() -> LookupRequest) -> Option<Result<LookupAnswer, CallError>> {
        // What may look nothing up is answered so now as it will be.
        let recorded = self.replayed.as_ref().filter(|_| self.lookup.is_some())?;
        let request = request();
        let answer = recorded.iter().find(|it| it.request == request).map(|it| it.answer.clone());
        Some(answer.ok_or(CallError::Inconclusive))
    }

    /// What was recorded; none if nothing was to be, or it is too much.
    pub(crate) fn take_recorded(&mut self) -> Option<Vec<RecordedLookup>> {
        self.recorded.take()
    }

    /// Counts what is to be recorded. False if nothing is, or not any more, as it is too much.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.recorded_bytes = self.recorded_bytes.saturating_add(bytes);
        if self.recorded_bytes > MAX_RECORDED_BYTES {
            self.recorded = None;
        }
        self.recorded.is_some()
    }

    fn record(&mut self, request: LookupRequest, answer: LookupAnswer) {
        if !self.has_room(answer.bytes()) {
            return;
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push(RecordedLookup { request, answer });
        }
    }

    /// What answers a look-up of so many keys, if it is granted and within the limits.
    fn admit(&mut self, keys: usize) -> Result<Arc<dyn Lookup>, Failure> {
        let Some(lookup) = &self.lookup else {
            return Err(refused("NOT_GRANTED", "the manifest asks for no look-ups"));
        };
        let Some(left) = self.keys_left.checked_sub(keys.max(1)) else {
            let message = format!("a call looks up so many keys at most, and has {} left", self.keys_left);
            return Err(refused("TOO_MANY_LOOKUPS", &message));
        };
        self.keys_left = left;
        Ok(Arc::clone(lookup))
    }
}

/// What the texts of a request take in memory.
fn bytes_of(name: &str, keys: &[String]) -> usize {
    keys.iter().map(|key| key.len() + size_of::<String>()).sum::<usize>() + name.len() + size_of::<RecordedLookup>()
}

impl registry::Host for Sandbox {
    async fn get(&mut self, entity_type: String, ids: Vec<String>) -> Answer<Option<String>> {
        let request = || LookupRequest::Get { entity_type: entity_type.clone(), ids: ids.clone() };
        match self.lookups.replayed(request) {
            None => {}
            Some(Ok(LookupAnswer::Got(documents))) => return Ok(Ok(documents)),
            Some(Ok(LookupAnswer::Refused { code, message })) => return Ok(Err(refused(&code, &message))),
            Some(Ok(LookupAnswer::Found(_)) | Err(_)) => return Err(self.stop(CallError::Inconclusive)),
        }
        let recorded = self.lookups.has_room(bytes_of(&entity_type, &ids)).then(request);
        let answer = self.get_live(&entity_type, &ids).await?;
        if let Some(request) = recorded {
            let got = |documents: &Vec<_>| LookupAnswer::Got(documents.clone());
            self.lookups.record(request, answer.as_ref().map_or_else(LookupAnswer::refused, got));
        }
        Ok(answer)
    }

    async fn find(&mut self, index: String, keys: Vec<Vec<String>>) -> Answer<Found> {
        let request = || LookupRequest::Find { index: index.clone(), keys: keys.clone() };
        match self.lookups.replayed(request) {
            None => {}
            Some(Ok(LookupAnswer::Found(found))) => return Ok(Ok(found.into_iter().map(Found::from).collect())),
            Some(Ok(LookupAnswer::Refused { code, message })) => return Ok(Err(refused(&code, &message))),
            Some(Ok(LookupAnswer::Got(_)) | Err(_)) => return Err(self.stop(CallError::Inconclusive)),
        }
        let bytes = keys.iter().map(|key| bytes_of("", key)).sum::<usize>() + bytes_of(&index, &[]);
        let recorded = self.lookups.has_room(bytes).then(request);
        let answer = self.find_live(&index, keys).await?;
        if let Some(request) = recorded {
            let found = |found: &Vec<Found>| LookupAnswer::Found(found.iter().map(FoundAnswer::from).collect());
            self.lookups.record(request, answer.as_ref().map_or_else(LookupAnswer::refused, found));
        }
        Ok(answer)
    }
}

impl Sandbox {
    async fn get_live(&mut self, entity_type: &str, ids: &[String]) -> Answer<Option<String>> {
        let lookup = match self.lookups.admit(ids.len()) {
            Ok(lookup) => lookup,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(entity_type) = EntityType::from_name(entity_type) else {
            return Ok(Err(refused("UNKNOWN_ENTITY_TYPE", "there is no such entity type")));
        };
        let keys: Vec<EntityKey> = match ids.iter().map(|id| lookup.key(entity_type, id)).collect() {
            Ok(keys) => keys,
            Err(error) => return self.not_answered(error),
        };
        let found = lookup.get(&keys, self.lookups.max_bytes).await;
        self.has_waited = true;
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.not_answered(error),
        };
        self.seen(keys, &found, |read, key, found| read.add(key, found.as_ref().map(|it| it.revision)))?;
        Ok(Ok(found.into_iter().map(|found| found.map(|found| found.document)).collect()))
    }

    async fn find_live(&mut self, index: &str, keys: Vec<Vec<String>>) -> Answer<Found> {
        let lookup = match self.lookups.admit(keys.len()) {
            Ok(lookup) => lookup,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(index) = LookupIndex::from_name(index) else {
            return Ok(Err(no_index(index)));
        };
        let keys: Vec<IndexKey> = match keys.into_iter().map(|parts| IndexKey::new(index, parts)).collect() {
            Ok(keys) => keys,
            Err(error) => return self.not_answered(error),
        };
        let found = lookup.find(&keys, self.lookups.max_bytes).await;
        self.has_waited = true;
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.not_answered(error),
        };
        self.seen(keys, &found, ReadSet::add_found)?;
        let answer = found.into_iter().map(|found| Found {
            documents: found.documents.into_iter().map(|it| it.document).collect(),
            more: found.more,
        });
        Ok(Ok(answer.collect()))
    }

    /// Notes what was found, which must be one state with what was seen before.
    fn seen<K, F>(
        &mut self,
        keys: Vec<K>,
        found: &[F],
        mut add: impl FnMut(&mut ReadSet, K, &F) -> bool,
    ) -> wasmtime::Result<()> {
        if keys.len() != found.len() {
            return Err(self.stop(CallError::Lookup("the answer has another number of documents".into())));
        }
        let found = keys.into_iter().zip(found);
        let is_one_state =
            self.lookups.read_set.note(|read| found.fold(true, |same, (key, it)| add(read, key, it) && same));
        if is_one_state { Ok(()) } else { Err(self.stop(CallError::Moved)) }
    }

    fn not_answered<T>(&mut self, error: LookupError) -> Answer<T> {
        match error {
            LookupError::InvalidKey(message) => Ok(Err(refused("INVALID_KEY", &message))),
            error @ LookupError::TooLarge { .. } => Ok(Err(refused("ANSWER_TOO_LARGE", &error.to_string()))),
            LookupError::Unavailable(error) => Err(self.stop(CallError::Lookup(error.to_string()))),
        }
    }
}

impl From<&Found> for FoundAnswer {
    fn from(found: &Found) -> Self {
        Self { documents: found.documents.clone(), more: found.more }
    }
}

impl From<FoundAnswer> for Found {
    fn from(found: FoundAnswer) -> Self {
        Self { documents: found.documents, more: found.more }
    }
}

fn no_index(name: &str) -> Failure {
    if LookupIndex::ABSENT.contains(&name) {
        return refused("NO_INDEX", &format!("{name}: the registry has no such entities yet"));
    }
    let (name, names) = (clean(name, MAX_CODE_BYTES), LookupIndex::ALL.map(LookupIndex::name).join(", "));
    refused("UNKNOWN_INDEX", &format!("there is no index {name:?}; there are {names}"))
}

fn refused(code: &str, message: &str) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned(), retryable: false }
}

#[cfg(test)]
mod tests {
    use cqar_domain::time::Timestamp;

    use super::*;

    #[test]
    fn what_is_asked_counts_as_what_is_answered_does() {
        let mut lookups = Lookups::new(None);
        let scope = Scope { is_recorded: true, ..Scope::at(Timestamp::from_micros(0).unwrap()) };
        lookups.begin(&scope, &Limits::default());
        assert!(lookups.has_room(bytes_of("x", &["y".repeat(MAX_RECORDED_BYTES / 2)])));
        assert!(!lookups.has_room(bytes_of("x", &["y".repeat(MAX_RECORDED_BYTES / 2)])));
        assert!(lookups.take_recorded().is_none());

        // Refused or empty as they may be, they are counted.
        lookups.begin(&scope, &Limits::default());
        assert!((0..MAX_RECORDED_BYTES).any(|_| !lookups.has_room(bytes_of("", &[]))));
    }
}
