//! Running components: the engine, instances and their limits, and what they import.

pub(crate) mod bindings;
pub(crate) mod chunk;
pub(crate) mod engine;
pub(crate) mod instance_pool;
pub(crate) mod log_rate;
pub(crate) mod lookups;
pub(crate) mod memory_budget;
pub(crate) mod sandbox;
pub(crate) mod wasi;
