//! Databases of earlier versions, and what they hold.

use std::sync::Arc;

use bytes::Bytes;
use cqar_domain::{
    entities::{
        Entity,
        chain::{Chain, ChainStatus},
        venue::Venue,
        venue_asset::VenueAsset,
    },
    event::{EventLog, LogPosition, LoggedEvent},
    id::{AssetId, EntityKey, SystemIds},
    unique_key::UniqueKey,
};
use cqar_store::{Error, IdempotencyKey, IdempotencyRecord, Store};
use cqar_tests::{
    entities::{asset, create},
    kinds::examples,
    postgres::Postgres,
};
use sqlx::{Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::{execute_on_postgres, execute_on_sqlite, now, open};

pub async fn migrations_go_up_and_down_and_up_again(store: Arc<Store>) {
    let first = store.log_bounds().await.unwrap().log_id;
    assert_eq!(store.migrate_up().await.unwrap(), [""; 0], "nothing is missing");
    let newest = store.migration_status().await.unwrap().len();
    let taken_back = store.migrate_down(newest).await.unwrap();
    assert_eq!((taken_back.len(), taken_back.last().unwrap().as_str()), (newest, "0001_registry"));
    assert!(matches!(store.check_migrations().await.unwrap_err(), Error::SchemaOutdated { found: 0, .. }));
    assert_eq!(store.migrate_up().await.unwrap().len(), newest);
    assert_ne!(store.log_bounds().await.unwrap().log_id, first, "another log");
    let status = store.migration_status().await.unwrap();
    assert!(status.iter().all(|migration| migration.applied.is_some()));
}

const OLD_EVENT: &str = "INSERT INTO event_log \
    (revision, idx, type, entity_type, entity_id, actor, reason, changed_fields, commit_us, body) \
    VALUES (1, $1, 'asset_created', 'asset', '', 'tester', '', '[]', 0, $2)";
const OLD_REVISION: &str = "UPDATE log_state SET revision = 1";

#[tokio::test(flavor = "multi_thread")]
async fn events_from_before_there_were_blocks_are_read_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cqar.db", folder.path().display());
    let (store, old) = with_the_first_migration(&url).await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for (index, event) in (0..).zip(&old) {
        let insert = sqlx::query(OLD_EVENT).bind(index).bind(event.body.to_vec());
        insert.execute(&mut connection).await.unwrap();
    }
    sqlx::query(OLD_REVISION).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    reads_after_migration(&store, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_from_before_there_were_blocks_are_read_on_postgres() {
    let postgres = Postgres::start();
    let (store, old) = with_the_first_migration(postgres.url()).await;
    let mut connection = PgConnection::connect(postgres.url()).await.unwrap();
    for (index, event) in (0..).zip(&old) {
        let insert = sqlx::query(OLD_EVENT).bind(index).bind(event.body.to_vec());
        insert.execute(&mut connection).await.unwrap();
    }
    sqlx::query(OLD_REVISION).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    reads_after_migration(&store, &old).await;
}

/// What the tables hold passes through the migrations unchanged, down and up again; but for keys that are hashes, which an older version
/// does not know.
async fn migrated_entities_are_as_they_were(store: &Store, execute: impl AsyncFn(&str) -> u64) {
    let entities = examples();
    create(store, &entities).await;
    // What the first migration knows: with others their tables are taken back.
    let first = ["asset", "chain", "venue", "venue_asset", "instrument", "market"];
    let keys: Vec<EntityKey> =
        entities.iter().map(Entity::key).filter(|key| first.contains(&key.entity_type().name())).collect();
    let before = store.snapshot().await.unwrap().entities(&keys).await.unwrap();
    let id = IdempotencyKey { actor: "tester".into(), method: "/m".into(), request_id: Uuid::now_v7() };
    let answered = IdempotencyRecord { body_hash: vec![1], revision: 1, answer: Bytes::from("answer"), is_whole: true };
    let mut tx = store.begin_write().await.unwrap();
    tx.save_request(&id, &answered, now(), now().plus_seconds(3600)).await.unwrap();
    tx.commit().await.unwrap();
    let newest = store.migration_status().await.unwrap().len();
    assert!(store.migrate_down(newest - 1).await.unwrap_err().to_string().contains("restore a backup"));
    execute("DELETE FROM event_log").await;
    let left = store.migration_status().await.unwrap().iter().filter(|migration| migration.applied.is_some()).count();
    store.migrate_down(left - 1).await.unwrap();
    let (long, hashed) = long_key(entities.iter().find(|entity| matches!(entity, Entity::Instrument(_))).unwrap());
    execute(&format!("UPDATE unique_keys SET key = '{long}' WHERE key = '{hashed}'")).await;
    // More than are shortened at a time, of an entity that is none; and one that was a longer hash.
    let digits = "0123456789abcdef".repeat(4);
    for n in 0..10 {
        let others: Vec<String> = (n * 500..(n + 1) * 500)
            .map(|n| format!("('asset.test:{n:05}{digits}', 'asset', '{}')", AssetId::new(&SystemIds)))
            .collect();
        execute(&format!("INSERT INTO unique_keys (key, entity_type, entity_id) VALUES {}", others.join(", "))).await;
    }
    execute(&format!(
        "INSERT INTO unique_keys (key, entity_type, entity_id) VALUES ('asset.test#{digits}', 'asset', '')"
    ))
    .await;
    store.migrate_up().await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    // What the newest columns said is lost with them.
    let without = |entity: Option<Entity>| match entity {
        Some(Entity::Chain(chain)) => {
            let (status, chain) = (ChainStatus::Active, Arc::unwrap_or_clone(chain));
            Some(Chain { status, parent_chain_id: None, native_addresses: Vec::new(), ..chain }.into())
        }
        Some(Entity::Venue(venue)) => {
            Some(Venue { network_chain_ids: [].into(), ..Arc::unwrap_or_clone(venue) }.into())
        }
        Some(Entity::VenueAsset(bound)) => {
            let VenueAsset { id, venue_id, segment, code, asset_id, meta, .. } = Arc::unwrap_or_clone(bound);
            Some(VenueAsset { meta, ..VenueAsset::new(id, venue_id, segment, code, asset_id) }.into())
        }
        entity => entity,
    };
    let before: Vec<Option<Entity>> = before.into_iter().map(without).collect();
    assert_eq!(snapshot.entities(&keys).await.unwrap(), before);
    assert_eq!(snapshot.idempotency_record(&id, now()).await.unwrap(), Some(answered));
    let Some(Entity::Market(market)) = before.last().unwrap() else { panic!("the last is a market") };
    assert!(market.symbols().count() > 1, "it has an alias");
    for symbol in market.symbols() {
        let found = snapshot.markets_with_symbols(&market.venue_id, &[symbol.to_owned()]).await.unwrap();
        assert_eq!(found, [market.as_ref().clone()], "{symbol}");
    }
    let unique: Vec<UniqueKey> = before.iter().flatten().flat_map(Entity::unique_keys).map(|(_, key)| key).collect();
    let owners = snapshot.with_unique_keys(&unique).await.unwrap();
    assert!(unique.len() >= 3 && owners.len() == unique.len(), "{owners:?}");
    drop(snapshot);
    for n in [0, 2500, 4999] {
        let shortened = UniqueKey::of_text(format!("asset.test:{n:05}{digits}"));
        let found = execute(&format!("DELETE FROM unique_keys WHERE key = '{shortened}'")).await;
        assert_eq!(found, 1, "{shortened}");
    }
    let found = execute(&format!("DELETE FROM unique_keys WHERE key = 'asset.test#{}'", &digits[..32])).await;
    assert_eq!(found, 1, "so much of a hash is kept");
    create(store, &[asset("NEW").into()]).await;
}

/// The key of an option's terms as it was before long keys were hashed, and as it is.
fn long_key(option: &Entity) -> (String, UniqueKey) {
    let assets: Vec<String> = option.references().iter().map(|(_, asset)| asset.id()).collect();
    let long = format!("instrument.terms:option:{}:2026-12-25:100000.5:P:american", assets.join(":"));
    let hashed = UniqueKey::of_text(long.clone());
    assert_eq!(option.unique_keys(), [("terms", hashed.clone())], "{long}");
    (long, hashed)
}

#[tokio::test(flavor = "multi_thread")]
async fn migrated_entities_are_as_they_were_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cqar.db", folder.path().display());
    let store = open(&url).await;
    migrated_entities_are_as_they_were(&store, async |sql| execute_on_sqlite(&url, sql).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrated_entities_are_as_they_were_on_postgres() {
    let postgres = Postgres::start();
    let store = open(postgres.url()).await;
    migrated_entities_are_as_they_were(&store, async |sql| execute_on_postgres(postgres.url(), sql).await).await;
}

/// A store as the first migration left it, and events for it.
async fn with_the_first_migration(url: &str) -> (Arc<Store>, Vec<LoggedEvent>) {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = open(&format!("sqlite://{}/cqar.db", folder.path().display())).await;
    create(&elsewhere, &(0..70).map(|n| asset(&format!("OLD{n}")).into()).collect::<Vec<_>>()).await;
    let events = elsewhere.read(LogPosition::default(), 100).await.unwrap().events;
    let store = open(url).await;
    let newest = store.migration_status().await.unwrap().len();
    store.migrate_down(newest - 1).await.unwrap();
    (store, events)
}

async fn reads_after_migration(store: &Store, old: &[LoggedEvent]) {
    store.migrate_up().await.unwrap();
    assert_eq!(store.read(LogPosition::default(), 100).await.unwrap().events, old);
    assert_eq!(
        store.read(old[65].position, 100).await.unwrap().events,
        old[65..],
        "also where a block would not begin"
    );
    create(store, &[asset("NEW").into()]).await;
    let log = store.read(old[69].position, 100).await.unwrap().events;
    assert_eq!((log.len(), &log[0], log[1].position.revision), (2, &old[69], 2));
    let newest = store.migration_status().await.unwrap().len();
    let refused = store.migrate_down(newest - 1).await.unwrap_err().to_string();
    assert!(refused.contains("a log with events is not taken back: restore a backup"), "{refused}");
    assert_eq!(store.read(LogPosition::default(), 100).await.unwrap().events.len(), 71, "nothing is lost");
}
