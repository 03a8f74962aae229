//! The watcher: keeps what serves in step with what lies in the directory.
//!
//! A file event only triggers a rescan, and so does a poll, as network mounts send no events. Everything that is known
//! of the plugins belongs to this one task; requests see what it publishes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind, event::AccessMode};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    entry::Entry,
    scan::{self, Contents, DirectoryId, Found},
};
use crate::{
    gate::{Candidate, Described, Gate, Rejection},
    generation::Generation,
    generation_store::{ComponentFile, GenerationRecord},
    plugin_config::PluginConfig,
    stats::{Metrics, Stats},
    table::{PluginTable, Plugins},
};

const POLL: Duration = Duration::from_secs(10);
/// A copy sends an event for every block that it writes.
const BETWEEN_SCANS: Duration = Duration::from_millis(20);

/// What came of a candidate.
enum Outcome {
    /// It said what it is.
    Described(Candidate, Described),
    /// It serves, or is refused.
    Ended(Candidate, Result<Arc<Generation>, Rejection>),
}

/// The task's state.
pub(crate) struct Watcher {
    dir: PathBuf,
    required: BTreeSet<String>,
    gate: Arc<Gate>,
    table: Arc<PluginTable>,
    metrics: Metrics,
    token: CancellationToken,
    entries: BTreeMap<String, Entry>,
    directory_failure: Option<String>,
    watched: Option<(DirectoryId, Option<RecommendedWatcher>)>,
    events: Arc<Notify>,
    /// One place for each attempt that can end at the same time; a full channel makes the attempt wait.
    outcomes: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
}

impl Watcher {
    pub(crate) fn new(
        dir: PathBuf,
        required: BTreeSet<String>,
        gate: Arc<Gate>,
        table: Arc<PluginTable>,
        metrics: Metrics,
        token: CancellationToken,
    ) -> Self {
        Self {
            dir,
            required,
            gate,
            table,
            metrics,
            token,
            entries: BTreeMap::new(),
            directory_failure: None,
            watched: None,
            events: Arc::default(),
            outcomes: mpsc::channel(16),
        }
    }

    /// Runs until the token is cancelled. `settled` becomes true when every file that was there at first was tried. The directory was
    /// looked at once before, so that nothing is passed over while this task waits for its turn.
    pub(crate) async fn run(mut self, settled: watch::Sender<bool>) {
        let mut scanned = Instant::now();
        let mut poll_at = scanned + POLL;
        let mut event = false;
        loop {
            self.try_waiting();
            self.publish();
            if !self.entries.values().any(Entry::is_pending) {
                settled.send_replace(true);
            }
            let due = self.due().map_or(poll_at, |due| due.min(poll_at));
            let due = if event { due.min(scanned) } else { due }.max(scanned + BETWEEN_SCANS);
            let retried_at = self.entries.values().filter_map(Entry::retried_at).min();
            let token = self.token.clone();
            tokio::select! {
                () = token.cancelled() => return,
                Some(outcome) = self.outcomes.1.recv() => self.ended(outcome).await,
                () = self.events.notified(), if !event => event = true,
                () = sleep_until(retried_at.unwrap_or(poll_at)), if retried_at.is_some() => {}
                () = sleep_until(due) => {
                    event = false;
                    scanned = Instant::now();
                    let poll = scanned >= poll_at;
                    if poll {
                        poll_at = scanned + POLL;
                    }
                    self.rescan(false, poll).await;
                }
            }
        }
    }

    /// Looks at the directory for the first time, and publishes what is to be tried.
    pub(crate) async fn start(&mut self) {
        self.start_with_records().await;
        self.rescan(true, false).await;
        self.publish();
    }

    /// When a file is to be looked at without an event. A directory that cannot be read has none.
    fn due(&self) -> Option<Instant> {
        let due = self.entries.iter().filter_map(|(name, entry)| entry.due(self.required.contains(name))).min();
        due.filter(|_| self.directory_failure.is_none())
    }

