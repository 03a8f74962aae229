//! The log: pages of it, and how other servers hear that it has grown.

use std::{sync::Arc, time::Duration};

use cqar_domain::{
    entities::{Entity, asset::Asset},
    event::{EventLog, LogPage, LogPosition},
};
use cqar_store::{MAX_PAGE_BYTES, Store};
use cqar_tests::{
    entities::{asset, attribution, change, create},
    postgres::Postgres,
};
use uuid::Uuid;

use crate::open;

pub async fn the_log_is_read_from_any_place_and_to_any_length(store: Arc<Store>) {
    let mut all = Vec::new();
    // Revisions of one event, of a block, of a little more than one, and of several.
    for (n, count) in [1, 2, 64, 65, 1, 200, 1, 1, 128].into_iter().enumerate() {
        let assets = (0..count).map(|of| change(None, Some(asset(&format!("A{n}X{of}")).into())));
        let mut tx = store.begin_write().await.unwrap();
        tx.write(assets.collect(), &attribution()).await.unwrap();
        all.extend(tx.commit().await.unwrap().events);
    }
    for from in [0, 1, 2, 3, 66, 67, 68, 131, 132, 133, 134, 200, 332, 333, 334, 335, 399, 462] {
        for limit in [1, 2, 63, 64, 65, 130, 1000] {
            let expected: Vec<_> = all.iter().skip(from).take(limit).cloned().collect();
            let read = store.read(all[from].position, u32::try_from(limit).unwrap()).await.unwrap();
            assert_eq!(read.events, expected, "{limit} from {from}");
            assert!(read.has_more || from + limit >= all.len(), "{limit} from {from}");
            assert!(!read.has_more || from + limit <= all.len(), "{limit} from {from}");
        }
    }
    let end = all.last().unwrap().position.next();
    assert_eq!(store.read(end, 10).await.unwrap(), LogPage::default(), "nothing is after the last");
}

pub async fn a_page_of_the_log_is_bounded_by_bytes(store: Arc<Store>) {
    // What does not compress, a megabyte each.
    let large = |n: usize| {
        let noise: String = (0..MAX_PAGE_BYTES / 4 / 36).map(|_| Uuid::new_v4().to_string()).collect();
        Entity::from(Asset { description: noise, ..asset(&format!("L{n}")) })
    };
    for n in 0..3 {
        create(&store, &(0..3).map(|of| large(n * 3 + of)).collect::<Vec<_>>()).await;
    }
    let (mut read, mut next) = (Vec::new(), LogPosition::start_of(1));
    loop {
        let page = store.read(next, 100).await.unwrap();
        assert!(page.events.len() <= 6, "at most a block beyond the bytes: {}", page.events.len());
        next = page.events.last().unwrap().position.next();
        read.extend(page.events.into_iter().map(|event| event.position));
        if !page.has_more {
            break;
        }
    }
    let all: Vec<_> = (1..=3).flat_map(|revision| (0..3).map(move |index| LogPosition { revision, index })).collect();
    assert_eq!(read, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_of_what_others_write() {
    let postgres = Postgres::start();
    let (store, other) = (open(postgres.url()).await, open(postgres.url()).await);
    let noticed =
        tokio::spawn(
            async move { tokio::time::timeout(Duration::from_secs(30), store.wait_for_append()).await.is_ok() },
        );
    // It may begin to listen at any time, so write until it was told.
    while !noticed.is_finished() {
        create(&other, &[asset("BTC").into()]).await;
    }
    assert!(noticed.await.unwrap());
}
