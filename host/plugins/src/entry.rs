//! What is known of one plugin: the file that was seen, the bytes that are tried, the generation that serves.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cqar_domain::time::Timestamp;
use cqar_proto::v1::plugin::State;
use tokio::time::Instant;

use crate::{
    gate::{Candidate, Rejection},
    generation::Generation,
    hash::Hash,
    last_good::LastGoodGeneration,
    manifest::REGISTRY_GRANT,
    scan::{Fingerprint, Found},
    set::{Plugin, PluginStatus},
    stats::Stats,
};

/// A file counts once its size and time held this long: what is still being copied is not tried.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);
/// A deletion counts after this: some tools delete before they write.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// After a refusal that the bytes need not be to blame for, such as a deadline on a busy machine, they are tried again
/// at the first poll after this, then after twice as long, and so on: bytes that do loop cost ever less.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_mins(10);

/// One plugin, as the watcher knows it.
pub(crate) struct Entry {
    observed: Option<ObservedFile>,
    gone_since: Option<Instant>,
    waiting: Option<Candidate>,
    trying: Option<Hash>,
    serving: Option<Serving>,
    refused: Option<Refused>,
    /// When the bytes that served last may be tried again, and after how long that is, if they did not serve anew for a
    /// reason that may pass. What the file holds may be something else.
    last_good_retry: Option<(Instant, Duration)>,
    activations: i64,
    pub(crate) kept: Option<LastGoodGeneration>,
    pub(crate) stats: Arc<Stats>,
}

/// A file in the directory.
struct ObservedFile {
    path: PathBuf,
    fingerprint: Fingerprint,
    since: Instant,
    /// The hash of its contents, once they were read.
    hash: Option<Hash>,
    /// Why they could not be.
    unreadable: Option<String>,
}

