//! What is known of one plugin: the files that were seen, the contents that are tried, the generation that serves.

mod status;

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use cqar_domain::time::Timestamp;
use cqar_proto::v1::{PluginEvent, ReplayReport};
use tokio::time::Instant;

use super::scan::{Found, PluginFiles};
use crate::{
    gate::{Candidate, Described, Fault, PluginShared, Rejection},
    generation::Generation,
    generation_store::PluginRecord,
    hash::Hash,
    runtime::{log_rate::LogRate, memory_budget::MemoryBudget},
    stats::Stats,
};

/// A file counts once its size and time held this long: what is still being copied is not tried.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);
/// A deletion counts after this: some tools delete before they write.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// After a refusal that the bytes need not be to blame for, such as a full disk, they are tried again after this, then after twice as
/// long, and so on: bytes that do loop cost ever less.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_mins(10);

/// One plugin, as the watcher knows it.
pub(crate) struct Entry {
    observed: Option<Observed>,
    gone_since: Option<Instant>,
    /// Whether its file was there at the start, and what it is was never found out.
    is_unknown_since_start: bool,
    waiting: Option<Candidate>,
    /// The generation on record, where it is to be loaded: at the start, when it is enabled, and to go back to it. Before what waits.
    record_waiting: Option<Candidate>,
    trying: Option<Attempt>,
    serving: Option<Serving>,
    refused: Option<Refused>,
    /// When the generation on record may be tried again, if it did not serve anew for a reason that may pass. What the file holds may
    /// be something else.
    record_retry: Option<Retry>,
    /// Who took it out of service, if somebody did.
    disabled: Option<DisabledBy>,
    /// Whether its files are tried though they serve.
    is_reloaded: bool,
    /// What served before, since the start.
    previous: Option<Arc<Generation>>,
    /// Why the generation before is to take the place of the one that serves, once it is loaded.
    rolling_back: Option<String>,
    activations: i64,
    /// What is known of it over restarts.
    pub(crate) record: PluginRecord,
    pub(crate) shared: PluginShared,
    history: VecDeque<PluginEvent>,
}

/// Who took a plugin out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DisabledBy {
    /// The file beside it.
    File,
    /// An operator, by a call.
    Operator,
}

/// What became of a plugin that is shown: the last month of one that is built every day.
const MAX_HISTORY: usize = 32;

/// Files in the directory.
struct Observed {
    files: PluginFiles,
    since: Instant,
    reading: Reading,
}

enum Reading {
    Unread,
    Read,
    /// Why they could not be.
    Unreadable(String),
}

/// A candidate that is being tried.
struct Attempt {
    number: u64,
    contents: Hash,
    described: Option<Described>,
}

/// The last refusal.
struct Refused {
    /// Whose; none if nothing could even be read.
    contents: Option<Hash>,
    /// Of the component, if it was one.
    hash: Option<Hash>,
    reason: String,
    fault: Fault,
    described: Option<Described>,
    retry: Option<Retry>,
    replay: Option<Box<ReplayReport>>,
}

/// When a candidate is tried again, and after how long that is.
#[derive(Clone)]
struct Retry {
    candidate: Candidate,
    at: Instant,
    pause: Duration,
}

struct Serving {
    generation: Arc<Generation>,
    since: Timestamp,
}

impl Refused {
    /// A generation that was taken back.
    fn rolled_back(failed: &Generation, reason: &str) -> Self {
        Self {
            contents: Some(failed.contents),
            hash: Some(failed.hash),
            reason: format!("quarantine: {reason}"),
            fault: Fault::File,
            described: None,
            retry: None,
            replay: None,
        }
    }
}

impl Entry {
    pub(crate) fn new(stats: Stats, budget: &Arc<MemoryBudget>) -> Self {
        Self {
            observed: None,
            gone_since: None,
            is_unknown_since_start: false,
            waiting: None,
            record_waiting: None,
            trying: None,
            serving: None,
            refused: None,
            record_retry: None,
            disabled: None,
            is_reloaded: false,
            previous: None,
            rolling_back: None,
            activations: 0,
            record: PluginRecord::default(),
            shared: PluginShared {
                stats: Arc::new(stats),
                memory: budget.account(),
                logs: Arc::new(LogRate::new(Instant::now())),
            },
            history: VecDeque::new(),
        }
    }

