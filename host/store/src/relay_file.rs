//! The relay's memory beside an SQLite database. SQLite has one writer for each file: in one of its own, lease, cursor and
//! fan-outs never wait for a registry write.

use std::path::{Path, PathBuf};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use uuid::Uuid;

use crate::settings::StoreSettings;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS relay_lease (
        id SMALLINT PRIMARY KEY CHECK (id = 1),
        holder BLOB NOT NULL,
        expire_us BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS relay_cursor (
        id SMALLINT PRIMARY KEY CHECK (id = 1),
        revision BIGINT NOT NULL,
        idx INTEGER NOT NULL,
        log_id BLOB
    );
    CREATE TABLE IF NOT EXISTS relay_fan_outs (
        revision BIGINT NOT NULL,
        idx INTEGER NOT NULL,
        messages BLOB NOT NULL,
        log_id BLOB,
        PRIMARY KEY (revision, idx)
    )";
const HAS_MEMORY: &str = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'relay_cursor'";

/// The file beside the database: `cqar.relay.db` for `cqar.db`.
pub(crate) fn path(database: &Path) -> PathBuf {
    database.with_extension("relay.db")
}

/// Makes it when it is needed first, and takes over what an earlier version kept in the database itself. A database that may only be
/// read needs none: nothing is published from there.
pub(crate) async fn open(
    options: SqliteConnectOptions,
    settings: &StoreSettings,
    database: &SqlitePool,
) -> Result<SqlitePool, sqlx::Error> {
    let file = path(options.get_filename());
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .acquire_timeout(settings.acquire_timeout)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(SCHEMA).execute(connection).await.map(drop) })
        })
        .connect_lazy_with(options.filename(file).read_only(false));
    if sqlx::query_scalar::<_, i64>(HAS_MEMORY).fetch_one(database).await? > 0 {
        take_over(&pool, database).await?;
    }
    Ok(pool)
}

async fn take_over(pool: &SqlitePool, database: &SqlitePool) -> Result<(), sqlx::Error> {
    let Some(log_id) =
        sqlx::query_scalar::<_, Uuid>("SELECT log_id FROM log_state WHERE id = 1").fetch_optional(database).await?
    else {
        return Ok(());
    };
    let cursor: Option<(i64, i64)> =
        sqlx::query_as("SELECT revision, idx FROM relay_cursor WHERE id = 1").fetch_optional(database).await?;
    let fan_outs: Vec<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT revision, idx, messages FROM relay_fan_outs").fetch_all(database).await?;
    let mut tx = pool.begin().await?;
    if let Some((revision, index)) = cursor {
        let sql =
            "INSERT INTO relay_cursor (id, revision, idx, log_id) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING";
        sqlx::query(sql).bind(revision).bind(index).bind(log_id).execute(&mut *tx).await?;
    }
    for (revision, index, messages) in fan_outs {
        let sql = "INSERT INTO relay_fan_outs (revision, idx, messages, log_id) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (revision, idx) DO NOTHING";
        sqlx::query(sql).bind(revision).bind(index).bind(messages).bind(log_id).execute(&mut *tx).await?;
    }
    tx.commit().await
}
