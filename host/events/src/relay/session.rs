//! One session of publishing: from the end of the stream on, until something is not as predicted.
//!
//! Invariant: the stream holds every event of the log once, in order, whatever crashes when. What keeps it:
//!
//! - Each message names the sequence that it must follow (`Nats-Expected-Last-Sequence`), predicted across the window of
//!   messages that are not acknowledged yet. If one is lost, late or doubled, all after it fail.
//! - It also names the message that it must follow (`Nats-Expected-Last-Msg-Id`), for the sequence alone is not enough: a
//!   foreign message in the middle of the window takes the sequence of one of ours, which fails, and the next would
//!   find the sequence that it expects.
//! - An acknowledgement counts only if it is for the predicted sequence and no duplicate. A duplicate says no more than
//!   that this id was there once, perhaps as another part; servers up to 2.10 even say it before they check what is
//!   expected.
//! - Whatever goes wrong ends the session, and the next begins with the stream's last message.
//! - The parts of a split event are remembered before the first is sent, everything before them is acknowledged by then,
//!   and the rest follows when the first is acknowledged. So if an older session's publish comes late, it is either the
//!   first part of this very split, or it makes ours fail; and it never completes what it did not begin, nor goes on after it:
//!   the id of a part says of how many it is one.

use std::{collections::VecDeque, convert::Infallible};

use async_nats::{
    HeaderValue,
    jetstream::{
        context::{Context, ContextBuilder, PublishError, PublishErrorKind},
        message::PublishMessage,
        publish::PublishAck,
    },
};
use cqar_domain::{
    entity::Revision,
    event::{EventType, LogBounds, LogPage, LogPosition, LoggedEvent},
    relay::{OutboundMessage, TransformFailure},
};
use futures::future::BoxFuture;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    Relay, RelayState, fan_out,
    fault::{PermanentFault, RelayFault},
    message::{Message, MessageId},
    resume::{Resume, resume},
    stream,
};
use crate::page::follows;

/// How many events are read and transformed at a time: what a transform takes in one call.
const PAGE_EVENTS: u32 = 256;
/// What a message grows by when it is sent: the names of the stream and of the message before it, and a sequence.
const EXPECTATIONS_BYTES: usize = 512;

/// Publishes until something goes wrong. Everything before `confirmed` was stored on the stream once, by its own word: an
/// acknowledgement, or its last message.
pub(super) async fn run(
    relay: &Relay,
    client: &async_nats::Client,
    confirmed: &mut Option<LogPosition>,
) -> Result<Infallible, RelayFault> {
    let jetstream = ContextBuilder::new()
        .timeout(relay.settings.ack_timeout)
        .ack_timeout(relay.settings.ack_timeout)
        .max_ack_inflight(relay.settings.window.max(1))
        .build(client.clone());
    let stream = stream::ensure(&jetstream, &relay.settings).await?;
    let end = stream::end(&stream, &relay.settings).await?;
    // After the end was read: what the stream holds is in the log by now.
    let bounds = relay.log.bounds().await?;
    let start = resume(&end, &bounds, relay.state_store.cursor().await?, *confirmed)?;
    let next = match start {
        Resume::At(next) => next,
        Resume::After(id) => id.position,
    };
    if let Some(id) = end.last.and_then(|last| last.id) {
        check_last(relay, id, &bounds).await?;
    }
    relay.status.advance(next);
    let mut session = Session {
        relay,
        jetstream,
        applied: relay.applied.clone(),
        log_id: bounds.log_id,
        confirmed,
        base: end.sequence,
        predicted: end.sequence,
        last_id: None,
        in_flight: VecDeque::new(),
        next,
        began: false,
        is_settled: false,
    };
    session.publish(start).await
}

struct Session<'a> {
    relay: &'a Relay,
    jetstream: Context,
    applied: watch::Receiver<Revision>,
    log_id: Uuid,
    confirmed: &'a mut Option<LogPosition>,
    /// The stream's last sequence when the session began.
    base: u64,
    /// The stream's last sequence when all in flight is stored.
    predicted: u64,
    /// The id of the message that this session sent last.
    last_id: Option<String>,
    /// At most the window. A full one makes the next message wait.
    in_flight: VecDeque<InFlight>,
    /// The position to read the log from.
    next: LogPosition,
    /// Whether this session sent the first message of an event: until then, a fan-out may have been begun before it.
    began: bool,
    /// Whether the stream stored a message of this session. Until then one is sent at a time: the stream may still know
    /// messages that were removed from its end.
    is_settled: bool,
}

/// A message that is not acknowledged yet.
struct InFlight {
    ack: BoxFuture<'static, Result<PublishAck, PublishError>>,
    sequence: u64,
    event_type: EventType,
    position: LogPosition,
    /// What is done when it is acknowledged.
    done_before: LogPosition,
    sent: Instant,
}

