//! The cache in Redis on a real server, following the log of a real store: whatever happens to either, no value counts
//! at a revision at which it did not hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod any_order;
mod replica;

use std::time::{Duration, Instant};

use bytes::Bytes;
use cqar_cache::{L2Health, L2Settings, Versioned};
use cqar_domain::entity::Revision;
use cqar_tests::redis_server::RedisServer;
use tokio::time::timeout;

use crate::replica::{DEADLINE, Registry, venue};

fn versioned(bytes: &'static str, valid_from: Revision, valid_through: Revision) -> Versioned {
    Versioned { bytes: bytes.into(), valid_from, valid_through }
}

async fn raw<T: redis::FromRedisValue>(redis: &RedisServer, command: &[&str]) -> T {
    let mut call = redis::Cmd::new();
    call.arg(command);
    call.query_async(&mut redis.connect().await).await.unwrap()
}

async fn tombstones_key(redis: &RedisServer) -> String {
    raw::<Vec<String>>(redis, &["KEYS", "*:tombstones"]).await.remove(0)
}

#[tokio::test]
async fn a_value_holds_from_its_read_until_its_key_changes() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let cache = registry.cache(&redis);
    cache.serves_at(1).await;
    assert_eq!(cache.get("binance", 0).await, None);

    cache.put("binance", registry.at("binance", 1), 1, 1).await;
    assert_eq!(cache.get("binance", 1).await, Some(versioned("I", 1, 1)));
    assert_eq!(cache.get("binance", 2).await, None, "Redis has not seen 2");

    registry.commit(&["kraken"]).await;
    registry.apply().await;
    cache.serves_at(2).await;
    assert_eq!(cache.get("binance", 2).await, Some(versioned("I", 1, 2)));

    registry.commit(&["binance"]).await;
    registry.apply().await;
    cache.serves_at(3).await;
    assert_eq!(cache.get("binance", 0).await, None);
    cache.put("coinbase", Bytes::new(), 3, 3).await;
    assert_eq!(cache.get("coinbase", 3).await, Some(versioned("", 3, 3)), "known to be absent");
}

#[tokio::test]
async fn a_slow_reader_cannot_put_an_older_value_back() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let cache = registry.cache(&redis);
    cache.serves_at(1).await;
    let slow = registry.at("binance", 1);

    registry.commit(&["binance"]).await;
    registry.apply().await;
    cache.serves_at(2).await;
    cache.put("binance", slow.clone(), 1, 2).await;
    assert_eq!(cache.get("binance", 0).await, None, "over the change");

    registry.commit(&["binance"]).await;
    cache.put("binance", registry.at("binance", 3), 3, 3).await;
    cache.put("binance", registry.at("binance", 2), 2, 3).await;
    assert_eq!(
        cache.get("binance", 0).await,
        Some(versioned("III", 3, 3)),
        "over a newer value, whose change is not seen yet"
    );
}

#[tokio::test]
async fn what_was_read_before_forgotten_changes_is_not_stored() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance", "kraken"]).await;
    registry.apply().await;
    let settings = L2Settings { remembered_changes: 4, ..L2Settings::at("127.0.0.1", redis.port()) };
    let cache = registry.cache_with(L2Settings { timeout: Duration::from_secs(2), ..settings });
    cache.serves_at(1).await;
    cache.put("kraken", registry.at("kraken", 1), 1, 1).await;
    registry.commit(&["binance"]).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        registry.commit(&[name]).await;
    }
    registry.apply().await;
    cache.serves_at(8).await;

    cache.put("binance", registry.at("binance", 1), 1, 8).await;
    assert_eq!(cache.get("binance", 0).await, None);
    assert_eq!(cache.get("kraken", 8).await, Some(versioned("I", 1, 8)), "what was stored before stays");
}

