//! One layer of the configuration: a file, or the environment, as keys with their values and origins.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Empty, Map, Tag, Value},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess},
};
use serde_saphyr::Spanned;

use super::{
    document,
    error::ConfigError,
    keys::{self, Key, PLUGIN_SETTINGS, Secrecy},
    origin::Origin,
    rules::shown_path,
};

/// A layer. Every value outside `plugins.settings` is the text as written, so that a password of digits stays what it
/// is and files and variables are read by the same rules. Some of it is secret.
#[derive(Clone)]
pub struct Layer {
    /// What figment calls it.
    pub name: String,
    /// Where it was read, if it is a file.
    pub path: Option<PathBuf>,
    dict: Dict,
    origins: BTreeMap<String, Origin>,
}

impl Layer {
    /// The defaults.
    pub fn defaults() -> Result<Self, ConfigError> {
        let layer = Self::parse(Path::new("defaults"), &document::defaults_yaml())?;
        let mut layer = Self { name: "default".to_owned(), path: None, ..layer };
        layer.origins.values_mut().for_each(|origin| *origin = Origin::Default);
        Ok(layer)
    }

    /// A file; `None` if it is absent.
    pub fn file(path: &Path) -> Result<Option<Self>, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// The variables of the table, and the files of secrets that they name.
    pub fn environment(variables: &[(OsString, OsString)]) -> Result<Self, ConfigError> {
        let mut layer =
            Self { name: "environment".to_owned(), path: None, dict: Dict::new(), origins: BTreeMap::new() };
        for key in keys::all() {
            let Some((text, origin)) = from_environment(key, variables)? else { continue };
            // Deployments set it empty where they mean none.
            if key.path == "service.env" && text.is_empty() {
                continue;
            }
            let (section, field) = key.parts();
            let section = layer.dict.entry(section.to_owned()).or_insert_with(|| Dict::new().into());
            if let Value::Dict(_, fields) = section {
                fields.insert(field.to_owned(), Value::from(text));
            }
            layer.origins.insert(key.path.to_owned(), origin);
        }
        Ok(layer)
    }

    /// The text at `section.name`, if it is one.
    pub fn text(&self, section: &str, name: &str) -> Option<&str> {
        match self.dict.get(section)? {
            Value::Dict(_, fields) => fields.get(name)?.as_str(),
            _ => None,
        }
    }

    /// Where the value at the path comes from, or the part of it that was written.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return Some(origin);
            }
            (path, _) = path.rsplit_once('.')?;
        }
    }

    /// What stands in the layer and in no key of the table.
    pub fn unknown_keys(&self) -> Vec<ConfigError> {
        let mut unknown = Vec::new();
        for (name, value) in &self.dict {
            let sections = keys::in_section(name);
            match value {
                Value::Dict(_, fields) if !sections.is_empty() => {
                    let paths = fields.keys().map(|field| format!("{name}.{field}"));
                    unknown.extend(paths.filter(|path| !keys::is_known(path)).map(|path| self.unknown(path)));
                }
                // A section whose keys are all commented out.
                Value::Empty(..) if !sections.is_empty() => {}
                _ if sections.is_empty() => unknown.push(self.unknown(name.clone())),
                _ => unknown.push(ConfigError::NoSection {
                    key: name.clone(),
                    origin: self.origin(name).cloned().unwrap_or(Origin::Default),
                    keys: sections,
                }),
            }
        }
        unknown
    }

    fn unknown(&self, key: String) -> ConfigError {
        let nearest = keys::nearest(&key);
        ConfigError::UnknownKey { origin: self.origin(&key).cloned().unwrap_or(Origin::Default), key, nearest }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut layer = Self {
            name: path.display().to_string(),
            path: Some(path.to_owned()),
            dict: Dict::new(),
            origins: BTreeMap::new(),
        };
        let not_yaml = |message: String| ConfigError::NotYaml { path: path.to_owned(), message };
        let options = serde_saphyr::options! { with_snippet: false };
        let root = serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(text, options)
            .map_err(|error| not_yaml(error.to_string()))?;
        match root.map(|root| root.value) {
            None => {}
            Some(Node::Map(fields)) => layer.dict = layer.fields("", fields, text),
            Some(Node::Scalar(_) | Node::List(_)) => return Err(not_yaml("must be a map of sections".to_owned())),
        }
        Ok(layer)
    }

    fn fields(&mut self, path: &str, fields: Vec<(String, Spanned<Node>)>, text: &str) -> Dict {
        let fields = fields.into_iter().map(|(name, node)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.origins.insert(path.clone(), Origin::File(format!("{}:{}", self.name, node.referenced.line())));
            let value = self.value(&path, node, text);
            (name, value)
        });
        fields.collect()
    }

    fn value(&mut self, path: &str, node: Spanned<Node>, text: &str) -> Value {
        let typed = path.starts_with(PLUGIN_SETTINGS);
        match node.value {
            Node::Map(fields) => self.fields(path, fields, text).into(),
            Node::List(items) => {
                Value::Array(Tag::Default, items.into_iter().map(|item| self.value(path, item, text)).collect())
            }
            Node::Scalar(value @ (Value::Num(..) | Value::Bool(..))) if !typed => {
                as_written(&node.defined, text).map_or(value, Value::from)
            }
            Node::Scalar(Value::String(tag, text)) => Value::String(tag, without_newline(path, text)),
            Node::Scalar(value) => value,
        }
    }
}

