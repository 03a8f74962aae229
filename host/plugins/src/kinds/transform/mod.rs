//! Transforms: what they make of events.

mod case;

use std::{ops::Range, sync::Arc};

use cqar_domain::relay::{OutboundMessage, OutboundPayload};
use serde_json::Value;
use wasmtime::{Store, component::Instance};

use super::{Interfaces, Kind, case::CaseInput};
use crate::{
    gate::{
        interface::{Answer, Exports},
        manifest::Manifest,
    },
    generation::PoolSettings,
    runtime::{
        bindings::{cqar::plugin::types::Failure, exports::cqar::plugin::transform},
        instance_pool::{Call, InstancePool, Interface, Template},
        sandbox::Sandbox,
    },
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, clean, cleaned},
};

/// The most messages that one event becomes: what the relay keeps while it publishes them.
const MAX_PARTS: usize = 16;
/// A subject of NATS is best kept below 256 bytes; the prefix and the type take up to 60.
const MAX_SUFFIX_BYTES: usize = 128;
/// CloudEvents' own are nine; an enrichment adds a few.
const MAX_ATTRIBUTES: usize = 16;
/// A body replaces an event of at most 512 KiB, and NATS takes 1 MiB.
const MAX_BODY_BYTES: usize = 512 << 10;
/// An attribute is for routing and filtering; what is longer belongs into the body (CloudEvents 1.0, Size Limits).
const MAX_VALUE_BYTES: usize = 1024;
/// CloudEvents' own attributes, which are the relay's to set.
const RESERVED: [&str; 9] =
    ["id", "source", "specversion", "type", "time", "subject", "datacontenttype", "dataschema", "data"];

/// An event as transforms see it.
pub(crate) struct Document {
    pub(crate) event_type: String,
    pub(crate) subject: String,
    pub(crate) json: String,
}

/// What a transform does with one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    Drop,
    Emit(Vec<OutboundMessage>),
    Fail(String),
}

impl Action {
    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let of_message = |message: &OutboundMessage| {
            let attributes = message.attributes.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            message.body.as_ref().map_or(0, |body| body.bytes.len()) + message.subject_suffix.len() + attributes
        };
        match self {
            Self::Emit(messages) => messages.iter().map(of_message).sum(),
            Self::Pass | Self::Drop | Self::Fail(_) => 0,
        }
    }
}

/// Does to what an event has become so far what a transform wants. Several emitting transforms multiply: each message
/// is emitted anew, suffixes appended, attributes joined, a later body in place of an earlier.
pub(crate) fn compose(answer: &mut Vec<OutboundMessage>, action: Action) -> Result<(), String> {
    match action {
        Action::Pass => {}
        Action::Drop => answer.clear(),
        Action::Fail(message) => return Err(message),
        Action::Emit(emitted) => {
            if emitted.len() * answer.len() > MAX_PARTS {
                return Err(format!("the event would become more than {MAX_PARTS} messages"));
            }
            *answer = answer.iter().flat_map(|one| emitted.iter().map(|other| join(one, other))).collect();
            for part in answer {
                if part.subject_suffix.len() > MAX_SUFFIX_BYTES || part.attributes.len() > MAX_ATTRIBUTES {
                    return Err("the subject's suffix or the attributes became too long".into());
                }
            }
        }
    }
    Ok(())
}

fn join(one: &OutboundMessage, other: &OutboundMessage) -> OutboundMessage {
    let suffixes = [one.subject_suffix.as_str(), other.subject_suffix.as_str()];
    let taken = |key: &String| other.attributes.iter().any(|(other, _)| other == key);
    let kept = one.attributes.iter().filter(|(key, _)| !taken(key));
    OutboundMessage {
        subject_suffix: suffixes.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("."),
        attributes: kept.chain(&other.attributes).cloned().collect(),
        body: other.body.clone().or_else(|| one.body.clone()),
    }
}

