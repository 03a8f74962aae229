//! The context that every call of a kind's own interface begins with.

use serde::Deserialize;

/// What a call belongs to. Keys may be added; what a call has not is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Call {
    /// The time of the call, RFC 3339.
    pub now: String,
    /// Who asks; empty where nobody in particular does.
    pub actor: String,
    /// The client's request id, if it gave one.
    pub request_id: String,
    /// Whether nothing will be committed.
    pub validate_only: bool,
    /// The revision of the state that is judged; 0 where there is none.
    pub revision: i64,
    /// The id of the venue, where there is one.
    pub venue: String,
    /// The time that is asked about, RFC 3339; empty for now.
    pub as_of: String,
    /// What every subject of the bus begins with, for transforms: `cqc.events.v1`.
    pub subject_prefix: String,
}

impl Call {
    /// The time that is asked about: `as_of`, or now.
    pub fn at(&self) -> &str {
        if self.as_of.is_empty() { &self.now } else { &self.as_of }
    }
}
