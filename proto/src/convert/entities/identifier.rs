//! Identifiers.

use cqar_domain::{entities::identifier::Identifier, id::IdentifierId};

use super::{EntityMessage, arm, key, read_key};
use crate::{
    convert::{Reader, etag, mask::masked},
    v1,
};

impl From<&Identifier> for v1::Identifier {
    fn from(identifier: &Identifier) -> Self {
        let entity = key(identifier.entity.entity_type(), identifier.entity.id());
        Self {
            id: identifier.id.to_string(),
            entity: Some(v1::EntityKey { key: Some(entity) }),
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

    arm!(Identifier);

    fn label(&self) -> &str {
        &self.external_id
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Identifier> {
        let id = reader.id(&self.id, IdentifierId::new);
        let entity = reader.within("entity", |reader| match self.entity.as_mut().and_then(|it| it.key.as_mut()) {
            Some(key) => read_key(key, reader),
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
