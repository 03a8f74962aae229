//! The directory changes, and what serves follows.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cqar_plugins::{CallContext, Query};
use cqar_proto::v1::plugin::State;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, Running, component, context, market, now};

#[tokio::test(flavor = "multi_thread")]
async fn swaps_under_load_fail_no_call() {
    let fixture = Fixture::with(&["symbology-binance", "market-sanity"]);
    let running = fixture.start().await;
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (host, done, calls) = (Arc::clone(&running.host), Arc::clone(&done), Arc::clone(&calls));
        load.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let plugins = host.snapshot();
                let query = Query { symbol: "BTCUSDT".into(), segment: None };
                let parsed =
                    plugins.symbology("symbology-binance").unwrap().parse(&CallContext::at(now()), vec![query]).await;
                assert!(matches!(parsed.as_slice(), [Ok(_)]), "{parsed:?}");
                plugins.validate(&context(), [market("BTCUSDT")].into()).await.unwrap();
                calls.fetch_add(2, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
    }
    let mut slowest = Duration::ZERO;
    for round in 1..=5 {
        for name in ["symbology-binance", "market-sanity"] {
            let bytes = if round % 2 == 1 { component(&format!("v2/{name}")) } else { component(name) };
            let started = Instant::now();
            fixture.put(name, &bytes);
            let status = running.until(name, |it| it.generation == round + 1).await;
            slowest = slowest.max(started.elapsed());
            assert_eq!(status.version.contains("0.2"), round % 2 == 1, "{}", status.version);
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    let calls = calls.load(Ordering::Relaxed);
    println!("{calls} calls beside 10 swaps, the slowest of which took {slowest:?}");
    assert!(calls > 100);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_slowly_is_not_tried_before_it_is_whole() {
    let fixture = Fixture::new();
    let running = fixture.start().await;
    let bytes = component("market-sanity");
    let (first, second) = bytes.split_at(bytes.len() / 2);
    fs::write(fixture.file("market-sanity"), first).unwrap();
    running.until("market-sanity", |it| it.state() == State::Pending).await;
    fs::write(fixture.file("market-sanity"), [first, second].concat()).unwrap();
    running.until("market-sanity", |it| it.state() == State::Serving).await;
    assert_eq!(running.metric("cqar_plugin_rejections_total", &[]), "0");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_counts_after_a_while_and_never_for_a_required_plugin() {
    let mut fixture = Fixture::with(&["market-sanity", "require-tick", "route-by-venue"]);
    fixture.config.required = vec!["require-tick".into()];
    let running = fixture.start().await;
    for name in ["market-sanity", "require-tick"] {
        fs::remove_file(fixture.file(name)).unwrap();
        let status = running.until(name, |it| it.reason == "its file is gone").await;
        assert_eq!(status.state(), State::ServingLastGood);
    }
    running.until("market-sanity", |it| it.name.is_empty()).await;
    assert_eq!(running.status("require-tick").state(), State::ServingLastGood);
    let judgement = running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await.unwrap();
    assert_eq!(judgement.judged_by.len(), 1);
    running.stop().await;
}

/// Waits until the host says this of its directory.
async fn until_degraded(running: &Running, says: &str) {
    let mut changes = running.host.changes();
    let degraded = async {
        while !running.host.degraded().is_some_and(|it| it.contains(says)) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), degraded).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_gone_at_once_are_a_volume_that_is_not_mounted_and_no_deletion() {
    let fixture = Fixture::with(&["market-sanity", "require-tick"]);
    let running = fixture.start().await;
    for name in ["market-sanity", "require-tick"] {
        fs::remove_file(fixture.file(name)).unwrap();
    }
    until_degraded(&running, "all files are gone").await;
    // Longer than a deletion takes to count.
    let left = async || running.host.changes().changed().await;
    let _ = tokio::time::timeout(Duration::from_secs(7), async { while left().await.is_ok() {} }).await;
    let judged = |running: &Running| {
        let plugins = running.host.snapshot();
        async move { plugins.validate(&context(), [market("BTCUSDT")].into()).await.unwrap().judged_by.len() }
    };
    assert_eq!(judged(&running).await, 2);
    running.stop().await;

    // Nor are they after a restart.
    let running = fixture.start().await;
    assert_eq!(judged(&running).await, 2);
    assert!(running.host.degraded().unwrap().contains("cqar plugin remove"));

    // They are back with the volume.
    for name in ["market-sanity", "require-tick"] {
        fixture.put(name, &component(name));
        running.until(name, |it| it.state() == State::Serving).await;
    }
    assert_eq!(running.host.degraded(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_elsewhere_and_a_directory_that_is_replaced_are_followed() {
    let mut fixture = Fixture::new();
    let link = fixture.root().join("current");
    for (version, name) in [("v1", "market-sanity"), ("v2", "v2/market-sanity")] {
        let dir = fixture.root().join(version);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("real"), component(name)).unwrap();
        symlink("real", dir.join("market-sanity.wasm")).unwrap();
    }
    symlink("v1", &link).unwrap();
    fixture.config.dir = link.clone();
    let running = fixture.start().await;
    let first = running.status("market-sanity");
    assert_eq!(first.state(), State::Serving);

    let next = fixture.root().join("next");
    symlink("v2", &next).unwrap();
    fs::rename(&next, &link).unwrap();
    // No event tells of it: the poll does.
    let second = running.until("market-sanity", |it| it.generation == 2).await;
    assert_ne!(first.hash, second.hash);

    // Now the new directory is the one that is watched.
    let started = Instant::now();
    fs::write(link.join("require-tick.wasm"), component("require-tick")).unwrap();
    running.until("require-tick", |it| it.state() == State::Serving).await;
    assert!(started.elapsed() < Duration::from_secs(8), "seen by an event, not by the poll");
    running.stop().await;
}

/// As Kubernetes mounts one: files are links into `..data`, which is a link to the version that holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_is_swapped_in_one_step() {
    let fixture = Fixture::new();
    let dir = &fixture.config.dir;
    let version = |name: &str, plugin: &str, config: &str| {
        let folder = dir.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("market-sanity.wasm"), component(plugin)).unwrap();
        fs::write(folder.join("market-sanity.toml"), config).unwrap();
        let next = dir.join("..next");
        symlink(name, &next).unwrap();
        fs::rename(next, dir.join("..data")).unwrap();
    };
    version("..v1", "market-sanity", "order = 1");
    for file in ["market-sanity.wasm", "market-sanity.toml"] {
        symlink(format!("..data/{file}"), dir.join(file)).unwrap();
    }
    let running = fixture.start().await;
    let first = running.status("market-sanity");
    assert_eq!(first.state(), State::Serving, "{first:#?}");
    version("..v2", "v2/market-sanity", "order = 2");
    let second = running.until("market-sanity", |it| it.generation == 2).await;
    assert_ne!(first.hash, second.hash);
    assert_eq!(second.history.len(), 2, "both files at once");
    // The old version is removed, and nothing is missed.
    fs::remove_dir_all(dir.join("..v1")).unwrap();
    assert_eq!(running.status("market-sanity").state(), State::Serving);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_whose_times_say_nothing_are_told_apart() {
    let fixture = Fixture::new();
    let put = |name: &str| {
        let partial = fixture.config.dir.join(".partial");
        fs::write(&partial, component(name)).unwrap();
        fs::File::options()
            .write(true)
            .open(&partial)
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        fs::rename(&partial, fixture.file("market-sanity")).unwrap();
    };
    put("market-sanity");
    let running = fixture.start().await;
    let first = running.status("market-sanity").hash;
    put("v2/market-sanity");
    let second = running.until("market-sanity", |it| it.generation == 2).await;
    assert_ne!(first, second.hash);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_read_deletes_nothing() {
    let fixture = Fixture::with(&["market-sanity"]);
    let running = fixture.start().await;
    let aside = fixture.root().join("aside");
    fs::rename(&fixture.config.dir, &aside).unwrap();
    until_degraded(&running, "No such file or directory").await;
    assert_eq!(running.status("market-sanity").state(), State::Serving);
    running.stop().await;
}
