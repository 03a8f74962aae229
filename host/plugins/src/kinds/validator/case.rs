//! Calls of validators as JSON, and the samples of the gate.

use std::sync::Arc;

use async_trait::async_trait;
use cqar_domain::id::EntityType;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Change, Operation, Validate, Validator};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeDocument {
    operation: Operation,
    entity_type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    before: Option<DocumentValue>,
    #[serde(default)]
    after: Option<DocumentValue>,
}

/// A change as a case has it.
pub(super) fn change(change: &Change) -> Value {
    json!({
        "operation": change.operation.name(), "entity_type": change.entity_type.name(), "id": change.id,
        "before": change.before, "after": change.after,
    })
}

#[async_trait]
impl Interfaces for Validator {
    async fn evaluate(&self, input: &CaseInput, scope: Scope) -> Result<Value, CallError> {
        if input.export != "validate" {
            return Err(input.unknown_export(&["validate"]));
        }
        let read = |it: ChangeDocument| {
            let entity_type = EntityType::from_name(&it.entity_type)
                .ok_or_else(|| CallError::Case(format!("input: there is no entity type {:?}", it.entity_type)))?;
            let (before, after) = (it.before.map(String::from), it.after.map(String::from));
            Ok(Change { operation: it.operation, entity_type, id: it.id, before, after })
        };
        let changes = input.read::<Vec<ChangeDocument>>()?.into_iter().map(read).collect::<Result<Arc<[_]>, _>>()?;
        let call = Validate {
            plugin: "case".into(),
            call: input.context(scope.now).into(),
            seen: (0..changes.len()).collect(),
            range: 0..changes.len(),
            changes,
        };
        self.pool.evaluate(call, scope).await
    }

    fn evict_idle(&self) {
        self.pool.evict_idle();
    }
}

/// A creation, an update and a deletion of every type that is subscribed to.
pub(super) fn samples(manifest: &Manifest) -> Vec<CaseInput> {
    let sample = |entity_type: &EntityType| {
        let (name, document) = (entity_type.name(), sample_document(*entity_type));
        let change = |operation: &str, before: &Value, after: &Value| {
            let change = json!({
                "operation": operation, "entity_type": name, "id": SAMPLE_ID, "before": before, "after": after,
            });
            CaseInput { export: "validate".into(), input: json!([change]), ..CaseInput::default() }
        };
        [
            change("create", &Value::Null, &document),
            change("update", &document, &document),
            change("delete", &document, &Value::Null),
        ]
    };
    manifest.subscriptions.iter().flat_map(sample).collect()
}
