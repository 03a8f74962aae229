//! One API over the two databases: statements with `$N` placeholders, a value enum that binds, rows that are read.
//!
//! Invariants: no call waits for the database without a deadline; and a connection is used again only after its transaction
//! ended as it should. Whatever else happened to it, it is thrown away: nobody knows in which state the other side left it.

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, FromRow, PgPool, Postgres, Sqlite, SqlitePool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgRow},
    sqlite::SqliteRow,
};
use tokio::{
    runtime::Handle,
    time::{error::Elapsed, timeout},
};

use crate::{
    dialect::Dialect,
    error::Error,
    from_row::from_row,
    row::EntityRow,
    settings::Deadlines,
    silence::Silence,
    value::{Value, postgres_arguments, sqlite_arguments},
    write_health::WriteMonitor,
};

/// The connections. Each writer waits for a connection of its own, which readers never take.
#[derive(Clone)]
pub(crate) enum Pools {
    /// SQLite has one writer at a time; readers never wait for it (WAL). The relay has a file of its own.
    Sqlite { write: SqlitePool, read: SqlitePool, relay: SqlitePool },
    /// The writer's, the relay's, and all others'; and how to connect, for who listens.
    Postgres { write: PgPool, relay: PgPool, read: PgPool, listen: Box<PgConnectOptions> },
}

impl Pools {
    /// How many connections are in use.
    pub(crate) fn active(&self) -> u32 {
        fn of<D: sqlx::Database>(pools: [&sqlx::Pool<D>; 3]) -> u32 {
            let idle = |pool: &sqlx::Pool<D>| u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            pools.map(|pool| pool.size().saturating_sub(idle(pool))).iter().sum()
        }
        match self {
            Self::Sqlite { write, read, relay } => of([write, read, relay]),
            Self::Postgres { write, relay, read, .. } => of([write, relay, read]),
        }
    }

    /// How many there may be.
    pub(crate) fn most(&self) -> u32 {
        fn of<D: sqlx::Database>(pools: [&sqlx::Pool<D>; 3]) -> u32 {
            pools.map(|pool| pool.options().get_max_connections()).iter().sum()
        }
        match self {
            Self::Sqlite { write, read, relay } => of([write, read, relay]),
            Self::Postgres { write, relay, read, .. } => of([write, relay, read]),
        }
    }
}

/// How to connect holds the password.
impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite { .. } => "Sqlite",
            Self::Postgres { .. } => "Postgres",
        })
    }
}

/// The database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) pools: Pools,
    pub(crate) deadlines: Deadlines,
    /// Whether connections keep prepared statements. A pooler of transactions hands each of them to others.
    pub(crate) keeps_statements: bool,
    /// When the database was silent last.
    pub(crate) silence: Arc<Silence>,
    /// What became of the writes.
    pub(crate) writes: Arc<WriteMonitor>,
}

/// What a transaction is for, on which depends where it waits and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads one state.
    Read,
    /// Writes to the registry, in turn.
    Write,
    /// The relay's own memory, which is no part of the registry's state.
    Relay,
    /// Changes the schema, which may take its time.
    Migrate,
}

