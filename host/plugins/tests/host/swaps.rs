//! A swap proves itself: what it would change is said before, and what fails after it is taken back.

use std::{
    fs,
    time::{Duration, Instant},
};

use cqar_plugins::{EvaluateError, OperateError, PluginOperation, PluginSettings, PluginStatus, ValidateError};
use cqar_proto::v1::{PluginEvent, plugin::State, plugin_event::Type};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, Running, component, context, market};

const NAME: &str = "hostile-validator";

/// Writes the file beside the validator: what it does, and on which symbol.
fn settings(fixture: &Fixture, settings: &str, more: &str) {
    let text = format!("grants = [\"registry\"]\n{more}\n[settings]\n{settings}\n");
    let file = fixture.file(NAME).with_extension("toml");
    let partial = fixture.root().join("partial.toml");
    fs::write(&partial, text).unwrap();
    fs::rename(partial, file).unwrap();
}

async fn started() -> (Fixture, Running) {
    let fixture = Fixture::with(&[NAME]);
    settings(&fixture, "", "");
    let running = fixture.start().await;
    assert_eq!(running.status(NAME).state(), State::Serving, "{:#?}", running.status(NAME));
    (fixture, running)
}

async fn write(running: &Running, symbol: &str) -> Result<usize, ValidateError> {
    let judged = running.host.snapshot().validate(&context(), [market(symbol)].into()).await;
    judged.map(|judgement| judgement.findings.len())
}

