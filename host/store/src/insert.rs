//! Many rows at once.

use std::cmp::Ordering;

use crate::{
    database::{Tx, Value, placeholders},
    error::Error,
    metrics::Metrics,
    schema::TableSchema,
    tables::TABLES,
};

/// The most rows that one statement inserts: it has fewer than SQLite's 32,766 values and PostgreSQL's 65,535, whatever the table.
const MAX_ROWS: usize = 512;
const _: () = {
    let mut tables: &[&TableSchema] = &TABLES;
    while let [table, rest @ ..] = tables {
        assert!(MAX_ROWS * table.columns.len() < 32_766, "a statement has too many values");
        tables = rest;
    }
};

/// Inserts the rows, each with a value for each column; `conflict` is the end of the statement.
pub(crate) async fn insert(
    tx: &mut Tx,
    metrics: &Metrics,
    operation: &'static str,
    table: &str,
    columns: &[&str],
    rows: Vec<Vec<Value>>,
    conflict: &str,
) -> Result<(), Error> {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let _timer = metrics.time(operation);
        // As many as a power of two, so that a handful of statements serves every number.
        let count = rows.len().min(MAX_ROWS);
        let rows: Vec<Vec<Value>> = rows.by_ref().take(1 << count.ilog2()).collect();
        let dialect = tx.dialect();
        let tuples: Vec<String> =
            (0..rows.len()).map(|n| placeholders(dialect, n * columns.len() + 1, columns.len())).collect();
        let sql = format!("INSERT INTO {table} ({}) VALUES {} {conflict}", columns.join(", "), tuples.join(","));
        tx.execute(sql, rows.into_iter().flatten().collect()).await?;
    }
    Ok(())
}

/// In the order of a column, which is that of its index: neighbours in it are written together.
pub(crate) fn in_order(rows: &mut [Vec<Value>], column: usize) {
    rows.sort_by(|a, b| match (a.get(column), b.get(column)) {
        (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(b),
        _ => Ordering::Equal,
    });
}
