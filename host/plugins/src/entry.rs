//! What is known of one plugin: the file that was seen, the bytes that are tried, the generation that serves.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cqar_domain::time::Timestamp;
use cqar_proto::v1::plugin::State;
use tokio::time::Instant;

use crate::{
    gate::{Candidate, Rejection},
    generation::Generation,
    hash::Hash,
    last_good::Kept,
    manifest::REGISTRY_GRANT,
    scan::{Fingerprint, Found},
    set::{Plugin, PluginStatus},
    stats::Stats,
};

/// A file counts once its size and time held this long: what is still being copied is not tried.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);
/// A deletion counts after this: some tools delete before they write.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// One plugin, as the watcher knows it.
pub(crate) struct Entry {
    sighting: Option<Sighting>,
    gone_since: Option<Instant>,
    waiting: Option<Candidate>,
    trying: Option<Hash>,
    serving: Option<Serving>,
    rejected: Option<(Hash, String)>,
    activations: i64,
    pub(crate) kept: Option<Kept>,
    pub(crate) stats: Arc<Stats>,
}

/// A file in the directory.
struct Sighting {
    path: PathBuf,
    fingerprint: Fingerprint,
    since: Instant,
    /// The hash of its contents, once they were read.
    hash: Option<Hash>,
    /// Why they could not be.
    unreadable: Option<String>,
}

struct Serving {
    generation: Arc<Generation>,
    since: Timestamp,
}

impl Entry {
    pub(crate) fn new(stats: Stats) -> Self {
        Self {
            sighting: None,
            gone_since: None,
            waiting: None,
            trying: None,
            serving: None,
            rejected: None,
            activations: 0,
            kept: None,
            stats: Arc::new(stats),
        }
    }

    /// Notes that its file is there. True if the contents are to be read: they held for long enough, and were not read
    /// since, or are to be read `again`.
    pub(crate) fn seen(&mut self, found: &Found, now: Instant, again: bool) -> bool {
        self.gone_since = None;
        match &self.sighting {
            Some(it) if it.fingerprint == found.fingerprint && it.path == found.path => {
                (it.hash.is_none() || again) && now.duration_since(it.since) >= SETTLE
            }
            _ => {
                let (path, fingerprint) = (found.path.clone(), found.fingerprint);
                self.sighting = Some(Sighting { path, fingerprint, since: now, hash: None, unreadable: None });
                false
            }
        }
    }

    /// Notes that its file is not there. True if that counts as a deletion.
    pub(crate) fn missed(&mut self, now: Instant) -> bool {
        self.sighting = None;
        let since = *self.gone_since.get_or_insert(now);
        now.duration_since(since) >= GRACE && self.trying.is_none()
    }

    /// Notes the contents of its file. They are tried, unless they serve already or were refused.
    pub(crate) fn contents(&mut self, candidate: Candidate) {
        let hash = candidate.hash;
        if let Some(sighting) = &mut self.sighting {
            sighting.hash = Some(hash);
            sighting.unreadable = None;
        }
        let refused = self.rejected.as_ref().is_some_and(|(rejected, _)| *rejected == hash);
        let serves = self.serving.as_ref().is_some_and(|serving| serving.generation.hash == hash);
        if serves {
            self.rejected = None;
        }
        // Newest bytes win: what waited is forgotten.
        let idle = refused || (serves && self.trying.is_none()) || self.trying == Some(hash);
        self.waiting = if idle { None } else { Some(candidate) };
    }

    /// Notes that its file cannot be read.
    pub(crate) fn unreadable(&mut self, why: String) {
        if let Some(sighting) = &mut self.sighting {
            sighting.unreadable = Some(why);
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

    /// Puts the bytes that are to be tried first.
    pub(crate) fn start_with(&mut self, candidate: Candidate) {
        self.waiting = Some(candidate);
    }

    /// A candidate passed the gate: it serves from now on.
    pub(crate) fn activate(&mut self, generation: Arc<Generation>, now: Timestamp) -> i64 {
        self.trying = None;
        self.rejected = None;
        self.activations += 1;
        self.serving = Some(Serving { generation, since: now });
        self.activations
    }

    /// A candidate was refused: what serves goes on.
    pub(crate) fn reject(&mut self, hash: Hash, rejection: &Rejection) {
        self.trying = None;
        self.rejected = Some((hash, format!("{}: {}", rejection.step, rejection.reason)));
    }

    /// Whether something is to come of it yet.
    pub(crate) fn is_pending(&self) -> bool {
        let unread = self.sighting.as_ref().is_some_and(|it| it.hash.is_none() && it.unreadable.is_none());
        unread || self.waiting.is_some() || self.trying.is_some()
    }

    /// When it is to be looked at again without an event.
    pub(crate) fn due(&self, required: bool) -> Option<Instant> {
        let unread = |it: &&Sighting| it.hash.is_none() && it.unreadable.is_none();
        let settled = self.sighting.as_ref().filter(unread).map(|it| it.since + SETTLE);
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
        if let Some((hash, _)) = &self.rejected {
            status.rejected_hash = hash.to_string();
        }
        if let Some(sighting) = &self.sighting {
            status.file = sighting.path.display().to_string();
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
        }
        status
    }

    fn state(&self) -> (State, String) {
        let fallback = if self.serving.is_some() { State::ServingLastGood } else { State::Rejected };
        if self.is_pending() {
            return (State::Pending, self.rejected.as_ref().map(|(_, reason)| reason.clone()).unwrap_or_default());
        }
        if let Some(why) = self.sighting.as_ref().and_then(|it| it.unreadable.clone()) {
            return (fallback, format!("read: {why}"));
        }
        match (&self.rejected, &self.sighting, &self.serving) {
            (Some((_, reason)), _, _) => (fallback, reason.clone()),
            (None, Some(_), Some(_)) => (State::Serving, String::new()),
            (None, None, Some(_)) => (State::ServingLastGood, "its file is gone".into()),
            (None, _, None) => (State::Missing, String::new()),
        }
    }
}
