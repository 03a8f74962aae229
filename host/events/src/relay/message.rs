//! What the relay puts on the bus: CloudEvents 1.0 in binary mode (the NATS protocol binding, version 1.0.3).
//!
//! | header | value |
//! |---|---|
//! | `Nats-Msg-Id` | `<log>:<revision>.<index>.<part>`, and `/<parts>` where they are several |
//! | `ce-specversion` | `1.0` |
//! | `ce-source` | `urn:uuid:<log>` |
//! | `ce-id` | `<revision>.<index>.<part>`, unique within the source |
//! | `ce-type` | the event's type, such as `market_listed` |
//! | `ce-time` | when it was committed, RFC 3339 |
//! | `ce-subject` | `<entity type>/<entity id>` |
//! | `ce-datacontenttype`, `content-type` | `application/protobuf` (a `cqar.v1.Event`), or what a transform says |
//! | `ce-revision`, `ce-index`, `ce-part`, `ce-parts` | the place in the log, and the part of how many, from 0 |
//! | `ce-<name>` | the attributes that transforms add |
//!
//! `content-type` is there for clients of other bindings, which look for the type of the data in it.

use std::{borrow::Cow, fmt, fmt::Write, str::FromStr};

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use cqar_domain::{
    event::{EventType, LogPosition, LoggedEvent},
    relay::OutboundMessage,
    time::Timestamp,
};
use cqar_proto::v1;
use prost::Message as _;
use uuid::Uuid;

const CONTENT_TYPE: &str = "application/protobuf";

/// Attributes that are not a transform's to set.
const RESERVED: [&str; 13] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "data",
    "revision",
    "index",
    "part",
    "parts",
];

/// Which part of which event of which log a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageId {
    pub(super) log: Uuid,
    pub(super) position: LogPosition,
    /// From 0.
    pub(super) part: u32,
    /// How many parts the event has.
    pub(super) parts: u32,
}

impl MessageId {
    /// The id of a message on the stream, if this relay's kind wrote it.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(HeaderValue::as_str);
        let (log, id) = text("Nats-Msg-Id")?.split_once(':')?;
        let mut numbers = id.split('/').next()?.splitn(3, '.');
        let id = Self {
            log: Uuid::from_str(log).ok()?,
            position: LogPosition { revision: numbers.next()?.parse().ok()?, index: numbers.next()?.parse().ok()? },
            part: numbers.next()?.parse().ok()?,
            parts: text("ce-parts")?.parse().ok()?,
        };
        (id.part < id.parts).then_some(id)
    }

    /// The id of the message, by which the stream knows a duplicate, and what must stand before the next message. The first of
    /// several parts is another message than a whole event: who takes the event for whole must not go on after that part.
    pub(super) fn to_header(self) -> String {
        match self.parts {
            1 => format!("{}:{self}", self.log),
            parts => format!("{}:{self}/{parts}", self.log),
        }
    }

    /// Whether it is the last part.
    pub(super) const fn is_last(&self) -> bool {
        self.part + 1 >= self.parts
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.part)
    }
}

/// Why an event cannot be put on the bus as it is, or as a transform made it.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpublishableEvent {
    #[error("its body is no cqar.v1.Event: {0}")]
    Body(#[from] prost::DecodeError),
    #[error("its time is missing or out of range")]
    Time,
    #[error("a transform gave the subject suffix {0:?}: it must be tokens of A-Z, a-z, 0-9, _ and -, joined by dots")]
    Suffix(String),
    #[error("a transform set the attribute {0:?}: a name has 1 to 20 of a-z and 0-9, and is none of the event's own")]
    Attribute(String),
}

/// A message that is ready to be sent, but for what it expects of the stream.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) event_type: EventType,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl Message {
    /// The message of one part of an event.
    pub(super) fn new(
        id: MessageId,
        event: &LoggedEvent,
        part: &OutboundMessage,
        subject_prefix: &str,
    ) -> Result<Self, UnpublishableEvent> {
        let mut subject = format!("{subject_prefix}.{}", event.event_type);
        if !part.subject_suffix.is_empty() {
            if !part.subject_suffix.split('.').all(is_token) {
                return Err(UnpublishableEvent::Suffix(part.subject_suffix.clone()));
            }
            subject.push('.');
            subject.push_str(&part.subject_suffix);
        }
        let time = v1::Event::decode(event.body.clone())?.commit_time.and_then(|time| Timestamp::try_from(time).ok());
        let (content_type, payload) = match &part.body {
            Some(body) => (body.content_type.as_str(), body.bytes.clone()),
            None => (CONTENT_TYPE, event.body.clone()),
        };
        let content_type = encoded(content_type);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id.to_header());
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-source", format!("urn:uuid:{}", id.log));
        headers.insert("ce-id", id.to_string());
        headers.insert("ce-type", event.event_type.to_string());
        headers.insert("ce-time", time.ok_or(UnpublishableEvent::Time)?.to_string());
        headers.insert("ce-subject", format!("{}/{}", event.key.entity_type(), event.key.id()));
        headers.insert("ce-datacontenttype", content_type.as_ref());
        headers.insert("content-type", content_type.as_ref());
        headers.insert("ce-revision", id.position.revision.to_string());
        headers.insert("ce-index", id.position.index.to_string());
        headers.insert("ce-part", id.part.to_string());
        headers.insert("ce-parts", id.parts.to_string());
        for (name, value) in &part.attributes {
            headers.insert(attribute_header(name)?, encoded(value).as_ref());
        }
        Ok(Self { id, event_type: event.event_type, subject, headers, payload })
    }

    /// What the server counts against its `max_payload`: headers and payload.
    pub(super) fn bytes(&self) -> usize {
        // "NATS/1.0\r\n", each "name: value\r\n", and the empty line.
        let header = |(name, value): (&HeaderName, &HeaderValue)| name.to_string().len() + value.as_str().len() + 4;
        let headers = self.headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        12 + headers.map(header).sum::<usize>() + self.payload.len()
    }
}

