//! Where to go on: decided by the stream's last message, and by the cursor only where there is none.
//!
//! The stream is the truth about itself. The cursor lags behind it, and may even run ahead of it, where the machine of
//! the NATS server lost power and with it messages that it had acknowledged.

use cqar_domain::event::{LogBounds, LogPosition};

use super::{message::Place, trouble::Refusal};

/// The stream's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The sequence that the stream gave out last: what the next publish has to expect.
    pub(super) sequence: u64,
    /// The last message that is kept.
    pub(super) last: Option<Last>,
}

/// The last message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) sequence: u64,
    pub(super) subject: String,
    /// None if it was not written by a relay.
    pub(super) place: Option<Place>,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// With the event at this position, or the first one after it.
    At(LogPosition),
    /// After this part of a half-published event.
    After(Place),
}

/// Decides. `cursor` is what the database remembers; everything before `known` was on the stream once, by the stream's
/// own word, although it may have been removed since.
pub(super) fn resume(
    end: &End,
    bounds: &LogBounds,
    cursor: Option<LogPosition>,
    known: Option<LogPosition>,
) -> Result<Resume, Refusal> {
    let Some(last) = &end.last else {
        let next = cursor.max(known).unwrap_or(LogPosition::start_of(bounds.oldest));
        return if next.revision > bounds.newest + 1 {
            Err(Refusal::Ahead { found: next, newest: bounds.newest })
        } else {
            Ok(Resume::At(next))
        };
    };
    let Some(place) = last.place else {
        return Err(Refusal::Foreign { sequence: last.sequence, subject: last.subject.clone() });
    };
    if place.log != bounds.log_id {
        return Err(Refusal::OtherLog { found: place.log, own: bounds.log_id });
    }
    if place.position.revision > bounds.newest {
        return Err(Refusal::Ahead { found: place.position, newest: bounds.newest });
    }
    let next = place.position.next();
    Ok(match known {
        Some(known) if known > next => Resume::At(known),
        _ if place.is_last() => Resume::At(next),
        _ => Resume::After(place),
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

    fn end(log: Uuid, revision: i64, part: u32, parts: u32) -> End {
        let place = Place { log, position: LogPosition::start_of(revision), part, parts };
        End { sequence: 40, last: Some(Last { sequence: 40, subject: "s".into(), place: Some(place) }) }
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
        let known = Some(LogPosition::start_of(6).next());
        let resumed = resume(&end(bounds.log_id, 5, 0, 1), &bounds, None, known).unwrap();
        assert_eq!(resumed, Resume::At(LogPosition::start_of(6).next()));
        let resumed = resume(&end(bounds.log_id, 7, 0, 1), &bounds, None, known).unwrap();
        assert_eq!(resumed, Resume::At(LogPosition::start_of(7).next()));
    }

    #[test]
    fn a_half_published_event_is_gone_on_with() {
        let bounds = bounds();
        let end = end(bounds.log_id, 5, 1, 3);
        assert_eq!(resume(&end, &bounds, None, None).unwrap(), Resume::After(end.last.unwrap().place.unwrap()));
    }

    #[test]
    fn an_empty_stream_falls_back_to_the_cursor_and_without_one_to_the_oldest_event() {
        let (bounds, empty) = (bounds(), End { sequence: 40, last: None });
        let cursor = LogPosition { revision: 4, index: 2 };
        assert_eq!(resume(&empty, &bounds, Some(cursor), None).unwrap(), Resume::At(cursor));
        assert_eq!(resume(&empty, &bounds, None, None).unwrap(), Resume::At(LogPosition::start_of(1)));
    }

    #[test]
    fn a_stream_that_is_not_this_logs_or_is_ahead_of_it_is_refused() {
        let bounds = bounds();
        let foreign = End { sequence: 3, last: Some(Last { sequence: 3, subject: "s".into(), place: None }) };
        assert!(matches!(resume(&foreign, &bounds, None, None), Err(Refusal::Foreign { sequence: 3, .. })));
        let other = end(SystemIds.uuid(), 1, 0, 1);
        assert!(matches!(resume(&other, &bounds, None, None), Err(Refusal::OtherLog { .. })));
        let ahead = end(bounds.log_id, 10, 0, 1);
        assert!(matches!(resume(&ahead, &bounds, None, None), Err(Refusal::Ahead { newest: 9, .. })));
    }
}
