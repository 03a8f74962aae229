//! The contract `cqar.v1` in Rust: messages, clients, servers, their JSON, and conversions to and from the domain.
//!
//! It may depend on the domain and on tonic, and on nothing else of the workspace.
//!
//! | module | subject |
//! |---|---|
//! | [`v1`] | messages and clients, generated |
//! | [`server`] | the traits that a server implements, generated |
//! | [`convert`] | messages to and from the domain |
//! | [`document`] | entities as the JSON documents that plugins read |
//! | [`encoded`] | answers that were encoded when they were cached |
//! | [`well_known`], [`rpc`] | the types of Google's that the contract uses, with their JSON |
//!
//! ```
//! let json = r#"{"venue_id": "binance", "venue_symbol": "BTCUSDT", "segment": "spot"}"#;
//! let request: cqar_proto::v1::ResolveMarketRequest = serde_json::from_str(json).unwrap();
//! assert_eq!(request.segment.as_deref(), Some("spot"));
//! ```

pub mod convert;
pub mod document;
pub mod encoded;
pub mod rpc;
pub mod well_known;

/// The messages and clients.
#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs, unused_qualifications, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/cqar.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/cqar.v1.serde.rs"));
}

/// The traits that a server implements, and the services around them.
#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs, unused_qualifications, reason = "generated")]
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/servers/cqar.v1.rs"));
}

/// The contract as an encoded `google.protobuf.FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
