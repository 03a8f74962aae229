//! The configuration: the table's defaults, `config.yaml`, `config.<env>.yaml`, and environment variables, each layer over the one
//! before.
//!
//! | module | subject |
//! |---|---|
//! | [`keys`] | the table of keys, variables, defaults, and what is allowed |
//! | [`document`] | what is printed of it |
//! | [`sections`] | the settings as types |
//! | [`values`], [`database`], [`environment`] | the types of single values |
//! | [`contents`], [`callers`] | what stands in the files that it names |
//! | [`rules`] | what no single value shows |
//! | [`layer`] | a file or the environment, with the origin of each value |
//! | [`variables`] | variables that set nothing |
//! | [`error`] | what is wrong, and where |

pub mod callers;
pub mod contents;
pub mod database;
pub mod document;
pub mod environment;
pub mod error;
pub mod keys;
pub mod layer;
pub mod origin;
pub mod rules;
pub mod sections;
pub mod values;
pub mod variables;

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use cqar_store::without_credentials;
use figment::{Figment, value::Value};

use self::{
    contents::Contents,
    environment::Environment,
    error::{ConfigError, ConfigErrors},
    keys::Secrecy,
    layer::Layer,
    origin::Origin,
    sections::Config,
    variables::Warning,
};

/// Where to look. The environment holds secrets.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The directory of the files, if one was named. It must exist then; otherwise `config` is read if it is there.
    pub dir: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To serve.
    #[default]
    Serve,
    /// To change the schema of the database: who may call does not matter then.
    Migrate,
}

impl LoadOptions {
    /// The process's environment.
    pub fn of_process(dir: Option<PathBuf>, purpose: Purpose) -> Self {
        Self { dir, variables: env::vars_os().collect(), purpose }
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
    /// The files that were there.
    pub files: Vec<PathBuf>,
}

/// An effective value.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key, or a path within it.
    pub key: String,
    /// The value, as far as it may be shown.
    pub shown: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The value, to compare it with a later one.
    pub value: Hidden,
}

/// A value that is never shown.
#[derive(Clone, PartialEq)]
pub struct Hidden(Value);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The keys, in the order of their names, whose values are others.
pub fn changed(before: &[Setting], after: &[Setting]) -> BTreeSet<String> {
    let has = |settings: &[Setting], setting: &Setting| {
        settings.iter().any(|it| it.key == setting.key && it.value == setting.value)
    };
    let new = after.iter().filter(|setting| !has(before, setting));
    let gone = before.iter().filter(|setting| !has(after, setting));
    new.chain(gone).map(|setting| setting.key.clone()).collect()
}

/// Reads every layer, and says everything that is wrong.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigErrors> {
    let (layers, environment) = layers(options)?;
    let unknown: Vec<_> = layers.iter().flat_map(Layer::unknown_keys).collect();
    if !unknown.is_empty() {
        return Err(ConfigErrors(unknown));
    }
    let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer.clone()));
    let origin_of = |path: &str| origin(&layers, &figment, path);
    let mut config = extract(&layers, &figment)?;
    config.service.env = effective_environment(&config, &environment, origin_of("service.env"))?;

    let refused = |(key, message)| ConfigError::Refused { key, origin: origin_of(key), message };
    // The files of defaults have the port, too.
    let is_port_given = matches!(origin_of("database.port"), Origin::Variable(_))
        || keys::holding("database.port").is_some_and(|key| key.default != config.database.port.to_string());
    let mut found: Vec<ConfigError> = Vec::new();
    match database::locate(&config.database, is_port_given) {
        Ok(location) => config.database.location = location,
        Err(why) => found.push(refused(why)),
    }
    let names_database = !config.database.url.expose().is_empty() || !config.database.host.is_empty();
    if options.purpose == Purpose::Serve {
        match Contents::read(&config) {
            Ok(contents) => config.contents = contents,
            Err(why) => found.extend(why.into_iter().map(refused)),
        }
    }
    let of_database = |key: &str| key.starts_with("database.") || key.starts_with("service.");
    let matters = |(key, _): &rules::Violation| options.purpose == Purpose::Serve || of_database(key);
    found.extend(rules::violations(&config, names_database).into_iter().filter(matters).map(refused));
    if !found.is_empty() {
        return Err(ConfigErrors(found));
    }
    let warnings = variables::warnings(&options.variables);
    let files = layers.iter().filter_map(|layer| layer.path.clone()).collect();
    Ok(Loaded { sources: settings(&layers, &figment, &config), config, warnings, files })
}

