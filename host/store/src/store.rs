//! Opening the database, and beginning reads and writes.

use std::{convert::Infallible, path::Path, str::FromStr, sync::Arc, time::Duration};

use cqar_domain::{entity::Revision, time::Clock};
use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{
    database::{Database, Pools, Purpose, Tx},
    dialect::{self, Dialect, is_not_a_database},
    error::Error,
    from_row::from_row,
    metrics::Metrics,
    recent::RecentCommits,
    relay_file,
    settings::{Deadlines, StoreSettings},
    silence::Silence,
    snapshot::{Snapshot, StateId},
    write::WriteTransaction,
    write_health::WriteHealth,
    writers::Writers,
};

/// The database.
pub struct Store {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// The database serialises writers as well; taking turns here keeps the order, and bounds who waits.
    pub(crate) writers: Writers,
    pub(crate) recent: Arc<RecentCommits>,
    pub(crate) listener: Mutex<Option<PgListener>>,
    /// Of which log the relay's memory is.
    pub(crate) log_id: OnceCell<Uuid>,
}

struct StateRow {
    revision: Revision,
    commit_us: Option<i64>,
}

from_row!(StateRow { revision, commit_us });

/// Writes, and changes nothing: whether that works tells whether writes do.
const PROBE_WRITE: &str = "UPDATE log_state SET revision = revision WHERE id = 1";
const STATE: &str = "SELECT revision, commit_us FROM log_state WHERE id = 1";
/// How long a writer waits for another process, such as a migration, to finish with the file.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// One at a time writes; the other is there while the first is given back.
const WRITER_CONNECTIONS: u32 = 2;
/// Never shared, so that the lease to publish waits for nobody.
const RELAY_CONNECTIONS: u32 = 1;
/// Hears of what other servers write.
const LISTENER_CONNECTIONS: u32 = 1;
/// Writes, the relay, the listener, and one read.
pub const MIN_POSTGRES_CONNECTIONS: u32 = WRITER_CONNECTIONS + RELAY_CONNECTIONS + LISTENER_CONNECTIONS + 1;
/// How soon a failing write is tried again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// What SQLite keeps of the database's pages in memory, in KiB: for the writer, which looks at many, and for each reader. The
/// system keeps them as well, so that a page that is not here costs no more than to copy it.
const WRITER_CACHE_KIB: &str = "-32768";
const READER_CACHE_KIB: &str = "-2048";
/// What SQLite's log keeps on disk once all of it is in the database: a large import makes it much longer.
const WAL_BYTES: &str = "16777216";