/// The last refusal.
struct Refused {
    /// Whose; none if the bytes could not even be read.
    hash: Option<Hash>,
    reason: String,
    /// From when on the same bytes may be tried again, and after how long that is.
    retry: Option<(Instant, Duration)>,
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
            waiting: None,
            trying: None,
            serving: None,
            refused: None,
            last_good_retry: None,
            activations: 0,
            kept: None,
            stats: Arc::new(stats),
        }
    }

    /// Notes that its file is there. True if the contents are to be read: they held for long enough, and were not read
    /// since, or are to be read `again`.
    pub(crate) fn seen(&mut self, found: &Found, now: Instant, again: bool) -> bool {
        self.gone_since = None;
        match &self.observed {
            Some(it) if it.fingerprint == found.fingerprint && it.path == found.path => {
                (it.hash.is_none() || again) && now.duration_since(it.since) >= SETTLE
            }
            _ => {
                let (path, fingerprint) = (found.path.clone(), found.fingerprint);
                self.observed = Some(ObservedFile { path, fingerprint, since: now, hash: None, unreadable: None });
                // Whoever puts the same bytes there anew wants them tried anew.
                if let Some(refused) = &mut self.refused {
                    refused.hash = None;
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

    /// Notes the contents of its file. They are tried, unless they serve already or were refused for good.
    pub(crate) fn contents(&mut self, candidate: Candidate, now: Instant) {
        let hash = candidate.hash;
        if let Some(observed) = &mut self.observed {
            observed.hash = Some(hash);
            observed.unreadable = None;
        }
        let refused = self.refused.as_ref().is_some_and(|it| it.hash == Some(hash) && !it.may_be_retried(now));
        let serves = self.serving.as_ref().is_some_and(|serving| serving.generation.hash == hash);
        if serves {
            self.refused = None;
        }
        // Newest bytes win: what waited is forgotten.
        let idle = refused || (serves && self.trying.is_none()) || self.trying == Some(hash);
        self.waiting = if idle { None } else { Some(candidate) };
    }

    /// Notes that its file cannot be read.
    pub(crate) fn unreadable(&mut self, why: String) {
        if let Some(observed) = &mut self.observed {
            observed.unreadable = Some(why);
        }
    }

    /// What is to be tried next, if nothing is being tried.
    pub(crate) fn next(&mut self) -> Option<Candidate> {
        if self.trying.is_some() {
            return None;
        }
        let next = self.waiting.take()?;
        self.trying = Some(next.hash);
        Some(next)
    }

    /// The bytes that served last, if nothing serves, nothing is being tried, and it is time to try them again.
    pub(crate) fn last_good_due(&self, now: Instant) -> Option<Hash> {
        let is_idle = self.serving.is_none() && !self.is_pending();
        let is_due = self.last_good_retry.is_some_and(|(from, _)| now >= from);
        self.kept.as_ref().filter(|_| is_idle && is_due).map(|kept| kept.hash)
    }

    /// Puts the bytes that are to be tried first.
    pub(crate) fn start_with(&mut self, candidate: Candidate) {
        self.waiting = Some(candidate);
    }

    /// A candidate passed the gate: it serves from now on.
    pub(crate) fn activate(&mut self, generation: Arc<Generation>, now: Timestamp) -> i64 {
        self.trying = None;
        self.refused = None;
        self.last_good_retry = None;
        self.activations += 1;
        self.serving = Some(Serving { generation, since: now });
        self.activations
    }

    /// A candidate was refused: what serves goes on.
    pub(crate) fn reject(&mut self, hash: Hash, rejection: &Rejection, now: Instant) {
        self.trying = None;
        let is_last_good = self.serving.is_none() && self.kept.as_ref().is_some_and(|kept| kept.hash == hash);
        let before = self.refused.as_ref().filter(|it| it.hash == Some(hash)).and_then(|it| it.retry);
        let before = if is_last_good { self.last_good_retry } else { before };
        let pause = before.map_or(FIRST_RETRY, |(_, pause)| (pause * 2).min(LAST_RETRY));
        if is_last_good {
            self.last_good_retry = rejection.may_pass.then(|| (now + pause, pause));
        }
        self.refused = Some(Refused {
            hash: Some(hash),
            reason: format!("{}: {}", rejection.step, rejection.reason),
            retry: rejection.may_pass.then(|| (now + pause, pause)),
        });
    }

    /// The bytes that served last cannot be read. What lies in the directory is tried all the same, even if it is the
    /// very same bytes.
    pub(crate) fn lost(&mut self, why: &str) {
        self.refused = Some(Refused { hash: None, reason: format!("last-good: {why}"), retry: None });
    }

    /// Whether a generation serves.
    pub(crate) fn serves(&self) -> bool {
        self.serving.is_some()
    }

    /// Whether something is to come of it yet.
    pub(crate) fn is_pending(&self) -> bool {
        let unread = self.observed.as_ref().is_some_and(|it| it.hash.is_none() && it.unreadable.is_none());
        unread || self.waiting.is_some() || self.trying.is_some()
    }

    /// When it is to be looked at again without an event.
    pub(crate) fn due(&self, required: bool) -> Option<Instant> {
        let unread = |it: &&ObservedFile| it.hash.is_none() && it.unreadable.is_none();
        let settled = self.observed.as_ref().filter(unread).map(|it| it.since + SETTLE);
        let deleted = self.gone_since.filter(|_| !required && self.trying.is_none()).map(|since| since + GRACE);
        [settled, deleted].into_iter().flatten().min()
    }

    /// The plugin as requests see it.
    pub(crate) fn publish(&self, name: &str, required: bool) -> Plugin {
        Plugin {
            serving: self.serving.as_ref().map(|it| Arc::clone(&it.generation)),
            required,
            kept: self.kept.clone(),
            status: self.status(name, required),
            stats: Arc::clone(&self.stats),
        }
    }

    fn status(&self, name: &str, required: bool) -> PluginStatus {
        let (state, reason) = self.state();
        let mut status = PluginStatus { name: name.to_owned(), reason, required, ..Default::default() };
        status.set_state(state);
        if let Some(hash) = self.refused.as_ref().and_then(|it| it.hash) {
            status.rejected_hash = hash.to_string();
        }
        if let Some(observed) = &self.observed {
            status.file = observed.path.display().to_string();
        }
        if let Some(Serving { generation, since }) = &self.serving {
            let manifest = &generation.manifest;
            manifest.kind.name().clone_into(&mut status.kind);
            status.version.clone_from(&manifest.version);
            status.generation = self.activations;
            status.hash = generation.hash.to_string();
            status.activate_time = Some((*since).into());
            status.subscriptions = manifest.subscriptions.iter().map(ToString::to_string).collect();
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
        if self.is_pending() {
            return (State::Pending, self.refused.as_ref().map(|it| it.reason.clone()).unwrap_or_default());
        }
        if let Some(why) = self.observed.as_ref().and_then(|it| it.unreadable.clone()) {
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

impl Refused {
    fn may_be_retried(&self, now: Instant) -> bool {
        self.retry.is_some_and(|(from, _)| now >= from)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::{last_good::LastGood, manifest::Manifest, stats::Metrics};

    #[test]
    fn bytes_that_may_pass_at_another_time_are_tried_again_ever_later() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let mut entry = Entry::new(Stats::new("slow", &metrics));
        let bytes = || Candidate { name: "slow".into(), hash: Hash::of(b"slow"), bytes: b"slow".as_slice().into() };
        let refusal = |may_pass| Rejection { step: "describe", reason: "took longer".into(), may_pass };
        let started = Instant::now();
        let mut tried_after = |seconds, may_pass| {
            let now = started + Duration::from_secs(seconds);
            entry.contents(bytes(), now);
            let tried = entry.next().is_some();
            if tried {
                entry.reject(Hash::of(b"slow"), &refusal(may_pass), now);
            }
            tried
        };
        let tried: Vec<u64> = (0..200).filter(|seconds| tried_after(*seconds, true)).collect();
        assert_eq!(tried, [0, 5, 15, 35, 75, 155]);
        assert!(tried_after(1000, false));
        assert!(!tried_after(10_000, false), "what cannot pass is refused for good");
    }
    #[test]
    fn last_good_bytes_are_tried_again_though_the_file_is_refused_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let last_good = LastGood::open(folder.path()).unwrap();
        let document = r#"{"name": "rule", "version": "1", "kind": "validator", "subscriptions": ["market"]}"#;
        let (good, bad) = (Hash::of(b"good"), Hash::of(b"bad"));
        last_good.keep("rule", &good, b"good", &Manifest::read(document, "rule").unwrap(), None).unwrap();
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let mut entry = Entry::new(Stats::new("rule", &metrics));
        entry.kept = last_good.kept().remove("rule");

        let refusal = |may_pass| Rejection { step: "describe", reason: "took longer".into(), may_pass };
        let started = Instant::now();
        entry.reject(good, &refusal(true), started);
        entry.reject(bad, &refusal(false), started);
        assert_eq!(entry.last_good_due(started + Duration::from_secs(4)), None);
        assert_eq!(entry.last_good_due(started + Duration::from_secs(5)), Some(good));
        entry.reject(good, &refusal(false), started + Duration::from_secs(5));
        assert_eq!(entry.last_good_due(started + Duration::from_secs(1000)), None);
    }
}
