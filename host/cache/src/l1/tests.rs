//! L1 under forced interleavings: a load stops where the test wants it to, and goes on when the test says so.

use std::collections::BTreeMap;

use cqar_domain::{
    event::{EventType, LogPosition},
    id::{EntityKey, EntityType},
};
use cqar_proto::v1;
use proptest::prelude::*;
use prost::Message as _;
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::metrics::CacheMetrics;

type Cache = L1<&'static str, u32, &'static str>;

fn cache_of(max_bytes: u64) -> Cache {
    L1::new(
        Bounds::of_bytes(max_bytes),
        CacheMetrics::new(&prometheus::Registry::new()).unwrap().l1("test"),
        TaskTracker::new(),
    )
}

fn cache() -> Cache {
    cache_of(1 << 20)
}

fn chain(name: &str) -> EntityKey {
    EntityKey::parse(EntityType::Chain, name).unwrap()
}

fn change(name: &str, revision: Revision) -> LoggedEvent {
    let chain_message = v1::Chain { id: name.into(), ..v1::Chain::default() };
    let after = v1::Entity { entity: Some(v1::entity::Entity::Chain(chain_message)) };
    let body = v1::Event { after: Some(after), ..v1::Event::default() };
    LoggedEvent {
        position: LogPosition::start_of(revision),
        event_type: EventType::from_name("chain_updated").unwrap(),
        key: chain(name),
        venue: None,
        body: body.encode_to_vec().into(),
    }
}

fn loaded<V>(value: V, dependencies: &[&str], revision: Revision) -> Loaded<V> {
    let dependencies = dependencies.iter().map(|name| Key::Entity(chain(name))).collect();
    Loaded { value, dependencies, revision, bytes: 100, ttl: Duration::from_hours(1) }
}

/// Lets every task run until all wait: on this runtime, of one thread, nothing is left to chance.
async fn settle() {
    for _ in 0..32 {
        yield_now().await;
    }
}

/// A load that begins now and ends when it is given its outcome.
async fn begin<V: Clone + Send + Sync + 'static, E: Clone + Send + Sync + 'static>(
    cache: &L1<&'static str, V, E>,
    key: &'static str,
) -> (oneshot::Sender<Result<Loaded<V>, E>>, JoinHandle<Result<V, E>>) {
    let (end, outcome) = oneshot::channel();
    let cache = cache.clone();
    let caller = tokio::spawn(async move { cache.load(key, async { outcome.await.unwrap() }).await });
    settle().await;
    (end, caller)
}

#[tokio::test]
async fn a_load_that_a_change_overtook_is_answered_but_not_kept() {
    let cache = cache();
    cache.apply(&[], 5);
    let (end, caller) = begin(&cache, "ethereum").await;
    cache.apply(&[change("ethereum", 6)], 6);
    end.send(Ok(loaded(5, &["ethereum"], 5))).unwrap();

    assert_eq!(caller.await.unwrap(), Ok(5), "the caller came before the change");
    assert_eq!(cache.get("ethereum"), None);
}

#[tokio::test]
async fn a_load_that_another_change_overtook_is_kept() {
    let cache = cache();
    cache.apply(&[], 5);
    let (end, caller) = begin(&cache, "ethereum").await;
    cache.apply(&[change("solana", 6)], 6);
    end.send(Ok(loaded(5, &["ethereum"], 5))).unwrap();

    assert_eq!(caller.await.unwrap(), Ok(5));
    assert_eq!(cache.get("ethereum"), Some(5));
}

#[tokio::test]
async fn who_comes_after_a_change_does_not_join_a_load_that_it_overtook() {
    let cache = cache();
    cache.apply(&[], 5);
    let (end_old, early) = begin(&cache, "ethereum").await;
    cache.apply(&[change("ethereum", 6)], 6);
    let (end_new, late) = begin(&cache, "ethereum").await;
    end_old.send(Ok(loaded(5, &["ethereum"], 5))).unwrap();
    settle().await;
    assert!(early.is_finished() && !late.is_finished());

    end_new.send(Ok(loaded(6, &["ethereum"], 6))).unwrap();
    assert_eq!(late.await.unwrap(), Ok(6));
    assert_eq!(cache.get("ethereum"), Some(6));
}

#[tokio::test]
async fn concurrent_misses_share_one_load_and_its_failure() {
    let cache = cache();
    let (end, first) = begin(&cache, "ethereum").await;
    let (unused, second) = begin(&cache, "ethereum").await;
    end.send(Ok(loaded(1, &["ethereum"], 0))).unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(1)));
    assert!(unused.is_closed(), "the second load was never begun");

    let (end, first) = begin(&cache, "solana").await;
    let (_unused, second) = begin(&cache, "solana").await;
    end.send(Err("the database is away")).unwrap();
    assert_eq!(first.await.unwrap(), second.await.unwrap());
    assert_eq!(cache.get("solana"), None);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_from_the_others() {
    let cache = cache();
    let (end, first) = begin(&cache, "ethereum").await;
    let (_unused, second) = begin(&cache, "ethereum").await;
    first.abort();
    settle().await;
    end.send(Ok(loaded(1, &["ethereum"], 0))).unwrap();
    assert_eq!(second.await.unwrap(), Ok(1));
    assert_eq!(cache.get("ethereum"), Some(1));
}