impl Store {
    /// Connects. Does not look at the schema: see [`Store::migrate_up`] and [`Store::check_migrations`].
    pub async fn open(
        settings: &StoreSettings,
        clock: Arc<dyn Clock>,
        registry: &prometheus::Registry,
    ) -> Result<Self, Error> {
        tracing::debug!(url = settings.redacted_url(), "connecting_to_database");
        let silence = Arc::new(Silence::default());
        let pools = match settings.url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(settings).await?,
            Some("postgres" | "postgresql") => open_postgres(settings, &silence).await?,
            _ => {
                let reason = "the URL must begin with sqlite:// or postgres://".to_owned();
                return Err(Error::Open { url: settings.redacted_url(), reason, may_come: false });
            }
        };
        let database = Database {
            pools,
            deadlines: Deadlines::new(settings),
            keeps_statements: settings.statement_cache > 0,
            silence,
            writes: Arc::default(),
        };
        let metrics = Metrics::new(registry, &database.pools).map_err(|error| Error::Open {
            url: settings.redacted_url(),
            reason: error.to_string(),
            may_come: false,
        })?;
        let writers = Writers::new(settings.max_waiting_writes, metrics.writes_waiting.clone());
        let recent = Arc::default();
        Ok(Self { database, clock, metrics, writers, recent, listener: Mutex::new(None), log_id: OnceCell::new() })
    }

    /// Reads from now on see the present state, whatever is written meanwhile.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let _timer = self.metrics.time("begin_snapshot");
        // The first statement fixes the snapshot.
        let (tx, row) = self.database.begin_with(Purpose::Read, STATE).await?;
        self.snapshot_of(tx, row)
    }

    fn snapshot_of(&self, tx: Tx, row: Option<StateRow>) -> Result<Snapshot, Error> {
        let row = row.ok_or_else(|| Error::Corrupt { table: "log_state", reason: "has no row".to_owned() })?;
        let state = StateId { revision: row.revision, commit_us: row.commit_us };
        Ok(Snapshot { tx, metrics: self.metrics.clone(), state, recent: Arc::clone(&self.recent), footprint: None })
    }

    /// Begins a write: waits for the writers before, and locks the log. Dropping the future leaves the queue.
    pub async fn begin_write(&self) -> Result<WriteTransaction, Error> {
        let _timer = self.metrics.time("begin_write");
        let turn = self.writers.take_turn(&self.database.writes).await?;
        let lock = self.database.dialect().lock_log();
        let (tx, row) = self.database.begin_with(Purpose::Write, lock).await?;
        let snapshot = self.snapshot_of(tx, row)?;
        Ok(WriteTransaction { snapshot, turn, written: None, database: self.database.clone() })
    }

    /// From now on so many writes may wait for their turn.
    pub fn set_max_waiting_writes(&self, most: usize) {
        self.writers.set_most(most);
    }

    /// Whether writes work, as the last of them found out.
    pub fn write_health(&self) -> WriteHealth {
        self.database.writes.health()
    }

    /// Tries to write wherever it is in doubt whether that works, until it does: without end.
    pub async fn probe_writes(&self) -> Infallible {
        loop {
            self.database.writes.in_doubt().await;
            // Who writes just now finds out as well.
            if let Ok(turn) = self.writers.take_turn(&self.database.writes).await {
                if let Err(error) = self.probe_write().await {
                    self.database.writes.probe_failed(&error);
                    tracing::debug!(%error, "write_probe_failed");
                }
                drop(turn);
            }
            sleep(PROBE_INTERVAL).await;
        }
    }

    async fn probe_write(&self) -> Result<(), Error> {
        let mut tx = self.database.begin(Purpose::Write).await?;
        tx.execute(PROBE_WRITE, Vec::new()).await?;
        tx.commit().await
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

async fn open_sqlite(settings: &StoreSettings) -> Result<Pools, Error> {
    let failed = |error: sqlx::Error| {
        let reason = if is_not_a_database(&error) {
            "the file is not an SQLite database; move it away or set DATABASE_URL to another file".to_owned()
        } else {
            format!("{error}; check that the server's user may read and write the file and its folder")
        };
        Error::Open { url: settings.redacted_url(), reason, may_come: dialect::may_come(&error) }
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
        .statement_cache_capacity(settings.statement_cache);
    let pool = |connections| {
        // A connection to a file does not die unnoticed.
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(settings.connect_timeout)
            .max_lifetime(settings.max_lifetime)
            .idle_timeout(settings.idle_timeout)
            .test_before_acquire(false)
    };
    let of_writer = options.clone().pragma("cache_size", WRITER_CACHE_KIB).pragma("journal_size_limit", WAL_BYTES);
    let write = pool(1).connect_with(of_writer).await.map_err(failed)?;
    let options = options.pragma("cache_size", READER_CACHE_KIB);
    let read = pool(settings.max_connections).connect_with(options.clone()).await.map_err(failed)?;
    let relay = relay_file::open(options, settings, &read).await.map_err(failed)?;
    Ok(Pools::Sqlite { write, read, relay })
}

async fn open_postgres(settings: &StoreSettings, silence: &Arc<Silence>) -> Result<Pools, Error> {
    let failed = |error: sqlx::Error| {
        let reason = format!(
            "{error}; check DATABASE_URL, or DATABASE_HOST and what belongs to it, and that the server is up and lets this user in"
        );
        Error::Open { url: settings.redacted_url(), reason, may_come: dialect::may_come(&error) }
    };
    if settings.max_connections < MIN_POSTGRES_CONNECTIONS {
        let reason = format!(
            "DATABASE_MAX_CONNS must be at least {MIN_POSTGRES_CONNECTIONS}: {WRITER_CONNECTIONS} are for writes, one is the relay's, one \
             hears of what other servers write, and the rest is for reads"
        );
        return Err(Error::Open { url: settings.redacted_url(), reason, may_come: false });
    }
    let for_reads = settings.max_connections - (MIN_POSTGRES_CONNECTIONS - 1);
    let options = PgConnectOptions::from_str(&settings.url).map_err(failed)?;
    // The driver would look `[::1]` up as a name.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    let options = options
        .host(&host)
        .application_name("cqar")
        // For floats, of which there are none; poolers of transactions refuse it.
        .extra_float_digits(None)
        .statement_cache_capacity(settings.statement_cache)
        // A statement of an import is longer than any log should hold. How long they take is in the metrics.
        .disable_statement_logging();
    // The pool tries again until its time is up, and then does not say why. One attempt of our own does.
    let late = |_| Error::Open {
        url: settings.redacted_url(),
        reason: format!(
            "no answer within {} ms; check DATABASE_URL or DATABASE_HOST, and the way there",
            settings.connect_timeout.as_millis()
        ),
        may_come: true,
    };
    let attempt = timeout(settings.connect_timeout, PgConnection::connect_with(&options)).await.map_err(late)?;
    attempt.map_err(failed)?.close().await.map_err(failed)?;
    let pool = |connections, kept| {
        let silence = Arc::clone(silence);
        PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(kept)
            .max_lifetime(settings.max_lifetime)
            .idle_timeout(settings.idle_timeout)
            // Connecting included, where there is no idle one.
            .acquire_timeout(settings.connect_timeout)
            // Beginning a transaction tells as well, and has a deadline.
            .test_before_acquire(false)
            .before_acquire(move |_, of| {
                let is_usable = silence.spares(of.age);
                Box::pin(async move { Ok(is_usable) })
            })
            .after_connect(|connection, _| {
                let greeting = sqlx::raw_sql(Dialect::Postgres.greeting());
                Box::pin(async move { greeting.execute(connection).await.map(drop) })
            })
            .connect_lazy_with(options.clone())
    };
    Ok(Pools::Postgres {
        write: pool(WRITER_CONNECTIONS, 0),
        relay: pool(RELAY_CONNECTIONS, 0),
        read: pool(for_reads, settings.min_connections.min(for_reads)),
        listen: Box::new(options),
    })
}
