//! Shadow replay: before a new generation serves, it is asked what the one before was asked, and its answers are compared.

mod ring;

use std::{sync::Arc, time::Duration};

use cqar_domain::time::Timestamp;
use cqar_proto::v1;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

pub(crate) use self::ring::{CallRing, RecordedCall};
use crate::{
    error::CallError,
    kinds::{Interfaces, case},
    monitor::CallMonitor,
    runtime::sandbox::{Purpose, Scope},
    text::clean,
};

/// A swap waits no longer for it.
const TIME: Duration = Duration::from_secs(2);
/// Changes that are shown, and how much of each.
const MAX_SHOWN: usize = 10;
const MAX_SHOWN_BYTES: usize = 2000;

/// What a replay found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replay {
    pub(crate) report: v1::ReplayReport,
    /// The calls with the new generation's answers, the newest first.
    pub(crate) answered: Vec<RecordedCall>,
}

/// Asks a new generation what was recorded, the newest calls first. What fails by no fault of the plugin's is inconclusive.
pub(crate) async fn replay(
    recorded: Vec<RecordedCall>,
    interfaces: &dyn Interfaces,
    monitor: &CallMonitor,
    now: Timestamp,
) -> Replay {
    let ends = Instant::now() + TIME;
    let mut replay = Replay::default();
    let report = &mut replay.report;
    for call in recorded {
        report.calls += 1;
        let at = call.input.now().unwrap_or(now);
        if Instant::now() >= ends {
            report.not_reached += 1;
            continue;
        }
        let scope = Scope { purpose: Purpose::Replay(Arc::from(call.input.lookups.as_slice())), ..Scope::at(at) };
        let Ok(answer) = timeout_at(ends, interfaces.evaluate(&call.input, scope)).await else {
            report.not_reached += 1;
            continue;
        };
        let is_inconclusive =
            |error: &CallError| matches!(error, CallError::Inconclusive) || !monitor.is_of_plugin(error);
        if answer.as_ref().err().is_some_and(is_inconclusive) {
            report.inconclusive += 1;
            continue;
        }
        let output = answer.unwrap_or_else(|error| failed(Some(&error)));
        if case::is_same(&call.input.export, &call.output, &output) {
            report.same += 1;
        } else {
            report.changed += 1;
            if report.changes.len() < MAX_SHOWN {
                report.changes.push(v1::ReplayChange {
                    export: call.input.export.clone(),
                    input: shown(&call.input.input),
                    before: shown(&call.output),
                    after: shown(&output),
                });
            }
        }
        replay.answered.push(RecordedCall::new(call.input, output));
    }
    replay
}

/// What a call was answered that failed.
pub(crate) fn failed(error: Option<&CallError>) -> Value {
    json!({"failed": error.map(CallError::kind)})
}

fn shown(value: &Value) -> String {
    let text = case::readable(value.clone()).to_string();
    let cut = clean(&text, MAX_SHOWN_BYTES);
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}
