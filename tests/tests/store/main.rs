//! The store, on both databases: each test is a function of a store, run on SQLite and on PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use cqar_domain::{
    entities::{
        Entity,
        asset::{Asset, AssetType},
        instrument::{Instrument, Terms},
        market::Market,
        venue_asset::VenueAsset,
    },
    entity::Meta,
    event::{EventLog, LogPosition},
    id::{AssetId, EntityKey, EntityType, InstrumentId, Segment, SystemIds},
    relay::RelayStateStore,
    time::{Clock, SystemClock, Timestamp},
};
use cqar_proto::v1;
use cqar_store::{
    Change, Constraint, Error, IdempotencyKey, IdempotencyRecord, PageBounds, Store, StoreSettings,
    filters::AssetFilter, schema::MAX_EXAMINED,
};
use cqar_tests::{
    entities::{asset, attribution, chain, change, create, instrument, market, venue, venue_asset, write},
    kinds::examples,
    pgbouncer::PgBouncer,
    postgres::Postgres,
};
use prost::Message;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

mod footprint;
mod log;
mod migrations;

use footprint::{
    more_than_is_looked_through_may_have_changed_anything, what_alters_an_answer_touches_what_it_depends_on,
};
use log::{a_page_of_the_log_is_bounded_by_bytes, the_log_is_read_from_any_place_and_to_any_length};
use migrations::migrations_go_up_and_down_and_up_again;

/// Runs a test on both databases, and on PostgreSQL through a pooler of transactions.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let store = super::open(&format!("sqlite://{}/cqar.db", folder.path().display())).await;
                super::$name(store).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let postgres = super::Postgres::start();
                let store = super::open(postgres.url()).await;
                super::$name(store).await;
            })*
        }
        mod pgbouncer {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let pgbouncer = super::PgBouncer::start();
                let settings = super::StoreSettings { statement_cache: 0, ..super::StoreSettings::new(pgbouncer.url()) };
                let store = super::open_with(&settings).await;
                super::$name(store).await;
            })*
        }
    };
}

on_both! {
    every_entity_reads_back_as_it_was_written
    concurrent_writers_get_revisions_without_gap_or_repetition
    what_is_not_committed_leaves_nothing
    a_deletion_frees_the_key_for_a_creation_in_the_same_write
    the_store_itself_refuses_dangling_references_and_doubled_keys
    a_snapshot_does_not_see_later_writes
    pages_list_everything_once_in_order
    a_page_is_bounded_by_bytes_and_by_the_rows_that_it_looks_at
    a_market_is_found_by_every_symbol_it_has_and_none_it_had
    referrers_are_named
    an_answered_request_is_remembered_until_it_expires
    the_relay_remembers_lease_cursor_and_fan_outs
    the_log_is_read_from_any_place_and_to_any_length
    a_page_of_the_log_is_bounded_by_bytes
    migrations_go_up_and_down_and_up_again
}

/// Runs a test of two servers on one database, on both databases.
macro_rules! by_two_servers {
    ($($name:ident)*) => {
        mod two_on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(super::two(&format!("sqlite://{}/cqar.db", folder.path().display())).await).await;
            })*
        }
        mod two_on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let postgres = super::Postgres::start();
                super::$name(super::two(postgres.url()).await).await;
            })*
        }
    };
}

by_two_servers! {
    what_alters_an_answer_touches_what_it_depends_on
    more_than_is_looked_through_may_have_changed_anything
}

async fn two(url: &str) -> [Arc<Store>; 2] {
    [open(url).await, open(url).await]
}

