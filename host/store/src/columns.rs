//! Many rows as arrays of their columns: PostgreSQL takes them as so many values as there are columns, in one statement that is
//! planned once, however many rows there are. So it takes the keys of a look-up.

use sqlx::{Arguments, error::BoxDynError, postgres::PgArguments};
use uuid::Uuid;

use crate::{error::Error, value::Value};

/// The values of a column, in the order of the rows.
#[derive(Debug, Clone)]
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
    pub(crate) fn of_rows(table: &str, rows: impl Iterator<Item = Vec<Value>>) -> Result<Vec<Self>, Error> {
        let mut rows = rows.peekable();
        let count = rows.size_hint().0;
        let mut columns: Vec<Self> =
            rows.peek().map(|row| row.iter().map(|value| Self::like(value, count)).collect()).unwrap_or_default();
        for row in rows {
            for (n, (column, value)) in columns.iter_mut().zip(row).enumerate() {
                column.push(value).map_err(|value| unlike(format!("column {n} of {table} got {value:?}")))?;
            }
        }
        Ok(columns)
    }

    /// The column of values that have the same type; of none, it is of integers.
    pub(crate) fn of(values: Vec<Value>) -> Result<Self, Error> {
        let mut column = values.first().map_or(Self::Int(Vec::new()), |first| Self::like(first, values.len()));
        for value in values {
            column.push(value).map_err(|value| unlike(format!("keys of one type got {value:?}")))?;
        }
        Ok(column)
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
            // There are no arrays of arrays: it takes nothing.
            Value::Array(_) => Self::Int(Vec::new()),
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

    /// Adds it as the next value.
    pub(crate) fn add_to(self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Int(values) => arguments.add(values),
            Self::Index(values) => arguments.add(values),
            Self::Text(values) => arguments.add(values),
            Self::Uuid(values) => arguments.add(values),
            Self::Bool(values) => arguments.add(values),
            Self::Bytes(values) => arguments.add(values),
        }
    }
}

fn unlike(reason: String) -> Error {
    sqlx::Error::Encode(reason.into()).into()
}
