//! The schema's migrations: embedded, numbered, each applied in a transaction of its own. One is a pair of files in each of
//! `migrations/postgres` and `migrations/sqlite`, and nothing else; but for the second, which hashes keys as well.

use cqar_domain::time::Timestamp;
use uuid::Uuid;

use crate::{
    Store,
    database::{Purpose, Tx},
    dialect::Dialect,
    error::Error,
    from_row::from_row,
    unique_keys::shorten_keys,
    value::Value,
};

struct Migration {
    number: i64,
    name: &'static str,
    postgres: Script,
    sqlite: Script,
}

struct Script {
    up: &'static str,
    down: &'static str,
}

/// All of them, in order: what is in the folders, as `build.rs` found it.
const MIGRATIONS: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, apply_us BIGINT NOT NULL)";
const APPLIED: &str = "SELECT number, name, apply_us FROM schema_migrations ORDER BY number";
const RECORD: &str = "INSERT INTO schema_migrations (number, name, apply_us) VALUES ($1, $2, $3)";
const FORGET: &str = "DELETE FROM schema_migrations WHERE number = $1";
/// A log gets its id with the first migration.
const BEGIN_LOG: &str =
    "INSERT INTO log_state (id, log_id, revision, oldest) VALUES (1, $1, 0, 1) ON CONFLICT (id) DO NOTHING";

struct AppliedRow {
    number: i64,
    name: String,
    apply_us: i64,
}

from_row!(AppliedRow { number, name, apply_us });

struct TablesRow {
    tables: i64,
}

from_row!(TablesRow { tables });

/// One migration, and when it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub number: i64,
    /// The name of its files.
    pub name: String,
    /// When it was applied, if it was.
    pub applied: Option<Timestamp>,
}

impl Migration {
    const fn script(&self, dialect: Dialect) -> &Script {
        match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        }
    }
}

impl Store {
    /// Applies what is missing, and says what that was. Where nothing is, nothing is written: a database that is read-only
    /// can be served.
    pub async fn migrate_up(&self) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        if self.check_migrations().await.is_ok() {
            return Ok(done);
        }
        for migration in MIGRATIONS {
            let mut tx = self.begin_migration().await?;
            let applied = applied(&mut tx).await?;
            refuse_newer(&applied)?;
            if applied.iter().any(|row| row.number == migration.number) {
                tx.rollback().await;
                continue;
            }
            tx.script(migration.script(tx.dialect()).up).await?;
            if migration.name == "0002_bounds" {
                shorten_keys(&mut tx, &self.metrics).await?;
            }
            let now = self.clock.now().micros();
            let record = vec![Value::Int(migration.number), Value::Text(migration.name.to_owned()), Value::Int(now)];
            tx.execute(RECORD, record).await?;
            tx.execute(BEGIN_LOG, vec![Value::Uuid(Uuid::now_v7())]).await?;
            tx.commit().await?;
            tracing::info!(migration = migration.name, "migration applied");
            done.push(migration.name.to_owned());
        }
        Ok(done)
    }

    /// Takes back the newest migrations, so many, and says which.
    pub async fn migrate_down(&self, steps: usize) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        for migration in MIGRATIONS.iter().rev() {
            let mut tx = self.begin_migration().await?;
            let applied = applied(&mut tx).await?;
            refuse_newer(&applied)?;
            if done.len() == steps || !applied.iter().any(|row| row.number == migration.number) {
                tx.rollback().await;
                continue;
            }
            tx.script(migration.script(tx.dialect()).down).await?;
            tx.execute(FORGET, vec![Value::Int(migration.number)]).await?;
            tx.commit().await?;
            tracing::info!(migration = migration.name, "migration taken back");
            done.push(migration.name.to_owned());
        }
        Ok(done)
    }

    /// Every migration that this binary knows, and those of a newer one that the database has.
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>, Error> {
        let mut tx = self.database.begin(Purpose::Read).await?;
        let tables = tx.first::<TablesRow>(tx.dialect().has_migrations(), Vec::new()).await?;
        let is_empty = tables.is_none_or(|row| row.tables == 0);
        let applied = if is_empty { Vec::new() } else { applied(&mut tx).await? };
        tx.rollback().await;
        let time = |micros: i64| Timestamp::from_micros(micros).ok();
        let known = MIGRATIONS.iter().map(|migration| MigrationStatus {
            number: migration.number,
            name: migration.name.to_owned(),
            applied: applied.iter().find(|row| row.number == migration.number).and_then(|row| time(row.apply_us)),
        });
        let newer = applied.iter().filter(|row| row.number > newest()).map(|row| MigrationStatus {
            number: row.number,
            name: row.name.clone(),
            applied: time(row.apply_us),
        });
        Ok(known.chain(newer).collect())
    }

    /// Refuses a database that is behind this binary, or ahead of it.
    pub async fn check_migrations(&self) -> Result<(), Error> {
        let status = self.migration_status().await?;
        let found = status.iter().rfind(|migration| migration.applied.is_some());
        match found {
            Some(found) if found.number > newest() => {
                Err(Error::SchemaTooNew { found: found.number, name: found.name.clone(), known: newest() })
            }
            Some(found) if found.number == newest() => Ok(()),
            found => Err(Error::SchemaOutdated { found: found.map_or(0, |it| it.number), needed: newest() }),
        }
    }

    async fn begin_migration(&self) -> Result<Tx, Error> {
        let mut tx = self.database.begin(Purpose::Migrate).await?;
        let lock = tx.dialect().lock_migrations();
        tx.script(lock).await?;
        tx.execute(CREATE_TABLE, Vec::new()).await?;
        Ok(tx)
    }
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

async fn applied(tx: &mut Tx) -> Result<Vec<AppliedRow>, Error> {
    tx.all::<AppliedRow>(APPLIED, Vec::new()).await
}

fn refuse_newer(applied: &[AppliedRow]) -> Result<(), Error> {
    match applied.last() {
        Some(row) if row.number > newest() => {
            Err(Error::SchemaTooNew { found: row.number, name: row.name.clone(), known: newest() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap_and_are_the_same_for_both_databases() {
        assert!(MIGRATIONS.iter().zip(1..).all(|(m, n)| m.number == n && m.name.starts_with(&format!("{n:04}_"))));
        let mut expected: Vec<String> =
            MIGRATIONS.iter().flat_map(|m| [format!("{}.down.sql", m.name), format!("{}.up.sql", m.name)]).collect();
        expected.sort();
        for dialect in ["postgres", "sqlite"] {
            let folder = format!("{}/../../migrations/{dialect}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            assert_eq!(files, expected, "{dialect}");
        }
    }
}
