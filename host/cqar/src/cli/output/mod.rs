//! What a command prints: tables for people, proto3 JSON or YAML with the proto's field names for programs.

mod table;

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use clap::ValueEnum;
use serde::Serialize;

pub use self::table::{pairs, table};
use super::error::CliError;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// The answer's message in proto3 JSON.
    Json,
    /// The same in YAML.
    Yaml,
    /// Of entities, `type/id`, a line each.
    Name,
}

impl OutputFormat {
    /// The format for a stream of lines: unless one was asked for, a table on a terminal and JSON elsewhere.
    pub fn of_stream(asked: Option<Self>) -> Self {
        asked.unwrap_or(if io::stdout().is_terminal() { Self::Table } else { Self::Json })
    }

    /// Prints an answer that names no entities, in a format for programs; says whether it did, or it is to be shown to people.
    pub fn print(self, message: &impl Serialize) -> Result<bool, CliError> {
        self.print_entities(message, None::<[String; 0]>)
    }

    /// The same of entities, which have names.
    pub fn print_named(
        self,
        message: &impl Serialize,
        names: impl IntoIterator<Item = String>,
    ) -> Result<bool, CliError> {
        self.print_entities(message, Some(names))
    }

    fn print_entities(
        self,
        message: &impl Serialize,
        names: Option<impl IntoIterator<Item = String>>,
    ) -> Result<bool, CliError> {
        let mut out = io::stdout().lock();
        match (self, names) {
            (Self::Table, _) => return Ok(false),
            (Self::Json, _) => {
                serde_json::to_writer_pretty(&mut out, message).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            (Self::Yaml, _) => yaml(&mut out, message)?,
            (Self::Name, Some(names)) => names.into_iter().try_for_each(|name| writeln!(out, "{name}"))?,
            (Self::Name, None) => return Err(Self::nameless()),
        }
        Ok(true)
    }

    /// Prints one message of a stream: JSON on a line of its own, YAML as a document of its own.
    pub fn print_next(self, out: &mut impl io::Write, message: &impl Serialize) -> Result<bool, CliError> {
        match self {
            Self::Table => return Ok(false),
            Self::Json => {
                serde_json::to_writer(&mut *out, message).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            Self::Yaml => {
                writeln!(out, "---")?;
                yaml(out, message)?;
            }
            Self::Name => return Err(Self::nameless()),
        }
        Ok(true)
    }

    /// Why a command's answer cannot be printed by names.
    pub fn nameless() -> CliError {
        CliError::Usage("--output name goes with commands that answer entities, such as get and list".to_owned())
    }
}

fn yaml(out: &mut impl io::Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_saphyr::to_string(message).map_err(io::Error::other)?;
    writeln!(out, "{}", text.trim_end())
}

/// Prints a line.
pub fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// The fields of a message as pairs: `spot.base`, `delist_time`, each as its JSON shows it.
pub fn fields(message: &impl Serialize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    flatten("", &serde_json::to_value(message).unwrap_or_default(), &mut found);
    found
}

/// Whether the standard output may be coloured: on a terminal, and never with `NO_COLOR` (no-color.org).
pub fn coloured(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The text in red, where the standard error may be coloured.
pub fn red_on_stderr(text: &str) -> String {
    if coloured(io::stderr().is_terminal()) { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
}

/// The text in yellow, where the standard error may be coloured.
pub fn yellow_on_stderr(text: &str) -> String {
    if coloured(io::stderr().is_terminal()) { format!("\x1b[1;33m{text}\x1b[0m") } else { text.to_owned() }
}

/// The last part of an enumeration's name: `ACTIVE` for `MARKET_STATUS_ACTIVE`; nothing for its zero.
pub fn short(name: &str, prefix: &str) -> String {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    if name == "UNSPECIFIED" { String::new() } else { name.to_owned() }
}

/// A time, or nothing.
pub fn time(time: Option<&cqar_proto::well_known::Timestamp>) -> String {
    time.and_then(|time| cqar_domain::time::Timestamp::try_from(*time).ok())
        .map_or_else(String::new, |time| time.to_string())
}

fn flatten(path: &str, value: &serde_json::Value, found: &mut Vec<(String, String)>) {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            flatten(&path, value, found);
        }),
        Value::Array(items) => {
            let items = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned));
            found.push((path.to_owned(), items.collect::<Vec<_>>().join(", ")));
        }
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Null => {}
        other => found.push((path.to_owned(), other.to_string())),
    }
}
