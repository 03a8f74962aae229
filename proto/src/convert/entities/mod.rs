//! The entities, one file each: from the domain to the contract and back. This file alone of the crate lists them all: a new
//! one gets a file here, and an arm in each of the matches below.

mod asset;
mod chain;
mod instrument;
mod market;
mod venue;
mod venue_asset;

use cqar_domain::{
    entities::{Entity, EntityVariant},
    entity::{Revision, TypedEntity},
    id::{EntityKey, EntityType, SystemIds},
    violation::{Violation, Violations},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Reader,
    mask::{Masked, apply_mask},
};
use crate::v1::{self, entity::Entity as Message, entity_key::Key};

/// The message of one type of entity.
pub trait EntityMessage: prost::Message + Masked + Serialize + Sized + for<'a> From<&'a Self::Entity> {
    /// What it is the message of.
    type Entity: EntityVariant;

    /// Its id; empty where the server is to make one.
    fn id(&self) -> &str;

    /// Its id, to be set.
    fn id_mut(&mut self) -> &mut String;

    /// Its etag; empty where the client gives none.
    fn etag(&self) -> &str;

    /// The revision of its last change; 0 before the first commit.
    fn revision(&self) -> Revision;

    /// What people call it: its symbol, code or name.
    fn label(&self) -> &str;

    /// Reads it, and notes every field that is wrong. References of the form `$name` are replaced by the ids that they
    /// stand for.
    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Self::Entity>;

    /// As a message of any type.
    fn wrap(self) -> Message;

    /// The message, if it is of this type.
    fn unwrap(message: Message) -> Option<Self>;

    /// The same, borrowed.
    fn of(message: &Message) -> Option<&Self>;
}

/// What is alike in all implementations of [`EntityMessage`]: the fields that every message has, and the one arm of
/// [`v1::Entity`] that is its own.
macro_rules! arm {
    ($arm:ident) => {
        fn id(&self) -> &str {
            &self.id
        }

        fn id_mut(&mut self) -> &mut String {
            &mut self.id
        }

        fn etag(&self) -> &str {
            &self.etag
        }

        fn revision(&self) -> cqar_domain::entity::Revision {
            self.revision
        }

        fn wrap(self) -> $crate::v1::entity::Entity {
            $crate::v1::entity::Entity::$arm(self)
        }

        fn unwrap(message: $crate::v1::entity::Entity) -> Option<Self> {
            if let $crate::v1::entity::Entity::$arm(it) = message { Some(it) } else { None }
        }

        fn of(message: &$crate::v1::entity::Entity) -> Option<&Self> {
            if let $crate::v1::entity::Entity::$arm(it) = message { Some(it) } else { None }
        }
    };
}
use arm;

/// Evaluates the same for whichever type of message it is.
macro_rules! each {
    ($message:expr, $it:ident => $body:expr) => {
        match $message {
            Message::Asset($it) => $body,
            Message::Chain($it) => $body,
            Message::Venue($it) => $body,
            Message::VenueAsset($it) => $body,
            Message::Instrument($it) => $body,
            Message::Market($it) => $body,
        }
    };
}

impl From<&Entity> for Message {
    fn from(entity: &Entity) -> Self {
        match entity {
            Entity::Asset(it) => Self::Asset(it.as_ref().into()),
            Entity::Chain(it) => Self::Chain(it.as_ref().into()),
            Entity::Venue(it) => Self::Venue(it.as_ref().into()),
            Entity::VenueAsset(it) => Self::VenueAsset(it.as_ref().into()),
            Entity::Instrument(it) => Self::Instrument(it.as_ref().into()),
            Entity::Market(it) => Self::Market(it.as_ref().into()),
        }
    }
}

impl From<&Entity> for v1::Entity {
    fn from(entity: &Entity) -> Self {
        Self { entity: Some(entity.into()) }
    }
}

impl Message {
    /// The type of the entity.
    pub fn entity_type(&self) -> EntityType {
        fn of<M: EntityMessage>(_: &M) -> EntityType {
            M::Entity::TYPE
        }
        each!(self, it => of(it))
    }

    /// See [`EntityMessage::id`].
    pub fn id(&self) -> &str {
        each!(self, it => EntityMessage::id(it))
    }

    /// See [`EntityMessage::revision`].
    pub fn revision(&self) -> Revision {
        each!(self, it => EntityMessage::revision(it))
    }

    /// Gives it an id.
    pub fn set_id(&mut self, id: String) {
        each!(self, it => *it.id_mut() = id);
    }

    /// See [`EntityMessage::label`].
    pub fn label(&self) -> &str {
        each!(self, it => it.label())
    }

    pub(in crate::convert) fn id_mut(&mut self) -> &mut String {
        each!(self, it => it.id_mut())
    }

