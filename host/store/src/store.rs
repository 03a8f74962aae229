//! Opening the database, and beginning reads and writes.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use cqar_domain::time::Clock;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    database::{Database, Pools, Purpose, Tx},
    dialect::is_not_a_database,
    error::Error,
    metrics::Metrics,
    relay_file,
    settings::{Deadlines, StoreSettings},
    snapshot::Snapshot,
    write::WriteTransaction,
    writers::Writers,
};

/// The database.
pub struct Store {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// The database serialises writers as well; taking turns here keeps the order, and bounds who waits.
    pub(crate) writers: Writers,
    pub(crate) listener: Mutex<Option<PgListener>>,
    /// Of which log the relay's memory is.
    pub(crate) log_id: OnceCell<Uuid>,
}

#[derive(sqlx::FromRow)]
struct RevisionRow {
    revision: i64,
}

const REVISION: &str = "SELECT revision FROM log_state WHERE id = 1";
/// How long a writer waits for another process, such as a migration, to finish with the file.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// One at a time writes; the other is there while the first is given back.
const WRITER_CONNECTIONS: u32 = 2;
/// 64 MiB of pages for each connection's cache, in KiB; SQLite takes it as it needs it.
const SQLITE_CACHE_KIB: &str = "-65536";

impl Store {
    /// Connects. Does not look at the schema: see [`Store::migrate_up`] and [`Store::check_migrations`].
    pub async fn open(
        settings: &StoreSettings,
        clock: Arc<dyn Clock>,
        registry: &prometheus::Registry,
    ) -> Result<Self, Error> {
        let pools = match settings.url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(settings).await?,
            Some("postgres" | "postgresql") => open_postgres(settings).await?,
            _ => {
                let reason = "the URL must begin with sqlite:// or postgres://".to_owned();
                return Err(Error::Open { url: settings.redacted_url(), reason });
            }
        };
        let database = Database { pools, deadlines: Deadlines::new(settings) };
        let metrics = Metrics::new(registry)
            .map_err(|error| Error::Open { url: settings.redacted_url(), reason: error.to_string() })?;
        let writers = Writers::new(settings.max_waiting_writes);
        Ok(Self { database, clock, metrics, writers, listener: Mutex::new(None), log_id: OnceCell::new() })
    }

    /// Reads from now on see the present state, whatever is written meanwhile.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let _timer = self.metrics.time("begin_snapshot");
        let mut tx = self.database.begin(Purpose::Read).await?;
        // The first statement fixes the snapshot.
        let revision = revision(&mut tx, REVISION).await?;
        Ok(Snapshot { tx, metrics: self.metrics.clone(), revision })
    }

    /// Begins a write: waits for the writers before, and locks the log. Dropping the future leaves the queue.
    pub async fn begin_write(&self) -> Result<WriteTransaction, Error> {
        let _timer = self.metrics.time("begin_write");
        let turn = self.writers.take_turn().await?;
        let mut tx = self.database.begin(Purpose::Write).await?;
        let lock = tx.dialect().lock_log();
        let revision = revision(&mut tx, lock).await?;
        let snapshot = Snapshot { tx, metrics: self.metrics.clone(), revision };
        Ok(WriteTransaction { snapshot, turn, events: Vec::new() })
    }

    /// Ends all connections, after what runs on them.
    pub async fn close(&self) {
        // A listener holds a connection of the pool, and waits on it.
        if let Ok(mut listener) = self.listener.try_lock() {
            *listener = None;
        }
        self.database.close().await;
    }
}

async fn revision(tx: &mut Tx, sql: &str) -> Result<i64, Error> {
    let row = tx.first::<RevisionRow>(sql, Vec::new()).await?;
    row.map(|row| row.revision).ok_or_else(|| Error::Corrupt { table: "log_state", reason: "has no row".to_owned() })
}

async fn open_sqlite(settings: &StoreSettings) -> Result<Pools, Error> {
    let failed = |error: sqlx::Error| {
        let reason = if is_not_a_database(&error) {
            "the file is not an SQLite database; move it away or set DATABASE_URL to another file".to_owned()
        } else {
            format!("{error}; check that the server's user may read and write the file and its folder")
        };
        Error::Open { url: settings.redacted_url(), reason }
    };
    let options = SqliteConnectOptions::from_str(&settings.url).map_err(failed)?;
    if let Some(folder) = options.get_filename().parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
    }
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged write survives a power cut: WAL alone would only survive the process.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .pragma("cache_size", SQLITE_CACHE_KIB)
        .statement_cache_capacity(settings.statement_cache);
    let write = SqlitePoolOptions::new().max_connections(1).acquire_timeout(settings.acquire_timeout);
    let write = write.connect_with(options.clone()).await.map_err(failed)?;
    let read =
        SqlitePoolOptions::new().max_connections(settings.max_connections).acquire_timeout(settings.acquire_timeout);
    let read = read.connect_with(options.clone()).await.map_err(failed)?;
    let relay = relay_file::open(options, settings, &read).await.map_err(failed)?;
    Ok(Pools::Sqlite { write, read, relay })
}

async fn open_postgres(settings: &StoreSettings) -> Result<Pools, Error> {
    let failed = |error: sqlx::Error| {
        let reason = format!("{error}; check DATABASE_URL, and that the server is up and lets this user in");
        Error::Open { url: settings.redacted_url(), reason }
    };
    if settings.max_connections < WRITER_CONNECTIONS + 2 {
        let reason = "DATABASE_MAX_CONNS must be at least 4: two are the writer's, and one listens for what other servers write";
        return Err(Error::Open { url: settings.redacted_url(), reason: reason.to_owned() });
    }
    let options = PgConnectOptions::from_str(&settings.url)
        .map_err(failed)?
        .application_name("cqar")
        .statement_cache_capacity(settings.statement_cache);
    // The pool tries again until its time is up, and then does not say why. One attempt of our own does.
    let late = |_| Error::Open {
        url: settings.redacted_url(),
        reason: format!("no answer within {} ms; check DATABASE_URL, and the way there", settings.connect_timeout.as_millis()),
    };
    let attempt = timeout(settings.connect_timeout, PgConnection::connect_with(&options)).await.map_err(late)?;
    attempt.map_err(failed)?.close().await.map_err(failed)?;
    let pool = |connections| {
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(settings.acquire_timeout);
        // Beginning a transaction tells as well, and has a deadline.
        pool.test_before_acquire(false).connect_with(options.clone())
    };
    let write = pool(WRITER_CONNECTIONS).await.map_err(failed)?;
    let read = pool(settings.max_connections - WRITER_CONNECTIONS).await.map_err(failed)?;
    Ok(Pools::Postgres { write, read })
}
