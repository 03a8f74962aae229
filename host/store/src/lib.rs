//! Persistence: one SQL for SQLite and PostgreSQL, with the revision counter, the event log and the answered
//! requests in the same transaction as the change.
//!
//! It may depend on `cqar-domain` and `cqar-proto`, and it alone names sqlx.
//!
//! | module | subject |
//! |---|---|
//! | [`settings`](StoreSettings) | where the database is |
//! | [`snapshot`](Snapshot), [`list`, `filter`](Filter), `find` | reads of one revision |
//! | [`write`](WriteTransaction), [`requests`](IdempotencyKey), `writers`, [`write_health`](WriteHealth) | the write transaction, who waits for it, and whether it works |
//! | `footprint`, `recent` | what a plan was made of, and whether it changed since |
//! | `insert`, `references`, `list_references`, `growth` | many rows at once, what they refer to, and how their number changes plans |
//! | `log`, `log_block`, `relay`, `relay_file` | the ports of the domain: [`cqar_domain::event::EventLog`], [`cqar_domain::relay::RelayStateStore`] |
//! | [`migrations`](MigrationStatus) | the schema |
//! | `tables`, `row`, `symbols`, `related` | entities to rows and back, the markets by symbol, relationships by asset |
//! | [`schema`], [`filters`] | what the tables say of themselves, and what they can be listed by |
//! | `database`, `value`, `dialect` | the executor over both databases, what it binds, and all that differs between them |
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use cqar_domain::time::SystemClock;
//! use cqar_store::{Store, StoreSettings};
//!
//! let folder = std::env::temp_dir().join(format!("cqar-example-{}", std::process::id()));
//! let settings = StoreSettings::new(format!("sqlite://{}/cqar.db", folder.display()));
//! let store = Store::open(&settings, Arc::new(SystemClock), &prometheus::Registry::new()).await?;
//! store.migrate_up().await?;
//! let snapshot = store.snapshot().await?;
//! assert_eq!(snapshot.revision(), 0);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```

mod columns;
mod database;
mod dialect;
mod error;
mod filter;
mod find;
mod footprint;
mod from_row;
mod growth;
mod insert;
mod list;
mod list_references;
mod log;
mod log_block;
mod metrics;
mod migrations;
mod once_referred;
mod recent;
mod references;
mod referrers;
mod related;
mod relay;
mod relay_file;
mod requests;
mod row;
pub mod schema;
mod settings;
mod silence;
mod snapshot;
mod store;
mod symbols;
mod tables;
mod unique_keys;
mod value;
mod write;
mod write_health;
mod writers;

pub use database::STATEMENTS;
pub use dialect::PLANNER;
pub use error::{Constraint, Error};
pub use filter::Filter;
pub use footprint::Footprint;
pub use list::{ListPage, PageBounds};
pub use log::MAX_PAGE_BYTES;
pub use migrations::MigrationStatus;
pub use related::End;
pub use requests::{IdempotencyKey, IdempotencyRecord};
pub use settings::{StoreSettings, url_fault, without_credentials};
pub use snapshot::{Snapshot, StateId};
pub use store::{MIN_POSTGRES_CONNECTIONS, Store};
pub use tables::{filters, table_schemas};
pub use write::{Change, Committed, WriteAttribution, WriteTransaction};
pub use write_health::WriteHealth;
