//! The relay's memory beside an SQLite database. SQLite has one writer for each file: in one of its own, lease, cursor and
//! fan-outs never wait for a registry write.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::{
    SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::sync::OnceCell;
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
const HAS_LOG: &str = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'log_state'";
const HAS_MEMORY: &str = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'relay_cursor'";

/// The file beside the database: `cqar.db.relay` for `cqar.db`.
pub(crate) fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".relay");
    name.into()
}

/// Makes it when it is needed first, and takes over what an earlier version kept in the database itself. A database that may only be
/// read needs none: nothing is published from there.
pub(crate) async fn open(
    options: SqliteConnectOptions,
    settings: &StoreSettings,
    database: &SqlitePool,
) -> Result<SqlitePool, sqlx::Error> {
    let file = path(options.get_filename());
    let (newest, is_checked) = (newest(database).await?, Arc::new(OnceCell::new()));
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .acquire_timeout(settings.connect_timeout)
        .after_connect(move |connection, _| {
            let is_checked = Arc::clone(&is_checked);
            Box::pin(async move {
                sqlx::raw_sql(SCHEMA).execute(&mut *connection).await?;
                let check = async || forget_what_is_no_more(connection, newest).await;
                is_checked.get_or_try_init(check).await.copied()
            })
        })
        .connect_lazy_with(options.filename(file).read_only(false));
    if sqlx::query_scalar::<_, i64>(HAS_MEMORY).fetch_one(database).await? > 0 {
        take_over(&pool, database).await?;
    }
    Ok(pool)
}

/// The newest revision of the log; none of a database without one.
async fn newest(database: &SqlitePool) -> Result<Option<i64>, sqlx::Error> {
    if sqlx::query_scalar::<_, i64>(HAS_LOG).fetch_one(database).await? == 0 {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT revision FROM log_state WHERE id = 1").fetch_optional(database).await
}

/// Looks once, before anything is remembered, whether the database was restored from a backup, beside the relay's file of today: what
/// the relay did after the backup's newest revision it did with events that are no more. Others will have their places.
async fn forget_what_is_no_more(connection: &mut SqliteConnection, newest: Option<i64>) -> Result<(), sqlx::Error> {
    let Some(newest) = newest else { return Ok(()) };
    let mut forgotten = 0;
    for sql in [
        "DELETE FROM relay_fan_outs WHERE revision > $1",
        "UPDATE relay_cursor SET revision = $1 + 1, idx = 0 WHERE revision > $1 + 1",
    ] {
        forgotten += sqlx::query(sql).bind(newest).execute(&mut *connection).await?.rows_affected();
    }
    if forgotten > 0 {
        tracing::warn!(newest, "relay_memory_was_ahead_of_the_log");
    }
    Ok(())
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
        // An earlier version may have gone on after this was done before.
        let sql = "INSERT INTO relay_cursor (id, revision, idx, log_id) VALUES (1, $1, $2, $3) \
                   ON CONFLICT (id) DO UPDATE \
                   SET revision = excluded.revision, idx = excluded.idx, log_id = excluded.log_id \
                   WHERE relay_cursor.log_id IS DISTINCT FROM excluded.log_id \
                   OR (excluded.revision, excluded.idx) > (relay_cursor.revision, relay_cursor.idx)";
        sqlx::query(sql).bind(revision).bind(index).bind(log_id).execute(&mut *tx).await?;
    }
    for (revision, index, messages) in fan_outs {
        let sql = "INSERT INTO relay_fan_outs (revision, idx, messages, log_id) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (revision, idx) DO NOTHING";
        sqlx::query(sql).bind(revision).bind(index).bind(messages).bind(log_id).execute(&mut *tx).await?;
    }
    tx.commit().await
}
