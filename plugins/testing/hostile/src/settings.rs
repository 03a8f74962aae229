//! What the settings may ask for.

use cqar_plugin_sdk::plugin::{Problem, problem};
use serde::Deserialize;

use crate::Answers;

/// An export, as the WIT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "named as in the WIT")]
pub enum Export {
    Configure,
    Validate,
    Parse,
    Format,
    NormalizeAssets,
    ReadListing,
    Transform,
}

/// What a call does before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table of the crate says what each does")]
pub enum Effect {
    Loop,
    Eat,
    Recurse,
    Trap,
    Fail,
    FailRetryable,
    FailControlCharacters,
    Sleep,
    File,
    Socket,
    Print,
    CountTraps,
    LogFlood,
    LookupFlood,
}

/// What is wrong with what a call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table of the crate says what each is")]
pub enum Answer {
    Remember,
    LargeAnswer,
    LargeKind,
    LargeExtra,
    ManyExtra,
    ManyParts,
    MillionCoverages,
    MillionRejected,
    MillionMarkets,
    Findings,
    WrongNumber,
    ControlCharacters,
}

/// The two kinds of behaviour; their words differ.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum Does {
    Effect(Effect),
    Answer(Answer),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    does: Option<Does>,
    #[serde(rename = "in")]
    export: Option<Export>,
    on: Option<String>,
}

/// A behaviour, and when it is due.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) does: Does,
    pub(crate) export: Export,
    on: Option<String>,
}

impl Behaviour {
    /// Whether one of the texts is the one that it waits for.
    pub(crate) fn is_due<T: AsRef<str>>(&self, input: impl IntoIterator<Item = T>) -> bool {
        let Some(on) = &self.on else { return true };
        input.into_iter().any(|text| text.as_ref().contains(on))
    }
}

/// The behaviour that is asked for, if one is. One that the export does not have is refused.
pub(crate) fn read(
    settings: &str,
    answers: &Answers,
    of_configure: &[Answer],
) -> Result<Option<Behaviour>, Vec<Problem>> {
    let refuse = |path: &str, message: String| vec![problem(path, "INVALID_SETTING", message)];
    let settings: Settings = serde_json::from_str(settings).map_err(|error| refuse("", error.to_string()))?;
    let Some(does) = settings.does else { return Ok(None) };
    let main = answers.first().map(|(export, _)| *export);
    let export = settings.export.or(main).unwrap_or(Export::Configure);
    let possible = if export == Export::Configure {
        Some(of_configure)
    } else {
        answers.iter().find(|(of, _)| *of == export).map(|(_, possible)| *possible)
    };
    let Some(possible) = possible else { return Err(refuse("in", format!("this kind does not export {export:?}"))) };
    if let Does::Answer(answer) = does
        && !possible.contains(&answer)
    {
        return Err(refuse("does", format!("{export:?} does not answer {answer:?}")));
    }
    Ok(Some(Behaviour { does, export, on: settings.on }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &Answers = &[(Export::Parse, &[Answer::LargeKind]), (Export::Format, &[])];

    fn behaviour(settings: &str) -> Result<Option<Behaviour>, Vec<Problem>> {
        read(settings, ANSWERS, &[])
    }

    #[test]
    fn a_behaviour_is_due_where_the_input_contains_its_text() {
        let due = |settings: &str| behaviour(settings).unwrap().unwrap().is_due(["BTC-USD", "ETH-USD"]);
        assert!(due(r#"{"does": "loop"}"#));
        assert!(due(r#"{"does": "large-kind", "in": "parse", "on": "ETH"}"#));
        assert!(!due(r#"{"does": "count-traps", "in": "format", "on": "XRP"}"#));
    }

    #[test]
    fn without_a_behaviour_there_is_none() {
        assert!(behaviour("{}").unwrap().is_none());
    }

    #[test]
    fn what_an_export_cannot_do_is_refused() {
        for (settings, path) in [
            (r#"{"does": "lop"}"#, ""),
            (r#"{"does": "loop", "when": "now"}"#, ""),
            (r#"{"does": "loop", "in": "validate"}"#, "in"),
            (r#"{"does": "large-kind", "in": "format"}"#, "does"),
            (r#"{"does": "large-kind", "in": "configure"}"#, "does"),
        ] {
            assert_eq!(behaviour(settings).unwrap_err()[0].path, path, "{settings}");
        }
    }
}
