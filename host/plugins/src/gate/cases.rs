//! The cases that a component ships with, in its custom section `cqar:tests` or in `<name>.tests.json`: an array of calls with the
//! answers that are right.

use std::{fs, io};

use serde::Deserialize;
use serde_json::{Map, Value};
use wasmparser::{Parser, Payload};

use crate::{generation_store::ComponentFile, kinds::case::CaseInput, runtime::lookups::RecordedLookup};

/// The section's name.
const SECTION: &str = "cqar:tests";
/// A rule has a handful, a venue one for each form of its symbols.
const MAX_CASES: usize = 1000;

/// A call, and its right answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    export: String,
    #[serde(default)]
    call: Map<String, Value>,
    input: Value,
    #[serde(default)]
    lookups: Vec<RecordedLookup>,
    /// `{"ok": …}`, or `{"err": …}`.
    pub(super) output: Value,
}

impl Case {
    pub(super) fn input(&self) -> CaseInput {
        let Self { export, call, input, lookups, .. } = self.clone();
        CaseInput { export, call, input, lookups }
    }
}

/// Reads cases; the error says where what is wrong.
pub(super) fn read(text: &str) -> Result<Vec<Case>, String> {
    let cases: Vec<Case> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if cases.len() > MAX_CASES {
        return Err(format!("{} cases, and {MAX_CASES} are allowed", cases.len()));
    }
    Ok(cases)
}

/// The text of a component's own section; None if it has none.
pub(super) fn section(component: &ComponentFile) -> io::Result<Option<Vec<u8>>> {
    let bytes = fs::read(component.path())?;
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.map_err(io::Error::other)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                return Ok(Some(section.data().to_vec()));
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_a_call_with_its_answer() {
        let text = r#"[{"name": "spot", "export": "parse", "input": [{"symbol": "BTCUSDT"}], "output": {"ok": []}}]"#;
        let cases = read(text).unwrap();
        assert_eq!((cases[0].name.as_str(), cases[0].input().export.as_str()), ("spot", "parse"));
        assert!(read(&text.replace("output", "expected")).unwrap_err().contains("expected"));
    }
}
