//! Many rows at once: as values on SQLite, and as arrays of columns on PostgreSQL, which would parse a statement of thousands of values
//! each time.

use std::cmp::Ordering;

use crate::{
    columns::Column,
    database::{Tx, Value, placeholders},
    dialect::Dialect,
    error::Error,
    metrics::Metrics,
    schema::TableSchema,
    tables::TABLES,
};

/// The most rows that one statement inserts: it has fewer than SQLite's 32,766 values, whatever the table.
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
    let names = columns.join(", ");
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let _timer = metrics.time(operation);
        match tx.dialect() {
            Dialect::Sqlite => {
                // As many as a power of two, so that a handful of statements serves every number.
                let count = rows.len().min(MAX_ROWS);
                let rows: Vec<Vec<Value>> = rows.by_ref().take(1 << count.ilog2()).collect();
                let tuples: Vec<String> = rows.iter().map(|row| placeholders(Dialect::Sqlite, 1, row.len())).collect();
                let sql = format!("INSERT INTO {table} ({names}) VALUES {} {conflict}", tuples.join(","));
                tx.execute(sql, rows.into_iter().flatten().collect()).await?;
            }
            Dialect::Postgres => {
                let columns = Column::of_rows(table, rows.by_ref().take(MAX_ROWS).collect())?;
                let arrays = columns.iter().zip(1..).map(|(column, n)| format!("${n}::{}", column.sql_type()));
                let arrays: Vec<String> = arrays.collect();
                let from = format!("UNNEST({}) AS new ({names})", arrays.join(", "));
                let sql = format!("INSERT INTO {table} ({names}) SELECT {names} FROM {from} {conflict}");
                tx.execute_columns(sql, columns).await?;
            }
        }
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
