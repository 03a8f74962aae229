//! Plans follow a table's size. PostgreSQL keeps a plan until the table is analyzed: one that was made when the table was empty may
//! walk along any of its indexes, and would go on to when the table has a million rows. Its own analysis comes a minute later.

use cqar_domain::entities::Entity;

use crate::{
    database::{Tx, Value},
    dialect::Dialect,
    error::Error,
    tables::TABLES,
    write::Change,
};

/// Fewer rows are walked along in no time.
const MANY_ROWS: usize = 1000;

/// How many rows the table had when it was analyzed.
const ANALYZED_ROWS: &str =
    "SELECT CAST(GREATEST(reltuples, 0) AS bigint) AS count FROM pg_class WHERE oid = to_regclass($1)";

#[derive(sqlx::FromRow)]
struct CountRow {
    count: i64,
}

/// Analyzes the tables that get more rows by these changes than they had when they were analyzed last. SQLite keeps no
/// statistics, and plans by the statement alone.
pub(crate) async fn analyze(tx: &mut Tx, changes: &[Change]) -> Result<(), Error> {
    if tx.dialect() == Dialect::Sqlite || changes.len() < MANY_ROWS {
        return Ok(());
    }
    for table in TABLES {
        let created =
            changes.iter().filter(|change| change.before.is_none()).filter_map(|change| change.after.as_ref());
        let created = created.map(Entity::key).filter(|key| key.entity_type() == table.entity_type).count();
        if created < MANY_ROWS {
            continue;
        }
        let analyzed: Option<CountRow> = tx.first(ANALYZED_ROWS, vec![Value::Text(table.name.to_owned())]).await?;
        if analyzed.is_some_and(|analyzed| i64::try_from(created).is_ok_and(|created| created > analyzed.count)) {
            // Who else analyzes it just now does what is needed.
            tx.script(format!("ANALYZE (SKIP_LOCKED) {}", table.name)).await?;
        }
    }
    Ok(())
}
