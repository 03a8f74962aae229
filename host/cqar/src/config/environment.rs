//! The name of the environment: which file it chooses, and whether it is one to be careful in.

use super::{error::ConfigError, layer::Layer, origin::Origin};

/// Where a server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// As it was written.
    name: String,
    origin: Origin,
}

impl Environment {
    /// What the variable says, else what config.yaml does. An empty one says nothing.
    pub fn of(environment: &Layer, base: Option<&Layer>) -> Self {
        let said = [Some(environment), base].into_iter().flatten().find_map(|layer| {
            let name = layer.text("service", "env").filter(|name| !name.is_empty())?;
            Some(Self { name: name.to_owned(), origin: layer.origin("service.env")?.clone() })
        });
        said.unwrap_or(Self { name: String::new(), origin: Origin::Default })
    }

    /// The one of that name.
    pub fn named(name: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), origin }
    }

    /// What the name of its file has between `config.` and `.yaml`; none without a name.
    pub fn file_suffix(&self) -> Result<Option<&str>, ConfigError> {
        let suffix = match self.name.as_str() {
            "" => return Ok(None),
            "production" | "prod" => "prod",
            "development" | "dev" => "dev",
            other => other,
        };
        // A mistyped `production` must not start as if nothing had been said.
        let is_name = suffix.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        if is_name { Ok(Some(suffix)) } else { Err(self.unknown()) }
    }

    /// Whether its file may be missing.
    pub fn is_known(&self) -> bool {
        ["production", "prod", "staging", "development", "dev"].contains(&self.name.as_str())
    }

    /// That there is no such environment.
    pub fn unknown(&self) -> ConfigError {
        ConfigError::UnknownEnvironment { name: self.name.clone(), origin: self.origin.clone() }
    }

    /// As it was written.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Whether the environment of that name is one to be careful in.
pub fn is_guarded(name: &str) -> bool {
    ["production", "prod", "staging"].contains(&name)
}
