//! Events, entities of any type, and findings.

use cqar_domain::{
    entity::{Entity, Meta},
    event::Event,
    finding::{Finding, Severity},
    id::SystemIds,
    violation::Violation,
};

use super::{Reader, mutation};
use crate::v1::{self, entity::Entity as Message};

impl From<&Entity> for v1::Entity {
    fn from(entity: &Entity) -> Self {
        let entity = match entity {
            Entity::Asset(it) => Message::Asset(it.into()),
            Entity::Chain(it) => Message::Chain(it.into()),
            Entity::Venue(it) => Message::Venue(it.into()),
            Entity::VenueAsset(it) => Message::VenueAsset(it.into()),
            Entity::Instrument(it) => Message::Instrument(it.into()),
            Entity::Market(it) => Message::Market(it.into()),
        };
        Self { entity: Some(entity) }
    }
}

/// The entity of a message that this registry made: with its revision and times, which a client's has not.
pub fn stored(message: v1::Entity) -> Result<Entity, Vec<Violation>> {
    let (revision, times, code) = match &message.entity {
        Some(Message::Asset(it)) => (it.revision, [it.create_time, it.update_time, it.delete_time], None),
        Some(Message::Chain(it)) => (it.revision, [it.create_time, it.update_time, None], None),
        Some(Message::Venue(it)) => (it.revision, [it.create_time, it.update_time, it.delete_time], None),
        Some(Message::VenueAsset(it)) => (it.revision, [it.create_time, it.update_time, None], None),
        Some(Message::Instrument(it)) => {
            (it.revision, [it.create_time, it.update_time, it.delete_time], Some(it.code.clone()))
        }
        Some(Message::Market(it)) => (it.revision, [it.create_time, it.update_time, None], None),
        None => (0, [None; 3], None),
    };
    let mut reader = Reader::new(&SystemIds);
    let read = mutation::read_entity(&mut reader, message);
    let [create_time, update_time, delete_time] = times;
    let meta = reader.time("create_time", create_time).zip(reader.time("update_time", update_time));
    let meta = meta.zip(reader.time("delete_time", delete_time));
    let (mut entity, ((create_time, update_time), delete_time)) = reader.finish(read.zip(meta))?;
    *entity.meta_mut() = Meta { revision, create_time, update_time, delete_time };
    if let (Entity::Instrument(instrument), Some(code)) = (&mut entity, code) {
        instrument.code = code;
    }
    Ok(entity)
}

impl From<&Event> for v1::Event {
    fn from(event: &Event) -> Self {
        let entity = event.entity();
        Self {
            revision: event.position.revision,
            index: event.position.index,
            r#type: event.event_type.to_string(),
            entity_type: event.event_type.entity_type().to_string(),
            entity_id: entity.map(|it| it.key().id()).unwrap_or_default(),
            venue: entity.and_then(Entity::venue).map(ToString::to_string).unwrap_or_default(),
            actor: event.actor.clone(),
            request_id: event.request_id.map(|id| id.to_string()).unwrap_or_default(),
            changed_fields: event.changed_fields.iter().map(ToString::to_string).collect(),
            time: Some(event.time.into()),
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
