//! Entities as the JSON documents that plugins read: the proto3 JSON of `cqar.v1` with the proto's field names.

use cqar_domain::entities::Entity;
use serde::Serialize;

use crate::convert;

/// The document of an entity.
pub fn document(entity: &Entity) -> String {
    convert::document(entity)
}

/// A message's JSON. Messages made by this server hold no value that JSON cannot express.
pub fn json<M: Serialize>(message: &M) -> String {
    serde_json::to_string(message).unwrap_or_else(|_| String::from("{}"))
}
