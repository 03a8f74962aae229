//! Answers in this process, encoded and ready to send, joined ones included.
//!
//! **Why no answer is older than the applied revision.** Recording changes, taking answers in, and joining loads happen
//! under one lock, so they have an order.
//!
//! - A *cached* answer was admitted: no change to its dependencies after its revision had been recorded then. It stands
//!   in the index under each of them, and leaves that only after it has left moka, or with a later change of one of them,
//!   which [`LogSink::apply`] then removes from moka before it returns.
//! - An answer *returned by a load* that began after the caller came reflects everything that was applied by then: it
//!   reads a snapshot of a database in which that is committed.
//! - An answer *joined* belongs to a load that may have begun before the caller came, and what it depends on is known
//!   only once it is there. So a caller who joins remembers the applied revision of its arrival, and takes the answer
//!   only if it is of that revision at least, or if nothing that it depends on changed after it was read. Otherwise the
//!   caller loads again; at its second try every load that it could join has begun after its arrival.
//!
//! A hit takes no lock of ours and allocates nothing.

use std::{
    collections::HashMap,
    error::Error,
    hash::Hash,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use cqar_domain::{
    entity::{DEFAULT_CACHE_TTL, Revision},
    event::{LogSink, LoggedEvent},
};
use futures::{
    FutureExt,
    future::{Shared, pending},
};
use moka::{Equivalent, Expiry, notification::RemovalCause, sync::Cache};
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::JoinError};
use tokio_util::task::TaskTracker;

use crate::{
    dependency_index::{DependencyIndex, EntryId, KeyHash},
    key::{Key, UnreadableEvent, changed_keys},
    metrics::L1Metrics,
};

/// What an answer takes beside its own bytes: moka's entry, its place in the queues and the timer wheel, the key twice.
const ANSWER_OVERHEAD_BYTES: usize = 512;
/// What each dependency takes: its hash, and its pair in the index.
const DEPENDENCY_OVERHEAD_BYTES: usize = 32;

/// A bounded cache of answers `V` to questions `K`, whose loads fail with `E`. Cheap to clone; clones share it.
pub struct L1<K, V, E>(Arc<Inner<K, V, E>>);

/// An answer as it was loaded.
#[derive(Debug, Clone)]
pub struct Loaded<V> {
    /// The answer.
    pub value: V,
    /// Everything that it depends on: a change of any makes it old. That nothing was found depends on something too.
    pub dependencies: Vec<Key>,
    /// The revision of the snapshot that it was read at; not below what was applied when the load began.
    pub revision: Revision,
    /// Its size.
    pub bytes: usize,
    /// How long it is cached at most.
    pub ttl: Duration,
}

/// What a part of the log alters.
#[derive(Debug)]
pub struct LogChanges {
    /// For each event its revision and what it alters.
    keys: Result<Vec<(Revision, Vec<Key>)>, UnreadableEvent>,
    through: Revision,
}

impl LogChanges {
    /// Of whole revisions, `through` being the last of them.
    pub fn of(events: &[LoggedEvent], through: Revision) -> Self {
        let keys = events.iter().map(|event| Ok((event.position.revision, changed_keys(event)?))).collect();
        Self { keys, through }
    }
}

/// What a cache may have.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most bytes.
    pub max_bytes: u64,
    /// How long it keeps what [`DEFAULT_CACHE_TTL`] is for.
    pub default_ttl: Duration,
}

impl Bounds {
    /// So many bytes, and the default time.
    pub fn of_bytes(max_bytes: u64) -> Self {
        Self { max_bytes, default_ttl: DEFAULT_CACHE_TTL }
    }
}

/// How long a value is kept: shorter times are as they are, and the longest is what is configured.
pub(crate) fn configured_ttl(ttl: Duration, default_ttl: Duration) -> Duration {
    if ttl < DEFAULT_CACHE_TTL { ttl } else { default_ttl }
}

struct Inner<K, V, E> {
    default_ttl: Duration,
    answers: Cache<K, CacheEntry<V>>,
    state: Mutex<State<K, V, E>>,
    /// What moka dropped, until the index is locked next. Its listener must not lock the index: it is called within
    /// operations that are made under that lock. Holds no more than there were answers.
    dropped: Arc<Mutex<Vec<EntryId>>>,
    metrics: L1Metrics,
    tracker: TaskTracker,
}

struct State<K, V, E> {
    index: DependencyIndex<K>,
    /// The loads that can be joined, one for each question at most.
    loads: HashMap<K, Load<V, E>>,
}

