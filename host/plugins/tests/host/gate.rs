//! What does not pass the gate changes nothing, and says why.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf};

use cqar_plugins::{PluginStatus, ValidateError};
use cqar_proto::v1::plugin::State;
use serde_json::json;

use crate::fixture::{Fixture, component, context, market};

/// Files that never serve under the name `market-sanity`, and the step that says so.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = component("market-sanity");
    let truncated = good[..good.len() / 2].to_vec();
    let mut flipped = good;
    let middle = flipped.len() / 2;
    flipped[middle..middle + 64].fill(0xff);
    vec![
        ("empty", Vec::new(), "compile: the file is empty"),
        ("garbage", b"not a component at all".to_vec(), "compile: the file is not WebAssembly"),
        ("truncated", truncated, "compile: "),
        ("flipped", flipped, "compile: "),
        ("a core module", component("core-module"), "compile: the file is a module of WebAssembly and no component"),
        ("of another world", component("other-world"), "interface: no interface of cqar:plugin@0.2.0 is exported"),
        ("looping in describe", component("loop-in-describe"), "describe: took longer than"),
        ("of version 0.1", of_version(*b"@0.1.0"), "interface: cqar:plugin@0.1.0 was never released: build the plugin"),
        ("of a later version", of_version(*b"@0.9.0"), "interface: cqar:plugin@0.9.0 is not known to this server"),
        ("of another name", component("wrong-name"), "describe: the manifest's name is \"right-name\""),
    ]
}

