//! What the host is told: where plugins lie, which of them matter, and what each may use up.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use crate::{compile::CompilerConfig, trust::TrustedKey};

/// The configuration of the plugin host.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The watched directory. Each `<name>.wasm` in it is a plugin.
    pub dir: PathBuf,
    /// Where the bytes of activated generations are kept, and what operators did.
    pub data_dir: PathBuf,
    /// Plugins without which the writes that they subscribe to are refused, and whose deletion does not count.
    pub required: Vec<String>,
    /// The transforms that are enabled, in the order in which events pass them.
    pub transforms: Vec<String>,
    /// What may be changed while it runs.
    pub plugins: PluginSettings,
    /// How components are compiled.
    pub compiler: CompilerConfig,
    /// How long the start waits for the plugins that are there. What compiles for longer joins later.
    pub start_timeout: Duration,
    /// How long a write waits for a plugin that is being tried, and might have to judge it.
    pub settle_timeout: Duration,
    /// The memory of all instances together, but for the one that reads listings, and of the machine code that they run.
    pub memory_budget_bytes: usize,
    /// Whose plugins may serve: minisign keys, one of which must have signed each. None means anybody's.
    pub trusted_keys: Option<Vec<TrustedKey>>,
}

/// What the server's configuration says of plugins: see [`crate::PluginHost::reconfigure`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginSettings {
    /// The settings object of each plugin that has one.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// What each plugin is granted, where the file beside it does not say.
    pub grants: BTreeMap<String, Vec<String>>,
    /// What each plugin may use up.
    pub limits: Limits,
}

impl PluginSettings {
    /// The settings of one plugin, as they are kept with its generation; None where it has none.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.settings.get(name).map(serde_json::Value::to_string)
    }

    /// Whether another configuration says the same of one plugin.
    pub(crate) fn says_the_same(&self, other: &Self, name: &str) -> bool {
        let of = |it: &Self| (it.settings.get(name).cloned(), it.grants.get(name).cloned());
        self.limits == other.limits && of(self) == of(other)
    }
}

/// The default of [`HostConfig::memory_budget_bytes`]: some thirty plugins at the default limit of an instance.
pub const MEMORY_BUDGET_BYTES: usize = 2 << 30;

/// The defaults of [`HostConfig::start_timeout`] and [`HostConfig::settle_timeout`]: components that were compiled before take less than a
/// second together; and a new file that only loops was found out by then.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);
/// See [`START_TIMEOUT`].
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long something of a plugin's may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLimit {
    /// Computing itself: time in which a processor runs it.
    pub guest: Duration,
    /// In all: with its look-ups, and with waiting for a processor of a machine that is busy with other things.
    pub total: Duration,
}

/// What one plugin may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One call. A chunk of 256 changes takes a plugin in Rust about a millisecond and one in Python ten.
    pub call: TimeLimit,
    /// To instantiate and configure, to describe itself, and to answer a case of the gate. Interpreters start in some hundred
    /// milliseconds.
    pub setup: TimeLimit,
    /// How long a call waits for one of `concurrency` places before it fails as busy.
    pub queue_timeout: Duration,
    /// Memories and tables of one instance, summed. `concurrency` times this is the most that a plugin can hold.
    pub memory_bytes: usize,
    /// An instance that grew beyond this is not used again, so that one large call is not paid for ever after. An interpreter
    /// of Python has 13 MiB when it has just begun.
    pub reuse_bytes: usize,
    /// What a plugin may hand over in one answer, or in one call of the host.
    pub output_bytes: usize,
    /// Calls that run at the same time, and instances that are kept for the next.
    pub concurrency: usize,
    /// Keys of all look-ups of one call: sixteen for each change of a full chunk. A look-up of none counts as one.
    pub lookup_keys: usize,
    /// Bytes of the documents that one look-up finds.
    pub lookup_bytes: usize,
    /// Whether it is the class of `read-listing`, whose memory is its own.
    pub is_listing: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: TimeLimit { guest: Duration::from_millis(250), total: Duration::from_secs(10) },
            setup: TimeLimit { guest: Duration::from_secs(2), total: Duration::from_secs(20) },
            queue_timeout: Duration::from_secs(2),
            memory_bytes: 64 << 20,
            reuse_bytes: 32 << 20,
            output_bytes: 8 << 20,
            concurrency: 8,
            lookup_keys: 1024,
            lookup_bytes: 8 << 20,
            is_listing: false,
        }
    }
}

impl Limits {
    /// The class of `read-listing`, whose input and output are those of a whole venue: rare, large, one at a time, and
    /// on an instance of its own.
    pub(crate) fn listing(&self) -> Self {
        Self {
            call: TimeLimit { guest: Duration::from_secs(30), total: Duration::from_secs(90) },
            queue_timeout: Duration::from_mins(1),
            memory_bytes: 512 << 20,
            reuse_bytes: 0,
            output_bytes: LISTING_BYTES,
            concurrency: 1,
            is_listing: true,
            ..self.clone()
        }
    }
}

/// The most bytes that `read-listing` is given, and that it answers. The largest listing known is 12 MB.
pub(crate) const LISTING_BYTES: usize = 64 << 20;
/// The largest file that is looked at. Components with a JavaScript or Python engine inside have 12 to 18 MB.
pub(crate) const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// The most changes, events or symbols of one call.
pub(crate) const MAX_CHUNK: usize = 256;
/// The same of a plugin that looks up. Most ask for each change apart, and each time the database answers within the deadline of
/// the call.
pub(crate) const MAX_LOOKUP_CHUNK: usize = 64;
/// The most bytes of documents in one call, unless one alone is larger: a sixteenth of the memory that a plugin has by
/// default, as parsed JSON takes several times its text.
pub(crate) const MAX_CHUNK_BYTES: usize = 4 << 20;
/// What one request takes in of a plugin's answers: 10,000 readings have some 5 MiB, and 20,000 changes with a finding each 10.
pub(crate) const MAX_REQUEST_OUTPUT_BYTES: usize = 64 << 20;
/// Items of one request that are asked again alone because their chunk failed, and fail again. The others of their chunks are
/// not asked then: each may take the time of a call.
pub(crate) const MAX_FAILED_ITEMS: usize = 32;
