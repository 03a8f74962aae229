//! Where to go on: decided by the stream's last message, and by the cursor only where there is none.
//!
//! The stream is the truth about itself. The cursor lags behind it, and may even run ahead of it, where the machine of
//! the NATS server lost power and with it messages that it had acknowledged.

use cqar_domain::event::{LogBounds, LogPosition};

use super::{fault::PermanentFault, message::MessageId};

/// The stream's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamEnd {
    /// The sequence that the stream gave out last: what the next publish has to expect.
    pub(super) sequence: u64,
    /// The last message that is kept.
    pub(super) last: Option<LastMessage>,
}

/// The last message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastMessage {
    pub(super) sequence: u64,
    pub(super) subject: String,
    /// None if it was not written by a relay.
    pub(super) id: Option<MessageId>,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// With the event at this position, or the first one after it.
    At(LogPosition),
    /// After this part of a half-published event.
    After(MessageId),
}

/// Decides. `cursor` is what the database remembers; everything before `confirmed` was on the stream once, by the stream's
/// own word, although it may have been removed since.
pub(super) fn resume(
    end: &StreamEnd,
    bounds: &LogBounds,
    cursor: Option<LogPosition>,
    confirmed: Option<LogPosition>,
) -> Result<Resume, PermanentFault> {
    let Some(last) = &end.last else {
        let next = cursor.max(confirmed).unwrap_or(LogPosition::start_of(bounds.oldest));
        return if next.revision > bounds.newest + 1 {
            Err(PermanentFault::Ahead { found: next, newest: bounds.newest })
        } else {
            Ok(Resume::At(next))
        };
    };
    let Some(id) = last.id else {
        return Err(PermanentFault::Foreign { sequence: last.sequence, subject: last.subject.clone() });
    };
    if id.log != bounds.log_id {
        return Err(PermanentFault::OtherLog { found: id.log, own: bounds.log_id });
    }
    if id.position.revision > bounds.newest {
        return Err(PermanentFault::Ahead { found: id.position, newest: bounds.newest });
    }
    let next = id.position.next();
    Ok(match confirmed {
        Some(confirmed) if confirmed > next => Resume::At(confirmed),
        _ if id.is_last() => Resume::At(next),
        _ => Resume::After(id),
    })
}

#[cfg(test)]
mod tests {
    use cqar_domain::id::{IdSource, SystemIds};
    use uuid::Uuid;

    use super::*;

    fn bounds() -> LogBounds {
        LogBounds { log_id: SystemIds.uuid(), oldest: 1, newest: 9 }
    }

    fn end(log: Uuid, revision: i64, part: u32, parts: u32) -> StreamEnd {
        let id = MessageId { log, position: LogPosition::start_of(revision), part, parts };
        StreamEnd { sequence: 40, last: Some(LastMessage { sequence: 40, subject: "s".into(), id: Some(id) }) }
    }

    #[test]
    fn the_last_message_says_where_whatever_the_cursor_remembers() {
        let bounds = bounds();
        let next = LogPosition::start_of(5).next();
        for cursor in [None, Some(LogPosition::start_of(2)), Some(LogPosition::start_of(8))] {
            let resumed = resume(&end(bounds.log_id, 5, 0, 1), &bounds, cursor, None).unwrap();
            assert_eq!(resumed, Resume::At(next));
        }
    }

    #[test]
    fn what_the_stream_says_that_it_had_is_not_published_again() {
        let bounds = bounds();
        let confirmed = Some(LogPosition::start_of(6).next());
        let resumed = resume(&end(bounds.log_id, 5, 0, 1), &bounds, None, confirmed).unwrap();
        assert_eq!(resumed, Resume::At(LogPosition::start_of(6).next()));
        let resumed = resume(&end(bounds.log_id, 7, 0, 1), &bounds, None, confirmed).unwrap();
        assert_eq!(resumed, Resume::At(LogPosition::start_of(7).next()));
    }

    #[test]
    fn a_half_published_event_is_gone_on_with() {
        let bounds = bounds();
        let end = end(bounds.log_id, 5, 1, 3);
        assert_eq!(resume(&end, &bounds, None, None).unwrap(), Resume::After(end.last.unwrap().id.unwrap()));
    }

    #[test]
    fn an_empty_stream_falls_back_to_the_cursor_and_without_one_to_the_oldest_event() {
        let (bounds, empty) = (bounds(), StreamEnd { sequence: 40, last: None });
        let cursor = LogPosition { revision: 4, index: 2 };
        assert_eq!(resume(&empty, &bounds, Some(cursor), None).unwrap(), Resume::At(cursor));
        assert_eq!(resume(&empty, &bounds, None, None).unwrap(), Resume::At(LogPosition::start_of(1)));
    }

    #[test]
    fn a_stream_that_is_not_this_logs_or_is_ahead_of_it_is_refused() {
        let bounds = bounds();
        let foreign = StreamEnd { sequence: 3, last: Some(LastMessage { sequence: 3, subject: "s".into(), id: None }) };
        assert!(matches!(resume(&foreign, &bounds, None, None), Err(PermanentFault::Foreign { sequence: 3, .. })));
        let other = end(SystemIds.uuid(), 1, 0, 1);
        assert!(matches!(resume(&other, &bounds, None, None), Err(PermanentFault::OtherLog { .. })));
        let ahead = end(bounds.log_id, 10, 0, 1);
        assert!(matches!(resume(&ahead, &bounds, None, None), Err(PermanentFault::Ahead { newest: 9, .. })));
    }
}
