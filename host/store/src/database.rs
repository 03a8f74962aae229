//! One API over the two databases: statements with `$N` placeholders, a value enum that binds, rows that derive.

use sqlx::{
    AssertSqlSafe, FromRow, PgPool, Postgres, Sqlite, SqlitePool, Transaction, postgres::PgRow, sqlite::SqliteRow,
};
use uuid::Uuid;

use crate::{dialect::Dialect, error::Error};

/// The connections.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// SQLite has one writer at a time: a pool of one, so that waiting for it is in order. Readers never wait for it (WAL).
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction on either.
#[derive(Debug)]
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

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
}

/// A row of either database.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<R> Row for R where R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// Statements with more values than this differ from call to call, and would only push others out of the connection's
/// cache of prepared statements.
const CACHED_VALUES: usize = 64;

macro_rules! bind {
    ($query:expr, $values:expr) => {{
        let mut query = $query.persistent($values.len() <= CACHED_VALUES);
        for value in $values {
            query = match value {
                Value::Int(v) => query.bind(v),
                Value::OptInt(v) => query.bind(v),
                Value::Index(v) => query.bind(v),
                Value::Text(v) => query.bind(v),
                Value::OptText(v) => query.bind(v),
                Value::Uuid(v) => query.bind(v),
                Value::OptUuid(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
                Value::Bytes(v) => query.bind(v),
            };
        }
        query
    }};
}

impl Database {
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) async fn begin_snapshot(&self) -> Result<Tx, Error> {
        let begin = self.dialect().begin_snapshot();
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin_with(begin).await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin_with(begin).await?),
        })
    }

    pub(crate) async fn begin_write(&self) -> Result<Tx, Error> {
        let begin = self.dialect().begin_write();
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with(begin).await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin_with(begin).await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// All rows. The statement is made of this crate's constants and placeholders; every value is bound.
    pub(crate) async fn all<R: Row>(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<Vec<R>, Error> {
        let sql = AssertSqlSafe(sql.into());
        Ok(match self {
            Self::Sqlite(tx) => bind!(sqlx::query_as::<_, R>(sql), values).fetch_all(&mut **tx).await?,
            Self::Postgres(tx) => bind!(sqlx::query_as::<_, R>(sql), values).fetch_all(&mut **tx).await?,
        })
    }

    /// The first row, if there is one.
    pub(crate) async fn first<R: Row>(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<R>, Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(tx) => bind!(sqlx::query_as::<_, R>(sql), values).fetch_optional(&mut **tx).await?,
            Self::Postgres(tx) => bind!(sqlx::query_as::<_, R>(sql), values).fetch_optional(&mut **tx).await?,
        })
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<u64, Error> {
        let sql = AssertSqlSafe(sql.into());
        Ok(match self {
            Self::Sqlite(tx) => bind!(sqlx::query(sql), values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bind!(sqlx::query(sql), values).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// Runs a script of several statements without values.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), Error> {
        match self {
            Self::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop)?,
            Self::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(drop)?,
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

/// The most values of one statement: below SQLite's 32,766 and PostgreSQL's 65,535.
pub(crate) const MAX_VALUES: usize = 30_000;
/// The most keys of one `IN` list; a longer list is read in several.
pub(crate) const MAX_KEYS: usize = 1024;

/// A list of placeholders for keys, the first of them number `first`, padded to a power of two with the last key, so that
/// a handful of statements serves every length.
pub(crate) fn key_list(dialect: Dialect, first: usize, mut keys: Vec<Value>) -> (String, Vec<Value>) {
    if let Some(last) = keys.last().cloned() {
        keys.resize(keys.len().next_power_of_two(), last);
    }
    (placeholders(dialect, first, keys.len()), keys)
}

/// `($first, …)`, so many; `(?, …)` on SQLite. A statement has numbers or `?`, never both.
pub(crate) fn placeholders(dialect: Dialect, first: usize, count: usize) -> String {
    let mut list = String::with_capacity(count * 6 + 2);
    list.push('(');
    for n in first..first + count {
        if n > first {
            list.push(',');
        }
        dialect.placeholder(n, &mut list);
    }
    list.push(')');
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_list_is_padded_to_a_power_of_two() {
        let (list, keys) = key_list(Dialect::Postgres, 2, vec![Value::Int(1), Value::Int(2), Value::Int(3)]);
        assert_eq!(list, "($2,$3,$4,$5)");
        assert!(matches!(keys.as_slice(), [_, _, Value::Int(3), Value::Int(3)]));
        assert_eq!(placeholders(Dialect::Sqlite, 1, 3), "(?,?,?)");
    }
}
