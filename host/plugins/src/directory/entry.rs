//! What is known of one plugin: the files that were seen, the contents that are tried, the generation that serves.

use std::{sync::Arc, time::Duration};

use cqar_domain::{id::EntityType, time::Timestamp};
use cqar_proto::v1::plugin::State;
use tokio::time::Instant;

use super::scan::{Found, PluginFiles};
use crate::{
    gate::{Candidate, Described, Fault, Rejection, manifest::REGISTRY_GRANT},
    generation::Generation,
    generation_store::GenerationRecord,
    hash::Hash,
    stats::Stats,
    table::{Plugin, PluginStatus, Unsettled},
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
    trying: Option<Attempt>,
    serving: Option<Serving>,
    refused: Option<Refused>,
    /// When the generation on record may be tried again, if it did not serve anew for a reason that may pass. What the file holds may
    /// be something else.
    record_retry: Option<Retry>,
    /// Whether its operator took it out of service.
    is_disabled: bool,
    activations: i64,
    /// What served last, over restarts.
    pub(crate) record: Option<GenerationRecord>,
    pub(crate) stats: Arc<Stats>,
}

/// Files in the directory.
struct Observed {
    files: PluginFiles,
    since: Instant,
    reading: Reading,
}

enum Reading {
    Unread,
    /// The hash of all contents.
    Read(Hash),
    /// Why they could not be.
    Unreadable(String),
}

/// A candidate that is being tried.
struct Attempt {
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

impl Entry {
    pub(crate) fn new(stats: Stats) -> Self {
        Self {
            observed: None,
            gone_since: None,
            is_unknown_since_start: false,
            waiting: None,
            trying: None,
            serving: None,
            refused: None,
            record_retry: None,
            is_disabled: false,
            activations: 0,
            record: None,
            stats: Arc::new(stats),
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
                    Reading::Read(_) => false,
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
            observed.reading = Reading::Read(contents);
        }
        if candidate.config.as_ref().is_ok_and(|config| !config.enabled) {
            self.disable();
            return;
        }
        self.is_disabled = false;
        let is_refused = self.refused.as_ref().is_some_and(|it| it.contents == Some(contents));
        let serves = self.serving.as_ref().is_some_and(|serving| serving.generation.contents == contents);
        if serves {
            self.refused = None;
        }
        // Newest bytes win: what waited is forgotten.
        let is_tried = self.trying.as_ref().is_some_and(|attempt| attempt.contents == contents);
        let idle = is_refused || (serves && self.trying.is_none()) || is_tried;
        self.waiting = if idle { None } else { Some(candidate) };
    }

    /// Notes that its files cannot be read.
    pub(crate) fn unreadable(&mut self, why: String) {
        if let Some(observed) = &mut self.observed {
            observed.reading = Reading::Unreadable(why);
        }
    }

    /// Takes it out of service. What it was is forgotten: its absence is wanted.
    fn disable(&mut self) {
        self.is_disabled = true;
        self.is_unknown_since_start = false;
        (self.waiting, self.refused, self.serving, self.record_retry) = (None, None, None, None);
    }

    /// Whether its operator took it out of service.
    pub(crate) const fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    /// What is to be tried next, if nothing is being tried: what is new, else what was refused for a reason that may have passed.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Candidate> {
        if self.trying.is_some() || self.is_disabled {
            return None;
        }
        let due = |retry: &Retry| (now >= retry.at).then(|| retry.candidate.clone());
        let of_file = |refused: &Option<Refused>| due(refused.as_ref()?.retry.as_ref()?);
        let next = self
            .waiting
            .take()
            .or_else(|| of_file(&self.refused))
            .or_else(|| self.record_retry.as_ref().filter(|_| self.serving.is_none()).and_then(due))?;
        self.trying = Some(Attempt { contents: next.contents, described: None });
        Some(next)
    }

    /// Puts what is to be tried first.
    pub(crate) fn start_with(&mut self, candidate: Candidate) {
        self.waiting = Some(candidate);
    }

    /// What is being tried said what it is.
    pub(crate) fn described(&mut self, contents: Hash, described: Described) {
        if let Some(attempt) = self.trying.as_mut().filter(|attempt| attempt.contents == contents) {
            attempt.described = Some(described);
        }
    }

    /// A candidate passed the gate: it serves from now on.
    pub(crate) fn activate(&mut self, generation: Arc<Generation>, now: Timestamp) -> i64 {
        self.trying = None;
        if self.is_disabled {
            return self.activations;
        }
        self.is_unknown_since_start = false;
        self.refused = None;
        self.record_retry = None;
        self.activations += 1;
        self.serving = Some(Serving { generation, since: now });
        self.activations
    }