/// One call of `transform`.
#[derive(Clone)]
pub(crate) struct Transform {
    pub(crate) call: String,
    pub(crate) documents: Arc<[Document]>,
    pub(crate) range: Range<usize>,
}

impl Call<transform::Guest> for Transform {
    const EXPORT: &'static str = "transform";
    const ANSWERS_VARIANTS: bool = true;
    type Raw = Vec<transform::Action>;
    type Answer = Vec<Action>;

    async fn run<'a>(
        &'a self,
        guest: &'a transform::Guest,
        store: &'a mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let documents = self.documents.get(self.range.clone()).unwrap_or_default();
        let events: Vec<_> = documents
            .iter()
            .map(|it| transform::Event { event_type: &it.event_type, subject: &it.subject, event: &it.json })
            .collect();
        guest.call_transform(store, &self.call, &events).await
    }

    fn context(&self) -> &str {
        &self.call
    }

    fn input(&self) -> Value {
        self.documents.get(self.range.clone()).unwrap_or_default().iter().map(case::event).collect()
    }

    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String> {
        if raw.len() != self.range.len() {
            return Err(format!("{} actions for {} events", raw.len(), self.range.len()));
        }
        raw.into_iter().map(action).collect()
    }
}

fn action(raw: transform::Action) -> Result<Action, String> {
    Ok(match raw {
        transform::Action::Pass => Action::Pass,
        transform::Action::Drop => Action::Drop,
        transform::Action::Fail(failure) => Action::Fail(format!(
            "failed: {}: {}",
            cleaned(failure.code, MAX_CODE_BYTES),
            cleaned(failure.message, MAX_MESSAGE_BYTES)
        )),
        transform::Action::Emit(parts) if parts.is_empty() => return Err("an emit of nothing, which is a drop".into()),
        transform::Action::Emit(parts) if parts.len() > MAX_PARTS => {
            return Err(format!("{} messages for one event, and {MAX_PARTS} are allowed", parts.len()));
        }
        transform::Action::Emit(parts) => Action::Emit(parts.into_iter().map(outgoing).collect::<Result<_, _>>()?),
    })
}

fn outgoing(raw: transform::Outgoing) -> Result<OutboundMessage, String> {
    let subject_suffix = raw.subject_suffix.unwrap_or_default();
    let is_token =
        |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if subject_suffix.len() > MAX_SUFFIX_BYTES {
        return Err(format!("a subject suffix of {} bytes", subject_suffix.len()));
    }
    if !subject_suffix.is_empty() && !subject_suffix.split('.').all(is_token) {
        return Err(format!("the subject suffix {subject_suffix:?}: tokens of A-Z, a-z, 0-9, _ and - joined by dots"));
    }
    if raw.attributes.len() > MAX_ATTRIBUTES {
        return Err(format!("{} attributes", raw.attributes.len()));
    }
    let mut attributes: Vec<(String, String)> = Vec::with_capacity(raw.attributes.len());
    for field in raw.attributes {
        if attributes.iter().any(|(key, _)| *key == field.key) {
            return Err(format!("the attribute {:?} twice", field.key));
        }
        attributes.push(attribute(field.key, field.value)?);
    }
    let body = raw.body.map(body).transpose()?;
    Ok(OutboundMessage { subject_suffix, attributes, body })
}

/// CloudEvents 1.0: names of lower-case letters and digits, and 20 at most; values without control characters. They
/// travel as NATS headers, where a line break would begin another one.
fn attribute(key: String, value: String) -> Result<(String, String), String> {
    let legal = (1..=20).contains(&key.len()) && key.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
    if !legal || RESERVED.contains(&key.as_str()) {
        let key = clean(&key, MAX_CODE_BYTES);
        return Err(format!("the attribute \"{key}\": 1 to 20 of a-z and 0-9, and none of CloudEvents' own"));
    }
    if value.len() > MAX_VALUE_BYTES || value.chars().any(char::is_control) {
        return Err(format!("the attribute {key:?}: at most {MAX_VALUE_BYTES} bytes without control characters"));
    }
    Ok((key, value))
}