/// Ends without a result if the load panicked.
type Load<V, E> = Shared<oneshot::Receiver<Result<FinishedLoad<V>, E>>>;

#[derive(Clone)]
struct FinishedLoad<V> {
    value: V,
    dependencies: Arc<[KeyHash]>,
    revision: Revision,
}

#[derive(Clone)]
struct CacheEntry<V> {
    value: V,
    id: EntryId,
    weight: u32,
    ttl: Duration,
}

impl<K, V, E> Clone for L1<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V, E> L1<K, V, E>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// An empty cache within these bounds. Loads run in the tracker, and are not cancelled at shutdown: requests
    /// that are being drained wait for them.
    pub fn new(bounds: Bounds, metrics: L1Metrics, tracker: TaskTracker) -> Self {
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let listener = {
            let (dropped, evictions) = (Arc::clone(&dropped), metrics.evictions.clone());
            move |_: Arc<K>, cached: CacheEntry<V>, cause: RemovalCause| {
                if cause.was_evicted() {
                    evictions.inc();
                }
                dropped.lock().push(cached.id);
            }
        };
        let answers = Cache::builder()
            .max_capacity(bounds.max_bytes)
            .weigher(|_, cached: &CacheEntry<V>| cached.weight)
            .expire_after(TtlOfEach)
            .eviction_listener(listener)
            .build();
        let state = Mutex::new(State { index: DependencyIndex::default(), loads: HashMap::new() });
        Self(Arc::new(Inner { default_ttl: bounds.default_ttl, answers, state, dropped, metrics, tracker }))
    }

    /// The answer, if it is cached. It holds at the applied revision; whether it holds now, where that depends on the
    /// time, is for the caller to see.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.0.answers.get(key).map(|cached| cached.value)
    }

    /// Loads an answer that is not cached, or that no longer holds. Concurrent callers share one load, its failure too.
    /// It runs on, and is cached, if the caller goes away.
    ///
    /// `load` must read a snapshot that it takes once it is polled, never before.
    pub async fn load<F>(&self, key: K, load: F) -> Result<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let arrived = self.0.state.lock().index.applied();
        loop {
            let running = {
                let mut state = self.0.state.lock();
                match state.loads.get(&key) {
                    Some(running) => running.clone(),
                    None => break self.begin(&mut state, key, load),
                }
            };
            match running.await {
                Ok(Err(error)) => return Err(error),
                Ok(Ok(finished)) if self.is_fresh_for(&finished, arrived) => return Ok(finished.value),
                // Too old for this caller; or the load panicked, which is for the caller who began it.
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        .await
    }

    /// Loads many answers at once, in the order of their keys. They are cached by the same rule, but shared with nobody
    /// until they are.
    pub async fn load_many<F>(&self, keys: Vec<K>, load: impl FnOnce(Vec<K>) -> F) -> Result<Vec<V>, E>
    where
        F: Future<Output = Result<Vec<Loaded<V>>, E>>,
    {
        let loaded = load(keys.clone()).await?;
        let mut state = self.0.state.lock();
        let values =
            keys.into_iter().zip(loaded).map(|(key, loaded)| self.admit(&mut state.index, key, loaded).value).collect();
        self.reap_evicted(&mut state.index);
        Ok(values)
    }

    /// Begins a load that others can join, and returns what waits for it.
    fn begin<F>(
        &self,
        state: &mut State<K, V, E>,
        key: K,
        load: F,
    ) -> impl Future<Output = Result<V, E>> + use<K, V, E, F>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        state.loads.insert(key.clone(), receiver.shared());
        let this = self.clone();
        let task = self.0.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(load).catch_unwind().await.unwrap_or_else(|panic| {
                this.0.state.lock().loads.remove(&key);
                resume_unwind(panic)
            });
            let finished = this.finish(key, outcome);
            let own = finished.clone().map(|finished| finished.value);
            // Fails if nobody joined.
            let _ = sender.send(finished);
            own
        });
        async move {
            match task.await.map_err(JoinError::try_into_panic) {
                Ok(outcome) => outcome,
                Err(Ok(panic)) => resume_unwind(panic),
                // Tasks are aborted with their runtime alone, and so is this caller.
                Err(Err(_)) => pending().await,
            }
        }
    }
}