/// Runs a statement beside all servers, and says how many rows it changed.
async fn execute_on_sqlite(url: &str, sql: &str) -> u64 {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

/// The same.
async fn execute_on_postgres(url: &str, sql: &str) -> u64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

async fn open(url: &str) -> Arc<Store> {
    open_with(&StoreSettings::new(url)).await
}

async fn open_with(settings: &StoreSettings) -> Arc<Store> {
    let store = Store::open(settings, Arc::new(SystemClock), &prometheus::Registry::new()).await.unwrap();
    store.migrate_up().await.unwrap();
    store.check_migrations().await.unwrap();
    Arc::new(store)
}

fn now() -> Timestamp {
    SystemClock.now()
}

async fn every_entity_reads_back_as_it_was_written(store: Arc<Store>) {
    let entities = examples();
    let mut tx = store.begin_write().await.unwrap();
    let written =
        tx.write(entities.iter().map(|it| change(None, Some(it.clone()))).collect(), &attribution()).await.unwrap();
    let committed = tx.commit().await.unwrap();
    assert_eq!(committed.revision, 1);

    let keys: Vec<EntityKey> = entities.iter().map(Entity::key).collect();
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.revision(), 1);
    let read = snapshot.entities(&keys).await.unwrap();
    for (written, read) in written.into_iter().zip(read) {
        let expected = written.after.unwrap();
        assert_eq!(read.as_ref(), Some(&expected));
        assert_eq!(expected.meta().revision, 1);
    }
    drop(snapshot);

    let log = store.read(LogPosition::default(), 100).await.unwrap().events;
    assert_eq!(log, committed.events, "the log reads back as it was handed over");
    assert!(log.iter().map(|event| event.position.index).eq((0..).take(entities.len())));
    let listed = log.iter().find(|event| event.key.entity_type() == EntityType::Market).unwrap();
    let event = v1::Event::decode(listed.body.clone()).unwrap();
    assert_eq!(
        (event.r#type.as_str(), event.venue_id.as_str(), event.actor.as_str()),
        ("market_listed", "dex", "tester")
    );
    assert_eq!(event.after.unwrap(), v1::Entity::from(&stored(&store, &listed.key).await));
    assert_eq!(store.log_bounds().await.unwrap().newest, 1);
}

async fn stored(store: &Store, key: &EntityKey) -> Entity {
    store.snapshot().await.unwrap().entities(std::slice::from_ref(key)).await.unwrap().remove(0).unwrap()
}

async fn concurrent_writers_get_revisions_without_gap_or_repetition(store: Arc<Store>) {
    let writers = (0..40).map(|n| {
        let store = store.clone();
        tokio::spawn(
            async move { create(&store, &[asset(&format!("A{n}")).into(), asset(&format!("B{n}")).into()]).await },
        )
    });
    let mut revisions = Vec::new();
    for writer in writers {
        revisions.push(writer.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=40).collect::<Vec<_>>());
    let log = store.read(LogPosition::start_of(3), 1000).await.unwrap().events;
    let positions: Vec<_> = log.iter().map(|event| (event.position.revision, event.position.index)).collect();
    assert_eq!(positions, (3..=40).flat_map(|revision| [(revision, 0), (revision, 1)]).collect::<Vec<_>>());
}

async fn what_is_not_committed_leaves_nothing(store: Arc<Store>) {
    let btc = asset("BTC");
    let mut tx = store.begin_write().await.unwrap();
    tx.write(vec![change(None, Some(btc.clone().into()))], &attribution()).await.unwrap();
    drop(tx);
    let mut tx = store.begin_write().await.unwrap();
    assert_eq!(tx.base_revision(), 0);
    assert_eq!(tx.reads().entities(&[EntityKey::Asset(btc.id)]).await.unwrap(), [None]);
    assert_eq!(tx.write(Vec::new(), &attribution()).await.unwrap(), []);
    assert_eq!(tx.commit().await.unwrap().revision, 0, "a write without change makes no revision");
    assert!(store.read(LogPosition::default(), 10).await.unwrap().events.is_empty());
}

async fn a_deletion_frees_the_key_for_a_creation_in_the_same_write(store: Arc<Store>) {
    let (btc, venue) = (asset("BTC"), venue("kraken"));
    let binding = |asset| venue_asset("kraken", "XBT", asset);
    let first: Entity = binding(btc.id).into();
    create(&store, &[btc.clone().into(), venue.into(), first.clone()]).await;
    let first = stored(&store, &first.key()).await;
    let second: Entity = binding(btc.id).into();
    let revision = write(&store, vec![change(None, Some(second.clone())), change(Some(first.clone()), None)]).await;
    assert_eq!(revision, 2);
    let mut snapshot = store.snapshot().await.unwrap();
    let code = VenueAsset::code_key(&"kraken".parse().unwrap(), &Segment::default(), "XBT");
    let found = snapshot.with_unique_keys(std::slice::from_ref(&code)).await.unwrap();
    assert_eq!(found.into_iter().map(|(key, it)| (key, it.key())).collect::<Vec<_>>(), [(code, second.key())]);
    let log = store.read(LogPosition::start_of(2), 10).await.unwrap().events;
    assert_eq!(
        log.iter().map(|e| e.event_type.to_string()).collect::<Vec<_>>(),
        ["venue_asset_created", "venue_asset_deleted"]
    );
}

async fn the_store_itself_refuses_dangling_references_and_doubled_keys(store: Arc<Store>) {
    let kind = |error: Error| match error {
        Error::Constraint { kind, .. } => kind,
        other => panic!("{other:?}"),
    };
    // By itself where the database has no foreign key, and at commit where it has one.
    let refused = async |changes: Vec<Change>| {
        let mut tx = store.begin_write().await.unwrap();
        match tx.write(changes, &attribution()).await {
            Ok(_) => kind(tx.commit().await.unwrap_err()),
            Err(error) => kind(error),
        }
    };
    let nothing = AssetId::new(&SystemIds);
    let dangling: [Entity; 3] = [
        instrument(Terms::Spot { base: nothing, quote: nothing }).into(),
        market("nowhere", "BTCUSD", InstrumentId::new(&SystemIds)).into(),
        chain("lost", "eip155:7", Some(nothing)).into(),
    ];
    for dangling in dangling {
        assert_eq!(refused(vec![change(None, Some(dangling))]).await, Constraint::ForeignKey);
    }

    let (btc, usd, kraken) = (asset("BTC"), asset("USD"), venue("kraken"));
    let spot = instrument(Terms::Spot { base: btc.id, quote: usd.id });
    let market = market("kraken", "BTCUSD", spot.id);
    let all: [Entity; 5] = [btc.into(), usd.into(), kraken.into(), spot.clone().into(), market.into()];
    create(&store, &all).await;
    for gone in all.iter().take(4) {
        let gone = stored(&store, &gone.key()).await;
        assert_eq!(refused(vec![change(Some(gone), None)]).await, Constraint::ForeignKey);
    }
    let deleted = Instrument {
        meta: Meta { delete_time: Some(now()), ..*stored(&store, &EntityKey::Instrument(spot.id)).await.meta() },
        ..spot.clone()
    };
    let market = stored(&store, &all[4].key()).await;
    write(&store, vec![change(Some(market), None)]).await;
    let unmarked = stored(&store, &all[3].key()).await;
    write(&store, vec![change(Some(unmarked), Some(deleted.into()))]).await;
    let btc = stored(&store, &all[0].key()).await;
    let gone = refused(vec![change(Some(btc.clone()), None)]).await;
    assert_eq!(gone, Constraint::ForeignKey, "what is marked as deleted may come back");

    let twin = instrument(spot.terms.clone());
    assert_eq!(refused(vec![change(None, Some(twin.into()))]).await, Constraint::Unique);
    let spot = stored(&store, &all[3].key()).await;
    write(&store, vec![change(Some(btc), None), change(Some(spot), None)]).await;
    assert_eq!(store.log_bounds().await.unwrap().newest, 4);
}

async fn a_snapshot_does_not_see_later_writes(store: Arc<Store>) {
    let btc = asset("BTC");
    create(&store, &[btc.clone().into()]).await;
    let mut before = store.snapshot().await.unwrap();
    let stored = stored(&store, &EntityKey::Asset(btc.id)).await;
    let renamed: Entity = Asset { name: "Other".into(), ..btc.clone() }.into();
    assert_eq!(write(&store, vec![change(Some(stored.clone()), Some(renamed))]).await, 2);
    assert_eq!(before.revision(), 1);
    assert_eq!(before.entities(&[EntityKey::Asset(btc.id)]).await.unwrap(), [Some(stored)]);
}

async fn pages_list_everything_once_in_order(store: Arc<Store>) {
    let mut assets: Vec<Entity> = (0..25).map(|n| asset(&format!("S{}", n % 2)).into()).collect();
    create(&store, &assets).await;
    assets.sort_by_key(Entity::key);
    let filter = AssetFilter { asset_type: Some(AssetType::Coin), ..AssetFilter::default() }.into();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let mut snapshot = store.snapshot().await.unwrap();
        let page = snapshot.list(&filter, after.as_ref(), page_of(10)).await.unwrap();
        assert!(page.entities.len() == 10 || page.next_after.is_none());
        listed.extend(page.entities.iter().map(Entity::key));
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, assets.iter().map(Entity::key).collect::<Vec<_>>());
    let odd = AssetFilter { symbol: Some("S1".into()), show_deleted: true, ..AssetFilter::default() }.into();
    assert_eq!(store.snapshot().await.unwrap().list(&odd, None, page_of(100)).await.unwrap().entities.len(), 12);
    let token = AssetFilter { asset_type: Some(AssetType::Token), ..AssetFilter::default() }.into();
    assert!(store.snapshot().await.unwrap().list(&token, None, page_of(100)).await.unwrap().entities.is_empty());
}

