//! The use cases: each read and write of the registry, in one place.
//!
//! It may depend on the domain, the contract, and the four crates below it (store, cache, events, plugins), which know
//! nothing of each other: here they meet.
//!
//! | module | subject |
//! |---|---|
//! | [`resolve`](ResolveQuery), [`format`](FormatQuery) | a venue's symbol to its market, and back |
//! | [`joined`](JoinedQuery) | what else a key names, with what that refers to |
//! | `listings`, `request_path` | where instruments trade, and which has a code; where a query stands in its request |
//! | `infer`, `infer_format`, `reading` | what a venue's plugin reads in a symbol or writes, and which instrument that is |
//! | `reads`, [`list`](PageRequest) | entities by id and in pages |
//! | [`variants`](VariantsQuery) | the other forms of an asset |
//! | `loader`, `caches` | where reads come from: this process, Redis, the database |
//! | [`write`](WriteContext), `apply`, [`import`] | the way of every write, and the two kinds of it |
//! | `caller` | work that goes on without its caller |
//! | `plan`, `caller_rules` | from what a write asks for to what it changes: every invariant of the core, and of callers |
//! | [`lookup`](StoreLookup) | what plugins may ask |
//! | `plugins` | the plugins of this server, for their operator |
//! | `status`, `unresolved`, `symbologies` | how the registry is |
//! | [`error`](Error) | why a call was refused |

mod apply;
mod caches;
mod caller;
mod caller_rules;
mod error;
mod format;
pub mod import;
mod infer;
mod infer_format;
mod joined;
mod list;
mod listings;
mod loader;
mod lookup;
mod plan;
mod plugins;
mod reading;
mod reads;
mod registry;
mod request_path;
mod resolve;
mod status;
mod symbologies;
mod unresolved;
mod variants;
mod write;

pub use caches::Caches;
pub use cqar_events::watch::{WatchError, WatchFilter, WatchItem, WatchStart};
pub use cqar_plugins::{Evaluated, PluginOperation};
pub use cqar_store::{Error as StoreError, Filter, filters};
pub use error::{Candidate, Error, Unresolved, VenueAssetCandidate};
pub use format::{FindQuery, FormatQuery, FoundMarkets, InstrumentSelector};
pub use joined::{DeploymentQuery, IdentifierQuery, JoinedQuery, VenueAssetQuery};
pub use list::{EntityPage, PageRequest};
pub use lookup::StoreLookup;
pub use registry::{ReadLimits, Registry, RegistryParts, RegistrySettings, Revisioned};
pub use request_path::RequestPath;
pub use resolve::{LookupOptions, ResolveQuery};
pub use status::Staleness;
pub use variants::VariantsQuery;
pub use write::{WriteContext, request_hash};

pub(crate) use registry::Inner;
