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
        /// The value, as far as it may be shown, and where such a value comes from, if that is known.
        shown: String,
    },
    /// A value that is not allowed together with others, or not here.
    #[error("{key} ({origin}): {message}")]
    Refused {
        /// The key.
        key: &'static str,
        /// Where the value comes from.
        origin: Origin,
        /// Why, and what mends it. It shows nothing of a secret.
        message: String,
    },
    /// A secret that is given twice.
    #[error("{variable} and {file_variable} (environment) are both set: unset one of them")]
    GivenTwice {
        /// The variable with the value.
        variable: String,
        /// The variable that names a file.
        file_variable: String,
    },
    /// A secret whose file cannot be read.
    #[error("{variable} (environment) names {path}, which cannot be read: {reason}")]
    SecretFile {
        /// The variable.
        variable: String,
        /// The file, as far as it may be shown.
        path: String,
        /// Why. (Never what it holds.)
        reason: String,
    },
    /// The environment's own name.
    #[error(
        "service.env ({origin}): must be production, staging or development, or NAME with a file config.NAME.yaml, and is `{name}`"
    )]
    UnknownEnvironment {
        /// What it is called.
        name: String,
        /// Where that comes from.
        origin: Origin,
    },
}