const fn page_of(entities: u32) -> PageBounds {
    PageBounds { entities, bytes: usize::MAX }
}

async fn a_page_is_bounded_by_bytes_and_by_the_rows_that_it_looks_at(store: Arc<Store>) {
    let large = |n: usize| Asset { description: "x".repeat(4000), ..asset(&format!("L{n}")) };
    let coins: Vec<Entity> = (0..200).map(large).map(Entity::from).collect();
    create(&store, &coins).await;
    let all = AssetFilter::default().into();
    let bounds = PageBounds { entities: 1000, bytes: 100_000 };
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = store.snapshot().await.unwrap().list(&all, after.as_ref(), bounds).await.unwrap();
        pages.push(page.entities.len());
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages.iter().sum::<usize>(), 200);
    assert!(pages.iter().rev().skip(1).all(|page| (23..=25).contains(page)), "{pages:?}");
    let tiny = PageBounds { entities: 1000, bytes: 1 };
    let page = store.snapshot().await.unwrap().list(&all, None, tiny).await.unwrap();
    assert_eq!(page.entities.len(), 1, "one is larger alone");

    // One token among many coins: the pages before it are empty, and say where to go on.
    let plain = |n: usize| Asset { asset_type: AssetType::Coin, ..asset(&format!("P{n}")) };
    let many: Vec<Entity> = (0..MAX_EXAMINED + 500).map(plain).map(Entity::from).collect();
    create(&store, &many).await;
    let token = Asset { asset_type: AssetType::Token, ..asset("TOKEN") };
    create(&store, &[token.clone().into()]).await;
    let tokens = AssetFilter { asset_type: Some(AssetType::Token), ..AssetFilter::default() }.into();
    let first = store.snapshot().await.unwrap().list(&tokens, None, page_of(10)).await.unwrap();
    assert!(first.entities.is_empty());
    let after = first.next_after.unwrap();
    let second = store.snapshot().await.unwrap().list(&tokens, Some(&after), page_of(10)).await.unwrap();
    assert_eq!(second.entities.iter().map(Entity::key).collect::<Vec<_>>(), [EntityKey::Asset(token.id)]);
    assert_eq!(second.next_after, None);
}