/// A transaction on either. Dropping it takes back what it did.
#[derive(Debug)]
pub(crate) struct Tx {
    /// None once it ended, or its connection broke.
    connection: Option<Connection>,
    dialect: Dialect,
    /// How long each statement may take.
    deadline: Duration,
    keeps_statements: bool,
    silence: Arc<Silence>,
    /// Of a write to the registry: who hears what becomes of it.
    writes: Option<Arc<WriteMonitor>>,
    has_written: bool,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A row of either database.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<R> Row for R where R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A row of which nothing is read.
struct AnyRow {}

from_row!(AnyRow {});

/// Statements with more values than this differ from call to call, and would only push others out of the connection's
/// cache of prepared statements.
const CACHED_VALUES: usize = 64;

/// How long beginning a transaction may take, which does nothing yet.
const BEGIN_DEADLINE: Duration = Duration::from_secs(5);

/// How long taking a transaction back, and giving the connection back, may take before it is given up.
const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// What the other side has beyond its own deadline to say that it gave up, so that the connection stays in step.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a statement on the transaction's connection, within its deadline.
macro_rules! within_deadline {
    ($tx:expr, |$connection:ident| $statement:expr) => {
        within_deadline!($tx, |$connection| $statement, $statement)
    };
    ($tx:expr, |$connection:ident| $on_sqlite:expr, $on_postgres:expr) => {{
        let deadline = $tx.deadline + GRACE;
        let answered = match &mut $tx.connection {
            Some(Connection::Sqlite(connection)) => {
                let $connection = &mut **connection;
                timeout(deadline, $on_sqlite).await
            }
            Some(Connection::Postgres(connection)) => {
                let $connection = &mut **connection;
                timeout(deadline, $on_postgres).await
            }
            None => return Err(Error::ConnectionLost),
        };
        $tx.answered(answered)
    }};
}

impl Database {
    pub(crate) const fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// Begins a transaction. An idle connection may have died unnoticed: then the next one is tried, until there is a new one, and
    /// nothing failed.
    pub(crate) async fn begin(&self, purpose: Purpose) -> Result<Tx, Error> {
        let sql = self.dialect().begin(purpose, &self.deadlines);
        self.begin_by::<AnyRow>(purpose, &sql).await.map(|(tx, _)| tx)
    }

    /// The same, and what its first statement, which has no values, reads: in one round trip.
    pub(crate) async fn begin_with<R: Row>(&self, purpose: Purpose, read: &str) -> Result<(Tx, Option<R>), Error> {
        let sql = format!("{}; {read}", self.dialect().begin(purpose, &self.deadlines));
        self.begin_by::<R>(purpose, &sql).await
    }