#[tokio::test]
async fn a_server_killed_between_commit_and_invalidation_leaves_nothing_stale() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance", "kraken"]).await;
    registry.apply().await;
    let killed = registry.cache(&redis);
    killed.serves_at(1).await;
    killed.put("binance", registry.at("binance", 1), 1, 1).await;
    killed.put("kraken", registry.at("kraken", 1), 1, 1).await;
    killed.stop().await;
    registry.commit(&["binance"]).await;
    registry.apply().await;

    let next = registry.cache(&redis);
    assert_eq!(next.get("binance", 0).await, None, "not asked before the log is applied");
    next.serves_at(2).await;
    assert_eq!(next.get("binance", 0).await, None);
    assert_eq!(next.get("kraken", 2).await, Some(versioned("I", 1, 2)), "what did not change is kept over a restart");
}

#[tokio::test]
async fn redis_away_during_writes_comes_back_with_nothing_stale() {
    let (mut redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance", "kraken"]).await;
    registry.apply().await;
    let cache = registry.cache(&redis);
    cache.serves_at(1).await;
    cache.put("binance", registry.at("binance", 1), 1, 1).await;
    cache.put("kraken", registry.at("kraken", 1), 1, 1).await;

    redis.kill();
    registry.commit(&["binance"]).await;
    registry.apply().await;
    assert_eq!(cache.get("kraken", 0).await, None, "a failure is a miss");
    cache.goes_away().await;

    redis.restart();
    cache.serves_at(2).await;
    assert_eq!(cache.get("binance", 0).await, None);
    assert_eq!(cache.get("kraken", 2).await, Some(versioned("I", 1, 2)));
}

#[tokio::test]
async fn a_stopped_redis_costs_a_reader_milliseconds_and_only_once() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let cache = registry.cache_with(L2Settings::at("127.0.0.1", redis.port()));
    cache.serves_at(1).await;
    cache.put("binance", registry.at("binance", 1), 1, 1).await;

    redis.pause();
    registry.commit(&["binance"]).await;
    let begun = Instant::now();
    assert_eq!(cache.get("binance", 1).await, None);
    let first = begun.elapsed();
    let begun = Instant::now();
    for _ in 0..1000 {
        assert_eq!(cache.get("binance", 1).await, None);
    }
    let others = begun.elapsed();
    assert!(first < Duration::from_millis(200), "{first:?}, of which the timeout is 20 ms");
    assert!(others < Duration::from_millis(200), "{others:?} for 1000");

    registry.apply().await;
    redis.resume();
    cache.serves_at(2).await;
    assert_eq!(cache.get("binance", 0).await, None);
}

#[tokio::test]
async fn a_flushed_redis_begins_anew() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let cache = registry.cache(&redis);
    cache.serves_at(1).await;
    let slow = registry.at("binance", 1);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    cache.serves_at(2).await;

    let () = raw(&redis, &["FLUSHALL"]).await;
    assert_eq!(cache.get("binance", 0).await, None);
    cache.goes_away().await;
    cache.serves_at(2).await;
    cache.put("binance", slow, 1, 2).await;
    assert_eq!(cache.get("binance", 0).await, None, "its change is forgotten, and so is what was read before");
    cache.put("binance", registry.at("binance", 2), 2, 2).await;
    assert_eq!(cache.get("binance", 2).await, Some(versioned("II", 2, 2)));
}

#[tokio::test]
async fn values_that_outlive_what_redis_knew_of_the_log_do_not_count() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let first = registry.cache(&redis);
    first.serves_at(1).await;
    first.put("binance", registry.at("binance", 1), 1, 1).await;
    first.stop().await;
    let tombstones = tombstones_key(&redis).await;

    let _: i64 = raw(&redis, &["DEL", &tombstones]).await;
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let second = registry.cache(&redis);
    second.serves_at(2).await;
    assert_eq!(second.get("binance", 0).await, None);
    second.stop().await;

    // A log that no longer reaches back to the watermark is as good as none.
    let _: i64 = raw(&redis, &["HSET", &tombstones, "watermark", "-1", "floor", "-1", "base", "-1"]).await;
    let third = registry.cache(&redis);
    third.serves_at(2).await;
    assert_eq!(third.get("binance", 0).await, None);
}