/// A good component that says it speaks another version: names have no other place in which they differ.
fn of_version(version: [u8; 6]) -> Vec<u8> {
    let mut bytes = component("market-sanity");
    let package = b"cqar:plugin/";
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|start| bytes[*start..].starts_with(package))
        .map(|start| start + package.len())
        .collect();
    for start in starts {
        if let Some(at) = bytes[start..].iter().take(32).position(|byte| *byte == b'@') {
            bytes[start + at..start + at + version.len()].copy_from_slice(&version);
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_leaves_the_old_generation_serving_and_says_why() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.config.plugins.limits.setup.guest = std::time::Duration::from_secs(2);
    let running = fixture.start().await;
    let before = running.status("market-sanity");
    assert_eq!(before.state(), State::Serving, "{before:?}");

    let mut rejected_hash = String::new();
    for (what, bytes, reason) in refused() {
        fixture.put("market-sanity", &bytes);
        let refused = |it: &PluginStatus| it.state() == State::ServingLastGood && it.rejected_hash != rejected_hash;
        let status = running.until("market-sanity", refused).await;
        println!("{what}: {}", status.reason);
        assert!(status.reason.starts_with(reason), "{what}: {}", status.reason);
        assert_eq!((status.hash, status.generation), (before.hash.clone(), 1), "{what}");
        rejected_hash = status.rejected_hash;
        running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await.unwrap();
    }
    assert!(running.host.degraded().unwrap().contains("market-sanity: the last good generation serves"));
    assert_eq!(running.metric("cqar_plugin_rejections_total", &[("step", "compile")]), "5");

    fixture.put("market-sanity", &component("market-sanity"));
    let status = running.until("market-sanity", |it| it.state() == State::Serving).await;
    assert_eq!((status.generation, status.reason.as_str()), (1, ""), "the same bytes are the same generation");
    assert_eq!(running.host.degraded(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_while_the_server_is_down_is_no_absent_rule() {
    let mut fixture = Fixture::with(&["require-tick"]);
    fixture.config.required = vec!["require-tick".into()];
    let running = fixture.start().await;
    let hash = running.status("require-tick").hash;
    running.stop().await;

    fixture.put("require-tick", b"garbage");
    let running = fixture.start().await;
    let status = running.status("require-tick");
    assert_eq!((status.state(), status.hash), (State::ServingLastGood, hash.clone()));
    assert!(status.reason.starts_with("compile: "), "{}", status.reason);
    running.stop().await;

    std::fs::remove_file(fixture.file("require-tick")).unwrap();
    let running = fixture.start().await;
    let status = running.status("require-tick");
    assert_eq!((status.state(), status.hash), (State::ServingLastGood, hash));
    assert_eq!(status.reason, "its file is gone");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_refused_keep_a_plugin_from_serving() {
    let mut fixture = Fixture::with(&["market-sanity", "refuse-settings"]);
    fixture.config.plugins.settings.insert("market-sanity".into(), json!({"max_fee": "a lot"}));
    fixture.config.required = vec!["market-sanity".into()];
    let running = fixture.start().await;
    for name in ["market-sanity", "refuse-settings"] {
        let status = running.status(name);
        assert_eq!(status.state(), State::Rejected, "{status:?}");
        assert!(status.reason.starts_with("configure: could not be set up: the settings are refused: "), "{status:?}");
    }
    let refused = running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await;
    assert!(matches!(refused, Err(ValidateError::NotServing { plugin, .. }) if plugin == "market-sanity"));
    running.stop().await;

    fixture.config.plugins.settings.insert("market-sanity".into(), json!({"max_fee": "0.1"}));
    let running = fixture.start().await;
    assert_eq!(running.status("market-sanity").state(), State::Serving);
    running.stop().await;
}

/// What is kept of a component: its bytes, or what they were compiled to.
fn kept_file(fixture: &Fixture, hash: &str, extension: &str) -> PathBuf {
    let dir = if extension == "cwasm" { &fixture.config.compiler.cache_dir } else { &fixture.config.data_dir };
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(hash) && name.ends_with(extension)
    };
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).find(named).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_takes_kept_machine_code_and_compiles_damaged_machine_code_anew() {
    let fixture = Fixture::with(&["market-sanity", "route-by-venue", "symbology-binance"]);
    let hashes = |running: &crate::fixture::Running| {
        let list = running.host.list();
        assert!(list.iter().all(|it| it.state() == State::Serving), "{list:#?}");
        list.into_iter().map(|it| it.hash).collect::<Vec<_>>()
    };
    let running = fixture.start().await;
    let first = hashes(&running);
    running.stop().await;
    let kept = |extension: &str| -> Vec<PathBuf> {
        let path = |hash: &String| kept_file(&fixture, hash, extension);
        first.iter().map(path).collect()
    };
    let inodes = || kept("cwasm").iter().map(|path| std::fs::metadata(path).unwrap().ino()).collect::<Vec<_>>();
    let compiled = inodes();

    let running = fixture.start().await;
    assert_eq!((hashes(&running), inodes()), (first.clone(), compiled.clone()));
    running.stop().await;

    let contents = || kept("cwasm").iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
    let whole = contents();
    for artefact in kept("cwasm") {
        let mut bytes = std::fs::read(&artefact).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&artefact, bytes).unwrap();
    }
    let running = fixture.start().await;
    assert_eq!(hashes(&running), first);
    assert!(contents() == whole, "compiled anew");
    running.stop().await;

    // Damaged bytes of what served last do not keep the file itself, which is whole, from serving.
    for path in kept("wasm") {
        std::fs::write(path, b"damaged").unwrap();
    }
    let running = fixture.start().await;
    assert_eq!(hashes(&running), first);
    running.stop().await;
    assert!(kept("wasm").iter().all(|path| std::fs::read(path).unwrap() != b"damaged"), "and are kept anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_says_what_it_is_and_what_it_imports_in_vain() {
    let fixture = Fixture::with(&["market-sanity", "lookup"]);
    let running = fixture.start().await;
    let status = running.status("lookup");
    assert_eq!(
        (status.kind.as_str(), &*status.subscriptions, &*status.grants),
        ("validator", &["market".to_owned()][..], &["registry".to_owned()][..])
    );
    assert!(status.inert_imports.iter().any(|it| it.starts_with("wasi:cli/environment@")), "{status:?}");
    assert!(!status.inert_imports.iter().any(|it| it.starts_with("wasi:io/")), "{status:?}");
    assert!(status.activate_time.is_some() && status.file.ends_with("lookup.wasm"));
    assert_eq!(running.metric("cqar_plugin_generation", &[("plugin", "lookup")]), "1");
    let statuses = running.host.list();
    assert_eq!(statuses.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["lookup", "market-sanity"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_served_before_and_cannot_now_is_no_absent_rule_either() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.start().await.stop().await;

    // With other settings it does not serve, and what served with those before is damaged.
    fixture.config.plugins.settings.insert("market-sanity".into(), json!({"max_fee": "a lot"}));
    fixture.damage_kept();
    let running = fixture.start().await;
    let refused = running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await;
    assert!(matches!(refused, Err(ValidateError::NotServing { .. })), "{refused:?}");

    // Its operator's word is another thing.
    std::fs::write(fixture.file("market-sanity").with_extension("toml"), "enabled = false").unwrap();
    running.until("market-sanity", |it| it.state() == State::Disabled).await;
    running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await.unwrap();
    running.stop().await;
}
