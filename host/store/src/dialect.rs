//! What differs between the two databases: how transactions begin, how the log is locked and announced, and what
//! their errors mean.

use sqlx::error::DatabaseError;

use crate::{
    database::Purpose,
    error::{Constraint, Error},
    settings::Deadlines,
};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// The channel on which PostgreSQL tells other servers that the log has grown.
pub(crate) const LOG_CHANNEL: &str = "cqar_log";

/// How PostgreSQL plans: every statement here has its index, and what the statistics of a day say must not talk it out of that. Plans are
/// made once, for values that are not known, of columns whose values count as rare (migrations 0002 and 0003). A row that is looked at in
/// vain counts as much as one that is found by an index: the table may have few of them just now.
pub const PLANNER: [(&str, &str); 10] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_sort", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("cpu_tuple_cost", "1"),
    // Its costs are not these.
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

impl Dialect {
    /// Names the index by which a table is to be read, where the database takes that from a statement.
    pub(crate) fn by_index(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!(" INDEXED BY {index}"),
            Self::Postgres => String::new(),
        }
    }

    /// That a column has a value, which is not null, in words that no index serves: rows are found by another column's.
    pub(crate) fn checked_along(self, column: &str, placeholder: &str) -> String {
        match self {
            Self::Sqlite => format!("+{column} = {placeholder}"),
            Self::Postgres => format!("{column} IS NOT DISTINCT FROM {placeholder}"),
        }
    }

    /// Compares a column of canonical decimals above 0 with the `n`th value, by what they are worth. SQLite has no exact decimals:
    /// of two with as many digits before the point the order is that of their texts, and of others the longer one is larger.
    pub(crate) fn compare_decimals(self, column: &str, comparison: &str, n: usize) -> String {
        match self {
            Self::Sqlite => {
                format!("(INSTR(e.{column} || '.', '.'), e.{column}) {comparison} (INSTR(${n} || '.', '.'), ${n})")
            }
            Self::Postgres => {
                format!("CAST(e.{column} AS NUMERIC) {comparison} CAST(CAST(${n} AS TEXT) AS NUMERIC)")
            }
        }
    }

    /// The placeholder of a value in a statement of many. SQLite would take time with the square of their number to tell
    /// numbered ones apart.
    pub(crate) fn placeholder(self, number: usize) -> String {
        match self {
            Self::Sqlite => "?".to_owned(),
            Self::Postgres => format!("${number}"),
        }
    }

    /// Begins a transaction. On PostgreSQL its limits go with it, in the same round trip: they hold for it alone, as poolers
    /// of transactions want it, and end what the server waits for if this process froze.
    pub(crate) fn begin(self, purpose: Purpose, deadlines: &Deadlines) -> String {
        match (self, purpose) {
            (Self::Sqlite, Purpose::Read) => "BEGIN DEFERRED".to_owned(),
            (Self::Sqlite, _) => "BEGIN IMMEDIATE".to_owned(),
            (Self::Postgres, _) => {
                let isolation = match purpose {
                    // Sees one state from its first statement to its last.
                    Purpose::Read => "REPEATABLE READ READ ONLY",
                    Purpose::Write | Purpose::Relay | Purpose::Migrate => "READ COMMITTED",
                };
                let statement = deadlines.of(purpose).as_millis();
                let lock = deadlines.lock.as_millis();
                let planner = PLANNER.map(|(name, value)| format!("set_config('{name}', '{value}', true)")).join(", ");
                // One statement for all of them: each would cost as much as a look-up.
                format!(
                    "BEGIN ISOLATION LEVEL {isolation}; SELECT set_config('statement_timeout', '{statement}', true), \
                     set_config('lock_timeout', '{lock}', true), \
                     set_config('idle_in_transaction_session_timeout', '{statement}', true), {planner}"
                )
            }
        }
    }

    /// Reads the newest state and keeps every other writer out until the transaction ends.
    pub(crate) const fn lock_log(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT revision, commit_us FROM log_state WHERE id = 1",
            Self::Postgres => "SELECT revision, commit_us FROM log_state WHERE id = 1 FOR UPDATE",
        }
    }

    /// Sets the revision and its time, and tells the other servers once it is committed.
    pub(crate) const fn set_revision(self) -> &'static str {
        match self {
            Self::Sqlite => "UPDATE log_state SET revision = $1, commit_us = $2 WHERE id = 1",
            Self::Postgres => {
                "UPDATE log_state SET revision = $1, commit_us = $2 WHERE id = 1 \
                 RETURNING pg_notify('cqar_log', revision::text)::text"
            }
        }
    }

    /// Keeps other migration runs out until the transaction ends, however long they take: not even a lock's deadline counts.
    /// (SQLite's BEGIN IMMEDIATE has done so.)
    pub(crate) const fn lock_migrations(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT 1",
            Self::Postgres => {
                "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7163870931); SET LOCAL lock_timeout = '5s'"
            }
        }
    }

    /// Whether the table of migrations is there: 1 or 0.
    pub(crate) const fn has_migrations(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT count(*) AS tables FROM sqlite_master WHERE name = 'schema_migrations'",
            Self::Postgres => "SELECT count(to_regclass('schema_migrations')) AS tables",
        }
    }

    /// What a new connection is told. The server notices a client that is gone without a word within a minute, and ends what
    /// that one began.
    pub(crate) const fn greeting(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => {
                "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
                 SET tcp_user_timeout = 20000"
            }
        }
    }
}