async fn a_market_is_found_by_every_symbol_it_has_and_none_it_had(store: Arc<Store>) {
    let (btc, usd) = (asset("BTC"), asset("USD"));
    let terms = Terms::Spot { base: btc.id, quote: usd.id };
    let spot = Instrument { code: "BTC/USD".into(), ..instrument(terms) };
    let listed = market("kraken", "XBTUSD", spot.id);
    let key = EntityKey::Market(listed.id);
    create(&store, &[btc.into(), usd.into(), venue("kraken").into(), spot.clone().into(), listed.clone().into()]).await;
    let kraken = "kraken".parse().unwrap();
    let find = async |symbol: &str| {
        let mut snapshot = store.snapshot().await.unwrap();
        snapshot.markets_with_symbols(&kraken, &[symbol.to_owned(), "nothing".into()]).await.unwrap().len()
    };
    assert_eq!((find("XBTUSD").await, find("XBTUSD-alias").await, find("xbtusd").await), (1, 1, 0));
    let before = stored(&store, &key).await;
    let after = Market { aliases: vec!["XXBTZUSD".into()], ..listed.clone() };
    write(&store, vec![change(Some(before), Some(after.into()))]).await;
    assert_eq!((find("XBTUSD").await, find("XBTUSD-alias").await, find("XXBTZUSD").await), (1, 0, 1));

    let mut snapshot = store.snapshot().await.unwrap();
    // More symbols than one statement asks for, and the market has the first and the last of them.
    let fillers = (0..3000).map(|n| format!("nothing-{n}"));
    let many: Vec<String> = ["XBTUSD".into()].into_iter().chain(fillers).chain(["XXBTZUSD".into()]).collect();
    assert_eq!(snapshot.markets_with_symbols(&kraken, &many).await.unwrap().len(), 1, "once");
    assert_eq!(snapshot.markets_of_instruments(&[spot.id], 10).await.unwrap()[0].len(), 1);
    let long_ago = "2019-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(snapshot.live_markets((&kraken, &listed.segment), long_ago, None, 10).await.unwrap().len(), 0);
    assert_eq!(snapshot.live_markets((&kraken, &listed.segment), now(), None, 10).await.unwrap().len(), 1);
    assert_eq!(snapshot.instruments_with_codes(&["BTC/USD".into()]).await.unwrap().len(), 1);
    drop(snapshot);

    let before = stored(&store, &key).await;
    write(&store, vec![change(Some(before), None)]).await;
    assert_eq!(find("XBTUSD").await, 0);
}