    /// What served last is tried first, so that a file that is damaged now never is an absent rule.
    async fn start_with_records(&mut self) {
        for name in self.required.clone() {
            self.entry(&name);
        }
        for (name, record) in self.gate.store.records() {
            let Some(generation) = record.current else { continue };
            self.entry(&name).record = Some(generation.clone());
            let store = Arc::clone(&self.gate.store);
            let hash = generation.hash;
            let read = spawn_blocking(move || store.component(&hash)).await;
            let entry = self.entry(&name);
            match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(component) => entry.start_with(of_record(&name, &generation, component)),
                Err(error) => {
                    tracing::error!(plugin = name, %hash, %error, "the last good bytes of a plugin cannot be read");
                    entry.lost(&error.to_string());
                }
            }
        }
    }

    /// Looks at the directory, and reads what held for long enough: at a poll, also what could not be read before.
    async fn rescan(&mut self, is_start: bool, poll: bool) {
        let dir = self.dir.clone();
        let listed = spawn_blocking(move || Ok((scan::directory(&dir)?, scan::list(&dir)))).await;
        let listed = listed.unwrap_or_else(|error| Err(io::Error::other(error)));
        let found = listed.and_then(|(id, found)| {
            self.watch(id);
            found
        });
        let found = match found {
            Ok(found) if found.is_empty() && self.entries.values().any(Entry::is_known) => Err(io::Error::other(
                "all files are gone; nothing is removed, as a volume that is not mounted looks the same (the last plugin is \
                 removed by `cqar plugin remove NAME`, or by `enabled = false` in its NAME.toml)",
            )),
            found => found,
        };
        let found = match found {
            Ok(found) => found,
            // What cannot be read is not deleted: everything serves on.
            Err(error) => {
                if self.directory_failure.is_none() {
                    tracing::error!(dir = %self.dir.display(), %error, "the plugin directory cannot be read");
                }
                self.directory_failure = Some(format!("{}: {error}", self.dir.display()));
                return;
            }
        };
        self.directory_failure = None;
        let now = Instant::now();
        self.note_missing(&found, now).await;
        for found in found {
            if self.entry(&found.stem).seen(&found, now, is_start, poll) {
                self.read(found).await;
            }
        }
    }

    async fn read(&mut self, found: Found) {
        let (stem, store) = (found.stem, Arc::clone(&self.gate.store));
        let read = spawn_blocking(move || scan::read(&found.files, &store)).await;
        let entry = self.entry(&stem);
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(Some(contents)) => {
                let was_disabled = entry.is_disabled();
                entry.contents(of_directory(&stem, contents));
                if entry.is_disabled() && !was_disabled {
                    tracing::info!(plugin = stem, "plugin disabled");
                    self.forget(&stem).await;
                }
            }
            // It changed meanwhile: the next scan sees it anew.
            Ok(None) => self.events.notify_one(),
            Err(error) => entry.unreadable(error.to_string()),
        }
    }

    async fn note_missing(&mut self, found: &[Found], now: Instant) {
        let mut deleted = Vec::new();
        for (name, entry) in &mut self.entries {
            let there = found.binary_search_by(|it| it.stem.as_str().cmp(name)).is_ok();
            if !there && entry.missed(now) && !self.required.contains(name) {
                deleted.push(name.clone());
            }
        }
        for name in deleted {
            tracing::info!(plugin = name, "plugin removed");
            self.entries.remove(&name);
            self.metrics.forget(&name);
            self.forget(&name).await;
        }
    }

    /// Forgets what served: its absence is wanted.
    async fn forget(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.record = None;
        }
        let (store, plugin) = (Arc::clone(&self.gate.store), name.to_owned());
        let forgotten = spawn_blocking(move || store.forget(&plugin)).await;
        if let Err(error) = forgotten.unwrap_or_else(|error| Err(io::Error::other(error))) {
            // It is back after a restart, which is safer than a rule that is gone.
            tracing::error!(plugin = name, %error, "a removed plugin is still in the data directory");
        }
    }

    /// Follows the directory, and the one that takes its place.
    fn watch(&mut self, id: DirectoryId) {
        if self.watched.as_ref().is_some_and(|(watched, _)| *watched == id) {
            return;
        }
        let events = Arc::clone(&self.events);
        let handler = move |event: notify::Result<notify::Event>| {
            // The watcher's own reading sends events too: only what changes counts, and the end of a writer.
            let changes = event.is_ok_and(
                |event| !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)),
            );
            if changes {
                events.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(&self.dir, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            let poll_s = POLL.as_secs();
            tracing::warn!(dir = %self.dir.display(), %error, poll_s, "no file events, the directory is polled");
        }
        self.watched = Some((id, watcher.ok()));
    }

    /// Tries what waits, one candidate of each plugin at a time.
    fn try_waiting(&mut self) {
        let now = Instant::now();
        for entry in self.entries.values_mut() {
            let Some(candidate) = entry.next(now) else { continue };
            let (gate, stats, outcomes) = (Arc::clone(&self.gate), Arc::clone(&entry.stats), self.outcomes.0.clone());
            let token = self.token.clone();
            self.gate.tracker.spawn(async move {
                let _ = token.run_until_cancelled_owned(attempt(&gate, candidate, &stats, &outcomes)).await;
            });
        }
    }

    async fn ended(&mut self, outcome: Outcome) {
        let (candidate, result) = match outcome {
            Outcome::Described(candidate, described) => {
                return self.entry(&candidate.name).described(candidate.contents, described);
            }
            Outcome::Ended(candidate, result) => (candidate, result),
        };
        let (name, hash) = (Arc::clone(&candidate.name), candidate.hash);
        let record = self.gate.store.record(&name).and_then(|record| record.current);
        let now = self.gate.clock.now();
        let metrics = self.metrics.clone();
        let entry = self.entry(&name);
        match result {
            Ok(generation) => {
                let manifest = &generation.manifest;
                tracing::info!(plugin = &*name, version = manifest.version, %hash, "plugin serves");
                metrics.swaps.with_label_values(&[&*name]).inc();
                metrics.generation.with_label_values(&[&*name]).set(entry.activate(generation, now));
                entry.record = record;
                if entry.is_disabled() {
                    self.forget(&name).await;
                }
            }
            Err(rejection) => {
                let (step, reason) = (rejection.step, &*rejection.reason);
                tracing::warn!(plugin = &*name, %hash, step, reason, "plugin refused");
                metrics.rejections.with_label_values(&[&*name, step]).inc();
                entry.reject(&candidate, rejection, Instant::now());
            }
        }
    }

    fn publish(&self) {
        for (name, _) in self.entries.iter().filter(|(_, entry)| !entry.serves()) {
            self.metrics.generation.with_label_values(&[name]).set(0);
        }
        let publish =
            |(name, entry): (&String, &Entry)| (name.clone(), entry.publish(name, self.required.contains(name)));
        let by_name = self.entries.iter().map(publish).collect();
        self.table.publish(Plugins { by_name, directory_failure: self.directory_failure.clone() });
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        let metrics = &self.metrics;
        self.entries.entry(name.to_owned()).or_insert_with(|| Entry::new(Stats::new(name, metrics)))
    }
}

