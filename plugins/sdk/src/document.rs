//! Reading the registry's documents: the proto3 JSON of `cqar.v1` with proto field names.
//!
//! A plugin names the fields that it reads in a struct of its own, with `#[serde(default)]`, since proto3 JSON leaves
//! out what is not set, and ignores all others, so that a new field of the registry breaks no plugin.

use serde::Deserialize;

use crate::plugin::Failure;

/// Reads a document, or fails the call: what a rule cannot read it must not pass.
pub fn read<'a, T: Deserialize<'a>>(document: &'a str) -> Result<T, Failure> {
    let unreadable = |message: String| Failure { code: "UNREADABLE_DOCUMENT".to_owned(), message, retryable: false };
    if !is_object(document) {
        return Err(unreadable("a document is one JSON object".to_owned()));
    }
    serde_json::from_str(document).map_err(|error| unreadable(error.to_string()))
}

/// Serde reads a struct from an array too, and with defaults even from an empty one, which says nothing of its fields.
pub(crate) fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Named {
        name: String,
    }

    #[test]
    fn a_document_is_an_object_of_which_unknown_fields_are_ignored() {
        assert_eq!(read::<Named>(r#" {"name": "a", "more": 1}"#).unwrap().name, "a");
        assert_eq!(read::<Named>("{}").unwrap().name, "");
        for bad in ["", "[]", "null", "{", r#"{"name": 1}"#] {
            assert_eq!(read::<Named>(bad).unwrap_err().code, "UNREADABLE_DOCUMENT", "{bad}");
        }
    }
}