impl<K, V, E> L1<K, V, E>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Ends a load: from here on it cannot be joined, and who asks next finds what was cached, for both happen at once.
    fn finish(&self, key: K, outcome: Result<Loaded<V>, E>) -> Result<FinishedLoad<V>, E> {
        let mut state = self.0.state.lock();
        state.loads.remove(&key);
        let finished = outcome.map(|loaded| self.admit(&mut state.index, key, loaded));
        self.reap_evicted(&mut state.index);
        finished
    }

    /// Keeps an answer, unless a change to what it depends on was applied since it was read.
    fn admit(&self, index: &mut DependencyIndex<K>, key: K, loaded: Loaded<V>) -> FinishedLoad<V> {
        let Loaded { value, dependencies, revision, bytes, ttl } = loaded;
        let dependencies = index.hashes(&dependencies);
        if index.is_current(&dependencies, revision) {
            let bytes = bytes + ANSWER_OVERHEAD_BYTES + dependencies.len() * DEPENDENCY_OVERHEAD_BYTES;
            let weight = u32::try_from(bytes).unwrap_or(u32::MAX);
            let ttl = configured_ttl(ttl, self.0.default_ttl);
            // First into the index: what is in moka is always known to it.
            let id = index.add(key.clone(), Arc::clone(&dependencies), revision);
            self.0.answers.insert(key, CacheEntry { value: value.clone(), id, weight, ttl });
        } else {
            self.0.metrics.not_admitted.inc();
        }
        FinishedLoad { value, dependencies, revision }
    }

    /// Whether the answer of a load that was joined is new enough for who came when `arrived` was applied.
    fn is_fresh_for(&self, finished: &FinishedLoad<V>, arrived: Revision) -> bool {
        finished.revision >= arrived || self.0.state.lock().index.is_current(&finished.dependencies, finished.revision)
    }

    /// Takes what moka dropped out of the index.
    fn reap_evicted(&self, index: &mut DependencyIndex<K>) {
        for id in self.0.dropped.lock().drain(..) {
            index.remove(id);
        }
        self.0.metrics.bytes.set(self.0.answers.weighted_size().try_into().unwrap_or(i64::MAX));
        self.0.metrics.answers.set(self.0.answers.entry_count().try_into().unwrap_or(i64::MAX));
    }
}

/// Where the events leave a gap, or one cannot be read, everything that was read before `through` is dropped. The first
/// call after the start may say with no events where the log stands.
impl<K, V, E> LogSink for L1<K, V, E>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn apply(&self, events: &[LoggedEvent], through: Revision) {
        self.apply_changes(&LogChanges::of(events, through));
    }
}

impl<K, V, E> L1<K, V, E>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Applies a part of the log, as [`LogSink::apply`] does, of which it was found out once for several caches what it alters.
    pub fn apply_changes(&self, changes: &LogChanges) {
        let LogChanges { keys, through } = changes;
        let through = *through;
        let mut removed = Vec::new();
        {
            let index = &mut self.0.state.lock().index;
            match keys {
                Ok(changes) if without_gap(index.applied(), changes, through) => {
                    for (revision, keys) in changes {
                        for key in keys {
                            index.invalidate(index.hash(key), *revision, &mut removed);
                        }
                    }
                    index.advance(through);
                }
                Ok(_) => {
                    tracing::info!(applied = index.applied(), through, "cache_emptied");
                    index.invalidate_through(through, &mut removed);
                }
                Err(error) => {
                    tracing::error!(error = error as &dyn Error, through, "cache_emptied");
                    index.invalidate_through(through, &mut removed);
                }
            }
        }
        // Not under the lock, for there may be many. An answer that was loaded anew meanwhile goes with the old one.
        for key in &removed {
            self.0.answers.invalidate(key);
        }
        self.reap_evicted(&mut self.0.state.lock().index);
    }
}

fn without_gap(applied: Revision, changes: &[(Revision, Vec<Key>)], through: Revision) -> bool {
    let mut reached = applied;
    for &(revision, _) in changes {
        if revision > reached + 1 {
            return false;
        }
        reached = reached.max(revision);
    }
    reached >= through
}

struct TtlOfEach;

impl<K, V> Expiry<K, CacheEntry<V>> for TtlOfEach {
    fn expire_after_create(&self, _: &K, cached: &CacheEntry<V>, _: Instant) -> Option<Duration> {
        Some(cached.ttl)
    }

    fn expire_after_update(&self, _: &K, cached: &CacheEntry<V>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(cached.ttl)
    }
}

#[cfg(test)]
mod tests;