    async fn begin_by<R: Row>(&self, purpose: Purpose, sql: &str) -> Result<(Tx, Option<R>), Error> {
        let mut idle = self.idle(purpose);
        loop {
            let connection = self.acquire(purpose).await.inspect_err(|error| {
                if purpose == Purpose::Write {
                    self.writes.failed(error);
                }
            })?;
            let mut tx = Tx {
                connection: Some(connection),
                dialect: self.dialect(),
                deadline: self.deadlines.of(purpose).min(BEGIN_DEADLINE),
                keeps_statements: self.keeps_statements,
                silence: Arc::clone(&self.silence),
                writes: None,
                has_written: false,
            };
            match tx.script_row(sql).await {
                Ok(row) => {
                    tx.deadline = self.deadlines.of(purpose);
                    tx.writes = (purpose == Purpose::Write).then(|| Arc::clone(&self.writes));
                    return Ok((tx, row));
                }
                Err(error) if error.is_lost_connection() && idle > 0 => {
                    tx.discard();
                    idle -= 1;
                }
                Err(error) => {
                    tx.discard();
                    if purpose == Purpose::Write {
                        self.writes.failed(&error);
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn acquire(&self, purpose: Purpose) -> Result<Connection, Error> {
        Ok(match (&self.pools, purpose) {
            (Pools::Sqlite { read, .. }, Purpose::Read) => Connection::Sqlite(read.acquire().await?),
            (Pools::Sqlite { relay, .. }, Purpose::Relay) => Connection::Sqlite(relay.acquire().await?),
            (Pools::Sqlite { write, .. }, _) => Connection::Sqlite(write.acquire().await?),
            (Pools::Postgres { write, .. }, Purpose::Write) => Connection::Postgres(write.acquire().await?),
            (Pools::Postgres { relay, .. }, Purpose::Relay) => Connection::Postgres(relay.acquire().await?),
            (Pools::Postgres { read, .. }, _) => Connection::Postgres(read.acquire().await?),
        })
    }

    /// How many connections may have died since they were used.
    fn idle(&self, purpose: Purpose) -> usize {
        match (&self.pools, purpose) {
            (Pools::Sqlite { .. }, _) => 0,
            (Pools::Postgres { write, .. }, Purpose::Write) => write.num_idle(),
            (Pools::Postgres { relay, .. }, Purpose::Relay) => relay.num_idle(),
            (Pools::Postgres { read, .. }, _) => read.num_idle(),
        }
    }

    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read, relay } => {
                read.close().await;
                relay.close().await;
                write.close().await;
            }
            Pools::Postgres { write, relay, read, .. } => {
                read.close().await;
                relay.close().await;
                write.close().await;
            }
        }
    }
}

impl Tx {
    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// All rows. The statement is made of this crate's constants and placeholders; every value is bound.
    pub(crate) async fn all<R: Row>(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<Vec<R>, Error> {
        let (sql, keeps) = (traced(sql.into()), self.keeps(values.len()));
        within_deadline!(
            self,
            |connection| async {
                sqlx::query_as_with::<_, R, _>(sql, sqlite_arguments(values)?)
                    .persistent(keeps)
                    .fetch_all(connection)
                    .await
            },
            async {
                let query = sqlx::query_as_with::<_, R, _>(sql, postgres_arguments(values)?);
                query.persistent(keeps).fetch_all(connection).await
            }
        )
    }

    /// All rows, to be read column by column.
    pub(crate) async fn rows(&mut self, sql: String, values: Vec<Value>) -> Result<Vec<EntityRow>, Error> {
        let (sql, keeps) = (traced(sql), self.keeps(values.len()));
        within_deadline!(
            self,
            |connection| async {
                let query = sqlx::query_with(sql, sqlite_arguments(values)?).persistent(keeps);
                Ok(query.fetch_all(connection).await?.into_iter().map(EntityRow::Sqlite).collect())
            },
            async {
                let query = sqlx::query_with(sql, postgres_arguments(values)?).persistent(keeps);
                Ok(query.fetch_all(connection).await?.into_iter().map(EntityRow::Postgres).collect())
            }
        )
    }

    /// The first row, if there is one.
    pub(crate) async fn first<R: Row>(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<R>, Error> {
        Ok(self.all(sql, values).await?.into_iter().next())
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: impl Into<String>, values: Vec<Value>) -> Result<u64, Error> {
        let keeps = self.keeps(values.len());
        self.execute_with(sql.into(), values, keeps).await
    }

    /// The same of a statement that is one of a handful, however many values it has: the database keeps it.
    pub(crate) async fn execute_kept(&mut self, sql: String, values: Vec<Value>) -> Result<u64, Error> {
        let keeps = self.keeps_statements;
        self.execute_with(sql, values, keeps).await
    }

    async fn execute_with(&mut self, sql: String, values: Vec<Value>, keeps: bool) -> Result<u64, Error> {
        let sql = traced(sql);
        let changed = within_deadline!(
            self,
            |connection| async {
                let query = sqlx::query_with(sql, sqlite_arguments(values)?).persistent(keeps);
                Ok(query.execute(connection).await?.rows_affected())
            },
            async {
                let query = sqlx::query_with(sql, postgres_arguments(values)?).persistent(keeps);
                Ok(query.execute(connection).await?.rows_affected())
            }
        )?;
        self.has_written |= changed > 0;
        Ok(changed)
    }

    /// Whether a statement of so many values is kept for the next time.
    const fn keeps(&self, values: usize) -> bool {
        self.keeps_statements && values <= CACHED_VALUES
    }

    /// Runs a script of several statements without values, in one round trip.
    pub(crate) async fn script(&mut self, sql: impl Into<String>) -> Result<(), Error> {
        let sql = traced(sql.into());
        within_deadline!(self, |connection| async { sqlx::raw_sql(sql).execute(connection).await.map(drop) })
    }

    /// Runs a script of several statements without values, in one round trip, and reads the last row.
    async fn script_row<R: Row>(&mut self, sql: &str) -> Result<Option<R>, Error> {
        let sql = traced(sql.to_owned());
        within_deadline!(self, |connection| async {
            let rows = sqlx::raw_sql(sql).fetch_all(connection).await?;
            rows.last().map(R::from_row).transpose()
        })
    }

    /// Commits. If that fails, what became of it is not known, and the connection is not used again.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        let committed = self.script("COMMIT").await;
        if let Some(writes) = self.writes.as_ref().filter(|_| committed.is_ok() && self.has_written) {
            writes.worked();
        }
        match (&committed, self.connection.take()) {
            (Ok(()), Some(connection)) => connection.in_background(&self.silence, Connection::give_back),
            (_, Some(connection)) => connection.discard(),
            (_, None) => {}
        }
        committed
    }

    /// Takes back what it did, before anything else goes on.
    pub(crate) async fn rollback(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.roll_back(Arc::clone(&self.silence)).await;
        }
    }

    /// What became of a statement. A connection that did not answer in time is gone: what it would answer next belongs to this
    /// statement.
    fn answered<T>(&mut self, answered: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, Error> {
        let error = match answered {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Error::from(error),
            Err(_) => {
                self.silence.note();
                self.discard();
                Error::Deadline { limit: self.deadline }
            }
        };
        if let Some(writes) = &self.writes {
            writes.failed(&error);
        }
        Err(error)
    }

    /// Gives the connection up.
    fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.discard();
        }
    }
}

fn traced(sql: String) -> AssertSqlSafe<String> {
    tracing::trace!(target: STATEMENTS, sql);
    AssertSqlSafe(sql)
}

impl Connection {
    /// Ends the transaction, so that the connection may be used again; else it is given up.
    async fn roll_back(mut self, silence: Arc<Silence>) {
        const ROLLBACK: &str = "ROLLBACK";
        let ended = match &mut self {
            Self::Sqlite(connection) => {
                timeout(RELEASE_DEADLINE, sqlx::raw_sql(ROLLBACK).execute(&mut **connection)).await.map(|it| it.is_ok())
            }
            Self::Postgres(connection) => {
                timeout(RELEASE_DEADLINE, sqlx::raw_sql(ROLLBACK).execute(&mut **connection)).await.map(|it| it.is_ok())
            }
        };
        // A database that ended the transaction by itself (a full disk, a terminated backend) has nothing to take back, and
        // says so: nobody knows what else happened to the connection.
        match ended {
            Ok(true) => return self.give_back(silence).await,
            Ok(false) => {}
            // Its user may have left before the deadline, and this is who finds out.
            Err(_) => silence.note(),
        }
        self.discard();
    }

