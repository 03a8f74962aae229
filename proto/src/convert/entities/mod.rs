//! The entities, one file each: from the domain to the contract and back. A new one is a file here, with its module, and a line in the
//! list.

mod asset;
mod chain;
mod deployment;
mod group;
mod identifier;
mod instrument;
mod market;
mod relationship;
mod venue;
mod venue_asset;

use cqar_domain::{
    entities::{Entity, EntityVariant},
    entity::{Revision, TypedEntity},
    id::{EntityKey, EntityType, SystemIds},
    violation::{Violation, Violations},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use identifier::identified;
pub use venue_asset::stored_networks;

use super::{
    Reader,
    mask::{Masked, apply_mask},
};
use crate::v1::{self, entity::Entity as Message, entity_key::Key};

/// The message of one type of entity.
pub trait EntityMessage: prost::Message + Masked + Serialize + Sized + for<'a> From<&'a Self::Entity> {
    /// What it is the message of.
    type Entity: EntityVariant;

    /// One of them, as its document: what plugins are tried with.
    const SAMPLE: &'static str;

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

/// The list of all types: the entity, and the arm of a key that names one.
macro_rules! all_types {
    ($apply:ident!($($arguments:tt)*)) => {
        $apply! {
            ($($arguments)*)
            Asset AssetId,
            Chain ChainId,
            Deployment DeploymentId,
            Venue VenueId,
            VenueAsset VenueAssetId,
            Instrument InstrumentId,
            Market MarketId,
            Identifier IdentifierId,
            Relationship RelationshipId,
            Group GroupId,
        }
    };
}

/// What of a message follows from its line.
macro_rules! messages {
    (() $($entity:ident $key:ident,)+) => {
        impl From<&Entity> for Message {
            fn from(entity: &Entity) -> Self {
                match entity { $(Entity::$entity(it) => Self::$entity(it.as_ref().into())),+ }
            }
        }

        /// Reads the message of a type of entity from JSON or YAML, as files have it.
        pub fn deserialize<'de, D>(entity_type: EntityType, deserializer: D) -> Result<Message, D::Error>
        where
            D: Deserializer<'de>,
        {
            Ok(match entity_type { $(EntityType::$entity => Message::$entity(Deserialize::deserialize(deserializer)?)),+ })
        }

        /// The fields of a type's message that a client may give: those that an update may change, and those that only a create takes.
        pub const fn settable_fields(entity_type: EntityType) -> [&'static [&'static str]; 2] {
            match entity_type { $(EntityType::$entity => [v1::$entity::MUTABLE, v1::$entity::IMMUTABLE]),+ }
        }

        /// See [`EntityMessage::SAMPLE`].
        pub const fn sample(entity_type: EntityType) -> &'static str {
            match entity_type { $(EntityType::$entity => <v1::$entity as EntityMessage>::SAMPLE),+ }
        }

        /// Names an entity of a type.
        pub fn key(entity_type: EntityType, id: String) -> Key {
            match entity_type { $(EntityType::$entity => Key::$key(id)),+ }
        }

        /// The key that a message names; `$name` stands for the entity of that name.
        pub(in crate::convert) fn read_key(key: &mut Key, reader: &mut Reader<'_>) -> Option<EntityKey> {
            let (entity_type, id) = match key { $(Key::$key(id) => (EntityType::$entity, id)),+ };
            reader.key(&key_field(entity_type), entity_type, id)
        }
    };
}
all_types!(messages!());

/// Evaluates the same for whichever type of message it is.
macro_rules! each {
    (($of:expr, $it:ident => $body:expr) $($entity:ident $key:ident,)+) => {
        match $of { $(Message::$entity($it) => $body),+ }
    };
    ($of:expr, $it:ident => $body:expr) => {
        all_types!(each!($of, $it => $body))
    };
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
    pub(in crate::convert) fn apply_mask(
        &mut self,
        from: &Self,
        mask: &[String],
        found: &mut Violations,
    ) -> Vec<&'static str> {
        fn lay<M: EntityMessage>(
            onto: &mut M,
            from: &Message,
            mask: &[String],
            found: &mut Violations,
        ) -> Vec<&'static str> {
            M::of(from).map(|from| apply_mask(onto, from, mask, found)).unwrap_or_default()
        }
        each!(self, onto => lay(onto, from, mask, found))
    }
}

/// As its own message is written.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        each!(self, it => it.serialize(serializer))
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

/// Notes the fields that differ and may not: an update may repeat them, in whichever spelling, and not change them.
pub fn immutable_changes(before: &Entity, after: &Entity, found: &mut Violations) {
    let [_, immutable] = settable_fields(after.key().entity_type());
    for changed in before.changed_fields(after) {
        // What the registry calls terms stands in the field of its kind.
        let field = match after {
            Entity::Instrument(it) if changed == "terms" => instrument::terms_field_of(it),
            _ => immutable.iter().copied().find(|field| *field == changed),
        };
        if let Some(field) = field {
            found.add(field, IMMUTABLE.0, IMMUTABLE.1);
        }
    }
}

/// The code and the message of what may not be changed.
pub(in crate::convert) const IMMUTABLE: (&str, &str) = ("IMMUTABLE", "cannot be changed");

/// The field of a message of keys that holds the id of such an entity.
pub fn key_field(entity_type: EntityType) -> String {
    format!("{entity_type}_id")
}
