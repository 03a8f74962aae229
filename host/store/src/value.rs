//! What statements bind: values of either database, and the keys of a look-up.

use sqlx::{Arguments, error::BoxDynError, postgres::PgArguments, sqlite::SqliteArguments};
use uuid::Uuid;

use crate::{columns::Column, dialect::Dialect, error::Error};

/// A bound value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(i64),
    OptInt(Option<i64>),
    Index(i32),
    Text(String),
    OptText(Option<String>),
    Uuid(Uuid),
    OptUuid(Option<Uuid>),
    Bool(bool),
    Bytes(Vec<u8>),
    /// Many of them, on PostgreSQL alone.
    Array(Column),
}

macro_rules! add {
    ($arguments:ident, $value:expr, $array:pat => $of_array:expr) => {
        match $value {
            Value::Int(v) => $arguments.add(v)?,
            Value::OptInt(v) => $arguments.add(v)?,
            Value::Index(v) => $arguments.add(v)?,
            Value::Text(v) => $arguments.add(v)?,
            Value::OptText(v) => $arguments.add(v)?,
            Value::Uuid(v) => $arguments.add(v)?,
            Value::OptUuid(v) => $arguments.add(v)?,
            Value::Bool(v) => $arguments.add(v)?,
            Value::Bytes(v) => $arguments.add(v)?,
            $array => $of_array,
        }
    };
}

/// The values as SQLite binds them.
pub(crate) fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    let add_all = || -> Result<(), BoxDynError> {
        for value in values {
            add!(arguments, value, Value::Array(_) => return Err("SQLite has no arrays".into()));
        }
        Ok(())
    };
    add_all().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

/// The values as PostgreSQL binds them.
pub(crate) fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    let add_all = || -> Result<(), BoxDynError> {
        for value in values {
            add!(arguments, value, Value::Array(column) => column.add_to(&mut arguments)?);
        }
        Ok(())
    };
    add_all().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

/// The most keys that one statement looks for; more are looked for in several.
pub(crate) const MAX_KEYS: usize = 1024;

/// That a column has one of the keys: the condition, and its values, the first of them number `first`. PostgreSQL takes them as one
/// array. SQLite takes a list of them, padded to a power of two with the last, so that a handful of statements serves every length.
pub(crate) fn one_of(
    dialect: Dialect,
    column: &str,
    first: usize,
    mut keys: Vec<Value>,
) -> Result<(String, Vec<Value>), Error> {
    Ok(match dialect {
        Dialect::Sqlite => {
            if let Some(last) = keys.last().cloned() {
                keys.resize(keys.len().next_power_of_two(), last);
            }
            (format!("{column} IN {}", value_list(keys.len())), keys)
        }
        Dialect::Postgres => (format!("{column} = ANY (${first})"), vec![Value::Array(Column::of(keys)?)]),
    })
}

/// A list of `count` values, on SQLite.
pub(crate) fn value_list(count: usize) -> String {
    format!("({})", vec!["?"; count].join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_an_array_or_a_list_padded_to_a_power_of_two() {
        let keys = || vec![Value::Int(1), Value::Int(2), Value::Int(3)];
        let (condition, values) = one_of(Dialect::Sqlite, "e.id", 2, keys()).unwrap();
        assert_eq!(condition, "e.id IN (?,?,?,?)");
        assert!(matches!(values.as_slice(), [_, _, Value::Int(3), Value::Int(3)]));
        let (condition, values) = one_of(Dialect::Postgres, "e.id", 2, keys()).unwrap();
        assert_eq!(condition, "e.id = ANY ($2)");
        assert!(matches!(values.as_slice(), [Value::Array(_)]));
    }
}
