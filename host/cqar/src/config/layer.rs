//! One layer of the configuration: a file, or the environment, as keys with their values and origins.

use std::{collections::BTreeMap, ffi::OsString, fmt, fs, io, path::Path};

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
    error::ConfigError,
    keys::{self, KEYS, PLUGIN_SETTINGS},
    origin::Origin,
};

/// A layer. Every value outside `plugins.settings` is the text as written, so that a password of digits stays what it
/// is and files and variables are read by the same rules. Some of it is secret.
#[derive(Clone)]
pub struct Layer {
    /// What figment calls it.
    pub name: String,
    dict: Dict,
    origins: BTreeMap<String, Origin>,
}

impl Layer {
    /// The defaults.
    pub fn defaults() -> Result<Self, ConfigError> {
        let layer = Self::parse(Path::new("defaults.yaml"), super::DEFAULTS)?;
        let mut layer = Self { name: "default".to_owned(), ..layer };
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

    /// The variables of the table.
    pub fn environment(variables: &[(OsString, OsString)]) -> Result<Self, ConfigError> {
        let mut layer = Self { name: "environment".to_owned(), dict: Dict::new(), origins: BTreeMap::new() };
        for key in KEYS {
            let Some(name) = key.variable else { continue };
            let Some((_, value)) = variables.iter().find(|(variable, _)| variable == name) else { continue };
            let origin = Origin::Variable(name.to_owned());
            let Some(text) = value.to_str() else {
                let shown = "not UTF-8".to_owned();
                return Err(ConfigError::BadValue { key: key.path.to_owned(), origin, allowed: key.allowed, shown });
            };
            if let Some((section, field)) = key.path.split_once('.') {
                let section = layer.dict.entry(section.to_owned()).or_insert_with(|| Dict::new().into());
                if let Value::Dict(_, fields) = section {
                    fields.insert(field.to_owned(), Value::from(text));
                }
            }
            layer.origins.insert(key.path.to_owned(), origin);
        }
        Ok(layer)
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
        let mut layer = Self { name: path.display().to_string(), dict: Dict::new(), origins: BTreeMap::new() };
        let not_yaml = |message: String| ConfigError::NotYaml { path: path.to_owned(), message };
        let options = serde_saphyr::options! { with_snippet: false };
        let root = serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(text, options)
            .map_err(|error| not_yaml(error.to_string()))?;
        match root.map(|root| root.value) {
            None => {}
            Some(Node::Map(fields)) => layer.dict = layer.fields("", fields, text),
            Some(Node::Scalar(_) | Node::List(_)) => return Err(not_yaml("must be a map of sections".to_owned())),
        }
        // An empty section changes nothing.
        layer.dict.retain(|_, value| !matches!(value, Value::Empty(..)));
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
            Node::Scalar(value) => value,
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
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
