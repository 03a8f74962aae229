//! The configuration: compiled-in defaults, `config.yaml`, `config.<env>.yaml`, and environment variables, each layer
//! over the one before.
//!
//! | module | subject |
//! |---|---|
//! | [`keys`] | the table of keys, variables and what is allowed |
//! | [`sections`] | the settings as types |
//! | [`values`] | the types of single values |
//! | [`layer`] | a file or the environment, with the origin of each value |
//! | [`error`] | what is wrong, and where |

pub mod error;
pub mod keys;
pub mod layer;
pub mod origin;
pub mod sections;
pub mod values;

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use cqar_store::without_credentials;
use figment::{Figment, value::Value};

use self::{
    error::{ConfigError, ConfigErrors},
    keys::{KEYS, Secrecy},
    layer::Layer,
    origin::Origin,
    sections::Config,
};

/// The compiled-in defaults, with their explanations.
pub const DEFAULTS: &str = include_str!("defaults.yaml");

/// Where to look. The environment holds secrets.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The directory of the files, if one was named. It must exist then; otherwise `config` is read if it is there.
    pub dir: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
}

impl LoadOptions {
    /// The process's environment.
    pub fn of_process(dir: Option<PathBuf>) -> Self {
        Self { dir, variables: env::vars_os().collect() }
    }
}

/// The configuration, and where it comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Every key with its effective value and origin, in the order of the table.
    pub sources: Vec<Setting>,
    /// What is probably a mistake, and stops nothing.
    pub warnings: Vec<Warning>,
}

/// An effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// The value, as far as it may be shown.
    pub shown: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// A variable that nearly is one of the table's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The variable that is set.
    pub variable: String,
    /// The one that it was probably meant to be.
    pub nearest: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} sets nothing; did you mean {}?", self.variable, self.nearest)
    }
}

/// Reads every layer, and says everything that is wrong.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigErrors> {
    let (layers, production) = layers(options)?;
    let unknown: Vec<_> = layers.iter().flat_map(Layer::unknown_keys).collect();
    if !unknown.is_empty() {
        return Err(ConfigErrors(unknown));
    }
    let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer.clone()));
    let sources = settings(&layers, &figment);
    let config = extract(&layers, &figment)?;

    let origin_of = |path: &str| origin(&layers, &figment, path);
    let contradictions = config.contradictions(production).into_iter();
    let contradictions: Vec<_> = contradictions
        .map(|(key, message)| ConfigError::Contradiction { key, origin: origin_of(key), message })
        .collect();
    if !contradictions.is_empty() {
        return Err(ConfigErrors(contradictions));
    }

    let names = options.variables.iter().filter_map(|(name, _)| name.to_str());
    let warnings =
        names.filter_map(|name| Some(Warning { variable: name.to_owned(), nearest: keys::near_miss(name)? })).collect();
    Ok(Loaded { config, sources, warnings })
}

fn layers(options: &LoadOptions) -> Result<(Vec<Layer>, bool), ConfigErrors> {
    let one = |error| ConfigErrors(vec![error]);
    let dir = options.dir.as_deref().unwrap_or(Path::new("config"));
    if options.dir.is_some()
        && let Err(source) = dir.read_dir()
    {
        return Err(one(ConfigError::Unreadable { path: dir.to_owned(), source }));
    }
    let service_env = options.variables.iter().find(|(name, _)| name == "SERVICE_ENV");
    let service_env = service_env.map(|(_, value)| value.to_string_lossy().into_owned()).unwrap_or_default();
    let (suffix, known) = match service_env.as_str() {
        "production" | "prod" => ("prod", true),
        "development" | "dev" => ("dev", true),
        other => (other, false),
    };

    let mut layers = vec![Layer::defaults().map_err(one)?];
    layers.extend(Layer::file(&dir.join("config.yaml")).map_err(one)?);
    if !suffix.is_empty() {
        // A mistyped `production` must not start as if nothing had been said.
        let unknown = || ConfigError::UnknownEnvironment(service_env.clone());
        if !suffix.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
            return Err(one(unknown()));
        }
        match Layer::file(&dir.join(format!("config.{suffix}.yaml"))).map_err(one)? {
            Some(layer) => layers.push(layer),
            None if known => {}
            None => return Err(one(unknown())),
        }
    }
    layers.push(Layer::environment(&options.variables).map_err(one)?);
    Ok((layers, suffix == "prod"))
}

/// Extracts the settings. Figment stops at the first value that it cannot read; each such value is noted and replaced
/// by its default, so that all of them are found.
fn extract(layers: &[Layer], figment: &Figment) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let mut repaired = figment.clone();
    let defaults = layers.first().map(|defaults| Figment::from(defaults.clone())).unwrap_or_default();
    loop {
        let error = match repaired.extract_lossy::<Config>() {
            Ok(config) if errors.is_empty() => return Ok(config),
            Ok(_) => return Err(ConfigErrors(errors)),
            Err(error) => error,
        };
        let path = error.path.join(".");
        let key = keys::holding(&path);
        let known = |found: &ConfigError| matches!(found, ConfigError::BadValue { key, .. } if *key == path);
        let seen = errors.iter().any(known);
        errors.push(ConfigError::BadValue {
            origin: origin(layers, figment, &path),
            allowed: key.map_or("a known key", |key| key.allowed),
            shown: figment.find_value(&path).map_or_else(
                |_| "missing".to_owned(),
                |value| format!("`{}`", shown(&value, key.map_or(Secrecy::Secret, |key| key.secrecy))),
            ),
            key: path,
        });
        match key.map(|key| (key.path, defaults.find_value(key.path))) {
            Some((path, Ok(value))) if !seen => repaired = repaired.merge((path, value)),
            _ => return Err(ConfigErrors(errors)),
        }
    }
}

fn settings(layers: &[Layer], figment: &Figment) -> Vec<Setting> {
    let mut settings = Vec::new();
    for key in KEYS {
        if let Ok(value) = figment.find_value(key.path) {
            flatten(key.path, &value, &mut |path, value| {
                settings.push(Setting {
                    key: path.to_owned(),
                    shown: shown(value, key.secrecy),
                    origin: origin(layers, figment, path),
                });
            });
        }
    }
    settings
}

/// Visits what stands at the end of every path.
fn flatten(path: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Dict(_, fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, visit);
            }
        }
        _ => visit(path, value),
    }
}

fn origin(layers: &[Layer], figment: &Figment, path: &str) -> Origin {
    let name = figment.find_metadata(path).map(|metadata| metadata.name.as_ref());
    let layer = layers.iter().find(|layer| Some(layer.name.as_str()) == name);
    layer.and_then(|layer| layer.origin(path)).cloned().unwrap_or(Origin::Default)
}

fn shown(value: &Value, secrecy: Secrecy) -> String {
    let text = match value {
        Value::String(_, text) => text.clone(),
        Value::Array(_, items) => items.iter().map(|item| shown(item, Secrecy::Open)).collect::<Vec<_>>().join(","),
        other => serde_json::to_string(other).unwrap_or_default(),
    };
    match secrecy {
        Secrecy::Open => text,
        _ if text.is_empty() => text,
        Secrecy::Secret => "***".to_owned(),
        Secrecy::Url => without_credentials(&text),
    }
}

#[cfg(test)]
mod tests;
