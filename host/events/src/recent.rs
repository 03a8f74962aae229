//! The newest events in memory, shared by all watchers, so that a live one does not read the log.

use std::{collections::VecDeque, sync::Arc};

use cqar_domain::{
    entity::Revision,
    event::{LogPosition, LoggedEvent},
};

/// What an event costs beside its body, roughly: its key, its venue and its place here.
const OVERHEAD_BYTES: usize = 200;

/// Whole revisions up to the one that was applied last, as many of the newest as fit. What is pushed out is read from
/// the log instead.
#[derive(Debug)]
pub(crate) struct RecentEvents {
    events: VecDeque<Arc<LoggedEvent>>,
    /// Every applied event of this revision and later is here.
    oldest: Revision,
    bytes: usize,
    max_bytes: usize,
}

impl RecentEvents {
    /// Holds nothing; `applied` is the last revision that it will never hold.
    pub(crate) fn after(applied: Revision, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), oldest: applied + 1, bytes: 0, max_bytes }
    }

    /// Adds whole revisions, which follow what is here.
    pub(crate) fn push(&mut self, events: Vec<LoggedEvent>) {
        self.bytes += events.iter().map(cost).sum::<usize>();
        self.events.extend(events.into_iter().map(Arc::new));
        while self.bytes > self.max_bytes {
            let Some(revision) = self.events.front().map(|event| event.position.revision) else { break };
            while let Some(event) = self.events.pop_front_if(|event| event.position.revision == revision) {
                self.bytes -= cost(&event);
            }
            self.oldest = revision + 1;
        }
    }

    /// The events from a position on, at most so many. None if some of them may be in the log alone.
    pub(crate) fn read(&self, from: LogPosition, limit: usize) -> Option<Vec<Arc<LoggedEvent>>> {
        if from.revision < self.oldest {
            return None;
        }
        let start = self.events.partition_point(|event| event.position < from);
        Some(self.events.iter().skip(start).take(limit).cloned().collect())
    }
}

fn cost(event: &LoggedEvent) -> usize {
    event.body.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    #[test]
    fn the_oldest_revisions_leave_whole_when_the_bytes_are_spent() {
        let mut recent = RecentEvents::after(0, 3 * (OVERHEAD_BYTES + event(1, 0).body.len()));
        recent.push(vec![event(1, 0), event(1, 1)]);
        recent.push(vec![event(2, 0)]);
        assert_eq!(recent.read(LogPosition::start_of(1), 10).unwrap().len(), 3);
        recent.push(vec![event(3, 0)]);
        assert!(recent.read(LogPosition { revision: 1, index: 1 }, 10).is_none(), "revision 1 is gone as a whole");
        let kept: Vec<_> = recent.read(LogPosition::start_of(2), 10).unwrap().iter().map(|e| e.position).collect();
        assert_eq!(kept, [LogPosition::start_of(2), LogPosition::start_of(3)]);
    }

    #[test]
    fn a_revision_larger_than_all_of_it_is_left_to_the_log() {
        let mut recent = RecentEvents::after(4, 1);
        recent.push(vec![event(5, 0), event(5, 1)]);
        assert!(recent.read(LogPosition::start_of(5), 10).is_none());
        assert_eq!(recent.read(LogPosition::start_of(6), 10).unwrap(), []);
    }
}