#[tokio::test]
async fn a_load_that_panics_is_tried_anew_by_who_joined_it() {
    let cache = cache();
    let (end, first) = begin(&cache, "ethereum").await;
    let (end_second, second) = begin(&cache, "ethereum").await;
    drop(end);
    assert!(first.await.unwrap_err().is_panic());
    end_second.send(Ok(loaded(1, &["ethereum"], 0))).unwrap();
    assert_eq!(second.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn answers_loaded_together_are_kept_by_the_same_rule() {
    let cache = cache();
    cache.apply(&[], 5);
    let load = |keys: Vec<_>| {
        assert_eq!(keys, ["ethereum", "solana"]);
        cache.apply(&[change("ethereum", 6)], 6);
        async { Ok(vec![loaded(1, &["ethereum"], 5), loaded(2, &["solana"], 5)]) }
    };
    assert_eq!(cache.load_many(vec!["ethereum", "solana"], load).await, Ok(vec![1, 2]));
    assert_eq!((cache.get("ethereum"), cache.get("solana")), (None, Some(2)));
}

#[tokio::test]
async fn a_gap_in_the_log_and_an_event_that_cannot_be_read_empty_the_cache() {
    let cache = cache();
    cache.apply(&[], 5);
    let load = |value, revision| async move { Ok(loaded(value, &["ethereum"], revision)) };
    cache.load("ethereum", load(5, 5)).await.unwrap();
    cache.apply(&[change("solana", 7)], 7);
    assert_eq!(cache.get("ethereum"), None, "6 is missing");
    cache.load("ethereum", load(6, 6)).await.unwrap();
    assert_eq!(cache.get("ethereum"), None, "it may have changed at 7");

    cache.load("ethereum", load(7, 7)).await.unwrap();
    let market = "0192f0c1-2345-7abc-8def-0123456789ab";
    let unreadable = LoggedEvent { key: EntityKey::parse(EntityType::Market, market).unwrap(), ..change("solana", 8) };
    cache.apply(&[unreadable], 8);
    assert_eq!(cache.get("ethereum"), None);
}

#[tokio::test]
async fn what_is_evicted_leaves_the_index_too() {
    let room = 20;
    let weight = 100 + ANSWER_OVERHEAD_BYTES + 2 * DEPENDENCY_OVERHEAD_BYTES;
    let metrics = CacheMetrics::new(&prometheus::Registry::new()).unwrap();
    let cache: L1<u32, u32, ()> =
        L1::new(Bounds::of_bytes((room * weight) as u64), metrics.l1("test"), TaskTracker::new());
    for key in 0..1000u32 {
        let tag = format!("chain-{key}");
        let load = async move { Ok(loaded(key, &["all", &tag], 0)) };
        cache.load(key, load).await.unwrap();
    }
    cache.0.answers.run_pending_tasks();
    let mut state = cache.0.state.lock();
    cache.reap_evicted(&mut state.index);
    let (answers, dependencies) = state.index.size();
    assert!((1..=room).contains(&answers), "{answers}");
    assert_eq!(dependencies, 2 * answers);
    assert_eq!(metrics.l1("test").evictions.get(), 1000 - answers as u64);
    assert_eq!(metrics.l1("test").bytes.get(), i64::try_from(answers * weight).unwrap());
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_and_no_longer() {
    let cache = cache();
    let old = Loaded { ttl: Duration::ZERO, ..loaded(1, &["ethereum"], 0) };
    cache.load("ethereum", async { Ok(old) }).await.unwrap();
    assert_eq!(cache.get("ethereum"), None);
    cache.load("ethereum", async { Ok(loaded(2, &["ethereum"], 0)) }).await.unwrap();
    assert_eq!(cache.get("ethereum"), Some(2));
}

#[test]
fn only_what_is_kept_longest_is_kept_as_long_as_is_configured() {
    let (quarter, two_hours) = (Duration::from_mins(15), Duration::from_hours(2));
    assert_eq!(configured_ttl(quarter, Duration::from_mins(1)), quarter);
    assert_eq!(configured_ttl(DEFAULT_CACHE_TTL, two_hours), two_hours);
}

/// What can happen, in any order. Numbers choose among what is there then, modulo.
#[derive(Debug, Clone)]
enum Step {
    /// Commits a change of these tags.
    Commit(Vec<usize>),
    /// Applies the next revisions that are committed.
    Apply(u8),
    /// Someone asks.
    Ask(usize),
    /// A load takes its snapshot.
    Read(usize),
    /// A load that has read ends.
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => proptest::collection::vec(0..TAGS.len(), 1..3).prop_map(Step::Commit),
        2 => (1..3u8).prop_map(Step::Apply),
        4 => (0..QUESTIONS.len()).prop_map(Step::Ask),
        3 => any::<usize>().prop_map(Step::Read),
        3 => any::<usize>().prop_map(Step::End),
    ]
}

const TAGS: [&str; 3] = ["a", "b", "c"];
const QUESTIONS: [&[usize]; 3] = [&[0], &[0, 1], &[1, 2]];

/// An answer: for each tag of the question, the revision of its last change when the answer was read.
type Versions = BTreeMap<usize, Revision>;

/// The database, and the loads that wait for the test to let them go on.
#[derive(Default)]
struct World {
    /// The tags that each revision changed, from 1.
    log: Vec<Vec<usize>>,
    to_read: Vec<oneshot::Sender<()>>,
    to_end: Vec<oneshot::Sender<()>>,
}

impl World {
    fn newest(&self) -> Revision {
        Revision::try_from(self.log.len()).unwrap()
    }

    fn changed_by(&self, revision: Revision) -> &[usize] {
        &self.log[usize::try_from(revision).unwrap() - 1]
    }

    fn versions(&self, question: usize, at: Revision) -> Versions {
        let changed = |tag: usize| (1..=at).rev().find(|it| self.changed_by(*it).contains(&tag)).unwrap_or(0);
        QUESTIONS[question].iter().map(|tag| (*tag, changed(*tag))).collect()
    }
}

async fn read_slowly(world: Arc<Mutex<World>>, question: usize) -> Result<Loaded<Versions>, ()> {
    let (go, read) = oneshot::channel();
    world.lock().to_read.push(go);
    read.await.unwrap();
    let (versions, revision) = {
        let world = world.lock();
        (world.versions(question, world.newest()), world.newest())
    };
    let (go, end) = oneshot::channel();
    world.lock().to_end.push(go);
    end.await.unwrap();
    let dependencies: Vec<_> = QUESTIONS[question].iter().map(|tag| TAGS[*tag]).collect();
    Ok(loaded(versions, &dependencies, revision))
}

fn let_one_go(waiting: &mut Vec<oneshot::Sender<()>>, choice: usize) {
    if !waiting.is_empty() {
        let chosen = waiting.swap_remove(choice % waiting.len());
        chosen.send(()).unwrap();
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let world = Arc::new(Mutex::new(World::default()));
    let metrics = CacheMetrics::new(&prometheus::Registry::new()).unwrap().l1("test");
    let cache: L1<usize, Versions, ()> = L1::new(Bounds::of_bytes(1 << 20), metrics, TaskTracker::new());
    let mut applied = 0;
    let mut callers = Vec::new();
    // Let everything that still waits go on at the end: twice as often as there can be loads.
    let rest = steps.len() * 2;
    let steps = steps.into_iter().chain((0..rest).flat_map(|_| [Step::Read(0), Step::End(0)]));
    for step in steps {
        match step {
            Step::Commit(dependencies) => world.lock().log.push(dependencies),
            Step::Apply(count) => {
                let through = world.lock().newest().min(applied + Revision::from(count));
                let changed = |revision: Revision| world.lock().changed_by(revision).to_vec();
                let events: Vec<_> = (applied + 1..=through)
                    .flat_map(|revision| changed(revision).into_iter().map(move |tag| change(TAGS[tag], revision)))
                    .collect();
                cache.apply(&events, through);
                applied = through;
            }
            Step::Ask(question) => {
                if cache.get(&question).is_none() {
                    let (cache, load) = (cache.clone(), read_slowly(Arc::clone(&world), question));
                    let caller = tokio::spawn(async move { cache.load(question, load).await });
                    callers.push((question, applied, caller));
                }
            }
            Step::Read(choice) => let_one_go(&mut world.lock().to_read, choice),
            Step::End(choice) => let_one_go(&mut world.lock().to_end, choice),
        }
        settle().await;
        for question in 0..QUESTIONS.len() {
            if let Some(cached) = cache.get(&question) {
                prop_assert!(at_least(&cached, &world.lock().versions(question, applied)), "cached at {}", applied);
            }
        }
    }
    for (question, arrived, caller) in callers {
        prop_assert!(caller.is_finished(), "a caller was left waiting");
        let answer = caller.await.unwrap().unwrap();
        prop_assert!(at_least(&answer, &world.lock().versions(question, arrived)), "answered who came at {}", arrived);
    }
    Ok(())
}

fn at_least(answer: &Versions, needed: &Versions) -> bool {
    needed.iter().all(|(tag, revision)| answer[tag] >= *revision)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn no_answer_is_older_than_what_was_applied_when_it_was_asked_for(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps))?;
    }
}
