//! Events, and findings.

use cqar_domain::{
    entities::Entity,
    event::Event,
    finding::{Finding, Severity},
};

use crate::v1;

impl From<&Event> for v1::Event {
    fn from(event: &Event) -> Self {
        let entity = event.entity();
        Self {
            revision: event.position.revision,
            index: event.position.index,
            r#type: event.event_type.to_string(),
            entity_type: event.event_type.entity_type().to_string(),
            entity_id: entity.map(|it| it.key().id()).unwrap_or_default(),
            venue_id: entity.and_then(Entity::venue).map(ToString::to_string).unwrap_or_default(),
            actor: event.actor.clone(),
            request_id: event.request_id.map(|id| id.to_string()).unwrap_or_default(),
            reason: event.reason.clone(),
            changed_fields: event.changed_fields.iter().map(ToString::to_string).collect(),
            commit_time: Some(event.commit_time.into()),
            effective_time: event.effective_time.map(Into::into),
            before: event.before.as_ref().map(Into::into),
            after: event.after.as_ref().map(Into::into),
            judged_by: event.judged_by.clone(),
            warnings: event.warnings.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Finding> for v1::Finding {
    fn from(finding: &Finding) -> Self {
        let severity = match finding.severity {
            Severity::Error => v1::finding::Severity::Error,
            Severity::Warning => v1::finding::Severity::Warning,
        };
        Self {
            severity: severity.into(),
            path: finding.path.clone(),
            code: finding.code.clone(),
            message: finding.message.clone(),
            plugin: finding.plugin.clone(),
        }
    }
}