/// Tries a candidate, and tells the watcher what it is as soon as it is known.
async fn attempt(gate: &Gate, candidate: Candidate, stats: &Arc<Stats>, outcomes: &mpsc::Sender<Outcome>) {
    let (described, mut descriptions) = mpsc::channel(1);
    let forward = async {
        if let Some(described) = descriptions.recv().await {
            // An error means that the watcher ended.
            let _ = outcomes.send(Outcome::Described(candidate.clone(), described)).await;
        }
    };
    let ((), result) = tokio::join!(forward, gate.pass(&candidate, stats, described));
    let _ = outcomes.send(Outcome::Ended(candidate, result)).await;
}

fn of_record(name: &str, generation: &GenerationRecord, component: ComponentFile) -> Candidate {
    let config_text = generation.config.clone();
    Candidate {
        name: name.into(),
        hash: generation.hash,
        contents: scan::contents_hash(&generation.hash, config_text.as_deref()),
        bytes: component.bytes(),
        component: Some(Arc::new(component)),
        config: config_text.as_deref().map_or_else(|| Ok(PluginConfig::default()), PluginConfig::read),
        config_text,
        is_record: true,
    }
}

fn of_directory(name: &str, contents: Contents) -> Candidate {
    let all = contents.hash();
    let Contents { component, config: config_text } = contents;
    Candidate {
        name: name.into(),
        hash: component.hash,
        contents: all,
        bytes: component.bytes,
        component: component.component.map(Arc::new),
        config: config_text.as_deref().map_or_else(|| Ok(PluginConfig::default()), PluginConfig::read),
        config_text,
        is_record: false,
    }
}
