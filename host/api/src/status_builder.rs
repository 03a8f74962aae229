//! A status with typed details (AIP-193), small enough for the headers that carry it.

use std::{collections::HashMap, fmt::Display, time::Duration};

use cqar_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

/// The domain of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "cqar";
/// A status travels in headers, and many clients take 8 KiB of them at most. The details hold the message once more, and
/// grow by a third in base64; the message itself grows threefold where it is percent-encoded.
const MAX_DETAILS_BYTES: usize = 3000;
const MAX_MESSAGE_BYTES: usize = 400;
/// No single text takes the place of all others.
const MAX_TEXT_BYTES: usize = 256;
const MAX_VIOLATIONS: usize = 50;

/// Why a call is refused, to be made a [`Status`]. Texts that would be too long are cut, and violations that would be
/// too many are counted instead.
#[derive(Debug)]
pub(crate) struct StatusBuilder {
    code: Code,
    reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
    bytes_left: usize,
    shown: usize,
    fields_left_out: usize,
    preconditions_left_out: usize,
}

impl StatusBuilder {
    /// A refusal. The reason is for programs, the message for people.
    pub(crate) fn new(code: Code, reason: ErrorReason, message: impl Display) -> Self {
        Self {
            code,
            reason,
            message: cut(message.to_string(), MAX_MESSAGE_BYTES),
            metadata: HashMap::new(),
            details: ErrorDetails::new(),
            bytes_left: MAX_DETAILS_BYTES,
            shown: 0,
            fields_left_out: 0,
            preconditions_left_out: 0,
        }
    }

    /// Something about it, for programs.
    pub(crate) fn with(mut self, key: impl Into<String>, value: impl Display) -> Self {
        let (key, value) = (key.into(), cut(value.to_string(), MAX_TEXT_BYTES));
        if self.pays_for(key.len() + value.len()) {
            self.metadata.insert(key, value);
        }
        self
    }

    /// A field of the request that is wrong.
    pub(crate) fn with_field(mut self, field: &str, description: impl Display) -> Self {
        let (field, description) =
            (cut(field.to_owned(), MAX_TEXT_BYTES), cut(description.to_string(), MAX_TEXT_BYTES));
        if self.has_room(field.len() + description.len()) {
            self.details.add_bad_request_violation(field, description);
        } else {
            self.fields_left_out += 1;
        }
        self
    }

    /// Something that stands in the way. Its type is the reason.
    pub(crate) fn with_precondition(mut self, subject: impl Display, description: impl Display) -> Self {
        let (subject, description) =
            (cut(subject.to_string(), MAX_TEXT_BYTES), cut(description.to_string(), MAX_TEXT_BYTES));
        if self.has_room(self.reason.as_str_name().len() + subject.len() + description.len()) {
            self.details.add_precondition_failure_violation(self.reason.as_str_name(), subject, description);
        } else {
            self.preconditions_left_out += 1;
        }
        self
    }

    /// What it is about.
    pub(crate) fn with_resource(mut self, resource_type: &str, name: impl Display) -> Self {
        let name = cut(name.to_string(), MAX_TEXT_BYTES);
        if self.pays_for(resource_type.len() + name.len()) {
            self.details.set_resource_info(resource_type, name, "", "");
        }
        self
    }

    /// When a repetition of the call may do better.
    pub(crate) fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// The status.
    pub(crate) fn into_status(mut self) -> Status {
        if let n @ 1.. = self.fields_left_out {
            let more = FieldViolation::new("", format!("and {n} more"));
            self.details.add_bad_request_violation(more.field, more.description);
        }
        if let n @ 1.. = self.preconditions_left_out {
            let more = PreconditionViolation::new(self.reason.as_str_name(), "", format!("and {n} more"));
            self.details.add_precondition_failure_violation(more.r#type, more.subject, more.description);
        }
        self.details.set_error_info(self.reason.as_str_name(), DOMAIN, self.metadata);
        Status::with_error_details(self.code, self.message, self.details)
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let has_room = self.shown < MAX_VIOLATIONS && self.pays_for(bytes);
        self.shown += usize::from(has_room);
        has_room
    }

    fn pays_for(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(self.bytes_left);
        left.is_some()
    }
}

/// The text, or as much of it as fits with a sign that more was there.
fn cut(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_bytes(status: &Status) -> usize {
        let response = status.clone().into_http::<()>();
        // RFC 9113 §6.5.2 counts 32 bytes more for each header.
        response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
    }

    #[test]
    fn a_status_says_why_for_programs_and_for_people() {
        let status = StatusBuilder::new(Code::NotFound, ErrorReason::SymbolUnknown, "no such symbol")
            .with("venue", "binance")
            .into_status();
        assert_eq!((status.code(), status.message()), (Code::NotFound, "no such symbol"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("SYMBOL_UNKNOWN", "cqar"));
        assert_eq!(info.metadata["venue"], "binance");
    }

    #[test]
    fn the_worst_status_fits_into_headers() {
        let long = "\u{1F600}".repeat(100_000);
        let mut status_builder = StatusBuilder::new(Code::InvalidArgument, ErrorReason::InvalidFields, &long)
            .with("a", &long)
            .with_resource("asset", &long);
        for n in 0..10_000 {
            status_builder = status_builder.with_field(&format!("mutations[{n}]"), &long).with_precondition(n, &long);
        }
        let status = status_builder.into_status();
        assert!(header_bytes(&status) < 8192, "{}", header_bytes(&status));
    }

    #[test]
    fn violations_beyond_the_most_are_counted() {
        let mut status_builder = StatusBuilder::new(Code::InvalidArgument, ErrorReason::InvalidFields, "no");
        for n in 0..60 {
            status_builder = status_builder.with_field(&format!("f{n}"), "bad");
        }
        let shown = status_builder.into_status().get_details_bad_request().unwrap().field_violations;
        assert_eq!(shown.len(), 51);
        assert_eq!((shown[0].field.as_str(), shown[50].description.as_str()), ("f0", "and 10 more"));
    }

    #[test]
    fn a_cut_text_stays_text() {
        assert_eq!(cut("ééé".to_owned(), 6), "ééé");
        assert_eq!(cut("ééé".to_owned(), 5), "é…");
    }
}
