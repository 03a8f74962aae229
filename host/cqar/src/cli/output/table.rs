//! Tables: a row is a line. What is too wide for the terminal is cut at its right edge; in a pipe nothing is.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::coloured;

/// Between two columns.
const GAP: u16 = 2;

/// Of a column that is cut there is at least so much, or it is not shown at all.
const NARROWEST: u16 = 8;

/// Prints rows under their headers.
pub fn table<const N: usize>(headers: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> io::Result<()> {
    let mut table = plain();
    table.set_header(headers);
    for row in rows {
        let cells = row.into_iter().zip(headers).map(|(text, header)| {
            let told = ["STATUS", "STATE", "OUTCOME"].contains(&header).then(|| colour_of(&text)).flatten();
            let cell = Cell::new(one_line(&text));
            told.map_or(cell.clone(), |colour| cell.fg(colour))
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    print(table)
}

/// Prints names and values, one pair a line; pairs without a value are left out.
pub fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> io::Result<()> {
    let mut table = plain();
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    // What is shown alone is shown whole.
    table.add_rows(pairs.map(|(name, value)| [name, one_line(&value)]));
    table.force_no_tty();
    print(table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The text on one line: what breaks lines is a blank.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r', '\t']).map(str::trim).collect::<Vec<_>>().join(" ")
}

fn print(mut table: Table) -> io::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP)).set_cell_alignment(CellAlignment::Left);
    }
    if let Some(width) = table.width().filter(|_| io::stdout().is_terminal()) {
        fit(&mut table, width);
    }
    if coloured(io::stdout().is_terminal()) {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let mut out = io::stdout().lock();
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// Cuts the table at a width: the column at the edge is shortened, and what lies beyond is left out.
fn fit(table: &mut Table, width: u16) {
    let widths = table.column_max_content_widths();
    let mut left = width;
    for (column, content) in table.column_iter_mut().zip(widths) {
        let wanted = content.saturating_add(GAP);
        if wanted <= left.saturating_add(GAP) {
            left = left.saturating_sub(wanted);
        } else if left >= NARROWEST + GAP {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(left)));
            left = 0;
        } else {
            column.set_constraint(ColumnConstraint::Hidden);
            left = 0;
        }
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.saturating_add(GAP));
    table.set_truncation_indicator("…");
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
}

fn colour_of(text: &str) -> Option<Color> {
    match text {
        "ACTIVE" | "OK" | "SERVING" | "CREATED" => Some(Color::Green),
        "HALTED" | "DELISTING" | "DEGRADED" | "PENDING" | "SERVING_LAST_GOOD" | "UPDATED" => Some(Color::Yellow),
        "DELISTED" | "EXPIRED" | "SETTLED" | "FAILED" | "REJECTED" | "MISSING" => Some(Color::Red),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(width: u16) -> Vec<String> {
        let mut table = plain();
        table.set_header(["SYMBOL", "MESSAGE", "ID"]);
        table.add_row(["BTCUSDT", "a long message that says why", "01a21e65-a259-72a9-b8e7-50fdb714e65e"]);
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        fit(&mut table, width);
        table.force_no_tty();
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_row_is_cut_where_the_terminal_ends() {
        for width in 10..=90 {
            let lines = lines(width);
            assert_eq!(lines.len(), 2, "{width}: {lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{width}: {lines:?}");
        }
        assert_eq!(lines(90)[1], "BTCUSDT  a long message that says why  01a21e65-a259-72a9-b8e7-50fdb714e65e");
        assert_eq!(lines(30)[1], "BTCUSDT  a long message tha…");
    }

    #[test]
    fn what_breaks_lines_does_not() {
        assert_eq!(one_line("one\n  two\r\nthree"), "one two  three");
    }
}