/// Whether this is one token of a subject, and no wildcard.
pub(super) fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn attribute_header(name: &str) -> Result<HeaderName, UnpublishableEvent> {
    let is_legal = (1..=20).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && !RESERVED.contains(&name);
    let header = if is_legal { HeaderName::from_str(&format!("ce-{name}")).ok() } else { None };
    header.ok_or_else(|| UnpublishableEvent::Attribute(name.to_owned()))
}

/// A header's value: all but printable ASCII, and space, quote and percent, as percent-encoded UTF-8 (HTTP protocol
/// binding, section 3.1.3.2). So no value ends its header.
fn encoded(value: &str) -> Cow<'_, str> {
    let is_plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'%';
    if value.bytes().all(is_plain) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if is_plain(byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use cqar_domain::{
        id::{IdSource, SystemIds},
        relay::OutboundPayload,
    };

    use super::*;
    use crate::testing::{event, venue_event};

    fn sample_id() -> MessageId {
        MessageId { log: SystemIds.uuid(), position: LogPosition { revision: 7, index: 2 }, part: 1, parts: 3 }
    }

    fn with_time(mut event: LoggedEvent) -> LoggedEvent {
        let time = "2026-01-02T03:04:05.678901Z".parse::<Timestamp>().unwrap();
        event.body = v1::Event { commit_time: Some(time.into()), ..v1::Event::default() }.encode_to_vec().into();
        event
    }

    #[test]
    fn a_message_is_a_cloud_event_in_binary_mode() {
        let event = with_time(venue_event(7, "binance"));
        let id = sample_id();
        let part = OutboundMessage { subject_suffix: "binance.x".into(), ..OutboundMessage::default() };
        let message = Message::new(id, &event, &part, "cqc.events.v1").unwrap();
        assert_eq!(message.subject, "cqc.events.v1.venue_created.binance.x");
        assert_eq!(message.payload, event.body);
        let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
        let source = format!("urn:uuid:{}", id.log);
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "7.2.1"),
            ("ce-source", &source),
            ("ce-type", "venue_created"),
            ("ce-subject", "venue/binance"),
            ("ce-time", "2026-01-02T03:04:05.678901Z"),
            ("ce-datacontenttype", "application/protobuf"),
            ("content-type", "application/protobuf"),
            ("ce-revision", "7"),
            ("ce-index", "2"),
            ("ce-part", "1"),
            ("ce-parts", "3"),
        ] {
            assert_eq!(header(name), value, "{name}");
        }
        assert_eq!(MessageId::read(&message.headers), Some(id));
    }

    #[test]
    fn a_transform_adds_attributes_and_another_body_and_nothing_else() {
        let event = with_time(event(7, 2));
        let part = OutboundMessage {
            attributes: vec![("venue".into(), "50 % of \"é\"\r\nX: y".into())],
            body: Some(OutboundPayload { content_type: "text/plain".into(), bytes: "hello".into() }),
            ..OutboundMessage::default()
        };
        let message = Message::new(sample_id(), &event, &part, "p").unwrap();
        let header = |name: &str| message.headers.get(name).unwrap().to_string();
        assert_eq!(header("ce-venue"), "50%20%25%20of%20%22%C3%A9%22%0D%0AX:%20y");
        assert_eq!(header("ce-datacontenttype"), "text/plain");
        assert_eq!(message.payload, "hello");
        for name in ["id", "parts", "Venue", "", "a-b", "abcdefghijklmnopqrstu"] {
            let part = OutboundMessage { attributes: vec![(name.into(), "x".into())], ..OutboundMessage::default() };
            assert!(
                matches!(Message::new(sample_id(), &event, &part, "p"), Err(UnpublishableEvent::Attribute(_))),
                "{name}"
            );
        }
        for suffix in ["*", ">", "a..b", ".a", "a b", "é"] {
            let part = OutboundMessage { subject_suffix: suffix.into(), ..OutboundMessage::default() };
            assert!(
                matches!(Message::new(sample_id(), &event, &part, "p"), Err(UnpublishableEvent::Suffix(_))),
                "{suffix}"
            );
        }
    }

    #[test]
    fn a_message_that_another_wrote_has_no_id() {
        let headers = |id: &str, parts: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id);
            headers.insert("ce-parts", parts);
            headers
        };
        let log = SystemIds.uuid();
        assert!(MessageId::read(&headers(&format!("{log}:1.0.0"), "1")).is_some());
        let id = MessageId { log, position: LogPosition { revision: 7, index: 2 }, part: 1, parts: 3 };
        assert_eq!(id.to_header(), format!("{log}:7.2.1/3"));
        assert_eq!(MessageId::read(&headers(&id.to_header(), "3")), Some(id));
        assert_eq!(MessageId::read(&headers(&format!("{log}:7.2.1"), "3")), Some(id), "as older versions wrote it");
        assert!(MessageId::read(&HeaderMap::new()).is_none());
        assert!(MessageId::read(&headers("order-17", "1")).is_none());
        assert!(MessageId::read(&headers(&format!("{log}:1.0"), "1")).is_none());
        assert!(MessageId::read(&headers(&format!("{log}:1.0.1"), "1")).is_none(), "part 1 of 1 part");
    }
}
