//! What a command prints: tables for people, proto3 JSON with the proto's field names for programs.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use clap::ValueEnum;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// The answer's message in proto3 JSON.
    Json,
}

impl OutputFormat {
    /// The format for a stream of lines: unless one was asked for, a table on a terminal and JSON elsewhere.
    pub fn of_stream(asked: Option<Self>) -> Self {
        asked.unwrap_or(if io::stdout().is_terminal() { Self::Table } else { Self::Json })
    }
}

/// Prints an indented JSON document.
pub fn json(message: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, message)?;
    writeln!(out)
}

/// Prints one JSON object on a line of its own.
pub fn json_line(out: &mut impl io::Write, message: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, message)?;
    writeln!(out)
}

/// Prints a line.
pub fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Prints rows under their headers.
pub fn table<const N: usize>(headers: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> io::Result<()> {
    let mut table = plain();
    table.set_header(headers);
    for row in rows {
        let cells = row.into_iter().zip(headers).map(|(text, header)| {
            let told = ["STATUS", "STATE", "OUTCOME"].contains(&header).then(|| colour_of(&text)).flatten();
            let cell = Cell::new(text);
            told.map_or(cell.clone(), |colour| cell.fg(colour))
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    print(&mut table)
}

/// Prints names and values, one pair a line; pairs without a value are left out.
pub fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> io::Result<()> {
    let mut table = plain();
    table.add_rows(pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| [name, value]));
    print(&mut table)
}

/// The fields of a message as pairs: `spot.base`, `delist_time`, each as its JSON shows it.
pub fn fields(message: &impl Serialize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    flatten("", &serde_json::to_value(message).unwrap_or_default(), &mut found);
    found
}

/// Whether the standard output may be coloured: on a terminal, and never with `NO_COLOR` (no-color.org).
fn coloured(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The text in red, where the standard error may be coloured.
pub fn red_on_stderr(text: &str) -> String {
    if coloured(io::stderr().is_terminal()) { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
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

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn print(table: &mut Table) -> io::Result<()> {
    if coloured(io::stdout().is_terminal()) {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut out = io::stdout().lock();
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

fn colour_of(text: &str) -> Option<Color> {
    match text {
        "ACTIVE" | "OK" | "SERVING" | "CREATED" => Some(Color::Green),
        "HALTED" | "DELISTING" | "DEGRADED" | "PENDING" | "SERVING_LAST_GOOD" | "UPDATED" => Some(Color::Yellow),
        "DELISTED" | "EXPIRED" | "SETTLED" | "FAILED" | "REJECTED" | "MISSING" => Some(Color::Red),
        _ => None,
    }
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
