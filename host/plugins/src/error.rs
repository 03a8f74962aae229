//! How a call of a plugin, and the start of the host, can fail.

use std::{io, path::PathBuf, time::Duration};

/// Why a call gave no answer. Nothing of it counts then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// It computed for too long.
    #[error("took longer than {} ms to compute{tail}", .limit.as_millis())]
    Deadline {
        /// What it was allowed.
        limit: Duration,
        /// The end of what it wrote to standard error, in brackets.
        tail: String,
    },
    /// It slept, or waited for too long: for look-ups, or for a processor.
    #[error("took longer than {} ms in all{tail}", .limit.as_millis())]
    Timeout {
        /// What it was allowed.
        limit: Duration,
        /// The end of what it wrote to standard error, in brackets.
        tail: String,
    },
    /// It wanted more memory than it may have, and did not survive the refusal.
    #[error("needed more than {} MiB of memory{tail}", .limit_bytes >> 20)]
    Memory {
        /// What it was allowed.
        limit_bytes: usize,
        /// The end of what it wrote to standard error, in brackets.
        tail: String,
    },
    /// All plugins together have no more memory to give it, which is no fault of its own.
    #[error("found no memory left in plugins.memory_budget")]
    MemoryBudget,
    /// It answered more than one request may take in.
    #[error("answered more than {} MiB in one request", .limit_bytes >> 20)]
    Output {
        /// What is allowed.
        limit_bytes: usize,
    },
    /// It trapped, left, or broke the rules of the component model: handed over too much, say.
    #[error("{message}{tail}")]
    Trap {
        /// What happened.
        message: String,
        /// The end of what it wrote to standard error, in brackets.
        tail: String,
    },
    /// It said itself that it cannot answer.
    #[error("failed: {code}: {message}")]
    Failure {
        /// Its code.
        code: String,
        /// Its message.
        message: String,
        /// Whether it expects another attempt to go better.
        retryable: bool,
    },
    /// What it answered is no answer: a wrong number, an index out of range, a decimal that is none.
    #[error("gave an answer that is none: {0}")]
    BadAnswer(String),
    /// It refused its settings, or could not be instantiated.
    #[error("could not be set up: {0}")]
    Setup(String),
    /// All its places were taken for too long.
    #[error("was busy for longer than {} ms", .0.as_millis())]
    Busy(Duration),
    /// Too many calls wait for one of its places.
    #[error("has too many calls waiting")]
    TooManyWaiting,
    /// It failed for so many items of the request that the others were not asked one by one.
    #[error("failed for too many items of the request")]
    TooManyFailures,
    /// The registry changed between two look-ups of the call, which is to be made again on the new state.
    #[error("the registry changed during the call")]
    Moved,
    /// A look-up found the registry's database away.
    #[error("a look-up failed: {0}")]
    Lookup(String),
    /// A replayed call looked up what the recorded one did not.
    #[error("looked up what was not recorded")]
    Inconclusive,
    /// A case that was given cannot be read.
    #[error("the case cannot be read: {0}")]
    Case(String),
    /// The caller gave more than a plugin is given.
    #[error("the input of {bytes} bytes is larger than {limit_bytes}")]
    Input {
        /// What was given.
        bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
}

impl CallError {
    /// Whether the same call may end well at another time.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Deadline { .. }
            | Self::Timeout { .. }
            | Self::Busy(_)
            | Self::TooManyWaiting
            | Self::MemoryBudget
            | Self::Moved
            | Self::Lookup(_) => true,
            Self::Failure { retryable, .. } => *retryable,
            Self::Memory { .. }
            | Self::Output { .. }
            | Self::Trap { .. }
            | Self::BadAnswer(_)
            | Self::Setup(_)
            | Self::TooManyFailures
            | Self::Inconclusive
            | Self::Case(_)
            | Self::Input { .. } => false,
        }
    }

    /// Whether the plugin is to blame, and not the caller, its neighbours or the registry: one that looks up may have waited for it.
    pub(crate) const fn is_of_plugin(&self, looks_up: bool) -> bool {
        match self {
            Self::Timeout { .. } => !looks_up,
            Self::Deadline { .. }
            | Self::Memory { .. }
            | Self::Output { .. }
            | Self::Trap { .. }
            | Self::Failure { .. }
            | Self::BadAnswer(_)
            | Self::Setup(_) => true,
            Self::Busy(_)
            | Self::TooManyWaiting
            | Self::MemoryBudget
            | Self::TooManyFailures
            | Self::Moved
            | Self::Lookup(_)
            | Self::Inconclusive
            | Self::Case(_)
            | Self::Input { .. } => false,
        }
    }

    /// The label in the metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::Timeout { .. } => "timeout",
            Self::Memory { .. } => "memory",
            Self::MemoryBudget => "memory_budget",
            Self::Output { .. } => "output",
            Self::Trap { .. } => "trap",
            Self::Failure { .. } => "failure",
            Self::BadAnswer(_) => "bad_answer",
            Self::Setup(_) => "setup",
            Self::Busy(_) => "busy",
            Self::TooManyWaiting => "too_many_waiting",
            Self::TooManyFailures => "too_many_failures",
            Self::Moved => "moved",
            Self::Inconclusive => "inconclusive",
            Self::Case(_) => "case",
            Self::Lookup(_) => "lookup",
            Self::Input { .. } => "input",
        }
    }
}

/// Why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine cannot run WebAssembly as configured.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The watched directory cannot be made or read.
    #[error("plugins.dir {}: cannot be listed", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The data directory cannot be made, read or written.
    #[error("plugins.data_dir {}: cannot be used; it must be a directory that the server may write to", .path.display())]
    DataDirectory {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder of machine code cannot be made, or is not trusted.
    #[error("plugins.compiled_dir {}: cannot be used", .path.display())]
    CompiledDirectory {
        /// The folder.
        path: PathBuf,
        /// What the system says, or what is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The file that names the last-good generations cannot be understood.
    #[error("{}: is damaged; delete it to start with what lies in plugins.dir alone", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: serde_json::Error,
    },
    /// A metric of that name is registered already.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}
