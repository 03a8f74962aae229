//! The WebAssembly plugin host: engine, gate, generations, watcher, limits.
//!
//! Plugins are components of the WIT package `cqar:plugin`. An operator drops them into a watched directory; each that
//! passes the gate replaces its former generation while the server runs, and what does not changes nothing.
//!
//! It may depend on the domain and the contract, and it alone names wasmtime.
//!
//! | module | subject |
//! |---|---|
//! | [`host`](PluginHost) | starts everything, hands out what serves |
//! | [`set`](PluginSet) | all plugins at one instant: what one request works with |
//! | [`validator`](Change), [`symbology`](Symbology), `transform` | the calls of each kind, in the domain's words |
//! | `watcher`, `entry`, `scan` | what lies in the directory, and what is known of each plugin |
//! | `gate`, `sample`, `manifest`, `wit` | what a file must pass before it serves |
//! | `last_good` | the bytes that served, over restarts |
//! | [`context`](CallContext) | what a call belongs to |
//! | `generation`, `lane`, `sandbox`, `lookups`, `wasi` | instances, their limits, their calls, their imports |
//! | `engine`, `bindings` | wasmtime, and the WIT in Rust |
//! | `stats` | metrics, and the figures of each plugin |
//!
//! ```no_run
//! # async fn example(lookup: std::sync::Arc<dyn cqar_domain::lookup::Lookup>) -> Result<(), Box<dyn std::error::Error>> {
//! use std::{collections::BTreeMap, sync::Arc};
//!
//! use cqar_domain::time::SystemClock;
//! use cqar_plugins::{CallContext, HostConfig, Limits, PluginHost, Query};
//!
//! let config = HostConfig {
//!     dir: "target/plugins".into(),
//!     data_dir: "data/plugins".into(),
//!     required: vec!["market-sanity".into()],
//!     transforms: Vec::new(),
//!     settings: BTreeMap::new(),
//!     limits: Limits::default(),
//! };
//! let (registry, tracker, token) = Default::default();
//! let clock = Arc::new(SystemClock);
//! let host = PluginHost::start(config, lookup, clock, &registry, &tracker, token).await?;
//! let queries = vec![Query { symbol: "BTCUSDT".into(), segment: None }];
//! let symbology = host.snapshot().symbology("symbology-binance")?;
//! let call = CallContext { venue: Some("binance".parse()?), ..CallContext::at("2026-01-01T00:00:00Z".parse()?) };
//! let parsed = symbology.parse(&call, queries).await;
//! # Ok(())
//! # }
//! ```

mod bindings;
mod chunk;
mod config;
mod context;
mod engine;
mod entry;
mod error;
mod gate;
mod generation;
mod hash;
mod host;
mod lane;
mod last_good;
mod lookups;
mod manifest;
mod sample;
mod sandbox;
mod scan;
mod set;
mod stats;
mod symbology;
mod text;
mod transform;
mod validator;
mod wasi;
mod watcher;
mod wit;

pub use config::{HostConfig, Limits};
pub use context::CallContext;
pub use error::{CallError, StartError};
pub use host::PluginHost;
pub use set::{PluginSet, PluginStatus};
pub use symbology::{
    Code, Coverage, Expiry, FormatProblem, Listed, ListedAsset, ListedMarket, NotServing, Page, Parsed, Query, Reading,
    RejectedItem, RowProblem, Source, Stated, Symbology,
};
pub use validator::{Change, Judgement, Operation, ValidateError};
