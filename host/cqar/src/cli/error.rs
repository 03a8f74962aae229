//! How a command ends: its exit code, and what it says when it fails.

use std::{error::Error, fmt::Write as _, io, path::PathBuf, process::ExitCode};

use cqar_proto::rpc;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::output::{self, OutputFormat};
use crate::{config::error::ConfigErrors, mutations::MutationsError};

/// What `cqar --help` says after the commands.
pub const EXAMPLES_AND_EXIT_CODES: &str = "\
Start with:
  cqar serve --starter
  cqar resolve binance BTCUSDT --segment spot
  cqar list markets --venue binance
  cqar watch --from 0

`cqar help COMMAND` shows the options of a command, and examples.

Exit codes:
  0  done
  1  failed for a reason that no other code names
  2  the command line is wrong
  3  not found
  4  refused: an invalid argument, file or configuration
  5  in conflict with what is there: a precondition, an ambiguous symbol, a stale etag
  6  the server cannot be reached, is not ready, or did not answer in time
  7  the API key is missing, unknown or not allowed";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed otherwise.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Not found.
    NotFound = 3,
    /// An invalid argument, file or configuration.
    Refused = 4,
    /// In conflict with what is there.
    Conflict = 5,
    /// The server is away, not ready or late.
    Unavailable = 6,
    /// The API key is missing, unknown or not allowed.
    Denied = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Code> for Exit {
    fn from(code: Code) -> Self {
        match code {
            Code::Ok => Self::Done,
            Code::NotFound => Self::NotFound,
            Code::InvalidArgument | Code::OutOfRange => Self::Refused,
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Self::Conflict,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => Self::Unavailable,
            Code::Unauthenticated | Code::PermissionDenied => Self::Denied,
            Code::Cancelled | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Self::Failed,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Nothing answers there.
    #[error("cannot reach {server}: {cause}; is `cqar serve` running?")]
    Unreachable {
        /// The server.
        server: String,
        /// The innermost reason.
        cause: String,
    },
    /// The server answered with an error.
    #[error("{}", .0.message())]
    Answered(Box<tonic::Status>),
    /// The stream ended before its time.
    #[error("the server ended the stream")]
    Ended,
    /// The arguments do not fit each other or the terminal.
    #[error("{0}")]
    Usage(String),
    /// A payload that cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A payload that no server would take.
    #[error("{0}")]
    Refused(String),
    /// A file of mutations.
    #[error(transparent)]
    Mutations(#[from] MutationsError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The standard input or output.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server itself, or the migrations.
    #[error("{}", chain(.0))]
    Failed(#[from] anyhow::Error),
}

impl From<tonic::Status> for CliError {
    fn from(status: tonic::Status) -> Self {
        // tonic says CANCELLED when its own clock ran out.
        let expired = causes(&status).any(<dyn Error>::is::<tonic::TimeoutExpired>);
        // Of a server that went away it says only that there is a connect error.
        let refused = causes(&status).any(<dyn Error>::is::<tonic::ConnectError>);
        // Nor what broke a connection that was made.
        let broken = causes(&status).any(<dyn Error>::is::<tonic::transport::Error>);
        let status = if expired {
            tonic::Status::deadline_exceeded("no answer in time: see --timeout")
        } else if refused {
            let cause = causes(&status).last().map_or_else(String::new, ToString::to_string);
            tonic::Status::unavailable(format!("the server cannot be reached any more: {cause}"))
        } else if broken {
            let cause = causes(&status).last().map_or_else(String::new, ToString::to_string);
            tonic::Status::unavailable(format!(
                "the connection broke: {cause}; a server that speaks TLS is called by https://"
            ))
        } else {
            status
        };
        Self::Answered(Box::new(status))
    }
}

impl CliError {
    /// How the command ends.
    pub fn exit(&self) -> Exit {
        // A reader that has seen enough, such as `head`, is no failure.
        match self {
            _ if self.is_closed_pipe() => Exit::Done,
            Self::Usage(_) => Exit::Usage,
            _ => self.code().into(),
        }
    }

    /// Says what is wrong, on the standard error: for people, or as a `google.rpc.Status` in JSON.
    pub fn print(&self, format: OutputFormat) {
        if self.is_closed_pipe() {
            return;
        }
        let text = match format {
            OutputFormat::Json => serde_json::to_string(&self.status()).unwrap_or_else(|_| self.to_string()),
            OutputFormat::Yaml | OutputFormat::Table | OutputFormat::Name => {
                let label = output::red_on_stderr("error:");
                match self {
                    Self::Answered(status) => format!("{label} {}", describe(status)),
                    other => format!("{label} {other}"),
                }
            }
        };
        // Nobody is left to be told.
        let _ = writeln_stderr(&text);
    }

    /// Whether another attempt can do better.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Ended => true,
            // A connection that breaks is UNKNOWN, INTERNAL or CANCELLED, by where it breaks.
            Self::Answered(status) => matches!(
                status.code(),
                Code::Unavailable
                    | Code::Unknown
                    | Code::Internal
                    | Code::Cancelled
                    | Code::ResourceExhausted
                    | Code::DeadlineExceeded
            ),
            _ => false,
        }
    }

    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    fn code(&self) -> Code {
        match self {
            Self::Answered(status) => status.code(),
            Self::Unreachable { .. } | Self::Ended => Code::Unavailable,
            Self::Refused(_) | Self::Mutations(_) | Self::Config(_) | Self::Unreadable { .. } | Self::Usage(_) => {
                Code::InvalidArgument
            }
            Self::Io(_) | Self::Failed(_) => Code::Unknown,
        }
    }

    fn status(&self) -> rpc::Status {
        match self {
            Self::Answered(status) => rpc::Status::from(&**status),
            other => rpc::Status { code: other.code().into(), message: other.to_string(), details: Vec::new() },
        }
    }
}

/// The message, the reason, each field that is wrong, and each candidate.
pub fn describe(status: &tonic::Status) -> String {
    let details = status.get_error_details();
    let mut text = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    // Writing to a string does not fail.
    if let Some(info) = details.error_info().filter(|info| !info.reason.is_empty()) {
        let _ = write!(text, " [{}]", info.reason);
    }
    for violation in details.bad_request().iter().flat_map(|request| &request.field_violations) {
        let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
    }
    for violation in details.precondition_failure().iter().flat_map(|failure| &failure.violations) {
        let _ = write!(text, "\n  {}: {}", violation.subject, violation.description);
    }
    let mut facts: Vec<_> = details.error_info().iter().flat_map(|info| &info.metadata).collect();
    facts.sort();
    for (name, value) in facts {
        let _ = write!(text, "\n  {name}: {value}");
    }
    text
}

/// What caused an error, and what caused that.
pub fn causes(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// The error and its causes, each said once: many errors repeat their source.
pub fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |said, cause| if said.contains(&cause) { said } else { format!("{said}: {cause}") })
}

fn writeln_stderr(text: &str) -> io::Result<()> {
    use std::io::Write as _;
    writeln!(io::stderr(), "{text}")
}
