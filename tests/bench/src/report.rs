//! The table: a row for each figure, with its spread over the repeats and the target that it has to reach.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::ASCII_MARKDOWN};
use serde::Serialize;

use crate::rows::RunConfig;

/// What a figure counts.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// The registry's value divided by the floor's.
    Ratio,
    Milliseconds,
    Microseconds,
    PerSecond,
    Mebibytes,
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Threshold {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    unit: Unit,
    target: Option<Threshold>,
    median: f64,
    min: f64,
    max: f64,
    /// The figure of each repeat.
    samples: Vec<f64>,
    /// Where it comes from.
    detail: String,
}

impl Row {
    /// A figure with the values of its repeats.
    pub(crate) fn new(what: impl Into<String>, unit: Unit, samples: Vec<f64>) -> Self {
        let (min, median, max) = spread(&samples);
        Self { what: what.into(), unit, target: None, median, min, max, samples, detail: String::new() }
    }

    /// With what it has to be.
    pub(crate) fn target(mut self, target: Threshold) -> Self {
        self.target = Some(target);
        self
    }

    /// With where it comes from.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn cells(&self) -> [String; 6] {
        let (target, met) = match self.target {
            None => (String::new(), ""),
            Some(Threshold::AtLeast(least)) => {
                (format!("≥ {}", self.unit.show(least)), if self.median >= least { "yes" } else { "NO" })
            }
            Some(Threshold::AtMost(most)) => {
                (format!("≤ {}", self.unit.show(most)), if self.median <= most { "yes" } else { "NO" })
            }
        };
        let spread = format!("{} – {}", self.unit.show(self.min), self.unit.show(self.max));
        [self.what.clone(), target, self.unit.show(self.median), spread, met.to_owned(), self.detail.clone()]
    }
}

impl Unit {
    /// With three digits or so: more would be noise.
    fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Microseconds => format!("{value:.2} µs"),
            Self::PerSecond => format!("{value:.0} /s"),
            Self::Mebibytes => format!("{value:.0} MiB"),
        }
    }
}

/// The least, the median and the greatest.
pub(crate) fn spread(samples: &[f64]) -> (f64, f64, f64) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |n: usize| sorted.get(n).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2));
    (at(0), low.midpoint(high), at(sorted.len().saturating_sub(1)))
}

/// The median.
pub(crate) fn median(samples: &[f64]) -> f64 {
    spread(samples).1
}

/// Everything that was measured in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Seconds since 1970.
    time: u64,
    commit: String,
    processors: usize,
    profile: &'static str,
    repeats: u32,
    seconds: f64,
    rows: Vec<Row>,
    /// What the reader may do next.
    notes: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(config: &RunConfig) -> Self {
        Self {
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            commit: commit(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            repeats: config.repeats,
            seconds: config.time.as_secs_f64(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: Row) {
        eprintln!("  {}", row.cells().join(" | "));
        self.rows.push(row);
    }

    /// Adds a note, shown below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints the table, and writes it to `target/bench/`, under its time and under a name.
    pub(crate) fn publish(self, name: &str) -> anyhow::Result<()> {
        let text = self.text();
        println!("{text}");
        let folder = folder()?;
        let json = serde_json::to_string_pretty(&self)?;
        for name in [self.time.to_string(), name.to_owned()] {
            for (kind, content) in [("txt", &text), ("json", &json)] {
                let path = folder.join(format!("{name}.{kind}"));
                fs::write(&path, content).with_context(|| path.display().to_string())?;
            }
        }
        eprintln!("written to {}/{name}.txt and {name}.json", folder.display());
        Ok(())
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["what", "target", "median", "min – max", "met", "how"]);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for column in 1..=3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let Self { commit, processors, profile, repeats, seconds, .. } = self;
        let mut text = format!(
            "{commit}, {profile} build, {processors} processors, {repeats} repeats of {seconds} s\n\n{table}\n"
        );
        if *profile != "release" {
            text.push_str("\nThis is no release build: its figures say nothing about the targets.\n");
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

/// Where everything goes that a run leaves behind.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let folder = cqar_tests::server::repository().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let described = described.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    described.and_then(|name| String::from_utf8(name).ok()).map_or_else(String::new, |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(spread(&[4.0, 1.0, 3.0, 2.0]), (1.0, 2.5, 4.0));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
    }
}
