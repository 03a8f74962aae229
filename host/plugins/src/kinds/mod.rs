//! The kinds of plugin. Each is a folder that owns what its components export: the comparison with the WIT, the calls, and
//! the samples of the gate. A fourth kind is a fourth folder, and a line in [`KINDS`].

pub(crate) mod case;
mod sample_documents;
pub(crate) mod symbology;
pub(crate) mod transform;
pub(crate) mod validator;

use std::{any::Any, fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use self::case::CaseInput;
use crate::{
    error::CallError,
    gate::{interface::Exports, manifest::Manifest},
    generation::PoolSettings,
    runtime::{instance_pool::Template, sandbox::Scope},
};

/// Every kind.
pub(crate) static KINDS: [&dyn Kind; 3] = [&validator::Validators, &symbology::Symbologies, &transform::TransformKind];

/// A kind of plugin: one world of the WIT.
pub(crate) trait Kind: Send + Sync {
    /// As manifests say it; also the name of the interface that tells the kinds apart.
    fn name(&self) -> &'static str;

    /// Whether its plugins judge writes, so that one that does not serve is a missing rule.
    fn judges_writes(&self) -> bool {
        false
    }

    /// Compares what a component exports with the WIT; the error says what is missing or different.
    fn check(&self, exports: &Exports<'_>) -> Result<(), String>;

    /// What a component of this kind can be called by.
    fn interfaces(
        &self,
        template: &Arc<Template>,
        settings: &PoolSettings<'_>,
    ) -> wasmtime::Result<Arc<dyn Interfaces>>;

    /// One call of every export, for every entity type that is subscribed to.
    fn samples(&self, manifest: &Manifest) -> Vec<CaseInput>;
}

/// The interfaces of one generation.
#[async_trait]
pub(crate) trait Interfaces: Any + Send + Sync {
    /// Makes the call that a case describes, and gives what the plugin returned as JSON: `{"ok": …}`, or `{"err": …}` where the
    /// plugin says that it cannot answer. What the host would not take as an answer is an error.
    async fn evaluate(&self, input: &CaseInput, scope: Scope) -> Result<Value, CallError>;

    /// Gives back the memory of instances that wait for their next call.
    fn evict_idle(&self);
}

/// Which kind, in records and manifests.
#[derive(Clone, Copy)]
pub(crate) struct KindRef(pub(crate) &'static dyn Kind);

impl KindRef {
    /// The kind of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name).map(Self)
    }

    pub(crate) fn name(self) -> &'static str {
        self.0.name()
    }
}

impl PartialEq for KindRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Debug for KindRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for KindRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for KindRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let names = || KINDS.map(Kind::name).join(", ");
        Self::from_name(&name).ok_or_else(|| de::Error::custom(format!("there is no kind {name:?}, only {}", names())))
    }
}
