//! The domain of the registry: what assets, chains, venues, instruments and markets are, and which statements about
//! them can be true.
//!
//! Nothing here does I/O, and nothing here may depend on tokio, tonic, sqlx, redis or wasmtime. What the crates above
//! need of each other (the event log, the look-ups of a plugin) stands here as a trait.
//!
//! | module | subject |
//! |---|---|
//! | [`decimal`], [`text`], [`time`] | newtypes that cannot hold a wrong value, and the bounds of texts |
//! | [`id`] | the ids of the entities, and the key that names any of them |
//! | [`entity`], [`unique_key`] | what every type of entity says of itself |
//! | [`entities`] | the entities, one file each, and an entity of any type |
//! | [`variants`] | the other forms of an asset, and what one is worth of another |
//! | [`code`] | the canonical code of an instrument |
//! | [`address`], [`caip10`], [`caip19`], [`external_id`] | what others name tokens by: on chains, and in the registers of standards |
//! | [`mutation`] | what a write asks for |
//! | [`event`] | what a write leaves in the log, and how the log is read |
//! | [`relay`] | what the relay to the event bus remembers, and what its transforms do |
//! | [`causes`] | which causes of a fault were told already |
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

pub mod address;
pub mod caip10;
pub mod caip19;
pub mod causes;
pub mod code;
pub mod decimal;
pub mod entities;
pub mod entity;
pub mod event;
pub mod external_id;
pub mod finding;
pub mod id;
pub mod lookup;
pub mod mutation;
pub mod quantity;
pub mod relay;
pub mod text;
pub mod time;
pub mod unique_key;
pub mod variants;
pub mod violation;
