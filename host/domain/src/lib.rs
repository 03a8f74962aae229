//! The domain of the registry: what assets, chains, venues, instruments and markets are, and which statements about
//! them can be true.
//!
//! Nothing here does I/O, and nothing here may depend on tokio, tonic, sqlx, redis or wasmtime. What the crates above
//! need of each other (the event log, the look-ups of a plugin) stands here as a trait.
//!
//! | module | subject |
//! |---|---|
//! | [`id`], [`decimal`], [`time`] | newtypes that cannot hold a wrong value |
//! | [`asset`], [`chain`], [`venue`], [`venue_asset`], [`instrument`], [`market`] | the entities and their invariants |
//! | [`entity`] | any of them, by type and key |
//! | [`code`] | the canonical code of an instrument |
//! | [`mutation`] | what a write asks for |
//! | [`event`] | what a write leaves in the log, and how the log is read |
//! | [`relay`] | what the relay to the event bus remembers, and what its transforms do |
//! | [`lookup`], [`finding`] | what a plugin may ask of the registry, and what a validator answers |
//!
//! ```
//! use cqar_domain::{decimal::Decimal, id::VenueId};
//!
//! let venue: VenueId = "binance".parse().unwrap();
//! let tick: Decimal = "0.0100".parse().unwrap();
//! assert_eq!(tick, "0.01".parse().unwrap());
//! assert_eq!(format!("{venue} {tick}"), "binance 0.01");
//! ```

pub mod asset;
pub mod chain;
pub mod code;
pub mod decimal;
pub mod entity;
pub mod event;
pub mod finding;
pub mod id;
pub mod instrument;
pub mod lookup;
pub mod market;
pub mod mutation;
pub mod relay;
pub mod text;
pub mod time;
pub mod venue;
pub mod venue_asset;
pub mod violation;
