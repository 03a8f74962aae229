//! Many rows at once: on SQLite a few dozen a statement, and on PostgreSQL as arrays of columns. Either way a handful of statements
//! serves any number of rows, so that the database parses and plans each of them once.

use std::cmp::Ordering;

use crate::{
    columns::Column,
    database::Tx,
    dialect::Dialect,
    error::Error,
    metrics::Metrics,
    schema::TableSchema,
    tables::TABLES,
    value::{Value, value_list},
};

/// How many rows one statement inserts on SQLite. More are no faster.
const SQLITE_ROWS: [usize; 3] = [64, 8, 1];
/// The most rows that one statement inserts on PostgreSQL.
const POSTGRES_ROWS: usize = 1024;
const _: () = {
    let mut tables: &[&TableSchema] = &TABLES;
    while let [table, rest @ ..] = tables {
        assert!(SQLITE_ROWS[0] * table.columns.len() < 32_766, "a statement has more values than SQLite takes");
        tables = rest;
    }
};

/// Inserts the rows, each with a value for each column; `conflict` is the end of the statement. Rows are made as they are inserted.
pub(crate) async fn insert(
    tx: &mut Tx,
    metrics: &Metrics,
    operation: &'static str,
    table: &str,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<Value>> + Send,
    conflict: &str,
) -> Result<(), Error> {
    let names = columns.join(", ");
    let mut rows = rows.fuse();
    let at_once = match tx.dialect() {
        Dialect::Sqlite => SQLITE_ROWS[0],
        Dialect::Postgres => POSTGRES_ROWS,
    };
    loop {
        let next: Vec<Vec<Value>> = rows.by_ref().take(at_once).collect();
        if next.is_empty() {
            return Ok(());
        }
        let _timer = metrics.time(operation);
        match tx.dialect() {
            Dialect::Sqlite => {
                let mut next = next.into_iter();
                for count in SQLITE_ROWS {
                    while next.len() >= count {
                        let tuples = vec![value_list(columns.len()); count].join(",");
                        let sql = format!("INSERT INTO {table} ({names}) VALUES {tuples} {conflict}");
                        let values: Vec<Value> = next.by_ref().take(count).flatten().collect();
                        tx.execute_kept(sql, values).await?;
                    }
                }
            }
            Dialect::Postgres => {
                let columns = Column::of_rows(table, next.into_iter())?;
                let arrays = columns.iter().zip(1..).map(|(column, n)| format!("${n}::{}", column.sql_type()));
                let arrays: Vec<String> = arrays.collect();
                let from = format!("UNNEST({}) AS new ({names})", arrays.join(", "));
                let sql = format!("INSERT INTO {table} ({names}) SELECT {names} FROM {from} {conflict}");
                tx.execute_kept(sql, columns.into_iter().map(Value::Array).collect()).await?;
            }
        }
    }
}

/// In the order of a column, which is that of its index: neighbours in it are written together.
pub(crate) fn in_order(rows: &mut [Vec<Value>], column: usize) {
    rows.sort_by(|a, b| match (a.get(column), b.get(column)) {
        (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(b),
        _ => Ordering::Equal,
    });
}
