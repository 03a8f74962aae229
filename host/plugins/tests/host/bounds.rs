//! What one plugin may take is bounded, and what its operator says of it holds.

use std::{collections::BTreeSet, fs, io::Cursor, os::unix::fs::PermissionsExt as _, time::Duration};

use cqar_plugins::{CallContext, Code, Query, ValidateError};
use cqar_proto::v1::plugin::State;
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, Running, component, context, market, market_with, now};

/// Writes the file beside a plugin, at once.
fn beside(fixture: &Fixture, name: &str, text: &str) {
    let partial = fixture.root().join("partial.toml");
    fs::write(&partial, text).unwrap();
    fs::rename(partial, fixture.file(name).with_extension("toml")).unwrap();
}

async fn judged(running: &Running, symbol: &str) -> Result<cqar_plugins::Judgement, ValidateError> {
    running.host.snapshot().validate(&context(), [market(symbol)].into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_plugins_together_have_one_budget_and_each_its_guarantee() {
    let mut fixture = Fixture::with(&["misbehave", "market-sanity"]);
    fixture.config.memory_budget_bytes = 132 << 20;
    fixture.config.plugins.limits.call.guest = Duration::from_secs(5);
    let running = fixture.start().await;
    let mut eating = JoinSet::new();
    for _ in 0..4 {
        let plugins = running.host.snapshot();
        eating
            .spawn(async move { plugins.validate(&context(), [market("EAT")].into()).await.unwrap_err().to_string() });
    }
    // The neighbour has its guarantee meanwhile.
    let symbol = market_with("BTCUSDT", &json!({}));
    while !eating.is_empty() {
        let alone = running.host.snapshot().validate(&context(), [symbol.clone()].into()).await;
        assert!(alone.is_ok() || alone.unwrap_err().to_string().contains("misbehave"));
        if let Ok(Some(ended)) = tokio::time::timeout(Duration::from_millis(1), eating.join_next()).await {
            let reason = ended.unwrap();
            println!("{reason}");
            assert!(reason.contains("memory_budget") || reason.contains("64 MiB"), "{reason}");
        }
    }
    assert_ne!(running.metric("cqar_plugin_errors_total", &[("kind", "memory_budget")]), "0");
    // It is no strike against the plugin, and the memory is there again.
    judged(&running, "BTCUSDT").await.unwrap();

    // One more would be guaranteed what is not there.
    fixture.put("require-tick", &component("require-tick"));
    let status = running.until("require-tick", |it| it.state() == State::Rejected).await;
    assert!(status.reason.starts_with("memory: it is guaranteed 64 MiB of memory"), "{}", status.reason);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_code_is_in_the_budget_and_leaves_it_with_the_last_that_may_run_it() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    fixture.config.memory_budget_bytes = 64 << 20;
    let running = fixture.start().await;
    let status = running.status("market-sanity");
    assert!(status.reason.contains("with the machine code of all"), "{status:#?}");
    running.stop().await;

    // Code of 0.4 to 0.9 MiB each: that of three generations has room, and not that of twelve.
    fixture.config.memory_budget_bytes = 67 << 20;
    let running = fixture.start().await;
    for (generation, file) in (2..12).zip(["v2/market-sanity", "market-sanity"].into_iter().cycle()) {
        fixture.put("market-sanity", &component(file));
        running.until("market-sanity", |it| it.generation == generation && it.state() == State::Serving).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_one_plugin_are_tighter_than_the_servers() {
    let fixture = Fixture::with(&["misbehave"]);
    beside(&fixture, "misbehave", "[limits]\nmemory = \"2MiB\"\ndeadline = \"20ms\"\n");
    let running = fixture.start().await;
    let status = running.status("misbehave");
    assert_eq!(status.limits.unwrap().memory_bytes, 2 << 20, "{status:#?}");
    let reason = judged(&running, "EAT").await.unwrap_err().to_string();
    assert!(reason.contains("needed more than 2 MiB"), "{reason}");
    let reason = judged(&running, "LOOP").await.unwrap_err().to_string();
    assert!(reason.contains("took longer than 20 ms to compute"), "{reason}");
    beside(&fixture, "misbehave", "[limits]\nmemory = \"1GiB\"\n");
    running.until("misbehave", |it| it.reason.contains("config: limits.memory: ")).await;
    beside(&fixture, "misbehave", "[limit]\n");
    running.until("misbehave", |it| it.reason.contains("config: misbehave.toml: ")).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_chooses_what_comes_of_a_judgement_and_of_a_failure() {
    let fixture = Fixture::with(&["misbehave", "require-tick"]);
    let running = fixture.start().await;
    let without = || market_with("TRAP", &json!({"tick_size": ""}));
    let judge = async || running.host.snapshot().validate(&context(), [without()].into()).await;
    let chosen = async |name: &'static str, text: &str| {
        let generation = running.status(name).generation;
        beside(&fixture, name, text);
        running.until(name, |it| it.generation > generation && it.state() == State::Serving).await;
    };
    assert!(judge().await.unwrap_err().to_string().contains("misbehave"));

    chosen("misbehave", "failure = \"open\"").await;
    let judgement = judge().await.unwrap();
    let codes: Vec<_> = judgement.findings.iter().map(|(_, finding)| finding.code.as_str()).collect();
    assert_eq!(codes, ["NOT_JUDGED", "TICK_SIZE_REQUIRED"]);
    assert_eq!(judgement.judged_by.len(), 1, "who failed has not judged");

    chosen("misbehave", "mode = \"monitor\"").await;
    chosen("require-tick", "mode = \"monitor\"").await;
    let judgement = judge().await.unwrap();
    assert!(judgement.findings.is_empty() && judgement.judged_by.is_empty());
    chosen("misbehave", "mode = \"off\"").await;
    let calls = running.status("misbehave").calls;
    judge().await.unwrap();
    assert_eq!(running.status("misbehave").calls, calls, "it is not asked");

    chosen("require-tick", "order = -1").await;
    chosen("misbehave", "order = 5").await;
    let judgement = judged(&running, "BTCUSDT").await.unwrap();
    let judges: Vec<_> = judgement.judged_by.iter().map(|it| it.split('@').next().unwrap()).collect();
    assert_eq!(judges, ["require-tick", "misbehave"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generation_before_judges_where_the_newest_fails() {
    let fixture = Fixture::with(&["hostile-validator"]);
    beside(&fixture, "hostile-validator", "grants = [\"registry\"]");
    let running = fixture.start().await;
    let first = running.status("hostile-validator").hash;
    let failing = "grants = [\"registry\"]\nfailure = \"last-good\"\n[settings]\ndoes = \"trap\"\non = \"BAD\"\n";
    beside(&fixture, "hostile-validator", failing);
    running.until("hostile-validator", |it| it.generation == 2).await;
    let judgement = judged(&running, "BAD").await.unwrap();
    assert_eq!(judgement.judged_by, [format!("hostile-validator@{}", &first[..16])]);
    assert_eq!(running.status("hostile-validator").failed_calls, 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_instance_for_each_call_keeps_nothing_of_the_one_before() {
    let fixture = Fixture::with(&["hostile-validator"]);
    beside(&fixture, "hostile-validator", "grants = [\"registry\"]\nisolation = \"fresh\"");
    let running = fixture.start().await;
    for _ in 0..3 {
        judged(&running, "BTCUSDT").await.unwrap();
    }
    assert_eq!(running.status("hostile-validator").instances, 0, "none waits");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_takes_in_is_bounded_over_all_its_calls() {
    let mut fixture = Fixture::with(&["hostile-symbology"]);
    fixture.config.plugins.limits.call.guest = Duration::from_secs(5);
    let trapping = "[settings]\ndoes = \"trap\"\non = \"BAD\"\n";
    beside(&fixture, "hostile-symbology", trapping);
    let running = fixture.start().await;
    let call = CallContext::at(now());
    let query = |symbol: &str| Query { symbol: symbol.into(), segment: None };
    let queries: Vec<Query> = (0..1000).map(|n| query(if n % 2 == 0 { "BAD-USDT" } else { "BTC-USDT" })).collect();
    let symbology = running.host.snapshot().symbology("hostile-symbology").unwrap();
    let answers = symbology.parse(&call, queries).await;
    let failed = running.status("hostile-symbology").failed_calls;
    assert_eq!(answers.len(), 1000);
    assert!(failed < 50, "{failed} calls failed: each failed item alone would be 500");
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() > 10);

    let codes = vec![Code { code: "BTC".into(), segment: None }; 10];
    assert_eq!(symbology.normalize_assets(&call, codes).await.unwrap().len(), 10);

    // Each call answers within its limit; all of them are more than a request takes in.
    beside(&fixture, "hostile-symbology", "[settings]\ndoes = \"many-extra\"\non = \"LARGE\"\n");
    running.until("hostile-symbology", |it| it.generation == 2).await;
    let symbology = running.host.snapshot().symbology("hostile-symbology").unwrap();
    let answers = symbology.parse(&call, vec![query("LARGE-USDT"); 5000]).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(taken.len() > 2000 && taken.len() * 20_000 <= 64 << 20, "{}", taken.len());
    let refused: BTreeSet<_> = refused.into_iter().map(|it| it.unwrap_err().to_string()).collect();
    assert_eq!(Vec::from_iter(refused), ["answered more than 64 MiB in one request"]);
    assert_ne!(running.metric("cqar_plugin_errors_total", &[("kind", "output")]), "0");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_trusted_key_signed_serves() {
    let mut fixture = Fixture::with(&["market-sanity"]);
    let (ours, others) = [(); 2].map(|()| minisign::KeyPair::generate_unencrypted_keypair().unwrap()).into();
    let sign = |fixture: &Fixture, keys: &minisign::KeyPair, bytes: &[u8]| {
        let signed = minisign::sign(None, &keys.sk, Cursor::new(bytes), None, None).unwrap();
        fs::write(fixture.file("market-sanity").with_extension("wasm.minisig"), signed.into_string()).unwrap();
    };
    fixture.config.trusted_keys = Some(vec![ours.pk.to_base64().parse().unwrap()]);
    let running = fixture.start().await;
    let status = running.status("market-sanity");
    assert!(status.reason.starts_with("trust: it is not signed"), "{status:#?}");
    let bytes = component("market-sanity");
    sign(&fixture, &others, &bytes);
    running.until("market-sanity", |it| it.reason.starts_with("trust: none of 1 trusted keys signed it")).await;
    sign(&fixture, &ours, &bytes);
    running.until("market-sanity", |it| it.state() == State::Serving).await;
    // Another component under that signature is none of ours.
    fixture.put("market-sanity", &component("v2/market-sanity"));
    running.until("market-sanity", |it| it.reason.starts_with("trust: ")).await;
    assert_eq!(running.status("market-sanity").generation, 1);
    running.stop().await;

    // Whoever may write to the directory could take a rule out of service.
    fs::set_permissions(&fixture.config.dir, fs::Permissions::from_mode(0o777)).unwrap();
    let running = fixture.start().await;
    assert!(running.host.degraded().unwrap().contains("others may write to it"));
    let refused = judged(&running, "BTCUSDT").await;
    assert!(matches!(refused, Err(ValidateError::NotServing { .. })), "nobody knows what lies there");
    running.stop().await;
}