    /// A candidate was refused: what serves goes on.
    pub(crate) fn reject(&mut self, candidate: &Candidate, rejection: Rejection, now: Instant) {
        let described = self.trying.take().and_then(|attempt| attempt.described);
        let contents = candidate.contents;
        let before = self.refused.as_ref().filter(|it| it.contents == Some(contents)).and_then(|it| it.retry.as_ref());
        let is_record = candidate.is_record && self.serving.is_none();
        let before = if is_record { self.record_retry.as_ref() } else { before };
        let pause = before.map_or(FIRST_RETRY, |retry| (retry.pause * 2).min(LAST_RETRY));
        let retry = || rejection.is_retried.then(|| Retry { candidate: candidate.clone(), at: now + pause, pause });
        if is_record {
            self.record_retry = retry();
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
        });
    }

    /// Whether a generation serves.
    pub(crate) const fn serves(&self) -> bool {
        self.serving.is_some()
    }

    /// Whether its absence would be a rule that is missing.
    pub(crate) const fn is_known(&self) -> bool {
        !self.is_disabled && (self.serving.is_some() || self.record.is_some())
    }

    /// Whether something is to come of it yet.
    pub(crate) fn is_pending(&self) -> bool {
        let is_unread = self.observed.as_ref().is_some_and(|it| matches!(it.reading, Reading::Unread));
        !self.is_disabled && (is_unread || self.waiting.is_some() || self.trying.is_some())
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
        if self.trying.is_some() || self.is_disabled {
            return None;
        }
        let of_file = self.refused.as_ref().and_then(|it| it.retry.as_ref());
        let of_record = self.record_retry.as_ref().filter(|_| self.serving.is_none());
        of_file.into_iter().chain(of_record).map(|retry| retry.at).min()
    }

    /// What may be missing: nothing serves, and it is not settled that nothing should. Writes that it might judge wait then.
    fn unsettled(&self) -> Option<Unsettled> {
        let is_unreadable = self.observed.as_ref().is_some_and(|it| matches!(it.reading, Reading::Unreadable(_)));
        let may_pass = self.refused.as_ref().is_some_and(|it| it.fault == Fault::Machine);
        if self.serving.is_some() || self.is_disabled || !(self.is_pending() || may_pass || is_unreadable) {
            return None;
        }
        let of_attempt = self.trying.as_ref().and_then(|it| it.described.as_ref());
        let described = of_attempt.or_else(|| self.refused.as_ref()?.described.as_ref());
        match (described, &self.record) {
            (Some(described), _) => described.judges_writes.then(|| Unsettled::Types(described.subscriptions.clone())),
            // What it judged is on record.
            (None, Some(_)) => None,
            (None, None) => self.is_unknown_since_start.then_some(Unsettled::AllTypes),
        }
    }

    /// The plugin as requests see it.
    pub(crate) fn publish(&self, name: &str, required: bool) -> Plugin {
        Plugin {
            serving: self.serving.as_ref().map(|it| Arc::clone(&it.generation)),
            required,
            record: self.record.clone().filter(|_| !self.is_disabled),
            unsettled: self.unsettled(),
            is_pending: self.is_pending(),
            status: self.status(name, required),
            stats: Arc::clone(&self.stats),
        }
    }

    fn status(&self, name: &str, required: bool) -> PluginStatus {
        let (state, reason) = self.state();
        let mut status = PluginStatus { name: name.to_owned(), reason, required, ..Default::default() };
        status.set_state(state);
        if let Some(hash) = self.refused.as_ref().filter(|it| it.contents.is_some()).and_then(|it| it.hash) {
            status.rejected_hash = hash.to_string();
        }
        if let Some(observed) = &self.observed {
            status.file = observed.files.path.display().to_string();
        }
        if let Some(Serving { generation, since }) = &self.serving {
            let manifest = &generation.manifest;
            manifest.kind.name().clone_into(&mut status.kind);
            status.version.clone_from(&manifest.version);
            status.generation = self.activations;
            status.hash = generation.hash.to_string();
            status.activate_time = Some((*since).into());
            status.subscriptions = names(&manifest.subscriptions);
            status.grants = manifest.looks_up.then(|| REGISTRY_GRANT.to_owned()).into_iter().collect();
            status.inert_imports.clone_from(&generation.inert_imports);
            status.segments = generation.manifest.segments.iter().map(ToString::to_string).collect();
            status.sources.clone_from(&generation.manifest.sources);
            status.unknown_fields.clone_from(&generation.manifest.unknown_fields);
        }
        status
    }

    fn state(&self) -> (State, String) {
        let fallback = if self.serving.is_some() { State::ServingLastGood } else { State::Rejected };
        if self.is_disabled {
            return (State::Disabled, "its file says `enabled = false`".into());
        }
        if self.is_pending() {
            return (State::Pending, self.refused.as_ref().map(|it| it.reason.clone()).unwrap_or_default());
        }
        if let Some(Observed { reading: Reading::Unreadable(why), .. }) = &self.observed {
            return (fallback, format!("read: {why}"));
        }
        match (&self.refused, &self.observed, &self.serving) {
            (Some(refused), _, _) => (fallback, refused.reason.clone()),
            (None, Some(_), Some(_)) => (State::Serving, String::new()),
            (None, None, Some(_)) => (State::ServingLastGood, "its file is gone".into()),
            (None, _, None) => (State::Missing, String::new()),
        }
    }
}

