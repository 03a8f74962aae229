//! The watched directory: what lies in it, what is known of each plugin, and the task that keeps both in step.

pub(crate) mod disk;
pub(crate) mod entry;
pub(crate) mod operations;
pub(crate) mod scan;
pub(crate) mod watcher;
