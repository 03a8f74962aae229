//! Pages while others write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use cqar_domain::entities::Entity;
use cqar_proto::v1;
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, SampleRegistry, mutation},
    for_each_kind,
    kinds::{Kind, Write, many},
};

cqar_tests::in_both_environments! {
    what_is_there_throughout_a_paging_is_on_one_page
}

/// So many of each type, in pages that each have a few.
const ROWS: usize = 40;
const PAGE: i32 = 7;
/// How often all of them are read, and one of them is written meanwhile, at least.
const ROUNDS: usize = 5;

async fn what_is_there_throughout_a_paging_is_on_one_page(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    for of_type in many(ROWS) {
        let create = |entity: &Entity| mutation(v1::mutation::Operation::Create(entity.into()));
        clients.apply(of_type.iter().take(ROWS).map(create).collect()).await.unwrap();
    }
    for_each_kind!(page_beside_a_writer, &mut clients, &small);
}

async fn page_beside_a_writer<K: Kind + Send + 'static>(clients: &mut Clients, registry: &SampleRegistry) {
    let present = pages::<K>(clients).await.concat();
    assert!(present.len() >= ROWS - 1, "{} of {}", present.len(), K::FIELD);
    let (is_over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (mut other, registry) = (clients.clone(), registry.clone());
    let (over, written) = (is_over.clone(), rounds.clone());
    let existing = present[present.len() / 2].clone();
    let writing = async move {
        let sample = K::sample(&registry);
        // What it may be, by turns: a write of what is there already would change nothing.
        let values = [sample.other, sample.new.field()];
        // One that comes while others read, and is gone before they end.
        let made = K::create(&mut other, sample.new, Write::default()).await.unwrap().value;
        while !over.load(Ordering::Relaxed) {
            // One that is there throughout, and has another place in the order of changes each time.
            let old = K::get(&mut other, &existing, 0).await.unwrap().value;
            let value = values.iter().find(|value| **value != old.field()).unwrap();
            let changed =
                K::update(&mut other, old.with_field(value), &[K::FIELD], Write::default()).await.unwrap().value;
            assert_ne!(changed.etag(), old.etag());
            if written.fetch_add(1, Ordering::Relaxed) == 0 {
                K::delete(&mut other, made.id(), "", Write::default()).await.unwrap();
            }
        }
    };
    let paging = async {
        let mut read = 0;
        while read < ROUNDS || rounds.load(Ordering::Relaxed) < ROUNDS {
            read += 1;
            let mut listed = pages::<K>(clients).await.concat();
            assert!(listed.is_sorted() && listed.windows(2).all(|pair| pair[0] != pair[1]), "each once, in order");
            listed.retain(|id| present.contains(id));
            assert_eq!(listed, present, "none is missing");
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(writing, paging);
}

/// The ids of each page.
async fn pages<K: Kind>(clients: &mut Clients) -> Vec<Vec<String>> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = K::list(clients, PAGE, &token).await.unwrap();
        pages.push(page.iter().map(|it| it.id().to_owned()).collect());
        token = next;
        if token.is_empty() {
            return pages;
        }
    }
}
