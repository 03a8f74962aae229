//! Why the relay does not get on, and who can change that.

use cqar_domain::{
    entity::Revision,
    event::{LogPosition, PortError},
    relay::TransformFailure,
};
use uuid::Uuid;

use super::message::{MessageId, UnpublishableEvent};

/// Why a session ended. None of it loses anything: the next session begins with what the stream holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayFault {
    /// NATS is not there, or did not answer.
    #[error("NATS: {0}")]
    Away(String),
    /// The stream is not as this session predicted it: its end has to be read again.
    #[error("the stream's end is not as predicted: {0}")]
    Diverged(String),
    /// The database is not there.
    #[error("the database: {0}")]
    Database(#[from] PortError),
    /// A transform gave no answer.
    #[error("event {position}: {failure}")]
    Held { position: LogPosition, failure: TransformFailure },
    /// Nothing may be published until someone acts.
    #[error(transparent)]
    Refused(#[from] PermanentFault),
}

/// What an operator has to look at.
#[derive(Debug, thiserror::Error)]
pub(super) enum PermanentFault {
    #[error("JetStream refuses: {0}")]
    JetStream(String),
    #[error("the stream {stream} is configured otherwise: {}", differences.join("; "))]
    Configuration { stream: String, differences: Vec<String> },
    #[error(
        "the last message of the stream (sequence {sequence}, {subject}) is not of this registry: remove it, or name \
         another stream"
    )]
    Foreign { sequence: u64, subject: String },
    #[error(
        "the stream continues another event log ({found}, while this database has {own}): purge it, or name another \
         stream"
    )]
    OtherLog { found: Uuid, own: Uuid },
    #[error(
        "the stream is ahead of this database: it ends with event {found}, and the newest revision here is {newest}. \
         Was an older database restored?"
    )]
    Ahead { found: LogPosition, newest: Revision },
    #[error("the log is kept from revision {oldest} on, and the events from {next} on were never published")]
    Compacted { next: LogPosition, oldest: Revision },
    #[error(
        "event {0} was published in part, and how it was split is not remembered: remove its messages from the stream"
    )]
    FanOutForgotten(MessageId),
    #[error("event {position} cannot be published: {reason}")]
    Unpublishable { position: LogPosition, reason: UnpublishableEvent },
    #[error("message {id} has {bytes} bytes, and the NATS server takes at most {max_payload} (its max_payload)")]
    TooLarge { id: MessageId, bytes: usize, max_payload: usize },
}