    pub(in crate::convert) fn etag(&self) -> &str {
        each!(self, it => EntityMessage::etag(it))
    }

    pub(in crate::convert) fn read(&mut self, reader: &mut Reader<'_>) -> Option<Entity> {
        each!(self, it => it.read(reader).map(Into::into))
    }

    /// Lays the masked fields of a message of the same type over this one.
    pub(in crate::convert) fn apply_mask(&mut self, from: &Self, mask: &[String], found: &mut Violations) {
        fn lay<M: EntityMessage>(onto: &mut M, from: &Message, mask: &[String], found: &mut Violations) {
            if let Some(from) = M::of(from) {
                apply_mask(onto, from, mask, found);
            }
        }
        each!(self, onto => lay(onto, from, mask, found));
    }
}

/// As its own message is written.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        each!(self, it => it.serialize(serializer))
    }
}

/// Reads the message of a type of entity from JSON or YAML, as files have it.
pub fn deserialize<'de, D: Deserializer<'de>>(entity_type: EntityType, deserializer: D) -> Result<Message, D::Error> {
    Ok(match entity_type {
        EntityType::Asset => Message::Asset(Deserialize::deserialize(deserializer)?),
        EntityType::Chain => Message::Chain(Deserialize::deserialize(deserializer)?),
        EntityType::Venue => Message::Venue(Deserialize::deserialize(deserializer)?),
        EntityType::VenueAsset => Message::VenueAsset(Deserialize::deserialize(deserializer)?),
        EntityType::Instrument => Message::Instrument(Deserialize::deserialize(deserializer)?),
        EntityType::Market => Message::Market(Deserialize::deserialize(deserializer)?),
    })
}

/// The fields of a type's message that a client may give: those that an update may change, and those that only a create takes.
pub const fn settable_fields(entity_type: EntityType) -> [&'static [&'static str]; 2] {
    match entity_type {
        EntityType::Asset => [v1::Asset::MUTABLE, v1::Asset::IMMUTABLE],
        EntityType::Chain => [v1::Chain::MUTABLE, v1::Chain::IMMUTABLE],
        EntityType::Venue => [v1::Venue::MUTABLE, v1::Venue::IMMUTABLE],
        EntityType::VenueAsset => [v1::VenueAsset::MUTABLE, v1::VenueAsset::IMMUTABLE],
        EntityType::Instrument => [v1::Instrument::MUTABLE, v1::Instrument::IMMUTABLE],
        EntityType::Market => [v1::Market::MUTABLE, v1::Market::IMMUTABLE],
    }
}

/// The proto3 JSON of the entity's message.
pub(crate) fn document(entity: &Entity) -> String {
    each!(&Message::from(entity), it => crate::document::json(it))
}

/// The entity of a message that this registry made: with what is output-only, which a client's has not.
pub fn stored(message: v1::Entity) -> Result<Entity, Vec<Violation>> {
    let mut reader = Reader::of_stored(&SystemIds);
    let read = given(message)?.read(&mut reader);
    reader.finish(read)
}

/// The message of the one arm, which must be there.
pub(in crate::convert) fn given(entity: v1::Entity) -> Result<Message, Vec<Violation>> {
    entity.entity.ok_or_else(|| {
        let (code, message) = ("REQUIRED".to_owned(), "the entity must be given".to_owned());
        vec![Violation { field: String::new(), code, message }]
    })
}

/// Names an entity of a type.
pub fn key(entity_type: EntityType, id: String) -> Key {
    match entity_type {
        EntityType::Asset => Key::AssetId(id),
        EntityType::Chain => Key::ChainId(id),
        EntityType::Venue => Key::VenueId(id),
        EntityType::VenueAsset => Key::VenueAssetId(id),
        EntityType::Instrument => Key::InstrumentId(id),
        EntityType::Market => Key::MarketId(id),
    }
}

/// The key that a message names; `$name` stands for the entity of that name.
pub(in crate::convert) fn read_key(key: &mut Key, reader: &mut Reader<'_>) -> Option<EntityKey> {
    let (entity_type, id) = match key {
        Key::AssetId(id) => (EntityType::Asset, id),
        Key::ChainId(id) => (EntityType::Chain, id),
        Key::VenueId(id) => (EntityType::Venue, id),
        Key::VenueAssetId(id) => (EntityType::VenueAsset, id),
        Key::InstrumentId(id) => (EntityType::Instrument, id),
        Key::MarketId(id) => (EntityType::Market, id),
    };
    reader.key(&key_field(entity_type), entity_type, id)
}

/// The field of a message of keys that holds the id of such an entity.
pub fn key_field(entity_type: EntityType) -> String {
    format!("{entity_type}_id")
}
