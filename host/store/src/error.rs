//! What can go wrong with the database, in terms that callers act on.

use std::{path::PathBuf, time::Duration};

use crate::dialect;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is away, busy or full. The same call may succeed later.
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database did not answer in time. What was asked is given up, on both sides.
    #[error("the database did not answer within {} ms", limit.as_millis())]
    Deadline {
        /// What it was allowed.
        limit: Duration,
    },
    /// The transaction's connection broke before.
    #[error("the connection to the database broke")]
    ConnectionLost,
    /// The database takes no writes.
    #[error("the database is read-only: it is a standby, or its file or folder may not be written ({0})")]
    ReadOnly(#[source] sqlx::Error),
    /// Writes fail just now, and another one is being tried: waiting behind it would be in vain.
    #[error("writes fail: {reason}")]
    WritesFail {
        /// Why the last one failed.
        reason: String,
    },
    /// The turn to write did not come in time.
    #[error("the writes before took longer than {} s", limit.as_secs())]
    TurnTooLate {
        /// How long it waited.
        limit: Duration,
    },
    /// Too many writes wait for their turn already.
    #[error("{waiting} writes wait for their turn already")]
    TooManyWrites {
        /// How many.
        waiting: usize,
    },
    /// A constraint of the schema refused the change. The core's rules are stricter, so this is a defect of theirs, or
    /// someone else wrote to the tables.
    #[error("the database refused the change by its constraint {name}")]
    Constraint {
        /// Which kind.
        kind: Constraint,
        /// The name in the schema, as far as the database tells; or what is against it.
        name: String,
        /// What the database said, where it was that which refused.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// A stored value is not what this version writes.
    #[error("table {table} holds what cannot be read: {reason}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The database could not be opened.
    #[error("cannot open the database {url}: {reason}")]
    Open {
        /// Where, without secrets.
        url: String,
        /// What is wrong, and what to do.
        reason: String,
        /// Whether it may come by itself: nothing listens yet, or it is starting.
        may_come: bool,
    },
    /// The folder of the database file could not be made.
    #[error("cannot create the folder {}: {source}; give the server's user the right to, or set DATABASE_URL", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Migrations are missing.
    #[error("the database is at migration {found} and this version needs {needed}: run `cqar migrate up`")]
    SchemaOutdated {
        /// The newest migration that was applied; 0 for an empty database.
        found: i64,
        /// The newest that this binary knows.
        needed: i64,
    },
    /// Another, newer version migrated the database.
    #[error(
        "the database is at migration {found} ({name}) and this version knows none after {known}: \
         run the newer `cqar`, or restore the backup that was made before the migration"
    )]
    SchemaTooNew {
        /// The newest migration that was applied.
        found: i64,
        /// Its name.
        name: String,
        /// The newest that this binary knows.
        known: i64,
    },
    /// Any other failure of a statement.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
}

/// The kinds of constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// Two rows with one key.
    Unique,
    /// A reference to what is not there, or a deletion of what is referred to.
    ForeignKey,
    /// A value that the column does not allow.
    Check,
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Deadline { .. }
                | Self::ConnectionLost
                | Self::ReadOnly(_)
                | Self::WritesFail { .. }
                | Self::TurnTooLate { .. }
        )
    }

    /// Whether who starts does well to wait: the database cannot be reached yet, or is not migrated yet. Wrong credentials and a newer
    /// schema stay what they are.
    pub fn may_come(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Deadline { .. } | Self::ConnectionLost | Self::SchemaOutdated { .. } => true,
            Self::Open { may_come, .. } => *may_come,
            Self::ReadOnly(_)
            | Self::WritesFail { .. }
            | Self::TurnTooLate { .. }
            | Self::TooManyWrites { .. }
            | Self::Constraint { .. }
            | Self::Corrupt { .. }
            | Self::Folder { .. }
            | Self::SchemaTooNew { .. }
            | Self::Database(_) => false,
        }
    }

    /// What to tell causes apart by, where a write failed and any other would have. None where it failed for a reason of its
    /// own, or another failure told already.
    pub(crate) fn cause_of_failed_writes(&self) -> Option<String> {
        match self {
            Self::Unavailable(error) | Self::Database(error @ sqlx::Error::Database(_)) => Some(match error {
                sqlx::Error::Database(cause) => cause.code().unwrap_or_default().into_owned(),
                other => format!("{:?}", std::mem::discriminant(other)),
            }),
            Self::Deadline { .. } => Some("deadline".to_owned()),
            Self::ReadOnly(_) => Some("read-only".to_owned()),
            Self::Database(_)
            | Self::ConnectionLost
            | Self::WritesFail { .. }
            | Self::TurnTooLate { .. }
            | Self::TooManyWrites { .. }
            | Self::Constraint { .. }
            | Self::Corrupt { .. }
            | Self::Open { .. }
            | Self::Folder { .. }
            | Self::SchemaOutdated { .. }
            | Self::SchemaTooNew { .. } => None,
        }
    }

    /// Whether the connection was gone before anything was done on it: it broke, or what the server said last was that it ends it.
    pub(crate) fn is_lost_connection(&self) -> bool {
        match self {
            Self::ConnectionLost | Self::Unavailable(sqlx::Error::Io(_) | sqlx::Error::Tls(_)) => true,
            Self::Unavailable(sqlx::Error::Database(cause)) => {
                dialect::ends_connection(&cause.code().unwrap_or_default())
            }
            _ => false,
        }
    }

    /// Whether the database gave the transaction up because one of its statements, or the time between two, took too long.
    pub(crate) fn is_overlong(&self) -> bool {
        let Self::Unavailable(sqlx::Error::Database(cause)) = self else { return false };
        dialect::is_overlong(&cause.code().unwrap_or_default())
    }
}

impl From<Error> for cqar_domain::event::PortError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}