/// What the environment says of a key.
fn from_environment(key: &Key, variables: &[(OsString, OsString)]) -> Result<Option<(String, Origin)>, ConfigError> {
    let find = |name: &str| variables.iter().find(|(variable, _)| variable == name).map(|(_, value)| value);
    let (Some(variable), file_variable) = (key.variable(), key.file_variable()) else { return Ok(None) };
    let file = file_variable.and_then(|name| find(&name).map(|path| (name, Path::new(path))));
    let (text, origin) = match (find(&variable), file) {
        (None, None) => return Ok(None),
        (Some(_), Some((file_variable, _))) => return Err(ConfigError::GivenTwice { variable, file_variable }),
        (Some(value), None) => {
            let origin = Origin::Variable(variable);
            let Some(text) = value.to_str() else {
                return Err(ConfigError::BadValue {
                    key: key.path.to_owned(),
                    origin,
                    allowed: key.allowed,
                    shown: "not UTF-8".to_owned(),
                });
            };
            (text.to_owned(), origin)
        }
        (None, Some((variable, path))) => match read_secret(path) {
            Ok(text) => (text, Origin::SecretFile { variable, path: path.to_owned() }),
            Err(reason) => return Err(ConfigError::SecretFile { variable, path: shown_path(path), reason }),
        },
    };
    Ok(Some((without_newline(key.path, text), origin)))
}

/// More than any key, and than all keys of a registry.
const MAX_SECRET_BYTES: u64 = 1 << 20;

fn read_secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    // A pipe could be waited for without end, and be read once.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > MAX_SECRET_BYTES {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(text)
}

/// Editors and `kubectl create secret --from-file` leave a newline behind a secret, of which it is no part.
fn without_newline(path: &str, text: String) -> String {
    if keys::holding(path).is_none_or(|key| key.secrecy == Secrecy::Open) {
        return text;
    }
    let without = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    without.map_or(text.clone(), str::to_owned)
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        // An empty section changes nothing, and neither does a key that nothing stands behind.
        let is_given = |value: &Value| !matches!(value, Value::Empty(..));
        let mut dict = self.dict.clone();
        dict.retain(|_, value| is_given(value));
        for value in dict.values_mut() {
            if let Value::Dict(_, fields) = value {
                fields.retain(|_, value| is_given(value));
            }
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn as_written(location: &serde_saphyr::Location, text: &str) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    text.get(start..end).map(|written| written.trim().to_owned())
}

/// A node of YAML with the position of each of its parts.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> de::Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Empty(Tag::Default, Empty::Unit)))
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
