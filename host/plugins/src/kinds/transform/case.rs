//! Calls of transforms as JSON, and the samples of the gate.

use std::sync::Arc;

use async_trait::async_trait;
use cqar_domain::id::EntityType;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Document, Transform, Transformer};
use crate::{
    error::CallError,
    gate::manifest::Manifest,
    kinds::{
        Interfaces,
        case::{CaseInput, DocumentValue},
        sample_documents::{SAMPLE_ID, sample_document},
    },
    runtime::{memory_budget::EvictIdle as _, sandbox::Scope},
};

const PREFIX: &str = "cqc.events.v1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventDocument {
    event_type: String,
    #[serde(default)]
    subject: Option<String>,
    event: DocumentValue,
}

/// An event as a case has it.
pub(super) fn event(document: &Document) -> Value {
    json!({"event_type": document.event_type, "subject": document.subject, "event": document.json})
}

#[async_trait]
impl Interfaces for Transformer {
    async fn evaluate(&self, input: &CaseInput, scope: Scope) -> Result<Value, CallError> {
        if input.export != "transform" {
            return Err(input.unknown_export(&["transform"]));
        }
        let document = |it: EventDocument| {
            let subject = it.subject.unwrap_or_else(|| format!("{PREFIX}.{}", it.event_type));
            Document { event_type: it.event_type, subject, json: it.event.into() }
        };
        let documents: Arc<[_]> = input.read::<Vec<EventDocument>>()?.into_iter().map(document).collect();
        let range = 0..documents.len();
        self.pool.evaluate(Transform { call: input.context(scope.now), documents, range }, scope).await
    }

    fn evict_idle(&self) {
        self.pool.evict_idle();
    }
}

/// An update of every type that is subscribed to.
pub(super) fn samples(manifest: &Manifest) -> Vec<CaseInput> {
    let sample = |entity_type: &EntityType| {
        let (name, document) = (entity_type.name(), sample_document(*entity_type));
        let event = json!({
            "revision": "1", "type": format!("{name}_updated"), "entity_type": name, "entity_id": SAMPLE_ID,
            "venue_id": "sample", "actor": "sample", "commit_time": "2026-01-01T00:00:00Z",
            "before": {name: document}, "after": {name: document},
        });
        CaseInput {
            export: "transform".into(),
            call: Map::from_iter([("subject_prefix".into(), PREFIX.into())]),
            input: json!([{"event_type": format!("{name}_updated"), "event": event}]),
            ..CaseInput::default()
        }
    };
    manifest.subscriptions.iter().map(sample).collect()
}
