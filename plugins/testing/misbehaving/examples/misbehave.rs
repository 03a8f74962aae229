//! A validator that is well-behaved until a market's symbol asks for the opposite.
//!
//! | the symbol contains | and it |
//! |---|---|
//! | `SLEEP` | sleeps for ten minutes |
//! | `EAT` | allocates without end |
//! | `TRAP` | panics |
//! | `LOOP` | computes without end |
//! | `INDEX` | finds something in a change that was not sent |
//! | `FLOOD` | answers 100 MB of findings |
//! | `STDERR` | writes 16 MiB to standard error, then panics |
//! | `FAIL` | fails, and says to try again |
//!
//! It implements the bare exports: what the traits of the SDK allow is not wrong enough.

use std::io::Write;

use cqar_plugin_validator::{
    bindings::exports::cqar::plugin::{
        lifecycle,
        validator::{self, Change, Finding},
    },
    document,
    plugin::{Failure, Problem},
};
use serde::Deserialize;

/// The validator.
pub struct Misbehave;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Market {
    venue_symbol: String,
}

impl lifecycle::Guest for Misbehave {
    fn describe() -> String {
        serde_json::json!({
            "name": "misbehave", "version": env!("CARGO_PKG_VERSION"), "kind": "validator",
            "description": "Does what a market's symbol asks for.",
            "subscriptions": ["market"], "grants": [], "settings_schema": {"type": "object"},
        })
        .to_string()
    }

    fn configure(_: String) -> Result<(), Vec<Problem>> {
        Ok(())
    }
}

impl validator::Guest for Misbehave {
    fn validate(_: String, changes: Vec<Change>) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        for after in changes.iter().filter_map(|change| change.after.as_deref()) {
            let market: Market = document::read(after)?;
            misbehave(&market.venue_symbol, &mut findings)?;
        }
        Ok(findings)
    }
}

#[expect(clippy::panic, reason = "the host must survive it")]
fn misbehave(symbol: &str, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let asked = |marker| symbol.contains(marker);
    if asked("SLEEP") {
        std::thread::sleep(std::time::Duration::from_mins(10));
    }
    if asked("EAT") {
        let mut eaten: Vec<Vec<u8>> = Vec::new();
        loop {
            eaten.push(vec![1; 1 << 20]);
            std::hint::black_box(&eaten);
        }
    }
    assert!(!asked("TRAP"), "told to trap by {symbol}");
    if asked("LOOP") {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
    if asked("STDERR") {
        let line = [b'x'; 1023];
        for _ in 0..16 * 1024 {
            // Whether the host takes it all is the host's business.
            let _ = std::io::stderr().write_all(&line).and_then(|()| std::io::stderr().write_all(b"\n"));
        }
        panic!("the end of a long story");
    }
    if asked("INDEX") {
        findings.push(finding(u32::MAX, "of a change that was not sent"));
    }
    if asked("FLOOD") {
        let megabyte = "x".repeat(1 << 20);
        findings.extend((0..100).map(|_| finding(0, &megabyte)));
    }
    if asked("FAIL") {
        let message = format!("told to fail by {symbol}");
        return Err(Failure { code: "TOLD_TO_FAIL".to_owned(), message, retryable: true });
    }
    Ok(())
}

fn finding(change: u32, message: &str) -> Finding {
    Finding {
        change,
        severity: "warning".to_owned(),
        path: "venue_symbol".to_owned(),
        code: "MISBEHAVIOUR".to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(target_family = "wasm")]
cqar_plugin_validator::bindings::export!(Misbehave with_types_in cqar_plugin_validator::bindings);