/// The one place where errors of either database get their meaning, by code and never by text.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let class = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => ErrorClass::Unavailable,
            sqlx::Error::Database(cause) => class_of(cause.as_ref()),
            _ => ErrorClass::Other,
        };
        match class {
            ErrorClass::Unavailable => Self::Unavailable(error),
            ErrorClass::ReadOnly => Self::ReadOnly(error),
            ErrorClass::Constraint(kind, name) => Self::Constraint { kind, name, source: Some(error) },
            ErrorClass::Other => Self::Database(error),
        }
    }
}

enum ErrorClass {
    Unavailable,
    ReadOnly,
    Constraint(Constraint, String),
    Other,
}

fn class_of(error: &dyn DatabaseError) -> ErrorClass {
    use sqlx::error::ErrorKind;
    let constraint = match error.kind() {
        ErrorKind::UniqueViolation => Some(Constraint::Unique),
        ErrorKind::ForeignKeyViolation => Some(Constraint::ForeignKey),
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation | ErrorKind::ExclusionViolation => {
            Some(Constraint::Check)
        }
        _ => None,
    };
    if let Some(kind) = constraint {
        // SQLite names the columns in its message alone.
        let name = error.constraint().unwrap_or_else(|| error.message()).to_owned();
        return ErrorClass::Constraint(kind, name);
    }
    let code = error.code().unwrap_or_default();
    let is_sqlite = error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
    if is_sqlite { class_of_sqlite(&code) } else { class_of_postgres(&code) }
}

/// The low byte of an extended result code is its class: READONLY; BUSY, LOCKED, NOMEM, IOERR, FULL, CANTOPEN, PROTOCOL.
/// <https://sqlite.org/rescode.html>
fn class_of_sqlite(code: &str) -> ErrorClass {
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(8) => ErrorClass::ReadOnly,
        Ok(5 | 6 | 7 | 10 | 13 | 14 | 15) => ErrorClass::Unavailable,
        _ => ErrorClass::Other,
    }
}

/// 25006 is a standby, and 42501 what the server itself may not write. Classes 08 (connection), 53 (resources), 57 (operator's
/// intervention, such as a restart), 58 (system), 40 (the transaction was rolled back), 25P03 and 25P04 (it was idle, or took, too
/// long) and 55P03 (a lock that did not come in time). <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn class_of_postgres(code: &str) -> ErrorClass {
    let passes = ["25P03", "25P04", "55P03"].contains(&code)
        || ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class));
    match code {
        "25006" | "42501" => ErrorClass::ReadOnly,
        _ if passes => ErrorClass::Unavailable,
        _ => ErrorClass::Other,
    }
}

/// Whether PostgreSQL ended the connection with this: a restart, an administrator, or a limit of idleness.
pub(crate) fn ends_connection(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P0") || code == "25P03"
}

/// Whether PostgreSQL gave a transaction up because of its own time: `query_canceled`, and the two limits of transactions.
pub(crate) fn is_overlong(code: &str) -> bool {
    ["57014", "25P03", "25P04"].contains(&code)
}

/// Whether a database that could not be opened may come by itself: nothing listens there yet, it is starting or full, another process
/// has the file, or who makes it is not done. Wrong credentials (class 28), a certificate that is refused and a bad URL stay.
pub(crate) fn may_come(error: &sqlx::Error) -> bool {
    match error {
        // The other side speaks, and what it says is refused: its certificate.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => false,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(cause) => {
            let code = cause.code().unwrap_or_default();
            if cause.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                code.parse::<u32>().is_ok_and(|code| [5, 6].contains(&(code & 0xff)))
            } else {
                code == "3D000" || ["08", "53", "57"].iter().any(|class| code.starts_with(class))
            }
        }
        _ => false,
    }
}

/// SQLite's code for a file that is no database.
pub(crate) fn is_not_a_database(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 26)
}
