//! Many rows as arrays of their columns: PostgreSQL takes them as so many values as there are columns, in one statement that is
//! planned once, however many rows there are.

use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::{database::Value, error::Error};

/// The values of a column, in the order of the rows.
#[derive(Debug)]
pub(crate) enum Column {
    Int(Vec<Option<i64>>),
    Index(Vec<i32>),
    Text(Vec<Option<String>>),
    Uuid(Vec<Option<Uuid>>),
    Bool(Vec<bool>),
    Bytes(Vec<Vec<u8>>),
}

impl Column {
    /// The columns of rows that have the same types.
    pub(crate) fn of_rows(table: &str, rows: Vec<Vec<Value>>) -> Result<Vec<Self>, Error> {
        let count = rows.len();
        let mut columns: Vec<Self> =
            rows.first().map(|row| row.iter().map(|value| Self::like(value, count)).collect()).unwrap_or_default();
        for row in rows {
            for (n, (column, value)) in columns.iter_mut().zip(row).enumerate() {
                let unlike = |value| sqlx::Error::Encode(format!("column {n} of {table} got {value:?}").into());
                column.push(value).map_err(unlike)?;
            }
        }
        Ok(columns)
    }

    /// None yet, of the type of a value.
    fn like(value: &Value, count: usize) -> Self {
        match value {
            Value::Int(_) | Value::OptInt(_) => Self::Int(Vec::with_capacity(count)),
            Value::Index(_) => Self::Index(Vec::with_capacity(count)),
            Value::Text(_) | Value::OptText(_) => Self::Text(Vec::with_capacity(count)),
            Value::Uuid(_) | Value::OptUuid(_) => Self::Uuid(Vec::with_capacity(count)),
            Value::Bool(_) => Self::Bool(Vec::with_capacity(count)),
            Value::Bytes(_) => Self::Bytes(Vec::with_capacity(count)),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), Value> {
        match (self, value) {
            (Self::Int(values), Value::Int(value)) => values.push(Some(value)),
            (Self::Int(values), Value::OptInt(value)) => values.push(value),
            (Self::Index(values), Value::Index(value)) => values.push(value),
            (Self::Text(values), Value::Text(value)) => values.push(Some(value)),
            (Self::Text(values), Value::OptText(value)) => values.push(value),
            (Self::Uuid(values), Value::Uuid(value)) => values.push(Some(value)),
            (Self::Uuid(values), Value::OptUuid(value)) => values.push(value),
            (Self::Bool(values), Value::Bool(value)) => values.push(value),
            (Self::Bytes(values), Value::Bytes(value)) => values.push(value),
            (_, value) => return Err(value),
        }
        Ok(())
    }

    /// The type of the array.
    pub(crate) const fn sql_type(&self) -> &'static str {
        match self {
            Self::Int(_) => "int8[]",
            Self::Index(_) => "int4[]",
            Self::Text(_) => "text[]",
            Self::Uuid(_) => "uuid[]",
            Self::Bool(_) => "bool[]",
            Self::Bytes(_) => "bytea[]",
        }
    }

    /// Binds it to the next placeholder.
    pub(crate) fn bind(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        match self {
            Self::Int(values) => query.bind(values),
            Self::Index(values) => query.bind(values),
            Self::Text(values) => query.bind(values),
            Self::Uuid(values) => query.bind(values),
            Self::Bool(values) => query.bind(values),
            Self::Bytes(values) => query.bind(values),
        }
    }
}
