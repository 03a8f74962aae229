//! Where the database is, and how many connections to it there may be.

use std::{fmt, str::FromStr as _, time::Duration};

use sqlx::{postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use crate::database::Purpose;

/// How to reach the database.
#[derive(Clone)]
pub struct StoreSettings {
    /// `sqlite://path/to/file.db` or `postgres://user:password@host:port/database?sslmode=…`. Holds a secret.
    pub url: String,
    /// The most connections.
    pub max_connections: u32,
    /// Connections for reads that are kept open while nothing needs them.
    pub min_connections: u32,
    /// After how long a connection is replaced by a new one.
    pub max_lifetime: Duration,
    /// After how long without use a connection beyond `min_connections` is closed.
    pub idle_timeout: Duration,
    /// How long a call waits for a connection, and how long making one may take.
    pub connect_timeout: Duration,
    /// How long a read's statement may take.
    pub query_timeout: Duration,
    /// The most writes that wait for their turn; more are refused.
    pub max_waiting_writes: usize,
    /// Prepared statements kept for each connection; 0 behind PgBouncer in transaction mode.
    pub statement_cache: usize,
}

impl StoreSettings {
    /// The defaults, for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            min_connections: 0,
            max_lifetime: Duration::from_mins(30),
            idle_timeout: Duration::from_mins(10),
            connect_timeout: Duration::from_secs(5),
            query_timeout: Duration::from_secs(30),
            max_waiting_writes: 1024,
            statement_cache: 100,
        }
    }

    /// The URL without its password.
    pub fn redacted_url(&self) -> String {
        without_credentials(&self.url)
    }

    /// Whether it is the embedded database.
    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }
}

/// What of a URL the drivers would refuse, or could not serve from, in words that say nothing of it. They decode more than one looks
/// through, so they are asked. Parameters are the caller's to check: the drivers write those that they do not know to the log.
pub fn url_fault(url: &str) -> Option<&'static str> {
    if !url.starts_with("sqlite:") {
        return PgConnectOptions::from_str(url)
            .is_err()
            .then_some("cannot be read as postgres://USER:PASSWORD@HOST:PORT/NAME");
    }
    let Ok(options) = SqliteConnectOptions::from_str(url) else {
        return Some("cannot be read as sqlite://PATH");
    };
    let file = options.get_filename().to_string_lossy();
    let is_elsewhere = file.is_empty() || file.to_ascii_lowercase().contains(":memory:") || file.starts_with("file:");
    is_elsewhere.then_some("must name a file: sqlite://PATH; what is in memory is gone with its connections")
}

/// How long the database may take for what. Each statement's deadline is kept on both sides: here, since the other side may be
/// silent, and there, since this process may freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    read: Duration,
    /// How long the server waits for a lock.
    pub(crate) lock: Duration,
}

/// A writer keeps all others waiting: a statement of its own, a lock, and what it computes meanwhile.
const WRITER_DEADLINE: Duration = Duration::from_secs(5);
/// A change of the schema may rewrite every table.
const MIGRATION_DEADLINE: Duration = Duration::from_hours(1);

impl Deadlines {
    pub(crate) const fn new(settings: &StoreSettings) -> Self {
        Self { read: settings.query_timeout, lock: WRITER_DEADLINE }
    }

    /// How long a statement may take, and how long the server waits for the next one of its transaction: in a write this is what
    /// the plan takes that is computed in between, while others wait for its locks.
    pub(crate) const fn of(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Read => self.read,
            Purpose::Write | Purpose::Relay => WRITER_DEADLINE,
            Purpose::Migrate => MIGRATION_DEADLINE,
        }
    }
}

/// A URL without the password, or token, before its `@`, and without the passwords in its query.
pub fn without_credentials(url: &str) -> String {
    // The query first: what it holds may have an `@` too.
    let url = match url.split_once('?') {
        Some((address, query)) => {
            let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
                Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}=***"),
                _ => parameter.to_owned(),
            });
            format!("{address}?{}", parameters.collect::<Vec<_>>().join("&"))
        }
        None => url.to_owned(),
    };
    // The last `@`, wherever it is: a password that should have been escaped must not be shown for it.
    let Some((before, host)) = url.rsplit_once('@') else { return url };
    let (scheme, credentials) =
        before.split_once("://").map_or((String::new(), before), |(scheme, rest)| (format!("{scheme}://"), rest));
    // Alone it may be a token.
    let user = credentials.split_once(':').map(|(user, _)| format!("{user}:")).unwrap_or_default();
    format!("{scheme}{user}***@{host}")
}

/// Without the password.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings")
            .field("url", &self.redacted_url())
            .field("max_connections", &self.max_connections)
            .field("min_connections", &self.min_connections)
            .field("max_lifetime", &self.max_lifetime)
            .field("idle_timeout", &self.idle_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("query_timeout", &self.query_timeout)
            .field("max_waiting_writes", &self.max_waiting_writes)
            .field("statement_cache", &self.statement_cache)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_say_what_a_url_comes_to() {
        for served in ["sqlite://data/cqar.db", "sqlite:cqar.db", "postgres://u:p%23@[::1]:5432/d?sslmode=require"] {
            assert_eq!(url_fault(served), None, "{served}");
        }
        for refused in [
            "sqlite:%66ile:/x%3Fvfs=memdb",
            "sqlite:%66ile:/data/x.db%3Fmode=ro",
            "sqlite:sqlite:",
            "sqlite://sqlite://",
            "sqlite://:memor%79:",
            "postgres://u:p@/d",
            "postgres://u:p@:5432/d",
        ] {
            assert!(url_fault(refused).is_some(), "{refused}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let settings = StoreSettings::new("postgres://cqar:se@cret@db:5432/cqar?sslmode=require");
        assert_eq!(settings.redacted_url(), "postgres://cqar:***@db:5432/cqar?sslmode=require");
        assert!(!format!("{settings:?}").contains("cret"));
        for odd in [
            "postgres://db/cqar?user=bob@srv&password=secret",
            "postgres://db/cqar?password=se@secret",
            "postgres://cqar:secr?et@db/cqar",
        ] {
            assert!(!without_credentials(odd).contains("secr"), "{}", without_credentials(odd));
        }
        assert_eq!(without_credentials("nats://t0ken@bus:4222"), "nats://***@bus:4222");
        assert_eq!(without_credentials("https://u:p@collector:4317"), "https://u:***@collector:4317");
        assert_eq!(without_credentials("sqlite://data/cqar.db"), "sqlite://data/cqar.db");
        let in_query = StoreSettings::new("postgres://db/cqar?user=cqar&password=secret");
        assert_eq!(in_query.redacted_url(), "postgres://db/cqar?user=cqar&password=***");
    }
}