fn layers(options: &LoadOptions) -> Result<(Vec<Layer>, Environment), ConfigErrors> {
    let one = |error| ConfigErrors(vec![error]);
    let dir = options.dir.as_deref().unwrap_or(Path::new("config"));
    if options.dir.is_some()
        && let Err(source) = dir.read_dir()
    {
        return Err(one(ConfigError::Unreadable { path: dir.to_owned(), source }));
    }
    let base = Layer::file(&dir.join("config.yaml")).map_err(one)?;
    let variables = Layer::environment(&options.variables).map_err(one)?;
    let environment = Environment::of(&variables, base.as_ref());
    let mut layers = vec![Layer::defaults().map_err(one)?];
    layers.extend(base);
    if let Some(suffix) = environment.file_suffix().map_err(one)? {
        match Layer::file(&dir.join(format!("config.{suffix}.yaml"))).map_err(one)? {
            Some(layer) => layers.push(layer),
            None if environment.is_known() => {}
            None => return Err(one(environment.unknown())),
        }
    }
    layers.push(variables);
    Ok((layers, environment))
}

/// The environment that holds is the one that chose the files: the chosen file may repeat it, and say no other.
fn effective_environment(config: &Config, chosen: &Environment, origin: Origin) -> Result<String, ConfigErrors> {
    let said = Environment::named(&config.service.env, origin.clone());
    if said.file_suffix().ok() == chosen.file_suffix().ok() {
        return Ok(config.service.env.clone());
    }
    let message = format!("must be `{}`, by which this file was chosen, and is `{}`", chosen.name(), said.name());
    Err(ConfigErrors(vec![ConfigError::Refused { key: "service.env", origin, message }]))
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
        let value = figment.find_value(&path).ok();
        errors.push(ConfigError::BadValue {
            origin: origin(layers, figment, &path),
            allowed: key.map_or("a known key", |key| key.allowed),
            shown: value.as_ref().map_or_else(
                || "missing".to_owned(),
                |value| {
                    let text = value.as_str().unwrap_or_default();
                    let note = match () {
                        () if variables::is_service_link(text) => SERVICE_LINK,
                        () if rules::is_unexpanded(text) => UNEXPANDED,
                        () => "",
                    };
                    format!("`{}`{note}", shown(value, key.map_or(Secrecy::Secret, |key| key.secrecy)))
                },
            ),
            key: path,
        });
        match key.map(|key| (key.path, defaults.find_value(key.path))) {
            Some((path, Ok(value))) if !seen => repaired = repaired.merge((path, value)),
            _ => return Err(ConfigErrors(errors)),
        }
    }
}

/// What to say of a value that was to be put in by somebody.
const UNEXPANDED: &str = ", which reads like ${NAME}, and nothing expanded it";
/// What to say of a value that Kubernetes sets.
const SERVICE_LINK: &str =
    ", which Kubernetes sets for a Service of that name: set `enableServiceLinks: false` in the pod's spec";

fn settings(layers: &[Layer], figment: &Figment, config: &Config) -> Vec<Setting> {
    let mut settings = Vec::new();
    for key in keys::all() {
        if let Ok(value) = figment.find_value(key.path) {
            flatten(key.path, &value, &mut |path, value| {
                // Where nobody names a database, the one that is used is shown all the same.
                let is_embedded = path == "database.url" && config.database.location.expose() == database::EMBEDDED;
                settings.push(Setting {
                    key: path.to_owned(),
                    shown: if is_embedded { database::EMBEDDED.to_owned() } else { shown(value, key.secrecy) },
                    origin: origin(layers, figment, path),
                    // Of a file that is read again, what stands in it.
                    value: Hidden(config.contents.digest(path).map_or_else(|| value.clone(), Value::from)),
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
