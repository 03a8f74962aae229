//! Entities as the JSON documents that plugins read: the proto3 JSON of `cqar.v1` with the proto's field names.

use cqar_domain::entity::Entity;
use serde::Serialize;

use crate::v1;

/// The document of an entity.
pub fn document(entity: &Entity) -> String {
    match v1::Entity::from(entity).entity {
        Some(v1::entity::Entity::Asset(it)) => json(&it),
        Some(v1::entity::Entity::Chain(it)) => json(&it),
        Some(v1::entity::Entity::Venue(it)) => json(&it),
        Some(v1::entity::Entity::VenueAsset(it)) => json(&it),
        Some(v1::entity::Entity::Instrument(it)) => json(&it),
        Some(v1::entity::Entity::Market(it)) => json(&it),
        None => String::from("{}"),
    }
}

/// A message's JSON. Messages made by this server hold no value that JSON cannot express.
pub fn json<M: Serialize>(message: &M) -> String {
    serde_json::to_string(message).unwrap_or_else(|_| String::from("{}"))
}