    /// Gives it back to the pool, which asks whether it lives. One that does not answer is closed.
    async fn give_back(mut self, silence: Arc<Silence>) {
        let returned = match &mut self {
            Self::Sqlite(connection) => timeout(RELEASE_DEADLINE, connection.return_to_pool()).await,
            Self::Postgres(connection) => timeout(RELEASE_DEADLINE, connection.return_to_pool()).await,
        };
        if returned.is_err() {
            silence.note();
            tracing::debug!("connection_given_up");
        }
    }

    /// Closes it without another word: who does not answer will not answer to that either. SQLite's statement, which nobody waits for
    /// any more, goes on in its thread; until it ends, no other connection takes its place.
    fn discard(self) {
        match (self, Handle::try_current()) {
            (Self::Sqlite(connection), Ok(runtime)) => drop(runtime.spawn(connection.close())),
            (Self::Sqlite(connection), Err(_)) => drop(connection.detach()),
            (Self::Postgres(connection), _) => drop(connection.detach()),
        }
    }

    /// Ends it while its user goes on.
    fn in_background<F: Future<Output = ()> + Send + 'static>(
        self,
        silence: &Arc<Silence>,
        end: impl FnOnce(Self, Arc<Silence>) -> F,
    ) {
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(end(self, Arc::clone(silence)))),
            Err(_) => self.discard(),
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.in_background(&self.silence, Connection::roll_back);
        }
    }
}

/// The target under which every statement is traced, as its field `sql`.
pub const STATEMENTS: &str = "cqar_store::statements";
