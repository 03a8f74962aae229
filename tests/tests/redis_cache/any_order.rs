//! Everything that can happen, in any order.

use std::time::Duration;

use cqar_cache::L2Settings;
use cqar_domain::{entity::Revision, event::EventLog};
use cqar_tests::redis_server::RedisServer;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{raw, replica::Registry};

/// What can happen, in any order. Numbers choose among what is there then, modulo.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<usize>),
    Apply,
    /// Reads a venue from the store.
    Read(usize),
    /// Puts what one of the reads found, however long ago.
    Put(usize),
    /// Reads a venue from Redis, at a revision so far back.
    Get(usize, Revision),
    /// The process ends, and another begins.
    Restart,
    /// Redis loses what it knew of the log, and the values stay.
    Lose,
}

const VENUES: [&str; 3] = ["binance", "kraken", "coinbase"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(0..VENUES.len(), 1..3).prop_map(Step::Commit),
        3 => Just(Step::Apply),
        4 => (0..VENUES.len()).prop_map(Step::Read),
        5 => any::<usize>().prop_map(Step::Put),
        6 => (0..VENUES.len(), 0..4i64).prop_map(|(venue, back)| Step::Get(venue, back)),
        1 => Just(Step::Restart),
        1 => Just(Step::Lose),
    ]
}

async fn run(redis: &RedisServer, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let registry = Registry::new().await;
    // So few that changes are forgotten in the middle of everything.
    let settings = L2Settings { remembered_changes: 5, ..L2Settings::at("127.0.0.1", redis.port()) };
    let settings = L2Settings { timeout: Duration::from_secs(2), ..settings };
    let prefix = format!("cqar:{}", registry.store.bounds().await.unwrap().log_id);
    let mut cache = registry.cache_with(settings.clone());
    cache.serves_at(0).await;
    let mut reads = Vec::new();
    for step in steps {
        let newest = registry.newest().await;
        match step {
            Step::Commit(mut venues) => {
                venues.sort_unstable();
                venues.dedup();
                registry.commit(&venues.iter().map(|it| VENUES[*it]).collect::<Vec<_>>()).await;
            }
            Step::Apply => {
                registry.apply().await;
                cache.serves_at(newest).await;
            }
            Step::Read(venue) => reads.push((VENUES[venue], registry.at(VENUES[venue], newest), newest)),
            Step::Put(read) if !reads.is_empty() => {
                let (venue, found, revision) = reads[read % reads.len()].clone();
                cache.put(venue, found, revision, newest).await;
            }
            Step::Put(_) => {}
            Step::Get(venue, back) => {
                let needs = (newest - back).max(0);
                if let Some(value) = cache.get(VENUES[venue], needs).await {
                    prop_assert!(needs <= value.valid_through && value.valid_through <= newest, "{:?}", value);
                    for revision in value.valid_from..=value.valid_through {
                        let truth = registry.at(VENUES[venue], revision);
                        prop_assert_eq!(&value.bytes, &truth, "at {} of {:?}", revision, value);
                    }
                }
            }
            Step::Restart | Step::Lose => {
                cache.stop().await;
                if matches!(step, Step::Lose) {
                    let _: i64 = raw(redis, &["DEL", &format!("{prefix}:tombstones")]).await;
                }
                cache = registry.cache_with(settings.clone());
                cache.serves_at(0).await;
            }
        }
    }
    cache.stop().await;
    Ok(())
}

#[test]
fn no_value_counts_at_a_revision_at_which_it_did_not_hold() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let redis = RedisServer::start();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let steps = proptest::collection::vec(step(), 1..50);
    runner.run(&steps, |steps| runtime.block_on(run(&redis, steps))).unwrap();
}
