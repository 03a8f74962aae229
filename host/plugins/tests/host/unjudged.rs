//! No write passes unjudged: what might be a rule is waited for, or refuses.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use cqar_plugins::{PluginOperation, ValidateError};
use cqar_proto::v1::plugin::State;
use serde_json::json;

use crate::fixture::{Fixture, PATIENCE, Running, component, context, market, market_with};

/// The file that the compiler makes when it begins.
fn begun(fixture: &Fixture) -> PathBuf {
    fixture.root().join("begun")
}

/// A compiler that waits until a file is there.
fn slow_compiler(fixture: &mut Fixture) -> PathBuf {
    let (script, go) = (fixture.root().join("compiler"), fixture.root().join("go"));
    let compiler = fixture.config.compiler.program.display().to_string();
    let (begun, go_on) = (begun(fixture).display().to_string(), go.display());
    let text =
        format!("#!/bin/sh\n: > {begun}\nwhile [ ! -e {go_on} ]; do /bin/sleep 0.01; done\nexec {compiler} \"$@\"\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fixture.config.compiler.program = script;
    go
}

async fn write(running: &Running, symbol: &str) -> Result<usize, ValidateError> {
    let judged = running.host.snapshot().validate(&context(), [market(symbol)].into()).await;
    judged.map(|judgement| judgement.judged_by.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_compiles_slowly_with_an_empty_data_directory_is_waited_for() {
    let mut fixture = Fixture::with(&["require-tick"]);
    fixture.config.start_timeout = Duration::from_millis(200);
    fixture.config.settle_timeout = Duration::from_millis(500);
    let go = slow_compiler(&mut fixture);
    let running = fixture.start().await;
    assert_eq!(running.status("require-tick").state(), State::Pending);
    assert!(running.host.degraded().unwrap().contains("require-tick: does not serve: its file is being tried"));
    let refused = write(&running, "EARLY").await;
    assert!(
        matches!(&refused, Err(ValidateError::NotServing { plugin, .. }) if plugin == "require-tick"),
        "{refused:?}"
    );

    // A write that waits is judged once the rule serves.
    let plugins = running.host.snapshot();
    let waiting = tokio::spawn(async move {
        let without = market_with("WAITING", &json!({"tick_size": ""}));
        loop {
            match plugins.validate(&context(), [without.clone()].into()).await {
                Err(ValidateError::NotServing { .. }) => {}
                judged => return judged.unwrap().findings.len(),
            }
        }
    });
    fs::write(go, b"").unwrap();
    assert_eq!(waiting.await.unwrap(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_holds_no_write_until_it_says_that_it_judges_them() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.config.settle_timeout = Duration::from_millis(200);
    fixture.start().await.stop().await;
    slow_compiler(&mut fixture);
    let running = fixture.start().await;
    fixture.put("require-tick", &component("require-tick"));
    running.until("require-tick", |it| it.state() == State::Pending).await;
    assert_eq!(write(&running, "MEANWHILE").await.unwrap(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_bad_by_its_own_fault_holds_nothing() {
    let fixture = Fixture::with(&["market-sanity"]);
    fixture.put("garbage", b"not a component at all");
    fixture.put("wrong-name", &component("wrong-name"));
    let running = fixture.start().await;
    for name in ["garbage", "wrong-name"] {
        assert_eq!(running.status(name).state(), State::Rejected);
    }
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_looked_at_at_the_start_may_be_a_rule() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.config.settle_timeout = Duration::from_millis(100);
    std::os::unix::fs::symlink("nowhere", fixture.file("rule")).unwrap();
    let running = fixture.start().await;
    let refused = write(&running, "BTCUSDT").await;
    assert!(matches!(&refused, Err(ValidateError::NotServing { plugin, .. }) if plugin == "rule"), "{refused:?}");
    fs::remove_file(fixture.file("rule")).unwrap();
    running.until("rule", |it| it.name.is_empty()).await;
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_never_listed_may_hold_any_rule() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.config.trusted_keys = Some(Vec::new());
    fs::set_permissions(&fixture.config.dir, fs::Permissions::from_mode(0o777)).unwrap();
    let running = fixture.start().await;
    let refused = write(&running, "BTCUSDT").await;
    assert!(
        matches!(&refused, Err(ValidateError::NotServing { plugin, .. }) if plugin == "plugins.dir"),
        "{refused:?}"
    );
    fs::set_permissions(&fixture.config.dir, fs::Permissions::from_mode(0o755)).unwrap();
    // Nobody signed it: a bad file, which holds nothing.
    running.until("market-sanity", |it| it.state() == State::Rejected).await;
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_takes_a_rule_away_is_refused_with_the_line_that_allows_it() {
    let fixture = Fixture::with(&["require-tick"]);
    let running = fixture.start().await;
    let untaken = [
        (
            "require-tick-as-transform",
            "swap: it is a transform, and what serves is a validator; to allow it, write into ",
        ),
        ("require-tick-of-assets", "swap: it no longer subscribes to market; to allow it, write into "),
    ];
    for (name, says) in untaken {
        fixture.put("require-tick", &component(name));
        let status = running.until("require-tick", |it| it.reason.starts_with(says)).await;
        assert_eq!((status.state(), status.generation), (State::ServingLastGood, 1));
        assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 1);
    }
    // It is refused after a restart as well, against what is on record.
    running.stop().await;
    let running = fixture.start().await;
    let reason = running.status("require-tick").reason;
    assert!(reason.contains("no longer subscribes"), "{reason}");

    // The line that it names is taken at its word, together with the component.
    let line = reason.split("require-tick.toml: ").nth(1).unwrap();
    fs::write(fixture.file("require-tick").with_extension("toml"), line).unwrap();
    let status = running.until("require-tick", |it| it.state() == State::Serving).await;
    assert_eq!(status.subscriptions, ["asset"]);
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_narrow_what_a_plugin_judges() {
    let fixture = Fixture::with(&["require-tick"]);
    let running = fixture.start().await;
    let config = fixture.file("require-tick").with_extension("toml");
    fs::write(&config, "subscriptions = [\"asset\"]").unwrap();
    let status = running.until("require-tick", |it| it.state() == State::ServingLastGood).await;
    assert!(status.reason.contains("does not subscribe to asset, but to market"), "{}", status.reason);
    fs::write(&config, "subscriptions = []").unwrap();
    running.until("require-tick", |it| it.reason.contains("write `enabled = false`")).await;
    fs::write(&config, "subscriptions = [\"market\"]").unwrap();
    running.until("require-tick", |it| it.state() == State::Serving && it.generation == 2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_granted_what_its_operator_says_and_nothing_else() {
    let mut fixture = Fixture::with(&["lookup"]);
    fixture.config.plugins.grants.clear();
    let running = fixture.start().await;
    let status = running.status("lookup");
    assert_eq!(status.state(), State::Rejected);
    assert!(status.reason.contains("write into lookup.toml: grants = [\"registry\"]"), "{}", status.reason);
    fs::write(fixture.file("lookup").with_extension("toml"), "grants = [\"registry\"]").unwrap();
    running.until("lookup", |it| it.state() == State::Serving).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_watches_or_is_no_validator_holds_no_write() {
    let mut fixture = Fixture::with(&["market-sanity", "symbology-binance", "require-tick"]);
    fixture.config.required = vec!["market-sanity".into(), "symbology-binance".into()];
    for (name, text) in [("market-sanity", "mode = \"monitor\""), ("symbology-binance", "order = 3")] {
        fs::write(fixture.file(name).with_extension("toml"), text).unwrap();
    }
    let running = fixture.start().await;
    // It never served, and said what it is before it was refused.
    let reason = running.status("symbology-binance").reason;
    assert!(reason.contains("order: is of validators, and this is a symbology"), "{reason}");
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 1);
    running.stop().await;

    // What is on record as a watcher does not serve any more, and neither does its file with other settings.
    fixture.damage_kept();
    fixture.config.plugins.settings.insert("market-sanity".into(), json!({"max_fee": "a lot"}));
    let running = fixture.start().await;
    assert_eq!(running.status("market-sanity").state(), State::Rejected);
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_over_restarts_is_nobody_elses_where_plugins_must_be_signed() {
    let mut fixture = Fixture::new();
    fixture.config.trusted_keys = Some(Vec::new());
    fs::create_dir(&fixture.config.data_dir).unwrap();
    fs::set_permissions(&fixture.config.data_dir, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = fixture.refused().await;
    assert!(refused.contains("plugins.data_dir") && refused.contains("chmod go-w"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_while_it_was_tried_does_not_come_back() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.start().await.stop().await;
    let go = slow_compiler(&mut fixture);
    let running = fixture.start().await;
    fixture.put("require-tick", &component("require-tick"));
    let ends = Instant::now() + PATIENCE;
    while !begun(&fixture).exists() {
        assert!(Instant::now() < ends, "it is compiled");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.host.operate("require-tick", PluginOperation::Remove).await.unwrap();
    // It is back, as another build, before the first attempt has ended.
    fixture.put("require-tick", b"garbage");
    running.until("require-tick", |it| it.state() == State::Rejected).await;
    fs::write(go, b"").unwrap();
    // The compiler is done with the removed one before it is done with this one.
    fixture.put("lookup", &component("lookup"));
    running.until("lookup", |it| it.state() == State::Serving).await;
    assert_eq!(running.status("require-tick").state(), State::Rejected);
    assert_eq!(write(&running, "BTCUSDT").await.unwrap(), 2);
    running.stop().await;
    let known = fs::read_to_string(fixture.config.data_dir.join("plugins.json")).unwrap();
    assert!(!known.contains("require-tick"), "{known}");
}
