//! The watcher: keeps what serves in step with what lies in the directory.
//!
//! A file event only triggers a rescan, and so does a poll, as network mounts send no events. Everything that is known
//! of the plugins belongs to this one task; requests see what it publishes.

use std::{
    collections::{BTreeMap, BTreeSet},
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

use crate::{
    entry::Entry,
    gate::{Candidate, Gate, Rejection},
    generation::Generation,
    hash::Hash,
    host::Board,
    scan::{self, DirectoryId, Found},
    set::Plugins,
    stats::{Metrics, Stats},
};

const POLL: Duration = Duration::from_secs(10);
/// A copy sends an event for every block that it writes.
const BETWEEN_SCANS: Duration = Duration::from_millis(20);

/// What came of a candidate.
struct Outcome {
    name: Arc<str>,
    hash: Hash,
    result: Result<Arc<Generation>, Rejection>,
}

/// The task's state.
pub(crate) struct Watcher {
    dir: PathBuf,
    required: BTreeSet<String>,
    gate: Arc<Gate>,
    board: Arc<Board>,
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
        board: Arc<Board>,
        metrics: Metrics,
        token: CancellationToken,
    ) -> Self {
        Self {
            dir,
            required,
            gate,
            board,
            metrics,
            token,
            entries: BTreeMap::new(),
            directory_failure: None,
            watched: None,
            events: Arc::default(),
            outcomes: mpsc::channel(16),
        }
    }

    /// Runs until the token is cancelled. `settled` becomes true when every file that was there at first was tried.
    pub(crate) async fn run(mut self, settled: watch::Sender<bool>) {
        self.start_with_last_good().await;
        self.rescan(true).await;
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
            let token = self.token.clone();
            tokio::select! {
                () = token.cancelled() => return,
                Some(outcome) = self.outcomes.1.recv() => self.ended(outcome),
                () = self.events.notified(), if !event => event = true,
                () = sleep_until(due) => {
                    event = false;
                    scanned = Instant::now();
                    let poll = scanned >= poll_at;
                    if poll {
                        poll_at = scanned + POLL;
                    }
                    self.rescan(poll).await;
                }
            }
        }
    }

    /// When a file is to be looked at without an event. A directory that cannot be read has none.
    fn due(&self) -> Option<Instant> {
        let due = self.entries.iter().filter_map(|(name, entry)| entry.due(self.required.contains(name))).min();
        due.filter(|_| self.directory_failure.is_none())
    }

    /// What served last is tried first, so that a file that is damaged now never is an absent rule.
    async fn start_with_last_good(&mut self) {
        for name in self.required.clone() {
            self.entry(&name);
        }
        for (name, kept) in self.gate.last_good.kept() {
            let hash = kept.hash;
            self.entry(&name).kept = Some(kept);
            self.try_last_good(name, hash).await;
        }
        self.try_waiting();
    }

    async fn try_last_good(&mut self, name: String, hash: Hash) {
        let last_good = Arc::clone(&self.gate.last_good);
        let read = spawn_blocking(move || last_good.bytes(&hash)).await;
        let entry = self.entry(&name);
        match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(bytes) => entry.start_with(Candidate { name: name.into(), hash, bytes: bytes.into() }),
            Err(error) => {
                tracing::error!(plugin = name, %hash, %error, "the last good bytes of a plugin cannot be read");
                entry.lost(&error.to_string());
            }
        }
    }

    /// Looks at the directory, and reads what held for long enough. With `again`, also what was read before.
    async fn rescan(&mut self, again: bool) {
        let dir = self.dir.clone();
        let listed = spawn_blocking(move || Ok((scan::directory(&dir)?, scan::list(&dir)))).await;
        let listed = listed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let found = match listed.and_then(|(id, found)| {
            self.watch(id);
            found
        }) {
            Ok(found) => found,
            // What cannot be read is not deleted: everything serves on.
            Err(error) => {
                if self.directory_failure.is_none() {
                    tracing::error!(dir = %self.dir.display(), %error, "the plugin directory cannot be read");
                }
                self.directory_failure = Some(format!("{}: {error}", self.dir.display()));
                self.watched = None;
                return;
            }
        };
        self.directory_failure = None;
        let now = Instant::now();
        self.note_missing(&found, now).await;
        for found in found {
            if self.entry(&found.stem).seen(&found, now, again) {
                self.read(found).await;
            }
        }
        // After the files, which go before it if they are to be tried.
        let due = |(name, entry): (&String, &Entry)| Some((name.clone(), entry.last_good_due(now)?));
        for (name, hash) in self.entries.iter().filter_map(due).collect::<Vec<_>>() {
            self.try_last_good(name, hash).await;
        }
    }

    async fn read(&mut self, found: Found) {
        let stem = found.stem.clone();
        let read = spawn_blocking(move || scan::read(&found)).await;
        let entry = self.entry(&stem);
        match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(Some((hash, bytes))) => {
                entry.contents(Candidate { name: stem.into(), hash, bytes: bytes.into() }, Instant::now());
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
            let last_good = Arc::clone(&self.gate.last_good);
            let plugin = name.clone();
            let forgotten = spawn_blocking(move || last_good.forget(&plugin)).await;
            if let Err(error) = forgotten.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                tracing::warn!(plugin = name, %error, "a removed plugin's last good bytes stay");
            }
        }
    }

    /// Watches the directory that the path leads to now. Without events the poll remains.
    fn watch(&mut self, id: DirectoryId) {
        if self.watched.as_ref().is_some_and(|(watched, _)| *watched == id) {
            return;
        }
        let events = Arc::clone(&self.events);
        let handler = move |event: notify::Result<notify::Event>| {
            // Our own reading is an event too.
            let read =
                |kind: EventKind| kind.is_access() && kind != EventKind::Access(AccessKind::Close(AccessMode::Write));
            if !event.is_ok_and(|event| read(event.kind)) {
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
        for entry in self.entries.values_mut() {
            let Some(candidate) = entry.next() else { continue };
            let (gate, stats, outcomes) = (Arc::clone(&self.gate), Arc::clone(&entry.stats), self.outcomes.0.clone());
            let token = self.token.clone();
            self.gate.tracker.spawn(async move {
                let result = tokio::select! {
                    () = token.cancelled() => return,
                    result = gate.pass(&candidate, &stats) => result,
                };
                // An error means that the watcher ended.
                let _ = outcomes.send(Outcome { name: candidate.name, hash: candidate.hash, result }).await;
            });
        }
    }

    fn ended(&mut self, Outcome { name, hash, result }: Outcome) {
        let kept = self.gate.last_good.kept().remove(&*name);
        let now = self.gate.clock.now();
        let metrics = self.metrics.clone();
        let entry = self.entry(&name);
        match result {
            Ok(generation) => {
                let manifest = &generation.manifest;
                tracing::info!(plugin = &*name, version = manifest.version, %hash, "plugin serves");
                metrics.swaps.with_label_values(&[&*name]).inc();
                metrics.generation.with_label_values(&[&*name]).set(entry.activate(generation, now));
                entry.kept = kept;
            }
            Err(rejection) => {
                let (step, reason) = (rejection.step, &*rejection.reason);
                tracing::warn!(plugin = &*name, %hash, step, reason, "plugin refused");
                metrics.rejections.with_label_values(&[&*name, step]).inc();
                entry.reject(hash, &rejection, Instant::now());
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
        self.board.publish(Plugins { by_name, directory_failure: self.directory_failure.clone() });
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        let metrics = &self.metrics;
        self.entries.entry(name.to_owned()).or_insert_with(|| Entry::new(Stats::new(name, metrics)))
    }
}
