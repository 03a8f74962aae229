//! What an operator does with a plugin, beside changing its files.

use tokio::sync::oneshot;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Take it out of service until it is enabled.
    Disable,
    /// Put it into service again.
    Enable,
    /// Delete its files, and forget it.
    Remove,
    /// Try its files anew.
    Reload,
    /// Lift the quarantine of what was rolled back.
    Lift,
}

/// Why it was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OperateError {
    /// Nothing of that name was seen.
    #[error("no file of such a plugin was seen")]
    NotFound,
    /// It may not be, or cannot.
    #[error("{0}")]
    Refused(String),
    /// The data directory cannot be written.
    #[error("plugins.data_dir cannot be written, so that it would be undone by a restart; the server's log says why")]
    NotRemembered,
    /// The server stops.
    #[error("the server stops")]
    Stopping,
}

/// An operation for the watcher.
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) reply: oneshot::Sender<Result<(), OperateError>>,
}
