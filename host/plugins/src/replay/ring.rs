//! The last calls of a plugin with what they were answered, to ask a new generation the same.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::kinds::case::CaseInput;

/// Calls, and their bytes, that are kept. What is larger than a quarter of it alone is not.
const MAX_CALLS: usize = 256;
const MAX_BYTES: usize = 8 << 20;
/// A ring that is full, or was given what is too large, takes in one call in this time: writing a call down costs some of what making it costs.
const BETWEEN_CALLS: Duration = Duration::from_millis(10);

/// A call that was made, and what it was answered.
#[derive(Debug, Clone)]
pub(crate) struct RecordedCall {
    pub(crate) input: CaseInput,
    pub(crate) output: Value,
    bytes: usize,
}

impl RecordedCall {
    pub(crate) fn new(input: CaseInput, output: Value) -> Self {
        let text = |value: &Value| value.to_string().len();
        let of_lookups = serde_json::to_string(&input.lookups).map_or(0, |text| text.len());
        let bytes = text(&input.input) + text(&output) + of_lookups;
        Self { input, output, bytes }
    }
}

/// The ring of one generation. A new one begins with what the one before was asked, and its own answers.
#[derive(Debug, Default)]
pub(crate) struct CallRing(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    oldest_first: VecDeque<RecordedCall>,
    bytes: usize,
    taken_in: Option<Instant>,
    /// Whether the last call was too large to be kept.
    was_large: bool,
}

impl CallRing {
    /// Whether the next call is to be taken in.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let calls = self.0.lock();
        let is_costly = calls.was_large || calls.oldest_first.len() >= MAX_CALLS || calls.bytes >= MAX_BYTES / 2;
        !is_costly || calls.taken_in.is_none_or(|before| now.duration_since(before) >= BETWEEN_CALLS)
    }

    /// Takes a call in, in place of the oldest.
    pub(crate) fn push(&self, call: RecordedCall, now: Instant) {
        let mut calls = self.0.lock();
        calls.taken_in = Some(now);
        calls.was_large = call.bytes > MAX_BYTES / 4;
        if calls.was_large {
            return;
        }
        calls.bytes += call.bytes;
        calls.oldest_first.push_back(call);
        while calls.oldest_first.len() > MAX_CALLS || calls.bytes > MAX_BYTES {
            let Some(oldest) = calls.oldest_first.pop_front() else { break };
            calls.bytes -= oldest.bytes;
        }
    }

    /// The calls, the newest first.
    pub(crate) fn calls(&self) -> Vec<RecordedCall> {
        self.0.lock().oldest_first.iter().rev().cloned().collect()
    }

    /// Puts these in place of all, the newest first.
    pub(crate) fn replace(&self, newest_first: Vec<RecordedCall>) {
        let mut calls = self.0.lock();
        calls.bytes = newest_first.iter().map(|call| call.bytes).sum();
        calls.oldest_first = newest_first.into_iter().rev().collect();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(number: usize, bytes: usize) -> RecordedCall {
        let input = CaseInput { export: "validate".into(), input: json!([number]), ..CaseInput::default() };
        RecordedCall::new(input, json!({"ok": "x".repeat(bytes)}))
    }

    #[test]
    fn a_ring_is_bounded_in_calls_and_in_bytes_and_keeps_the_newest() {
        let ring = CallRing::default();
        let now = Instant::now();
        (0..300).for_each(|number| ring.push(call(number, 10), now));
        let calls = ring.calls();
        assert_eq!((calls.len(), calls[0].input.input.clone()), (256, json!([299])));
        (0..20).for_each(|number| ring.push(call(number, 1 << 20), now));
        let bytes: usize = ring.calls().iter().map(|call| call.bytes).sum();
        assert!(bytes <= MAX_BYTES && ring.calls().len() < 9, "{bytes}");
        ring.push(call(1000, 3 << 20), now);
        assert_ne!(ring.calls()[0].input.input, json!([1000]), "one alone does not push out all others");
    }

    #[test]
    fn a_full_ring_takes_in_some_of_the_calls() {
        let ring = CallRing::default();
        let now = Instant::now();
        (0..255).for_each(|number| ring.push(call(number, 10), now));
        assert!(ring.is_due(now));
        ring.push(call(255, 10), now);
        assert!(!ring.is_due(now) && ring.is_due(now + BETWEEN_CALLS));
    }
}
