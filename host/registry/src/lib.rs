//! The use cases: each read and write of the registry, in one place.
//!
//! It may depend on the domain, the contract, and the four crates below it (store, cache, events, plugins), which know
//! nothing of each other: here they meet.
//!
//! | module | subject |
//! |---|---|
//! | [`resolve`](ResolveQuery), [`format`](FormatQuery) | a venue's symbol to its market, and back |
//! | `infer`, `reading` | what a venue's plugin reads in a symbol, and which instrument that is |
//! | `reads`, [`list`](Page) | entities by id and in pages |
//! | `pieces`, `caches` | where reads come from: this process, Redis, the database |
//! | [`write`](WriteRequest), `apply`, [`import`] | the way of every write, and the two kinds of it |
//! | `plan` | from what a write asks for to what it changes: every invariant of the core |
//! | [`lookup`](Lookups) | what plugins may ask |
//! | `status`, `unresolved` | how the registry is |
//! | [`error`](Error) | why a call was refused |

mod apply;
mod caches;
mod error;
mod format;
pub mod import;
mod infer;
mod list;
mod lookup;
mod pieces;
mod plan;
mod reading;
mod reads;
mod registry;
mod resolve;
mod status;
mod unresolved;
mod write;

pub use caches::Caches;
pub use cqar_events::watch::{Start, WatchError, WatchFilter, WatchItem};
pub use cqar_store::{Error as StoreError, Filter, filters};
pub use error::{Candidate, Error};
pub use format::{FormatKey, FormatQuery};
pub use list::{Listed, Page};
pub use lookup::Lookups;
pub use registry::{Answer, Parts, Registry, Settings};
pub use resolve::ResolveQuery;
pub use write::WriteRequest;

pub(crate) use registry::Inner;
