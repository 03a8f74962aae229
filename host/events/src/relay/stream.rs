//! The stream: made if it is not there, checked if it is, and its end.

use async_nats::jetstream::{
    self, ErrorCode,
    context::{Context, CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, LastRawMessageErrorKind, RetentionPolicy, Stream},
};

use super::{
    RelaySettings,
    fault::{PermanentFault, RelayFault},
    message::MessageId,
    resume::{LastMessage, StreamEnd},
};

/// How often the end is read again, when the stream moves meanwhile.
const ATTEMPTS: u32 = 5;

/// Creates the stream if it is missing. Limits, age, storage and replicas of an existing one are the operator's choice;
/// settings by which events could be removed from the middle, or foreign messages get between them, are refused.
pub(super) async fn ensure(jetstream: &Context, settings: &RelaySettings) -> Result<Stream, RelayFault> {
    let stream = match jetstream.get_stream(&settings.stream).await {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                tracing::info!(stream = settings.stream, "stream created");
                jetstream.create_stream(config(settings)).await.map_err(|error| match error.kind() {
                    CreateStreamErrorKind::JetStream(cause) => refused(&cause),
                    _ => RelayFault::Away(error.to_string()),
                })?
            }
            GetStreamErrorKind::JetStream(cause) => return Err(refused(&cause)),
            _ => return Err(RelayFault::Away(error.to_string())),
        },
    };
    let differences = differences(&stream.cached_info().config, settings);
    if differences.is_empty() {
        Ok(stream)
    } else {
        Err(PermanentFault::Configuration { stream: settings.stream.clone(), differences }.into())
    }
}

/// Reads the stream's end. The sequence is read before the message: whatever is put on the stream after that makes the
/// next publish fail, so that the end is read again.
pub(super) async fn end(stream: &Stream, settings: &RelaySettings) -> Result<StreamEnd, RelayFault> {
    for _ in 0..ATTEMPTS {
        let state = stream.get_info().await.map_err(|error| RelayFault::Away(error.to_string()))?.state;
        if state.messages == 0 {
            return Ok(StreamEnd { sequence: state.last_sequence, last: None });
        }
        match stream.get_last_raw_message_by_subject(&subjects(settings)).await {
            Ok(message) if message.sequence <= state.last_sequence => {
                let id = MessageId::read(&message.headers);
                let last = LastMessage { sequence: message.sequence, subject: message.subject.to_string(), id };
                return Ok(StreamEnd { sequence: state.last_sequence, last: Some(last) });
            }
            Ok(_) => {}
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => {}
                _ => return Err(RelayFault::Away(error.to_string())),
            },
        }
    }
    Err(RelayFault::Diverged("it moves while it is read".to_owned()))
}

/// What JetStream itself answered: a server error passes, anything else waits for an operator.
fn refused(cause: &jetstream::Error) -> RelayFault {
    if cause.code() >= 500 {
        RelayFault::Away(cause.to_string())
    } else {
        PermanentFault::JetStream(cause.to_string()).into()
    }
}

fn subjects(settings: &RelaySettings) -> String {
    format!("{}.>", settings.subject_prefix)
}

fn config(settings: &RelaySettings) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("Every event of the registry's log, once, in order. Written by its relay alone.".to_owned()),
        subjects: vec![subjects(settings)],
        duplicate_window: settings.duplicate_window,
        num_replicas: settings.replicas,
        ..Config::default()
    }
}

fn differences(found: &Config, settings: &RelaySettings) -> Vec<String> {
    let subjects = subjects(settings);
    let checks = [
        (found.subjects != [subjects.as_str()], format!("its subjects are {:?}, not {subjects:?}", found.subjects)),
        (found.retention != RetentionPolicy::Limits, "its retention removes what was read".to_owned()),
        (found.max_messages_per_subject > 0, "it keeps only so many messages of each subject".to_owned()),
        (found.no_ack, "it acknowledges nothing".to_owned()),
        (found.sealed, "it is sealed".to_owned()),
        (found.mirror.is_some() || found.sources.is_some(), "it takes messages from other streams".to_owned()),
        (found.subject_transform.is_some(), "it renames subjects".to_owned()),
    ];
    checks.into_iter().filter(|(differs, _)| *differs).map(|(_, difference)| difference).collect()
}