async fn referrers_are_named(store: Arc<Store>) {
    let entities = examples();
    create(&store, &entities).await;
    let mut snapshot = store.snapshot().await.unwrap();
    let mut all = BTreeSet::new();
    for key in entities.iter().map(Entity::key) {
        let refers = |it: &&Entity| it.references().iter().any(|(_, target)| *target == key);
        let expected: BTreeSet<EntityKey> = entities.iter().filter(refers).map(Entity::key).collect();
        let referrers = snapshot.referrers(std::slice::from_ref(&key), 10).await.unwrap().remove(0);
        assert!(referrers.iter().eq(&expected), "of {key}: {referrers:?}");
        all.extend(expected);
    }
    assert!(all.len() > 5, "{all:?}");
}

async fn an_answered_request_is_remembered_until_it_expires(store: Arc<Store>) {
    let key = IdempotencyKey { actor: "a".into(), method: "/m".into(), request_id: Uuid::now_v7() };
    let answered = IdempotencyRecord {
        body_hash: vec![0, 255],
        revision: 7,
        answer: Bytes::from_static(b"\0answer"),
        is_whole: true,
    };
    let (now, expire) = (now(), now().plus_seconds(60));
    let mut tx = store.begin_write().await.unwrap();
    tx.save_request(&key, &answered, now, expire).await.unwrap();
    tx.save_import_watermark(&"kraken".parse().unwrap(), &"".parse().unwrap(), now).await.unwrap();
    tx.commit().await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.idempotency_record(&key, now).await.unwrap(), Some(answered));
    assert_eq!(snapshot.idempotency_record(&key, expire).await.unwrap(), None);
    let other = IdempotencyKey { actor: "b".into(), ..key };
    assert_eq!(snapshot.idempotency_record(&other, now).await.unwrap(), None);
    assert_eq!(snapshot.import_watermark(&"kraken".parse().unwrap(), &"".parse().unwrap()).await.unwrap(), Some(now));
    assert_eq!(snapshot.import_watermark(&"kraken".parse().unwrap(), &"spot".parse().unwrap()).await.unwrap(), None);
}

async fn the_relay_remembers_lease_cursor_and_fan_outs(store: Arc<Store>) {
    let (a, b, ttl) = (Uuid::now_v7(), Uuid::now_v7(), Duration::from_mins(1));
    assert!(store.hold_lease(a, ttl).await.unwrap());
    assert!(store.hold_lease(a, ttl).await.unwrap(), "renewed");
    assert!(!store.hold_lease(b, ttl).await.unwrap());
    store.release_lease(b).await.unwrap();
    assert!(!store.hold_lease(b, ttl).await.unwrap(), "only the holder gives it up");
    store.release_lease(a).await.unwrap();
    assert!(store.hold_lease(b, ttl).await.unwrap());

    assert_eq!(store.cursor().await.unwrap(), None);
    let position = LogPosition { revision: 5, index: 2 };
    store.save_fan_out(position, Bytes::from_static(b"parts")).await.unwrap();
    assert_eq!(store.fan_out(position).await.unwrap(), Some(Bytes::from_static(b"parts")));
    store.save_cursor(position).await.unwrap();
    assert!(store.fan_out(position).await.unwrap().is_some(), "at the cursor: not done yet");
    store.save_cursor(position.next()).await.unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(position.next()));
    assert_eq!(store.fan_out(position).await.unwrap(), None);
}
