//! The read caches: in this process ([`L1`]) and, where it is configured, in Redis ([`L2`]). Both are invalidated from the
//! event log, so that no answer is older than what this replica has acknowledged.
//!
//! **The invariant.** *After a write is acknowledged no read on this replica returns what was true before it, and no
//! read with a `min_revision` does either.* Both levels keep it by the same rule:
//!
//! 1. Every value is stamped with the revision of the snapshot that it was read at.
//! 2. Applying a change removes what is older and depends on what changed, and is remembered.
//! 3. A value is taken in only if no change to what it depends on, later than its stamp, was applied; where changes
//!    were forgotten (there is only so much room to remember them), it must be newer than all that were.
//!
//! So a slow reader never puts an older value back: either its value is there when the change comes (2), or the change
//! is there when the value comes (3). [`L1`] holds answers about the applied revision. [`L2`] says through which
//! revision a value is known to hold, and the reader says which one it needs.
//!
//! It may depend on the domain, on the contract (to read the bodies of events), and on moka and redis, which no other
//! crate names.
//!
//! | module | subject |
//! |---|---|
//! | [`key`] | what a change alters, and how long anything is kept |
//! | [`l1`] | answers in this process; a load is shared by those who wait for it, and admitted by the rule |
//! | `dependency_index` | L1's memory: which answers depend on what, and what changed lately |
//! | [`l2`] | values in Redis |
//! | [`metrics`] | what both count |
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use cqar_cache::{key::Key, l1::{Bounds, L1, Loaded}, metrics::CacheMetrics};
//! use cqar_domain::id::{EntityKey, EntityType};
//! use tokio_util::task::TaskTracker;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let metrics = CacheMetrics::new(&prometheus::Registry::new()).unwrap();
//! let cache: L1<String, Arc<str>, Arc<str>> =
//!     L1::new(Bounds::of_bytes(1024 * 1024), metrics.l1("venues"), TaskTracker::new());
//! let lookups = metrics.lookups("venue");
//!
//! assert!(lookups.count(cache.get("binance")).is_none());
//! let load = async {
//!     let dependencies = vec![Key::Entity(EntityKey::Venue("binance".parse().unwrap()))];
//!     Ok(Loaded { value: "Binance".into(), dependencies, revision: 7, bytes: 7, ttl: EntityType::Venue.cache_ttl() })
//! };
//! assert_eq!(cache.load("binance".to_owned(), load).await.unwrap().as_ref(), "Binance");
//! assert_eq!(lookups.count(cache.get("binance")).as_deref(), Some("Binance"));
//! # }
//! ```

mod dependency_index;
pub mod key;
pub mod l1;
pub mod l2;
pub mod metrics;

pub use key::Key;
pub use l1::{Bounds, L1, Loaded, LogChanges};
pub use l2::{L2, L2Health, L2Settings, L2Tls, Versioned, common_revision};
pub use moka::Equivalent;
