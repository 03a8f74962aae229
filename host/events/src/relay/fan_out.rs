//! The messages that an event was split into, as the relay remembers them in the database.

use bytes::Bytes;
use cqar_domain::relay::{OutboundMessage, OutboundPayload};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct FanOut {
    #[prost(message, repeated, tag = "1")]
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Message)]
struct Part {
    #[prost(string, tag = "1")]
    subject_suffix: String,
    #[prost(message, repeated, tag = "2")]
    attributes: Vec<Attribute>,
    /// Absent where the part carries the event's own body, which is in the log.
    #[prost(message, optional, tag = "3")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(string, tag = "1")]
    content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

/// The parts as bytes.
pub(super) fn encode(parts: &[OutboundMessage]) -> Bytes {
    let part = |part: &OutboundMessage| Part {
        subject_suffix: part.subject_suffix.clone(),
        attributes: part.attributes.iter().cloned().map(|(name, value)| Attribute { name, value }).collect(),
        body: part.body.clone().map(|OutboundPayload { content_type, bytes }| Body { content_type, bytes }),
    };
    FanOut { parts: parts.iter().map(part).collect() }.encode_to_vec().into()
}

/// The parts that were encoded.
pub(super) fn decode(bytes: Bytes) -> Result<Vec<OutboundMessage>, prost::DecodeError> {
    let part = |part: Part| OutboundMessage {
        subject_suffix: part.subject_suffix,
        attributes: part.attributes.into_iter().map(|Attribute { name, value }| (name, value)).collect(),
        body: part.body.map(|Body { content_type, bytes }| OutboundPayload { content_type, bytes }),
    };
    Ok(FanOut::decode(bytes)?.parts.into_iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fan_out_reads_back_as_it_was() {
        let parts = [
            OutboundMessage::default(),
            OutboundMessage {
                subject_suffix: "binance".into(),
                attributes: vec![("venue".into(), "binance".into()), ("b".into(), String::new())],
                body: Some(OutboundPayload { content_type: "text/plain".into(), bytes: Bytes::new() }),
            },
        ];
        assert_eq!(decode(encode(&parts)).unwrap(), parts);
    }
}
