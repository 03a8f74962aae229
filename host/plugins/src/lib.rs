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
//! | [`plugin_set`](PluginSet), `table` | all plugins at one instant: what one request works with |
//! | `transforms` | the enabled transforms, as the relay runs them |
//! | `directory` | what lies in the watched directory, and what is known of each plugin |
//! | `plugin_config` | `<name>.toml` |
//! | `gate` | what a file must pass before it serves |
//! | `compile` | compiling, in a process of its own |
//! | `generation`, `generation_store` | what serves, and what did, over restarts |
//! | `kinds` | validators, symbologies, transforms: their WIT, their calls, their samples, in the domain's words |
//! | `runtime` | the engine, instances, their limits, their imports |
//! | [`context`](CallContext) | what a call belongs to |
//! | `monitor`, `failure_window` | what is learnt of the calls of a generation |
//! | `replay` | the last calls, and what a new generation answers to them |
//! | `trust` | whose plugins may serve |
//! | `stats` | metrics, and the figures of each plugin |
//!
//! ```no_run
//! # async fn example(lookup: std::sync::Arc<dyn cqar_domain::lookup::Lookup>) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use cqar_domain::time::SystemClock;
//! use cqar_plugins::{
//!     CallContext, CompilerConfig, HostConfig, MEMORY_BUDGET_BYTES, PluginHost, PluginSettings, Query, SETTLE_TIMEOUT, START_TIMEOUT,
//! };
//!
//! let config = HostConfig {
//!     dir: "target/plugins".into(),
//!     data_dir: "data/plugins".into(),
//!     required: vec!["market-sanity".into()],
//!     transforms: Vec::new(),
//!     plugins: PluginSettings::default(),
//!     compiler: CompilerConfig {
//!         program: "/proc/self/exe".into(),
//!         cache_dir: "data/plugins/compiled".into(),
//!         memory_bytes: 2 << 30,
//!     },
//!     start_timeout: START_TIMEOUT,
//!     settle_timeout: SETTLE_TIMEOUT,
//!     memory_budget_bytes: MEMORY_BUDGET_BYTES,
//!     trusted_keys: None,
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

mod compile;
mod config;
mod context;
mod directory;
mod error;
mod failure_window;
mod gate;
mod generation;
mod generation_store;
mod hash;
mod host;
mod kinds;
mod monitor;
mod plugin_config;
mod plugin_set;
mod replay;
mod runtime;
mod stats;
mod table;
mod text;
mod transforms;
mod trust;

pub use compile::{CompilerConfig, child::compile_main};
pub use config::{HostConfig, Limits, MEMORY_BUDGET_BYTES, PluginSettings, SETTLE_TIMEOUT, START_TIMEOUT, TimeLimit};
pub use context::CallContext;
pub use directory::operations::{OperateError, Operation as PluginOperation};
pub use error::{CallError, StartError};
pub use host::{EvaluateError, Evaluated, PluginHost};
pub use kinds::{
    symbology::{
        Code, Coverage, Expiry, FormatProblem, Listed, ListedAsset, ListedMarket, NotServing, Page, Parsed, Query,
        Reading, RejectedItem, RowProblem, Source, Stated, Symbology,
    },
    validator::{Change, Judgement, Operation, ValidateError},
};
pub use plugin_set::PluginSet;
pub use table::PluginStatus;
pub use trust::TrustedKey;