#[tokio::test]
async fn a_redis_that_fell_back_to_an_older_state_is_caught_up() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let cache = registry.cache(&redis);
    cache.serves_at(1).await;
    cache.put("binance", registry.at("binance", 1), 1, 1).await;
    let tombstones = tombstones_key(&redis).await;
    let key = tombstones.replace("tombstones", &venue("binance").to_string());
    let old: Vec<u8> = raw(&redis, &["GET", &key]).await;
    registry.commit(&["binance"]).await;
    registry.apply().await;
    cache.serves_at(2).await;

    let mut back = redis::pipe();
    back.atomic().cmd("SET").arg(&key).arg(old).cmd("HSET").arg(&tombstones).arg(&["watermark", "1"]);
    back.cmd("HDEL").arg(&tombstones).arg(&key);
    let () = back.query_async(&mut redis.connect().await).await.unwrap();
    assert_eq!(cache.get("binance", 2).await, None, "Redis does not know of 2");
    registry.commit(&["kraken"]).await;
    registry.apply().await;
    cache.serves_at(3).await;
    assert_eq!(cache.get("binance", 0).await, None);
}

#[tokio::test]
async fn values_of_another_log_do_not_count() {
    let redis = RedisServer::start();
    let (one, other) = (Registry::new().await, Registry::new().await);
    for registry in [&one, &other] {
        registry.commit(&["binance"]).await;
        registry.apply().await;
    }
    let (cache, others) = (one.cache(&redis), other.cache(&redis));
    cache.serves_at(1).await;
    others.serves_at(1).await;
    cache.put("binance", one.at("binance", 1), 1, 1).await;
    assert_eq!(others.get("binance", 0).await, None);
}

#[tokio::test]
async fn a_log_that_ends_before_what_redis_has_seen_is_not_followed() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["binance"]).await;
    registry.apply().await;
    let first = registry.cache(&redis);
    first.serves_at(1).await;
    first.stop().await;
    let _: i64 = raw(&redis, &["HSET", &tombstones_key(&redis).await, "watermark", "9"]).await;

    let second = registry.cache(&redis);
    let says_why =
        |health: &L2Health| matches!(health, L2Health::Away { reason } if reason.contains("the log ends at 1"));
    timeout(DEADLINE, second.l2.watch_health().wait_for(says_why)).await.unwrap().unwrap();
}

/// Redis is sent the log in pages, which end anywhere in a revision, and at its end too.
#[tokio::test]
async fn revisions_longer_than_a_page_are_applied_whole() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    registry.commit(&["first", "last"]).await;
    registry.apply().await;
    let cache = registry.cache(&redis);
    cache.serves_at(1).await;
    let mut revision = 1;
    for size in [255, 256, 257, 512, 600] {
        cache.put("first", registry.at("first", revision), revision, revision).await;
        cache.put("last", registry.at("last", revision), revision, revision).await;
        let between: Vec<_> = (2..size).map(|i| format!("venue-{size}-{i}")).collect();
        let names: Vec<_> = ["first"].into_iter().chain(between.iter().map(String::as_str)).chain(["last"]).collect();
        revision = registry.commit(&names).await;
        registry.apply().await;
        cache.serves_at(revision).await;
        assert_eq!((cache.get("first", 0).await, cache.get("last", 0).await), (None, None), "{size}");
    }
    // All of them at once.
    cache.stop().await;
    let _: i64 = raw(&redis, &["HSET", &tombstones_key(&redis).await, "watermark", "1"]).await;
    registry.cache(&redis).serves_at(revision).await;
}

#[tokio::test]
async fn what_was_read_before_the_forgotten_part_of_a_revision_is_not_stored() {
    let (redis, registry) = (RedisServer::start(), Registry::new().await);
    let names: Vec<_> = (0..300).map(|i| format!("venue-{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    registry.commit(&names).await;
    registry.apply().await;
    let settings = L2Settings { remembered_changes: 100, ..L2Settings::at("127.0.0.1", redis.port()) };
    let cache = registry.cache_with(L2Settings { timeout: Duration::from_secs(2), ..settings });
    cache.serves_at(1).await;
    let slow: Vec<_> = ["venue-0", "venue-299"].map(|name| (name, registry.at(name, 1))).into();
    registry.commit(&names).await;
    registry.apply().await;
    cache.serves_at(2).await;
    for (name, found) in slow {
        cache.put(name, found, 1, 2).await;
        assert_eq!(cache.get(name, 0).await, None, "{name}");
    }
}