impl Session<'_> {
    async fn publish(&mut self, start: Resume) -> Result<Infallible, RelayFault> {
        if let Resume::After(id) = start {
            self.finish(id).await?;
        }
        loop {
            let applied = *self.applied.borrow_and_update();
            let LogPage { events, has_more } = self.relay.log.read(self.next, PAGE_EVENTS).await?;
            let Some(first) = events.first() else {
                self.wait(applied).await?;
                continue;
            };
            check_continues(self.relay, self.next, first).await?;
            let prefix = &self.relay.settings.subject_prefix;
            let (answers, failure) = self.relay.transforms.transform(&events, prefix).await;
            let answered = answers.len();
            for (event, parts) in events.iter().zip(answers) {
                self.publish_event(event, parts).await?;
            }
            if let Some(event) = events.get(answered) {
                if failure.is_none() && answered > 0 {
                    // They were as much as is answered at once.
                    continue;
                }
                self.drain().await?;
                let no_answer = || TransformFailure { plugin: String::new(), message: "gave no answer".to_owned() };
                let failure = failure.unwrap_or_else(no_answer);
                return Err(RelayFault::Held { position: event.position, failure });
            }
            if !has_more {
                self.wait(applied).await?;
            }
        }
    }

    /// Sends the parts of a half-published event that are missing.
    async fn finish(&mut self, id: MessageId) -> Result<(), RelayFault> {
        let forgotten = || PermanentFault::FanOutForgotten(id);
        let event = self.relay.log.read(id.position, 1).await?.events.into_iter().next().ok_or_else(forgotten)?;
        let parts = begun(self.relay, id.position).await?.ok_or_else(forgotten)?;
        if parts.len() != id.parts as usize {
            return Err(forgotten().into());
        }
        for message in self.messages(&event, &parts)?.into_iter().skip(id.part as usize + 1) {
            self.send(message).await?;
        }
        self.began = true;
        self.next = id.position.next();
        Ok(())
    }

    /// Publishes the messages that an event became; none if it is dropped.
    async fn publish_event(&mut self, event: &LoggedEvent, mut parts: Vec<OutboundMessage>) -> Result<(), RelayFault> {
        let mut is_begun = false;
        if (!self.began || parts.len() > 1)
            && let Some(begun) = begun(self.relay, event.position).await?
        {
            parts = begun;
            is_begun = true;
        }
        // All are made before the first is sent or remembered: none of them may turn out to be impossible half-way.
        let messages = match self.messages(event, &parts) {
            Ok(messages) => messages,
            Err(refusal) => {
                self.drain().await?;
                return Err(refusal.into());
            }
        };
        let is_split = messages.len() > 1;
        if is_split {
            self.drain().await?;
            if !is_begun {
                self.relay.state_store.save_fan_out(event.position, fan_out::encode(&parts)).await?;
            }
        }
        self.next = event.position.next();
        if messages.is_empty() {
            self.pass(self.next);
        }
        for message in messages {
            let is_first = message.id.part == 0;
            self.send(message).await?;
            self.began = true;
            if is_first && is_split {
                self.drain().await?;
            }
        }
        Ok(())
    }

    fn messages(&self, event: &LoggedEvent, parts: &[OutboundMessage]) -> Result<Vec<Message>, PermanentFault> {
        let position = event.position;
        let max_payload = self.jetstream.client().max_payload();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        (0..count)
            .zip(parts)
            .map(|(part, outgoing)| {
                let id = MessageId { log: self.log_id, position, part, parts: count };
                let message = Message::new(id, event, outgoing, &self.relay.settings.subject_prefix)
                    .map_err(|reason| PermanentFault::Unpublishable { position, reason })?;
                let bytes = message.bytes() + EXPECTATIONS_BYTES;
                if bytes > max_payload { Err(PermanentFault::TooLarge { id, bytes, max_payload }) } else { Ok(message) }
            })
            .collect()
    }

    async fn send(&mut self, message: Message) -> Result<(), RelayFault> {
        while self.in_flight.len() >= self.window() {
            self.settle_next().await?;
        }
        let Message { id, event_type, subject, mut headers, payload } = message;
        headers.insert("Nats-Expected-Stream", self.relay.settings.stream.as_str());
        headers.insert("Nats-Expected-Last-Sequence", HeaderValue::from(self.predicted));
        if let Some(last_id) = self.last_id.take() {
            headers.insert("Nats-Expected-Last-Msg-Id", last_id);
        }
        let publish = PublishMessage::build().headers(headers).payload(payload);
        let ack = self.jetstream.send_publish(subject, publish).await;
        let ack = ack.map_err(|error| RelayFault::Away(error.to_string()))?.into_future();
        self.predicted += 1;
        self.last_id = Some(id.to_header());
        let position = id.position;
        self.in_flight.push_back(InFlight {
            ack,
            sequence: self.predicted,
            event_type,
            position,
            done_before: if id.is_last() { position.next() } else { position },
            sent: Instant::now(),
        });
        Ok(())
    }

    fn window(&self) -> usize {
        if self.is_settled { self.relay.settings.window.max(1) } else { 1 }
    }

    /// Notes that nothing up to this position needs a message: it is done as soon as all earlier messages are acknowledged.
    fn pass(&mut self, done_before: LogPosition) {
        match self.in_flight.back_mut() {
            Some(last) => last.done_before = done_before,
            None => self.relay.status.advance(done_before),
        }
    }

    /// The log has nothing more up to `applied`: waits for more, while what is in flight is acknowledged.
    async fn wait(&mut self, applied: Revision) -> Result<(), RelayFault> {
        let caught_up = self.next.max(LogPosition::start_of(applied + 1));
        self.next = caught_up;
        self.pass(caught_up);
        loop {
            self.relay.status.show_lag(applied);
            let is_busy = !self.in_flight.is_empty();
            if !is_busy {
                // Nothing is left to be published, and the stream's end was read.
                self.relay.status.set(RelayState::Ok, "");
            }
            // Cloned, so that the acknowledgement can be awaited beside it.
            let mut growing = self.applied.clone();
            tokio::select! {
                settled = self.settle_next(), if is_busy => settled?,
                grown = growing.changed() => match grown {
                    Ok(()) => return Ok(()),
                    // The tailer has stopped, and with it the growth.
                    Err(_) => return std::future::pending().await,
                },
            }
        }
    }

    /// Waits until nothing is in flight.
    async fn drain(&mut self) -> Result<(), RelayFault> {
        while !self.in_flight.is_empty() {
            self.settle_next().await?;
        }
        Ok(())
    }

    /// Waits for the oldest message in flight. Cancel-safe: it stays in flight until it is answered.
    async fn settle_next(&mut self) -> Result<(), RelayFault> {
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        let outcome = (&mut oldest.ack).await;
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        if outcome.is_err() {
            self.relay.status.not_published();
        }
        let diverged = |reason: String| RelayFault::Diverged(format!("event {}: {reason}", oldest.position));
        let ack = outcome.map_err(|error| match error.kind() {
            PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => diverged(error.to_string()),
            PublishErrorKind::Other => PermanentFault::JetStream(error.to_string()).into(),
            _ => RelayFault::Away(error.to_string()),
        })?;
        if ack.duplicate && ack.sequence <= self.base && !self.is_settled {
            // It was on the stream before this session and was removed since, by an operator or an age limit.
            *self.confirmed = (*self.confirmed).max(Some(oldest.done_before));
            self.predicted = self.base;
            self.last_id = None;
        } else if ack.duplicate || ack.sequence != oldest.sequence {
            let found = if ack.duplicate { "a duplicate of" } else { "stored as" };
            return Err(diverged(format!("{found} sequence {}, not {}", ack.sequence, oldest.sequence)));
        } else {
            self.is_settled = true;
            self.relay.status.published(oldest.position, oldest.event_type, oldest.sent.elapsed());
            self.relay.status.set(RelayState::Ok, "");
        }
        self.relay.status.advance(oldest.done_before);
        Ok(())
    }
}

/// Whether the stream's last event is one of this log.
async fn check_last(relay: &Relay, id: MessageId, bounds: &LogBounds) -> Result<(), RelayFault> {
    if id.position.revision < bounds.oldest {
        return Ok(());
    }
    let found = relay.log.read(id.position, 1).await?.events;
    if found.first().is_some_and(|event| event.position == id.position) {
        Ok(())
    } else {
        Err(PermanentFault::Ahead { found: id.position, newest: bounds.newest }.into())
    }
}

async fn check_continues(relay: &Relay, next: LogPosition, first: &LoggedEvent) -> Result<(), RelayFault> {
    if follows(next, first.position) {
        return Ok(());
    }
    let oldest = relay.log.bounds().await?.oldest;
    Err(PermanentFault::Compacted { next, oldest }.into())
}

/// The parts that an event was split into, if that was begun.
async fn begun(relay: &Relay, position: LogPosition) -> Result<Option<Vec<OutboundMessage>>, RelayFault> {
    let Some(encoded) = relay.state_store.fan_out(position).await? else { return Ok(None) };
    let undecodable = |reason: prost::DecodeError| PermanentFault::Unpublishable { position, reason: reason.into() };
    Ok(Some(fan_out::decode(encoded).map_err(undecodable)?))
}
