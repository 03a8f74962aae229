//! Plans follow a table's size. PostgreSQL keeps a plan until the table is analyzed: one that was made when the table had a row or two may
//! walk along any of its indexes, and would go on to when the table has a million rows. Its own analysis comes a minute later.

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, EntityType},
};
use tokio::runtime::Handle;

use crate::{
    database::{Database, Purpose},
    dialect::Dialect,
    error::Error,
    from_row::from_row,
    schema::TableSchema,
    tables::TABLES,
    value::Value,
    write::Change,
};

/// Fewer rows are walked along in no time.
const MANY_ROWS: i64 = 1000;

/// How many rows the table had when it was analyzed.
const ANALYZED_ROWS: &str =
    "SELECT CAST(GREATEST(reltuples, 0) AS bigint) AS count FROM pg_class WHERE oid = to_regclass($1)";

/// The tables that got many rows by a commit, and how many.
#[derive(Debug)]
pub(crate) struct Growth(Vec<(&'static TableSchema, i64)>);

struct CountRow {
    count: i64,
}

from_row!(CountRow { count });

impl Growth {
    pub(crate) fn of(changes: &[Change]) -> Self {
        let created = changes.iter().filter(|change| change.before.is_none());
        let created: Vec<EntityType> = created
            .filter_map(|change| change.after.as_ref().map(Entity::key))
            .map(|key: EntityKey| key.entity_type())
            .collect();
        let count = |table: &TableSchema| created.iter().filter(|of| **of == table.entity_type).count();
        let counts = TABLES.map(|table| (table, i64::try_from(count(table)).unwrap_or(i64::MAX)));
        Self(counts.into_iter().filter(|(_, count)| *count >= MANY_ROWS).collect())
    }

    /// Analyzes those that got more rows than they had when they were analyzed last, beside all else: the write is committed.
    /// SQLite keeps no statistics, and plans by the statement alone.
    pub(crate) fn analyze(self, database: Database) {
        if self.0.is_empty() || database.dialect() == Dialect::Sqlite {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                for (table, created) in self.0 {
                    if let Err(error) = analyze(&database, table, created).await {
                        tracing::debug!(table = table.name, %error, "cannot_analyze");
                    }
                }
            });
        }
    }
}

async fn analyze(database: &Database, table: &TableSchema, created: i64) -> Result<(), Error> {
    let mut tx = database.begin(Purpose::Migrate).await?;
    let analyzed: Option<CountRow> = tx.first(ANALYZED_ROWS, vec![Value::Text(table.name.to_owned())]).await?;
    if analyzed.is_some_and(|analyzed| created > analyzed.count) {
        tx.script(format!("ANALYZE {}", table.name)).await?;
    }
    tx.commit().await
}
