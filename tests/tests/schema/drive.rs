//! Every operation of the store, so that each of its statements is run.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cqar_domain::{
    entities::{Entity, market::Market, relationship::RelationshipType},
    event::LogPosition,
    id::{EntityKey, InstrumentId, SystemIds},
    lookup::{IndexKey, LookupIndex},
    relay::RelayStateStore,
    time::{Clock, SystemClock},
};
use cqar_store::{End, IdempotencyKey, IdempotencyRecord, PageBounds, Snapshot, Store};
use cqar_tests::{
    entities::{asset, attribution, change, create},
    kinds::{examples, filters},
};
use uuid::Uuid;

/// Runs every operation once.
pub async fn drive(store: &Arc<Store>, other: &Store) {
    store.migration_status().await.unwrap();
    let log = store.log_bounds().await.unwrap();
    store.read_log(LogPosition::start_of(log.oldest), 10).await.unwrap();
    relay(store).await;
    let entities = examples();
    writes(store, &entities).await;
    reads(&mut store.snapshot().await.unwrap(), &entities).await;
    let mut snapshot = store.snapshot().await.unwrap();
    snapshot.keep_footprint();
    let footprint = snapshot.take_footprint();
    // What this server committed it knows, and what another did it reads.
    create(other, &[asset("OTHER").into()]).await;
    let mut snapshot = store.snapshot().await.unwrap();
    assert!(!snapshot.has_changed(&footprint).await.unwrap());
    for filter in filters() {
        let bounds = PageBounds { entities: 10, bytes: 1 << 20 };
        let page = snapshot.list(&filter, None, bounds).await.unwrap();
        let after = page.entities.first().map(Entity::key).or(page.next_after);
        if let Some(after) = after {
            snapshot.list(&filter, Some(&after), bounds).await.unwrap();
        }
    }
}

async fn relay(store: &Arc<Store>) {
    let holder = Uuid::now_v7();
    let position = LogPosition { revision: 1, index: 0 };
    assert!(store.hold_lease(holder, Duration::from_secs(5)).await.unwrap());
    store.save_fan_out(position, Bytes::from_static(b"parts")).await.unwrap();
    store.fan_out(position).await.unwrap();
    store.save_cursor(position).await.unwrap();
    store.cursor().await.unwrap();
    store.release_lease(holder).await.unwrap();
}

async fn writes(store: &Arc<Store>, entities: &[Entity]) {
    let key = IdempotencyKey { actor: "a".into(), method: "/m".into(), request_id: Uuid::now_v7() };
    let answer = Bytes::from_static(b"answer");
    let answered = IdempotencyRecord { body_hash: vec![0], revision: 7, answer, is_whole: true };
    let now = SystemClock.now();
    let mut tx = store.begin_write().await.unwrap();
    tx.reads().idempotency_record(&key, now).await.unwrap();
    let created = entities.iter().map(|it| change(None, Some(it.clone()))).collect();
    tx.write(created, &attribution()).await.unwrap();
    tx.save_request(&key, &answered, now, now.plus_seconds(60)).await.unwrap();
    let (venue, segment) = ("drive".parse().unwrap(), "spot".parse().unwrap());
    tx.reads().import_watermark(&venue, &segment).await.unwrap();
    tx.save_import_watermark(&venue, &segment, now).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin_write().await.unwrap();
    let keys: Vec<EntityKey> = entities.iter().map(Entity::key).collect();
    let stored: Vec<Entity> = tx.reads().entities(&keys).await.unwrap().into_iter().flatten().collect();
    let gone = stored.iter().rev().map(|it| change(Some(it.clone()), None)).collect();
    tx.write(gone, &attribution()).await.unwrap();
    tx.rollback().await;

    // Each as it is, and what refers to what is stored.
    let mut tx = store.begin_write().await.unwrap();
    let kept = stored.iter().map(|it| change(Some(it.clone()), Some(it.clone()))).collect();
    tx.write(kept, &attribution()).await.unwrap();
    tx.rollback().await;
    for kept in &stored {
        let mut tx = store.begin_write().await.unwrap();
        tx.write(vec![change(Some(kept.clone()), Some(kept.clone()))], &attribution()).await.unwrap();
        tx.rollback().await;
    }
}

async fn reads(snapshot: &mut Snapshot, entities: &[Entity]) {
    let keys: Vec<EntityKey> = entities.iter().map(Entity::key).collect();
    snapshot.entities(&keys).await.unwrap();
    let unique: Vec<_> = entities.iter().flat_map(Entity::unique_keys).map(|(_, key)| key).collect();
    snapshot.with_unique_keys(&unique).await.unwrap();
    snapshot.referrers(&keys, 10).await.unwrap();
    snapshot.once_referred(&keys).await.unwrap();
    snapshot.assets_with_symbols(&["BTC".to_owned()]).await.unwrap();
    snapshot.venue_assets_with_codes(&"drive".parse().unwrap(), &["BTC".to_owned()]).await.unwrap();
    snapshot.instruments_with_codes(&["BTC/USD".to_owned()]).await.unwrap();
    for entity in entities {
        match entity {
            Entity::Asset(asset) => {
                snapshot.instruments_of_asset(asset.id, 10).await.unwrap();
                snapshot.venue_assets_of(&"drive".parse().unwrap(), &[asset.id]).await.unwrap();
                for end in [End::From, End::To] {
                    snapshot.relationships(end, &[asset.id], None, 10).await.unwrap();
                    snapshot.relationships(end, &[asset.id], Some(&RelationshipType::VARIANTS), 10).await.unwrap();
                }
            }
            Entity::Market(market) => {
                let Market { venue_id, segment, venue_symbol, instrument_id, .. } = market.as_ref();
                let another = InstrumentId::new(&SystemIds);
                snapshot.markets_of_instruments(&[*instrument_id], 10).await.unwrap();
                snapshot.markets_of_instruments(&[*instrument_id, another], 10).await.unwrap();
                snapshot.live_markets((venue_id, segment), SystemClock.now(), None, 10).await.unwrap();
                snapshot.markets_with_symbols(venue_id, std::slice::from_ref(venue_symbol)).await.unwrap();
                snapshot.markets_with_related(venue_id, std::slice::from_ref(venue_symbol)).await.unwrap();
            }
            _ => {}
        }
    }
    for index in LookupIndex::ALL {
        let part = |name: &&str| match *name {
            "venue" => "drive".to_owned(),
            "segment" => "spot".to_owned(),
            "instrument" => InstrumentId::new(&SystemIds).to_string(),
            _ => "A".to_owned(),
        };
        let key = IndexKey::new(index, index.parts().iter().map(part).collect()).unwrap();
        snapshot.find(&key, 16).await.unwrap();
    }
}
