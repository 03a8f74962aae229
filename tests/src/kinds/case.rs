//! One case for each method: a request that succeeds, and what must be there before it.
//!
//! In both, `{n}` is a number that no case had before, and `{0}`, `{1}` … are the ids of what the preparation came to. The
//! registry of [`SampleRegistry`](crate::fixtures::SampleRegistry) is there: `{btc}`, `{usdt}`, `{spot}`, `{perpetual}`, `{kraken}`.

use serde_json::{Value, json};

/// How a method is called.
#[derive(Debug, Clone)]
pub struct Case {
    /// `Service/Method`.
    pub method: &'static str,
    /// Mutations that come first.
    pub prepare: Value,
    /// What is asked for; a write changes something.
    pub asked: Value,
}

/// A case.
pub fn case(method: &'static str, prepare: Value, asked: Value) -> Case {
    Case { method, prepare, asked }
}

/// No mutation.
pub fn none() -> Value {
    json!([])
}

/// The creation of an entity.
pub fn create(entity: &str, message: &Value) -> Value {
    json!([{"create": {entity: message}}])
}

/// Its creation, and its deletion.
pub fn delete(entity: &str, message: &Value, key: &str) -> Value {
    json!([{"ref": "r{n}", "create": {entity: message}}, {"delete": {key: "$r{n}"}}])
}

/// An asset that nothing refers to.
pub fn asset() -> Value {
    json!({"symbol": "A{n}", "name": "An asset", "type": "ASSET_TYPE_TOKEN"})
}