async fn generation(running: &Running, generation: i64) -> PluginStatus {
    running.until(NAME, |it| it.generation == generation && it.state() == State::Serving).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_says_which_decisions_it_changes() {
    let (fixture, running) = started().await;
    for symbol in ["A", "B", "NEW", "C"] {
        assert_eq!(write(&running, symbol).await.unwrap(), 0);
    }
    settings(&fixture, "does = \"findings\"\non = \"NEW\"", "");
    let replay = generation(&running, 2).await.replay.unwrap();
    assert_eq!((replay.calls, replay.same, replay.changed, replay.inconclusive), (4, 3, 1, 0), "{replay:#?}");
    let change = &replay.changes[0];
    assert!(change.export == "validate" && change.input.contains("NEW"), "{change:#?}");
    assert!(change.before == r#"{"ok":[]}"# && change.after.contains("warning"), "{change:#?}");
    assert_eq!(running.status(NAME).history[0].reason, "1 of 4 recorded calls are answered otherwise");

    // The record has the answers of the generation that serves: the next swap is compared with them.
    settings(&fixture, "does = \"findings\"\non = \"NEW\"", "# another file");
    let replay = generation(&running, 3).await.replay.unwrap();
    assert_eq!((replay.same, replay.changed), (4, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_may_be_a_gate_which_an_empty_record_does_not_pass() {
    let (fixture, running) = started().await;
    let gate = "replay = \"refuse-changes\"";
    settings(&fixture, "does = \"findings\"\non = \"NEW\"", gate);
    let refused = running.until(NAME, |it| it.state() == State::ServingLastGood).await;
    assert!(refused.reason.contains("replay: none of 0 recorded calls could be compared"), "{}", refused.reason);

    write(&running, "NEW").await.unwrap();
    settings(&fixture, "does = \"findings\"\non = \"NEW\"", &format!("{gate}\n# again"));
    let refused = running.until(NAME, |it| it.reason.contains("1 of 1 recorded calls are answered otherwise")).await;
    assert_eq!((refused.generation, refused.replay.unwrap().changed), (1, 1));

    settings(&fixture, "does = \"findings\"\non = \"NEVER\"", gate);
    generation(&running, 2).await;
    running.stop().await;
}

/// Calls until the generation that fails is taken back.
async fn fail(running: &Running) -> PluginStatus {
    let (mut failed, ends) = (0, Instant::now() + PATIENCE);
    for call in 0.. {
        assert!(Instant::now() < ends, "{failed} of {call} calls failed, and it serves on");
        let status = running.status(NAME);
        if !status.quarantined_hashes.is_empty() {
            println!("rolled back after {call} calls, of which {failed} failed");
            // Those after them went well: it is taken back before that is written down.
            assert!(call >= 20 && failed > 10);
            return status;
        }
        failed += usize::from(write(running, &format!("BAD{}", call % 3)).await.is_err());
        tokio::task::yield_now().await;
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_fails_is_rolled_back_and_quarantined_until_it_is_lifted() {
    let (fixture, running) = started().await;
    let mut events = running.host.events();
    settings(&fixture, "does = \"trap\"\non = \"BAD\"", "");
    generation(&running, 2).await;
    let status = fail(&running).await;
    assert_eq!(status.state(), State::ServingLastGood);
    assert!(status.reason.contains("quarantine: rolled back at ") && status.reason.contains("calls failed"));
    assert_eq!(status.last_failure, "", "what an earlier generation did is history");
    let history: Vec<_> = status.history.iter().map(PluginEvent::r#type).collect();
    assert_eq!(history, [Type::RolledBack, Type::Quarantined, Type::Activated, Type::Activated]);
    assert_eq!(running.metric("cqar_plugin_rollbacks_total", &[("plugin", NAME)]), "1");
    let said: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|it| it.r#type()).collect();
    assert_eq!(said, [Type::Activated, Type::Quarantined, Type::RolledBack]);
    assert_eq!(write(&running, "BAD0").await.unwrap(), 0);
    running.stop().await;

    // The generation before serves after a restart as well, and the file is still quarantined.
    let running = fixture.start().await;
    let status = running.until(NAME, |it| it.state() == State::ServingLastGood).await;
    assert!(status.reason.contains("`cqar plugin lift hostile-validator`"), "{}", status.reason);
    assert_eq!(write(&running, "BAD0").await.unwrap(), 0);

    running.host.operate(NAME, PluginOperation::Lift).await.unwrap();
    let status = running.until(NAME, |it| it.state() == State::Serving).await;
    assert!(status.quarantined_hashes.is_empty());
    assert!(write(&running, "BAD0").await.is_err());
    running.stop().await;
}

/// What the server's configuration says of the validator, as it is read again.
fn configured(fixture: &Fixture, settings: &Value) -> PluginSettings {
    let mut plugins = fixture.config.plugins.clone();
    plugins.settings.insert(NAME.to_owned(), settings.clone());
    plugins.grants.insert(NAME.to_owned(), vec!["registry".to_owned()]);
    plugins
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_servers_configuration_are_swapped_as_a_file_is_and_taken_back_when_they_fail() {
    let mut fixture = Fixture::with(&[NAME, "market-sanity"]);
    fixture.config.plugins = configured(&fixture, &json!({}));
    let running = fixture.start().await;
    generation(&running, 1).await;
    write(&running, "NEW").await.unwrap();
    // It is said what the new ones change; who is not concerned is not tried.
    running.host.reconfigure(configured(&fixture, &json!({"does": "findings", "on": "NEW"})));
    assert_eq!(generation(&running, 2).await.replay.unwrap().changed, 1);
    assert_eq!(running.status("market-sanity").generation, 1);
    // Those that fail are taken back and quarantined, and those before are good.
    running.host.reconfigure(configured(&fixture, &json!({"does": "trap", "on": "BAD"})));
    generation(&running, 3).await;
    assert_eq!(fail(&running).await.state(), State::ServingLastGood);
    assert_eq!((write(&running, "BAD0").await.unwrap(), write(&running, "NEW").await.unwrap()), (0, 1));
    running.host.reconfigure(configured(&fixture, &json!({"does": "findings", "on": "NEW"})));
    running.until(NAME, |it| it.state() == State::Serving).await;
    // Limits concern all.
    let mut limited = configured(&fixture, &json!({"does": "findings", "on": "NEW"}));
    limited.limits.concurrency = 3;
    running.host.reconfigure(limited);
    for name in [NAME, "market-sanity"] {
        running.until(name, |it| it.limits.as_ref().is_some_and(|limits| limits.concurrency == 3)).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_never_serves_again_by_itself() {
    let (fixture, running) = started().await;
    settings(&fixture, "does = \"trap\"\non = \"BAD\"", "");
    generation(&running, 2).await;
    running.stop().await;

    // After a restart the generation before is loaded when it is needed.
    let running = fixture.start().await;
    let first = running.until(NAME, |it| it.state() == State::Serving).await;
    assert!(first.history.len() == 1 && !first.previous_hash.is_empty());
    fail(&running).await;
    let status = running.until(NAME, |it| it.state() == State::ServingLastGood && it.generation == 2).await;
    assert!(status.reason.contains("quarantine: rolled back at "), "{}", status.reason);
    assert_eq!((status.history[0].r#type(), status.previous_hash.as_str()), (Type::RolledBack, ""));
    assert_eq!(write(&running, "BAD0").await.unwrap(), 0);
    assert!(running.host.capture(NAME, "", 16).unwrap().iter().all(|call| call.output.contains("ok")));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_word_stands_beside_the_files() {
    let (fixture, running) = started().await;
    running.host.operate(NAME, PluginOperation::Disable).await.unwrap();
    let file = fixture.file(NAME).with_extension("toml");
    fs::write(&file, "enabled = false").unwrap();
    fs::write(&file, "grants = [\"registry\"]").unwrap();
    // What lies there is looked at again before this serves.
    fixture.put("market-sanity", &component("market-sanity"));
    running.until("market-sanity", |it| it.state() == State::Serving).await;
    assert_eq!(running.status(NAME).state(), State::Disabled);
    running.host.operate(NAME, PluginOperation::Enable).await.unwrap();
    running.until(NAME, |it| it.state() == State::Serving).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_input_that_fails_again_and_again_takes_nothing_back() {
    let (fixture, running) = started().await;
    settings(&fixture, "does = \"trap\"\non = \"BAD\"", "");
    generation(&running, 2).await;
    for _ in 0..60 {
        assert!(write(&running, "BAD").await.is_err());
    }
    let status = running.status(NAME);
    assert_eq!((status.state(), status.generation), (State::Serving, 2));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_state_between_calls_or_fails_its_own_cases_does_not_serve() {
    let (fixture, running) = started().await;
    settings(&fixture, "does = \"remember\"", "");
    let refused = running.until(NAME, |it| it.state() == State::ServingLastGood).await;
    assert!(refused.reason.contains("state: validate: a plugin keeps nothing between calls"), "{}", refused.reason);

    let case = |output: Value| {
        json!([{
            "name": "a plain market", "export": "validate", "output": output,
            "input": [{"operation": "create", "entity_type": "market", "id": "x", "after": {"venue_symbol": "X"}}],
        }])
    };
    settings(&fixture, "", "# with cases");
    generation(&running, 2).await;
    let tests = fixture.file(NAME).with_extension("tests.json");
    fs::write(&tests, case(json!({"ok": [{"change": 0}]})).to_string()).unwrap();
    let refused = running.until(NAME, |it| it.reason.starts_with("cases: ")).await;
    assert!(refused.reason.contains(r#"a plain market: validate: expected {"ok":[{"change":0}]}, answered {"ok":[]}"#));
    fs::write(&tests, case(json!({"ok": []})).to_string()).unwrap();
    generation(&running, 3).await;
    fs::write(&tests, "[{}]").unwrap();
    running.until(NAME, |it| it.reason.contains("the file of tests beside it: missing field `name`")).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_asked_and_its_calls_are_captured() {
    let (_fixture, running) = started().await;
    let nothing = running.host.capture(NAME, "", 1).unwrap();
    assert!(nothing.is_empty());
    write(&running, "CAPTURED").await.unwrap();
    let captured = running.host.capture(NAME, "validate", 1).unwrap().remove(0);
    assert!(captured.case.contains("CAPTURED") && captured.output == r#"{"ok":[]}"#, "{captured:#?}");
    // What was captured can be asked again.
    let answer = running.host.evaluate(NAME, &captured.case).await.unwrap();
    assert_eq!((answer.output, answer.hash), (captured.output, captured.hash));
    for (case, says) in
        [("{", "EOF"), (r#"{"export": "parse", "input": []}"#, "only validate"), ("{}", "missing field")]
    {
        let refused = running.host.evaluate(NAME, case).await.unwrap_err();
        assert!(matches!(&refused, EvaluateError::Case(why) if why.contains(says)), "{refused:?}");
    }
    assert!(matches!(running.host.evaluate("nobody", "{}").await, Err(EvaluateError::NotFound)));
    assert_eq!(running.status(NAME).calls, 1, "nobody's calls are not counted");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_disables_enables_and_removes() {
    let mut fixture = Fixture::with(&["market-sanity", "require-tick"]);
    fixture.config.required = vec!["market-sanity".into()];
    let running = fixture.start().await;
    let operate = async |running: &Running, operation| running.host.operate("require-tick", operation).await;
    for operation in [PluginOperation::Disable, PluginOperation::Remove] {
        let refused = running.host.operate("market-sanity", operation).await;
        assert!(matches!(&refused, Err(OperateError::Refused(why)) if why.contains("plugins.required")), "{refused:?}");
    }
    assert!(matches!(running.host.operate("nobody", PluginOperation::Lift).await, Err(OperateError::NotFound)));

    operate(&running, PluginOperation::Disable).await.unwrap();
    assert_eq!(running.status("require-tick").state(), State::Disabled);
    assert_eq!(running.host.degraded(), None);
    running.stop().await;
    let running = fixture.start().await;
    assert_eq!(running.status("require-tick").state(), State::Disabled, "over restarts");
    operate(&running, PluginOperation::Enable).await.unwrap();
    running.until("require-tick", |it| it.state() == State::Serving).await;

    operate(&running, PluginOperation::Remove).await.unwrap();
    assert!(running.status("require-tick").name.is_empty() && !fixture.file("require-tick").exists());
    running.stop().await;
    let running = fixture.start().await;
    assert_eq!(running.host.list().len(), 1);

    // The one that is left can be removed as well, though its deletion alone would be an unmounted volume.
    running.stop().await;
    fixture.config.required.clear();
    let running = fixture.start().await;
    running.host.operate("market-sanity", PluginOperation::Remove).await.unwrap();
    assert!(running.host.list().is_empty());
    assert_eq!(running.host.degraded(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tries_again_what_serves() {
    let fixture = Fixture::with(&["market-sanity"]);
    let running = fixture.start().await;
    running.host.operate("market-sanity", PluginOperation::Reload).await.unwrap();
    running.until("market-sanity", |it| it.generation == 2 && it.state() == State::Serving).await;
    fixture.put("market-sanity", &component("core-module"));
    let refused = running.until("market-sanity", |it| it.state() == State::ServingLastGood).await;
    running.host.operate("market-sanity", PluginOperation::Reload).await.unwrap();
    let again = running.until("market-sanity", |it| it.history.len() > refused.history.len()).await;
    assert!(again.reason.starts_with("compile: "), "{}", again.reason);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_runs_has_its_place_though_its_caller_left() {
    let mut fixture = Fixture::with(&[NAME]);
    fixture.config.plugins.limits.setup.total = Duration::from_secs(2);
    settings(&fixture, "does = \"sleep\"\non = \"BAD\"", "");
    let running = fixture.start().await;
    write(&running, "GOOD").await.unwrap();
    let good = running.host.capture(NAME, "validate", 1).unwrap().remove(0).case;
    let sleeping = good.replace("GOOD", "BAD");
    let left = tokio::time::timeout(Duration::from_millis(200), running.host.evaluate(NAME, &sleeping)).await;
    assert!(left.is_err(), "{left:?}");
    let began = Instant::now();
    running.host.evaluate(NAME, &good).await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(1), "the second waited for the first: {:?}", began.elapsed());
    running.stop().await;
}
