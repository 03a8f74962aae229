//! `google.rpc.Status`, for answers that carry one error per item, with the JSON that proto3 prescribes.

use prost::Message;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::Error as _,
    ser::{SerializeMap, SerializeStruct},
};
use tonic_types::pb;

/// An error as a message.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// The gRPC status code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What went wrong.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Typed details.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// A message of any type.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// `type.googleapis.com/` and the full name of the type.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl From<&tonic::Status> for Status {
    fn from(status: &tonic::Status) -> Self {
        // The details of a tonic status are an encoded google.rpc.Status already, made by tonic-types.
        let details = Self::decode(status.details()).map(|status| status.details).unwrap_or_default();
        Self { code: status.code().into(), message: status.message().to_owned(), details }
    }
}

/// The error of one item as that which a call of its own would have got.
impl From<&Status> for tonic::Status {
    fn from(item: &Status) -> Self {
        Self::with_details(item.code.into(), item.message.clone(), item.encode_to_vec().into())
    }
}

impl Status {
    /// The reason of the `google.rpc.ErrorInfo` among the details, if there is one.
    pub fn reason(&self) -> Option<String> {
        self.details
            .iter()
            .find_map(|detail| detail.decode::<pb::ErrorInfo>("google.rpc.ErrorInfo"))
            .map(|info| info.reason)
    }
}

impl Any {
    /// The message, if it is of that type. (tonic-types gives its messages no names.)
    fn decode<M: Message + Default>(&self, name: &str) -> Option<M> {
        (self.type_url.rsplit('/').next() == Some(name)).then(|| M::decode(self.value.as_slice()).ok()).flatten()
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("google.rpc.Status", 3)?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("details", &self.details)?;
        out.end()
    }
}

/// `@type` and the fields, for the details that this registry sends; the bare type for any other.
impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("@type", &self.type_url)?;
        if let Some(info) = self.decode::<pb::ErrorInfo>("google.rpc.ErrorInfo") {
            out.serialize_entry("reason", &info.reason)?;
            out.serialize_entry("domain", &info.domain)?;
            out.serialize_entry("metadata", &info.metadata.iter().collect::<std::collections::BTreeMap<_, _>>())?;
        } else if let Some(info) = self.decode::<pb::ResourceInfo>("google.rpc.ResourceInfo") {
            out.serialize_entry("resource_type", &info.resource_type)?;
            out.serialize_entry("resource_name", &info.resource_name)?;
            out.serialize_entry("description", &info.description)?;
        } else if let Some(request) = self.decode::<pb::BadRequest>("google.rpc.BadRequest") {
            let violations = request.field_violations.into_iter();
            let violations: Vec<_> =
                violations.map(|v| serde_json::json!({"field": v.field, "description": v.description})).collect();
            out.serialize_entry("field_violations", &violations)?;
        } else if let Some(failure) = self.decode::<pb::PreconditionFailure>("google.rpc.PreconditionFailure") {
            let violations = failure.violations.into_iter();
            let violations: Vec<_> = violations
                .map(|v| serde_json::json!({"type": v.r#type, "subject": v.subject, "description": v.description}))
                .collect();
            out.serialize_entry("violations", &violations)?;
        }
        out.end()
    }
}

/// The server writes statuses and never reads them from JSON.
impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("google.rpc.Status is not read from JSON"))
    }
}