    /// Notes that its files are there, since the start or only now. True if the contents are to be read: they held for long enough,
    /// and were not read since, or could not be, and are to be read `again`.
    pub(crate) fn seen(&mut self, found: &Found, now: Instant, is_start: bool, again: bool) -> bool {
        self.gone_since = None;
        self.is_unknown_since_start |= is_start;
        match &self.observed {
            Some(it) if it.files == found.files => {
                let is_due = match it.reading {
                    Reading::Unread => true,
                    Reading::Read => false,
                    Reading::Unreadable(_) => again,
                };
                is_due && now.duration_since(it.since) >= SETTLE
            }
            _ => {
                self.observed = Some(Observed { files: found.files.clone(), since: now, reading: Reading::Unread });
                // Whoever puts the same bytes there anew wants them tried anew.
                if let Some(refused) = &mut self.refused {
                    (refused.contents, refused.retry) = (None, None);
                }
                false
            }
        }
    }

    /// Notes that its file is not there. True if that counts as a deletion.
    pub(crate) fn missed(&mut self, now: Instant) -> bool {
        self.observed = None;
        let since = *self.gone_since.get_or_insert(now);
        now.duration_since(since) >= GRACE && self.trying.is_none()
    }

    /// Notes what its files hold. It is tried, unless it serves already or was refused for good.
    pub(crate) fn contents(&mut self, candidate: Candidate) {
        let contents = candidate.contents;
        if let Some(observed) = &mut self.observed {
            observed.reading = Reading::Read;
        }
        if candidate.config.as_ref().is_ok_and(|config| !config.enabled) {
            // An operator's word stands beside the file's.
            if self.disabled != Some(DisabledBy::Operator) {
                self.disable(DisabledBy::File);
            }
            return;
        }
        match self.disabled {
            Some(DisabledBy::Operator) => return,
            Some(DisabledBy::File) => self.disabled = None,
            None => {}
        }
        let is_refused = self.refused.as_ref().is_some_and(|it| it.contents == Some(contents));
        let serves = self.serving.as_ref().is_some_and(|serving| serving.generation.contents == contents);
        if serves {
            self.refused = None;
        }
        // Newest bytes win: what waited is forgotten.
        let is_tried = self.trying.as_ref().is_some_and(|attempt| attempt.contents == contents);
        let is_reloaded = std::mem::take(&mut self.is_reloaded);
        let idle = !is_reloaded && (is_refused || (serves && self.trying.is_none()) || is_tried);
        self.waiting = if idle { None } else { Some(candidate) };
    }

    /// Notes that its files cannot be read.
    pub(crate) fn unreadable(&mut self, why: String) {
        if let Some(observed) = &mut self.observed {
            observed.reading = Reading::Unreadable(why);
        }
    }

    /// Takes it out of service: its absence is wanted.
    pub(crate) fn disable(&mut self, by: DisabledBy) {
        self.disabled = Some(by);
        self.is_unknown_since_start = false;
        (self.waiting, self.record_waiting, self.record_retry) = (None, None, None);
        (self.refused, self.serving, self.previous, self.rolling_back) = (None, None, None, None);
    }

    /// Who took it out of service.
    pub(crate) const fn disabled(&self) -> Option<DisabledBy> {
        self.disabled
    }

    /// Puts it into service again, and reads its files anew. What served last is tried first, if there is `record`.
    pub(crate) fn enable(&mut self, record: Option<Candidate>) {
        self.disabled = None;
        self.record_waiting = record;
        self.reload();
    }

    /// Reads its files anew, and tries them whatever is known about them.
    pub(crate) fn reload(&mut self) {
        self.is_reloaded = true;
        // What it said that it judges holds until it says otherwise.
        if let Some(refused) = &mut self.refused {
            (refused.contents, refused.retry) = (None, None);
        }
        if let Some(observed) = &mut self.observed {
            observed.reading = Reading::Unread;
        }
    }

    /// Whether it was refused for just this before: then it is nothing new.
    pub(crate) fn refused_for(&self, reason: &str) -> bool {
        self.refused.as_ref().is_some_and(|it| it.contents.is_some() && it.reason == reason)
    }

    /// The component in its file, as far as it was read and refused.
    pub(crate) fn refused_hash(&self) -> Option<Hash> {
        self.refused.as_ref()?.hash
    }

