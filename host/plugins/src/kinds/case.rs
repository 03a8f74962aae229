//! A call as JSON: how samples, a plugin's own test cases, captured calls and dry runs are written.
//!
//! ```json
//! {"export": "validate", "call": {"now": "2026-01-01T00:00:00Z", "actor": "me"}, "input": […], "lookups": […]}
//! ```
//!
//! Records have the names of the WIT with `_` for `-`, variants are objects of one key (`{"one": {…}}`), documents are the strings
//! that they are in the WIT or, in what is read, objects.

use cqar_domain::time::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{context::CallContext, error::CallError, runtime::lookups::RecordedLookup, text::clean};

/// What a plugin is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseInput {
    /// The exported function, as the WIT names it.
    pub(crate) export: String,
    /// The document that the call begins with. What it does not say is as in a call of nobody in particular.
    #[serde(default)]
    pub(crate) call: Map<String, Value>,
    /// The function's other argument.
    pub(crate) input: Value,
    /// Look-ups with their answers. Where none are given, the registry answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lookups: Vec<RecordedLookup>,
}

impl CaseInput {
    /// The context document; `now` is when the call is made, unless the case says otherwise.
    pub(crate) fn context(&self, now: Timestamp) -> String {
        let mut document: Map<String, Value> =
            serde_json::from_str(&CallContext::at(now).document()).unwrap_or_default();
        document.extend(self.call.clone());
        Value::Object(document).to_string()
    }

    /// When the call was made, if the case says so.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.call.get("now")?.as_str()?.parse().ok()
    }

    /// The input, as what the export takes.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_value(self.input.clone())
            .map_err(|error| CallError::Case(format!("input: {}", clean(&error.to_string(), 200))))
    }

    /// No export of this kind has this name.
    pub(crate) fn unknown_export(&self, exports: &[&str]) -> CallError {
        let (export, exports) = (clean(&self.export, 64), exports.join(", "));
        CallError::Case(format!("export: there is no {export:?}, only {exports}"))
    }
}

/// What an exported function returned, as JSON. `answers_variants` where the texts in its list are names of variants.
pub(crate) fn output<T: Serialize, E: Serialize>(returned: &Result<T, E>, answers_variants: bool) -> Value {
    let value = match returned {
        Ok(answer) => serde_json::to_value(answer).map(|answer| ("ok", answer)),
        Err(failure) => serde_json::to_value(failure).map(|failure| ("err", failure)),
    };
    // What came out of a component holds no value that JSON cannot express.
    let (key, mut value) = value.unwrap_or(("err", Value::Null));
    lower_variants(&mut value);
    if let (true, Value::Array(items)) = (answers_variants, &mut value) {
        for item in items {
            if let Value::String(name) = item {
                *name = name.to_lowercase();
            }
        }
    }
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

/// Variants are named in Rust as types are. Documents are strings, so that an object of one capital key is a variant.
fn lower_variants(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(lower_variants),
        Value::Object(fields) => {
            let variant = fields.keys().next().filter(|key| fields.len() == 1 && key.starts_with(char::is_uppercase));
            if let Some(name) = variant.cloned()
                && let Some(inner) = fields.remove(&name)
            {
                fields.insert(name.to_lowercase(), inner);
            }
            fields.values_mut().for_each(lower_variants);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether two outputs of a function are the same: findings as sets, documents by value.
pub(crate) fn is_same(export: &str, one: &Value, other: &Value) -> bool {
    normal(export, one.clone()) == normal(export, other.clone())
}

fn normal(export: &str, mut output: Value) -> Value {
    if let Some(findings) = output.get_mut("ok").and_then(Value::as_array_mut).filter(|_| export == "validate") {
        findings.sort_by_cached_key(Value::to_string);
        findings.dedup();
    }
    read_documents(&mut output);
    output
}

/// With documents as the objects that they are.
pub(crate) fn readable(mut value: Value) -> Value {
    read_documents(&mut value);
    value
}

/// A text that is an object counts as that object.
fn read_documents(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(read_documents),
        Value::Object(fields) => fields.values_mut().for_each(read_documents),
        Value::String(text) if text.starts_with('{') => {
            if let Ok(document) = serde_json::from_str::<Map<String, Value>>(text) {
                *value = Value::Object(document);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A document in a case: written as text, or as the object that it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum DocumentValue {
    Text(String),
    Object(Map<String, Value>),
}

impl From<DocumentValue> for String {
    fn from(value: DocumentValue) -> Self {
        match value {
            DocumentValue::Text(text) => text,
            DocumentValue::Object(fields) => Value::Object(fields).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Parsed {
        One { base: String },
        Unknown(String),
    }

    #[test]
    fn variants_are_named_as_in_the_wit_and_texts_are_left_alone() {
        let answer = vec![Parsed::One { base: "Pass".into() }, Parsed::Unknown("Unknown".into())];
        let written = output(&Ok::<_, ()>(answer), false);
        assert_eq!(written, json!({"ok": [{"one": {"base": "Pass"}}, {"unknown": "Unknown"}]}));
    }

    #[test]
    fn findings_compare_as_sets_and_documents_by_value() {
        let (a, b) = (json!({"code": "A"}), json!({"code": "B"}));
        assert!(is_same("validate", &json!({"ok": [a, b]}), &json!({"ok": [b, a, b]})));
        assert!(!is_same("validate", &json!({"ok": [a]}), &json!({"ok": [a, b]})));
        assert!(!is_same("parse", &json!({"ok": [a, b]}), &json!({"ok": [b, a]})));
        let (one, other) = (json!({"ok": [r#"{"x": 1, "y": 2}"#]}), json!({"ok": [r#"{"y":2,"x":1}"#]}));
        assert!(is_same("read-listing", &one, &other));
    }

    #[test]
    fn a_case_that_is_misspelt_says_where() {
        let misspelt = serde_json::from_value::<CaseInput>(json!({"export": "parse", "inputs": []})).unwrap_err();
        assert!(misspelt.to_string().contains("inputs"), "{misspelt}");
        let case = CaseInput { export: "pars".into(), ..CaseInput::default() };
        assert!(case.unknown_export(&["parse", "format"]).to_string().contains("only parse, format"));
    }
}