fn names(types: &[EntityType]) -> Vec<String> {
    types.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::{kinds::KindRef, plugin_config::PluginConfig, stats::Metrics};

    fn entry() -> Entry {
        Entry::new(Stats::new("rule", &Metrics::register(&Registry::new()).unwrap()))
    }

    fn candidate(bytes: &[u8]) -> Candidate {
        let hash = Hash::of(bytes);
        let (component, config) = (None, Ok(PluginConfig::default()));
        Candidate {
            name: "rule".into(),
            hash,
            contents: hash,
            component,
            bytes: 0,
            config,
            config_text: None,
            is_record: false,
        }
    }

    fn refusal(fault: Fault, is_retried: bool) -> Rejection {
        Rejection { step: "describe", reason: "took longer".into(), fault, is_retried }
    }

    #[test]
    fn bytes_that_may_pass_at_another_time_are_tried_again_ever_later() {
        let mut entry = entry();
        let slow = candidate(b"slow");
        let started = Instant::now();
        entry.contents(slow.clone());
        let mut tried_after = |seconds, is_retried| {
            let now = started + Duration::from_secs(seconds);
            let tried = entry.next(now).is_some();
            if tried {
                entry.reject(&slow, refusal(Fault::Machine, is_retried), now);
            }
            tried
        };
        let tried: Vec<u64> = (0..200).filter(|seconds| tried_after(*seconds, true)).collect();
        assert_eq!(tried, [0, 5, 15, 35, 75, 155]);
        assert!(tried_after(1000, false));
        assert!(!tried_after(10_000, false), "what cannot pass is refused for good");
    }

    #[test]
    fn the_generation_on_record_is_tried_again_though_the_file_is_refused_for_good() {
        let mut entry = entry();
        let (good, bad) = (Candidate { is_record: true, ..candidate(b"good") }, candidate(b"bad"));
        let kind = KindRef::from_name("validator").unwrap();
        entry.record = Some(GenerationRecord::new(good.hash, kind, &[EntityType::Market], None));
        let started = Instant::now();
        entry.reject(&good, refusal(Fault::Machine, true), started);
        entry.reject(&bad, refusal(Fault::File, false), started);
        assert!(entry.next(started + Duration::from_secs(4)).is_none());
        let due = started + Duration::from_secs(5);
        assert_eq!(entry.next(due).map(|it| it.hash), Some(good.hash));
        entry.reject(&good, refusal(Fault::Machine, false), due);
        assert!(entry.next(started + Duration::from_secs(1000)).is_none());
    }

    #[test]
    fn what_is_not_known_at_the_start_holds_all_writes_until_it_is_known_or_a_bad_file() {
        let mut entry = entry();
        let unsettled = |entry: &Entry| entry.publish("rule", false).unsettled;
        let new = candidate(b"new");
        entry.contents(new.clone());
        assert_eq!(unsettled(&entry), None, "a file that came later holds nothing before it is known");

        entry.is_unknown_since_start = true;
        let now = Instant::now();
        assert_eq!(unsettled(&entry), Some(Unsettled::AllTypes));
        entry.next(now).unwrap();
        entry.described(new.contents, Described { judges_writes: true, subscriptions: vec![EntityType::Market] });
        assert_eq!(unsettled(&entry), Some(Unsettled::Types(vec![EntityType::Market])));
        entry.reject(&new, refusal(Fault::Machine, true), now);
        assert_eq!(unsettled(&entry), Some(Unsettled::Types(vec![EntityType::Market])), "it may pass yet");

        entry.next(now + FIRST_RETRY).unwrap();
        entry.reject(&new, refusal(Fault::File, false), now);
        assert_eq!(unsettled(&entry), None, "a bad file changes nothing");
    }
}