fn body(raw: transform::Content) -> Result<OutboundPayload, String> {
    if raw.data.len() > MAX_BODY_BYTES {
        return Err(format!("a body of {} bytes, and {MAX_BODY_BYTES} are allowed", raw.data.len()));
    }
    let content_type = raw.content_type;
    let legal = content_type.len() <= 128 && content_type.bytes().all(|b| (b' '..=b'~').contains(&b));
    if !legal || !content_type.contains('/') {
        return Err(format!("the content type \"{}\" is none", clean(&content_type, MAX_CODE_BYTES)));
    }
    Ok(OutboundPayload { content_type, bytes: raw.data.into() })
}

/// The kind.
pub(crate) struct TransformKind;

impl Kind for TransformKind {
    fn name(&self) -> &'static str {
        "transform"
    }

    fn check(&self, exports: &Exports<'_>) -> Result<(), String> {
        type Actions = Answer<Vec<transform::Action>>;
        exports.check::<(&str, &[transform::Event<'_>]), Actions>("transform", "transform")
    }

    fn interfaces(
        &self,
        template: &Arc<Template>,
        settings: &PoolSettings<'_>,
    ) -> wasmtime::Result<Arc<dyn Interfaces>> {
        let indices = transform::GuestIndices::new(&template.component)?;
        Ok(Arc::new(Transformer { pool: settings.pool(template, indices, &["transform"]) }))
    }

    fn samples(&self, manifest: &Manifest) -> Vec<CaseInput> {
        case::samples(manifest)
    }
}

/// The interface of one generation.
pub(crate) struct Transformer {
    pub(crate) pool: Arc<InstancePool<transform::Guest>>,
}

impl Interface for transform::Guest {
    type Indices = transform::GuestIndices;

    fn load(indices: &Self::Indices, store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::bindings::cqar::plugin::types::FieldResult;

    fn emit(suffix: &str, key: &str, value: &str) -> Result<OutboundMessage, String> {
        let attributes = vec![FieldResult { key: key.into(), value: value.into() }];
        outgoing(transform::Outgoing { subject_suffix: Some(suffix.into()), attributes, body: None })
    }

    #[test]
    fn a_plugin_chooses_no_free_subject_and_no_header() {
        assert!(emit("binance.spot", "venue", "binance").is_ok());
        for suffix in ["a..b", ".a", "a.>", "*", "a b", "ü", &"a".repeat(129)] {
            assert!(emit(suffix, "venue", "x").is_err(), "{suffix:?}");
        }
        for key in ["", "Venue", "ce-id", "type", "a\r\nNats-Msg-Id", &"a".repeat(21)] {
            assert!(emit("a", key, "x").is_err(), "{key:?}");
        }
        assert!(emit("a", "venue", "x\r\nNats-Msg-Id: 1").is_err());
    }

    #[test]
    fn emitting_transforms_multiply_and_a_drop_ends_it() {
        let part = |suffix: &str| emit(suffix, "venue", suffix).unwrap();
        let mut answer = vec![OutboundMessage::default()];
        compose(&mut answer, Action::Emit(vec![part("a"), part("b")])).unwrap();
        compose(&mut answer, Action::Pass).unwrap();
        compose(&mut answer, Action::Emit(vec![part("x")])).unwrap();
        let suffixes: Vec<_> = answer.iter().map(|it| it.subject_suffix.as_str()).collect();
        assert_eq!(suffixes, ["a.x", "b.x"]);
        assert_eq!(answer[0].attributes, [("venue".to_owned(), "x".to_owned())]);
        assert!(compose(&mut answer, Action::Emit(vec![part("y"); 9])).is_err());
        compose(&mut answer, Action::Drop).unwrap();
        assert!(answer.is_empty());
    }
}
