//! A validator that does what its settings ask for; the crate `hostile` says what that can be. It implements the bare exports,
//! since what the traits of the SDK allow is not wrong enough.

use cqar_plugin_validator::{
    bindings::exports::cqar::plugin::{
        lifecycle,
        validator::{self, Change, Finding},
    },
    plugin::{Failure, Problem},
};
use hostile::{Answer, Answers, Export, texts};

/// The validator.
pub struct HostileValidator;

const ANSWERS: &Answers = &[(
    Export::Validate,
    &[Answer::Remember, Answer::LargeAnswer, Answer::Findings, Answer::WrongNumber, Answer::ControlCharacters],
)];

impl lifecycle::Guest for HostileValidator {
    fn describe() -> String {
        serde_json::json!({
            "name": "hostile-validator", "version": env!("CARGO_PKG_VERSION"), "kind": "validator",
            "description": "Does what its settings ask for.",
            "subscriptions": ["market", "asset"], "grants": ["registry"], "settings_schema": {"type": "object"},
        })
        .to_string()
    }

    fn configure(settings: String) -> Result<(), Vec<Problem>> {
        hostile::configure(&settings, ANSWERS)
    }
}

impl validator::Guest for HostileValidator {
    fn validate(_: String, changes: Vec<Change>) -> Result<Vec<Finding>, Failure> {
        let input = changes.iter().flat_map(|change| [change.after.as_deref().unwrap_or_default(), &change.id]);
        let answer = hostile::call(Export::Validate, input)?;
        let indices = (0..).zip(&changes).map(|(index, _)| index);
        Ok(match answer {
            Some(Answer::Remember) => vec![warning(0, &hostile::calls().to_string())],
            Some(Answer::LargeAnswer) => indices.map(|index| warning(index, &texts::large())).collect(),
            Some(Answer::Findings) => indices.map(|index| warning(index, "told to find something")).collect(),
            Some(Answer::WrongNumber) => {
                let after_the_last = u32::try_from(changes.len()).unwrap_or(u32::MAX);
                vec![warning(after_the_last, "of a change that was not sent")]
            }
            Some(Answer::ControlCharacters) => indices.map(control_characters).collect(),
            _ => Vec::new(),
        })
    }
}

fn warning(change: u32, message: &str) -> Finding {
    Finding {
        change,
        severity: "warning".to_owned(),
        path: "id".to_owned(),
        code: "HOSTILE".to_owned(),
        message: message.to_owned(),
    }
}

fn control_characters(change: u32) -> Finding {
    let Problem { path, code, message } = texts::control_characters_problem();
    Finding { path, code, ..warning(change, &message) }
}

#[cfg(target_family = "wasm")]
cqar_plugin_validator::bindings::export!(HostileValidator with_types_in cqar_plugin_validator::bindings);
