//! What a read of the log must look like: positions without a gap.

use cqar_domain::{
    entity::Revision,
    event::{EventLog, LogPage, LogPosition, LoggedEvent, PortError},
};

/// Whether nothing can lie between what was read before `next` and `found`. The index of `next` may be the one after
/// the last of its revision, and then the next revision follows.
pub(crate) fn follows(next: LogPosition, found: LogPosition) -> bool {
    found == next || (next.index > 0 && found == LogPosition::start_of(next.revision + 1))
}

/// Whether these are the events right after `applied`, from the first of its revision on, without a gap.
pub(crate) fn continues(applied: Revision, events: &[LoggedEvent]) -> bool {
    let mut next = LogPosition::start_of(applied + 1);
    events.iter().all(|event| {
        let fits = follows(next, event.position);
        next = event.position.next();
        fits
    })
}

/// Reads the whole revisions after one: a page of them, or one that is larger than a page.
pub(crate) async fn read_whole_revisions(
    log: &dyn EventLog,
    after: Revision,
    page_events: u32,
) -> Result<Vec<LoggedEvent>, PortError> {
    let LogPage { mut events, mut has_more } = log.read(LogPosition::start_of(after + 1), page_events).await?;
    while has_more {
        let Some(last) = events.last().map(|event| event.position) else { break };
        let complete = events.partition_point(|event| event.position.revision < last.revision);
        if complete > 0 {
            events.truncate(complete);
            break;
        }
        let more = log.read(last.next(), page_events).await?;
        has_more = more.has_more;
        events.extend(more.events);
    }
    Ok(events)
}
