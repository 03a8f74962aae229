//! Identifiers.

use cqar_domain::{
    entities::identifier::{Identified, Identifier},
    id::{IdentifierId, SystemIds},
    violation::Violation,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, mask::masked},
    v1::{self, identified_entity::Entity as Message},
};

impl From<&Identified> for v1::IdentifiedEntity {
    fn from(entity: &Identified) -> Self {
        let message = match entity {
            Identified::Asset(id) => Message::AssetId(id.to_string()),
            Identified::Deployment(id) => Message::DeploymentId(id.to_string()),
            Identified::Instrument(id) => Message::InstrumentId(id.to_string()),
            Identified::Market(id) => Message::MarketId(id.to_string()),
            Identified::Venue(id) => Message::VenueId(id.to_string()),
        };
        Self { entity: Some(message) }
    }
}

fn read_identified(message: &mut v1::IdentifiedEntity, reader: &mut Reader<'_>) -> Option<Identified> {
    match message.entity.as_mut() {
        Some(Message::AssetId(id)) => reader.reference("asset_id", id).map(Identified::Asset),
        Some(Message::DeploymentId(id)) => reader.reference("deployment_id", id).map(Identified::Deployment),
        Some(Message::InstrumentId(id)) => reader.reference("instrument_id", id).map(Identified::Instrument),
        Some(Message::MarketId(id)) => reader.reference("market_id", id).map(Identified::Market),
        Some(Message::VenueId(id)) => reader.reference("venue_id", id).map(Identified::Venue),
        None => reader.missing(""),
    }
}

/// What a message names; violations stand under its field.
pub fn identified(field: &str, mut message: v1::IdentifiedEntity) -> Result<Identified, Vec<Violation>> {
    let mut reader = Reader::new(&SystemIds, None);
    let read = reader.within(field, |reader| read_identified(&mut message, reader));
    reader.finish(read)
}

impl From<&Identifier> for v1::Identifier {
    fn from(identifier: &Identifier) -> Self {
        Self {
            id: identifier.id.to_string(),
            entity: Some((&identifier.entity).into()),
            source: identifier.source.to_string(),
            external_id: identifier.external_id.clone(),
            is_primary: Some(identifier.is_primary),
            verified_time: identifier.verified_time.map(Into::into),
            revision: identifier.meta.revision,
            etag: etag(&identifier.meta),
            create_time: identifier.meta.create_time.map(Into::into),
            update_time: identifier.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Identifier {
    type Entity = Identifier;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "entity": {"asset_id": "01890a5d-ac96-774b-bcce-b302099a8058"},
        "source": "coingecko", "external_id": "sample"}"#;

    arm!(Identifier);

    fn label(&self) -> &str {
        &self.external_id
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Identifier> {
        let id = reader.id(&self.id, IdentifierId::new);
        let entity = reader.within("entity", |reader| match &mut self.entity {
            Some(entity) => read_identified(entity, reader),
            None => reader.missing(""),
        });
        let source = reader.required("source", &self.source);
        let verified_time = reader.time("verified_time", self.verified_time);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        let source = source?;
        Some(Identifier {
            id: id?,
            entity: entity?,
            // What is none is kept as it is, and refused by the identifier's own check.
            external_id: Identifier::normalized(&source, &self.external_id).unwrap_or_else(|| self.external_id.clone()),
            source,
            is_primary: self.is_primary.unwrap_or_default(),
            verified_time: verified_time?,
            meta: meta?,
        })
    }
}

masked!(v1::Identifier: [is_primary, verified_time], [entity, source, external_id]);
