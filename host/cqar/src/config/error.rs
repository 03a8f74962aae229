//! What is wrong with a configuration: the key, where its value comes from, and what is allowed.

use std::{fmt, io, path::PathBuf};

use super::origin::Origin;

/// Everything that is wrong.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is refused")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named, or is there, cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is not YAML.
    #[error("{}: is not YAML: {message}", path.display())]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// What, and where. (The parser's own error would quote the line, and with it secrets.)
        message: String,
    },
    /// A key that does not exist.
    #[error("{key} ({origin}): there is no such key; did you mean {nearest}?")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The known key most like it.
        nearest: &'static str,
    },
    /// A value where a section must be.
    #[error("{key} ({origin}): must be a section with the keys {}", keys.join(", "))]
    NoSection {
        /// The section.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// Its keys.
        keys: Vec<&'static str>,
    },
    /// A value that is not allowed.
    #[error("{key} ({origin}): must be {allowed}, and is {shown}")]
    BadValue {
        /// The key.
        key: String,
        /// Where the value comes from.
        origin: Origin,
        /// What is allowed.
        allowed: &'static str,
        /// The value, as far as it may be shown.
        shown: String,
    },
    /// A value that contradicts another.
    #[error("{key} ({origin}): {message}")]
    Contradiction {
        /// The key.
        key: &'static str,
        /// Where the value comes from.
        origin: Origin,
        /// With what.
        message: &'static str,
    },
    /// The environment's own name.
    #[error(
        "SERVICE_ENV (environment): must be production or development, or NAME with a file config.NAME.yaml, and is `{0}`"
    )]
    UnknownEnvironment(String),
}
