//! What a call belongs to, as plugins read it.

use cqar_domain::{entity::Revision, id::VenueId, time::Timestamp};
use serde::Serialize;
use uuid::Uuid;

/// What a call belongs to: a write, a read or the relay.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// When it is made; also what the plugin's clock says.
    pub now: Timestamp,
    /// Who asks; empty where nobody in particular does.
    pub actor: String,
    /// The client's request id.
    pub request_id: Option<Uuid>,
    /// Whether nothing will be committed.
    pub validate_only: bool,
    /// The revision of the state that was read; 0 where there is none.
    pub revision: Revision,
    /// The venue that is asked about, where there is one.
    pub venue: Option<VenueId>,
    /// The instant that is asked about, where that is not now.
    pub as_of: Option<Timestamp>,
}

impl CallContext {
    /// A call of nobody in particular.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            actor: String::new(),
            request_id: None,
            validate_only: false,
            revision: 0,
            venue: None,
            as_of: None,
        }
    }

    /// The document that every call of a kind's own interface begins with.
    pub(crate) fn document(&self) -> String {
        self.write("")
    }

    /// The document of a transform, which also says what every subject begins with.
    pub(crate) fn document_with_prefix(&self, subject_prefix: &str) -> String {
        self.write(subject_prefix)
    }

    fn write(&self, subject_prefix: &str) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            now: String,
            actor: &'a str,
            request_id: String,
            validate_only: bool,
            revision: Revision,
            #[serde(skip_serializing_if = "Option::is_none")]
            venue: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            as_of: Option<String>,
            #[serde(skip_serializing_if = "str::is_empty")]
            subject_prefix: &'a str,
        }
        cqar_proto::document::json(&Document {
            now: self.now.to_string(),
            actor: &self.actor,
            request_id: self.request_id.map(|id| id.to_string()).unwrap_or_default(),
            validate_only: self.validate_only,
            revision: self.revision,
            venue: self.venue.as_ref().map(VenueId::as_str),
            as_of: self.as_of.map(|at| at.to_string()),
            subject_prefix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_what_it_belongs_to_and_nothing_that_it_has_not() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let bare = r#"{"now":"2026-01-01T00:00:00Z","actor":"","request_id":"","validate_only":false,"revision":0}"#;
        assert_eq!(CallContext::at(now).document(), bare);
        let context = CallContext { venue: "binance".parse().ok(), as_of: Some(now), ..CallContext::at(now) };
        let said = r#""venue":"binance","as_of":"2026-01-01T00:00:00Z"}"#;
        assert!(context.document().ends_with(said), "{}", context.document());
        assert!(context.document_with_prefix("cqc").ends_with(r#","subject_prefix":"cqc"}"#));
    }
}
