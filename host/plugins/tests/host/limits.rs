//! Calls that sleep, loop, eat, trap and flood end within their limits, and disturb nobody else.

use std::time::{Duration, Instant};

use cqar_plugins::{CallContext, ValidateError};
use cqar_proto::v1::plugin::State;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, Running, context, market};

async fn misbehave(running: &Running, symbol: &str) -> String {
    let judged = running.host.snapshot().validate(&context(), [market(symbol)].into()).await;
    match judged {
        Err(ValidateError::Failed { plugin, reason }) => {
            assert_eq!(plugin, "misbehave");
            reason
        }
        other => panic!("{symbol}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_well_fails_closed_with_its_reason() {
    let mut fixture = Fixture::with(&["misbehave"]);
    fixture.config.plugins.limits.call.total = Duration::from_secs(2);
    let running = fixture.start().await;
    let cases = [
        ("SLEEP", "took longer than 2000 ms in all"),
        ("LOOP", "took longer than 250 ms to compute"),
        ("EAT", "needed more than 64 MiB of memory"),
        ("TRAP", "told to trap by TRAP"),
        ("INDEX", "gave an answer that is none: a finding in change 4294967295 of 1"),
        ("FLOOD", "needed more than 64 MiB of memory"),
        ("STDERR", "the end of a long story"),
        ("FAIL", "failed: TOLD_TO_FAIL: told to fail by FAIL"),
    ];
    for (symbol, expected) in cases {
        let started = Instant::now();
        let reason = misbehave(&running, symbol).await;
        assert!(reason.contains(expected), "{symbol}: {reason}");
        assert!(reason.len() < 4000 && started.elapsed() < Duration::from_secs(3), "{symbol}: {reason}");
        running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await.unwrap();
    }
    let status = running.status("misbehave");
    assert_eq!((status.state(), status.failed_calls, status.calls), (State::Serving, 8, 16));
    assert!(status.last_failure.starts_with("validate failed: TOLD_TO_FAIL"), "{}", status.last_failure);
    assert_eq!(running.metric("cqar_plugin_errors_total", &[("kind", "deadline")]), "1");
    assert_eq!(running.metric("cqar_plugin_errors_total", &[("kind", "timeout")]), "1");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_not_taken_in() {
    let mut fixture = Fixture::with(&["misbehave"]);
    fixture.config.plugins.limits.memory_bytes = 256 << 20;
    fixture.config.plugins.limits.call.guest = Duration::from_secs(5);
    let running = fixture.start().await;
    let reason = misbehave(&running, "FLOOD").await;
    assert!(reason.contains("fuel allocated for hostcalls has been exhausted"), "{reason}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_plugins_answer_while_one_misbehaves() {
    let mut fixture = Fixture::with(&["misbehave", "symbology-binance"]);
    fixture.config.plugins.limits.call.guest = Duration::from_secs(1);
    fixture.config.plugins.limits.call.total = Duration::from_secs(2);
    let running = fixture.start().await;
    let symbology = running.host.snapshot().symbology("symbology-binance").unwrap();
    let query = || vec![cqar_plugins::Query { symbol: "BTCUSDT".into(), segment: Some("spot".into()) }];

    let mut misbehaving = JoinSet::new();
    for symbol in ["LOOP", "SLEEP", "EAT", "LOOP", "FLOOD", "LOOP"] {
        let plugins = running.host.snapshot();
        misbehaving.spawn(async move { plugins.validate(&context(), [market(symbol)].into()).await.is_err() });
    }
    let mut slowest = Duration::ZERO;
    let mut calls = 0;
    while !misbehaving.is_empty() {
        let started = Instant::now();
        symbology.parse(&CallContext::at(crate::fixture::now()), query()).await.pop().unwrap().unwrap();
        slowest = slowest.max(started.elapsed());
        calls += 1;
        // The worker is to be shared with those that loop.
        tokio::task::yield_now().await;
        while let Some(ended) = misbehaving.try_join_next() {
            assert!(ended.unwrap());
        }
    }
    println!("{calls} calls beside three loops, a sleeper, an eater and a flood; the slowest took {slowest:?}");
    assert!(calls > 20 && slowest < Duration::from_millis(500), "{calls} calls, the slowest {slowest:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_places_wait_and_then_fail_as_busy() {
    let mut fixture = Fixture::with(&["misbehave"]);
    fixture.config.plugins.limits.concurrency = 1;
    fixture.config.plugins.limits.call.total = Duration::from_secs(2);
    fixture.config.plugins.limits.queue_timeout = Duration::from_millis(50);
    let running = fixture.start().await;
    let plugins = running.host.snapshot();
    let sleeping = tokio::spawn(async move { plugins.validate(&context(), [market("SLEEP")].into()).await });
    // The one place is taken as soon as this fails.
    let busy = async {
        loop {
            let judged = running.host.snapshot().validate(&context(), [market("BTCUSDT")].into()).await;
            if let Err(error) = judged {
                return error.to_string();
            }
            tokio::task::yield_now().await;
        }
    };
    let busy = tokio::time::timeout(Duration::from_secs(2), busy).await.unwrap();
    assert_eq!(busy, "the plugin misbehave was busy for longer than 50 ms");
    assert!(sleeping.await.unwrap().is_err());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_client_does_not_cut_a_call_short() {
    let fixture = Fixture::with(&["misbehave"]);
    let running = fixture.start().await;
    let plugins = running.host.snapshot();
    let cancelled =
        tokio::time::timeout(Duration::from_millis(20), plugins.validate(&context(), [market("LOOP")].into())).await;
    assert!(cancelled.is_err());
    // The call goes on to its deadline, and is counted.
    running.stop_after(|status| status.failed_calls == 1, "misbehave").await;
}