    /// Its file, as it lies in the directory.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.observed.as_ref().map(|it| it.files.path.as_path())
    }

    /// What is to be tried next, if nothing is being tried: what is new, else what was refused for a reason that may have passed.
    pub(crate) fn next(&mut self, now: Instant, number: u64) -> Option<Candidate> {
        if self.trying.is_some() || self.disabled.is_some() {
            return None;
        }
        let due = |retry: &Retry| (now >= retry.at).then(|| retry.candidate.clone());
        let of_file = |refused: &Option<Refused>| due(refused.as_ref()?.retry.as_ref()?);
        let of_record = if self.wants_record() { self.record_waiting.take() } else { None };
        let next = of_record
            .or_else(|| self.waiting.take())
            .or_else(|| of_file(&self.refused))
            .or_else(|| self.record_retry.as_ref().filter(|_| self.wants_record()).and_then(due))?;
        self.trying = Some(Attempt { number, contents: next.contents, described: None });
        Some(next)
    }

    /// Whether the generation on record is to serve.
    const fn wants_record(&self) -> bool {
        self.serving.is_none() || self.rolling_back.is_some()
    }

    /// Has the generation on record loaded, before anything else is tried.
    pub(crate) fn load_record(&mut self, candidate: Candidate) {
        self.record_waiting = Some(candidate);
    }

    /// Whether it is this attempt that is under way: one of a plugin that was removed since is nobody's any more.
    pub(crate) fn is_trying(&self, number: u64) -> bool {
        self.trying.as_ref().is_some_and(|attempt| attempt.number == number)
    }

    /// What is being tried said what it is.
    pub(crate) fn described(&mut self, described: Described) {
        if let Some(attempt) = &mut self.trying {
            attempt.described = Some(described);
        }
    }

    /// The attempt ended, and nothing comes of it.
    pub(crate) fn dismiss(&mut self) {
        self.trying = None;
    }

    /// A candidate passed the gate: it serves from now on.
    pub(crate) fn activate(&mut self, generation: Arc<Generation>, is_record: bool, now: Timestamp) {
        self.trying = None;
        self.is_unknown_since_start = false;
        // What else is in the file was refused, and is so still.
        if !is_record || self.refused.as_ref().is_some_and(|it| it.contents == Some(generation.contents)) {
            self.refused = None;
        }
        (self.record_waiting, self.record_retry) = (None, None);
        let before = self.serving.take().map(|serving| serving.generation);
        // A newer build that is good is no way back.
        let rolled_back = self.rolling_back.take().filter(|_| is_record);
        match (before, rolled_back) {
            (Some(failed), Some(reason)) => self.refused = Some(Refused::rolled_back(&failed, &reason)),
            (Some(before), None) if before.contents != generation.contents => {
                before.interfaces.evict_idle();
                before.monitor.ring().replace(Vec::new());
                self.previous = Some(before);
            }
            _ => {}
        }
        self.serve(generation, now);
    }

    fn serve(&mut self, generation: Arc<Generation>, now: Timestamp) {
        self.activations += 1;
        self.serving = Some(Serving { generation, since: now });
    }

    /// How often a generation was activated.
    pub(crate) const fn activations(&self) -> i64 {
        self.activations
    }

    /// The generation that serves.
    pub(crate) fn serving(&self) -> Option<&Arc<Generation>> {
        self.serving.as_ref().map(|it| &it.generation)
    }

    /// Whether there is a generation before the one that serves, now or on record, that is not known to fail as well.
    pub(crate) fn has_previous(&self) -> bool {
        match &self.previous {
            Some(previous) => previous.monitor.failing().is_none(),
            None => self.record.previous.is_some(),
        }
    }

    /// Puts the generation before in place of the one that failed. False if it is to be loaded first.
    pub(crate) fn roll_back(&mut self, reason: String, now: Timestamp) -> bool {
        match (self.previous.take(), self.serving.take()) {
            (Some(previous), Some(failed)) => {
                self.refused = Some(Refused::rolled_back(&failed.generation, &reason));
                self.serve(previous, now);
                true
            }
            (_, serving) => {
                self.serving = serving;
                self.rolling_back = Some(reason);
                false
            }
        }
    }

    /// Why the generation before is being loaded, if it is.
    pub(crate) fn rolling_back(&self) -> Option<(Arc<Generation>, String)> {
        Some((Arc::clone(&self.serving.as_ref()?.generation), self.rolling_back.clone()?))
    }

    /// Guarantees the memory that what serves needs, and no more.
    pub(crate) fn settle_memory(&self) {
        let bytes = self.serving.as_ref().map_or(0, |it| it.generation.limits.memory_bytes);
        // It had as much before.
        let _ = self.shared.memory.guarantee(bytes);
    }

    /// Notes what became of it.
    pub(crate) fn happened(&mut self, event: PluginEvent) {
        self.history.truncate(MAX_HISTORY - 1);
        self.history.push_front(event);
    }

    /// A candidate was refused: what serves goes on.
    pub(crate) fn reject(&mut self, candidate: &Candidate, rejection: Rejection, now: Instant) {
        let described = self.trying.take().and_then(|attempt| attempt.described);
        let contents = candidate.contents;
        let before = self.refused.as_ref().filter(|it| it.contents == Some(contents)).and_then(|it| it.retry.as_ref());
        let is_record = candidate.is_record;
        let before = if is_record { self.record_retry.as_ref() } else { before };
        let pause = before.map_or(FIRST_RETRY, |retry| (retry.pause * 2).min(LAST_RETRY));
        let retry = || rejection.is_retried.then(|| Retry { candidate: candidate.clone(), at: now + pause, pause });
        if is_record {
            self.record_retry = retry();
            // The file has a turn of its own, which is not lost for the record's sake.
            if self.refused.as_ref().is_some_and(|it| it.contents != Some(contents) && it.retry.is_some()) {
                return;
            }
        } else if rejection.fault == Fault::File {
            self.is_unknown_since_start = false;
        }
        self.refused = Some(Refused {
            contents: Some(contents),
            hash: Some(candidate.hash),
            reason: format!("{}: {}", rejection.step, rejection.reason),
            fault: rejection.fault,
            described,
            retry: if is_record { None } else { retry() },
            replay: rejection.replay,
        });
    }

    /// The bytes on record cannot be read. What lies in the directory is tried all the same, even if it is the very same bytes.
    pub(crate) fn lost(&mut self, why: &str) {
        self.refused = Some(Refused {
            contents: None,
            hash: None,
            reason: format!("last-good: {why}"),
            fault: Fault::Machine,
            described: None,
            retry: None,
            replay: None,
        });
    }

    /// Whether a generation serves.
    pub(crate) const fn serves(&self) -> bool {
        self.serving.is_some()
    }

    /// Whether something would be lost if its file were taken for deleted: a rule, or an operator's word about it.
    pub(crate) fn is_known(&self) -> bool {
        let is_rule = self.disabled.is_none() && (self.serving.is_some() || self.record.current.is_some());
        is_rule || self.record.is_disabled || !self.record.quarantined.is_empty()
    }

    /// Nothing can be said of its file at present: whether it is gone is found out anew.
    pub(crate) const fn unseen(&mut self) {
        self.gone_since = None;
    }

    /// Whether something is to come of it yet.
    pub(crate) fn is_pending(&self) -> bool {
        let is_unread = self.observed.as_ref().is_some_and(|it| matches!(it.reading, Reading::Unread));
        let is_record_due = self.record_waiting.is_some() && self.wants_record();
        self.disabled.is_none() && (is_unread || is_record_due || self.waiting.is_some() || self.trying.is_some())
    }

    /// When it is to be looked at again without an event.
    pub(crate) fn due(&self, required: bool) -> Option<Instant> {
        let unread = |it: &&Observed| matches!(it.reading, Reading::Unread);
        let settled = self.observed.as_ref().filter(unread).map(|it| it.since + SETTLE);
        let deleted = self.gone_since.filter(|_| !required && self.trying.is_none()).map(|since| since + GRACE);
        [settled, deleted].into_iter().flatten().min()
    }

    /// When something that was refused is tried again.
    pub(crate) fn retried_at(&self) -> Option<Instant> {
        if self.trying.is_some() || self.disabled.is_some() {
            return None;
        }
        let of_file = self.refused.as_ref().and_then(|it| it.retry.as_ref());
        let of_record = self.record_retry.as_ref().filter(|_| self.wants_record());
        of_file.into_iter().chain(of_record).map(|retry| retry.at).min()
    }
}

#[cfg(test)]
mod tests;
