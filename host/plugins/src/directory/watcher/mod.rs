//! The watcher: keeps what serves in step with what lies in the directory.
//!
//! A file event only triggers a rescan, and so does a poll, as network mounts send no events. Everything that is known
//! of the plugins belongs to this one task; requests see what it publishes.

mod operate;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use cqar_proto::v1::{PluginEvent, plugin_event::Type};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind, event::AccessMode};
use tokio::{
    sync::{Notify, broadcast, mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    disk::Disk,
    entry::{DisabledBy, Entry},
    operations::Command,
    scan::{self, Beside, Contents, DirectoryId, Found},
};
use crate::{
    config::PluginSettings,
    gate::{self, Candidate, Described, Gate, PluginShared, Rejection},
    generation::Generation,
    generation_store::{GenerationRecord, GenerationStore},
    hash::Hash,
    plugin_config::PluginConfig,
    stats::{Metrics, Stats},
    table::{PluginTable, Plugins},
};

const POLL: Duration = Duration::from_secs(10);
/// A copy sends an event for every block that it writes.
const BETWEEN_SCANS: Duration = Duration::from_millis(20);

/// What came of an attempt.
struct Outcome {
    /// Of which one. A plugin may be removed, and come again, while one is under way.
    attempt: u64,
    candidate: Candidate,
    news: News,
}

/// What is new of an attempt.
enum News {
    /// It said what it is.
    Described(Described),
    /// It may serve, or is refused.
    Ended(Result<Arc<Generation>, Rejection>),
}

/// What the task needs of others, and others of it.
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    /// What becomes of plugins.
    pub(crate) events: broadcast::Sender<PluginEvent>,
    pub(crate) token: CancellationToken,
}

/// The task's state.
pub(crate) struct Watcher {
    dir: PathBuf,
    required: BTreeSet<String>,
    gate: Arc<Gate>,
    /// What the server's configuration said when the files were last read by it.
    configured: Arc<PluginSettings>,
    table: Arc<PluginTable>,
    metrics: Metrics,
    channels: Channels,
    entries: BTreeMap<String, Entry>,
    directory_failure: Option<String>,
    /// Whether the directory was ever listed. Before that, nobody knows which rules lie there.
    is_listed: bool,
    watched: Option<(DirectoryId, Option<RecommendedWatcher>)>,
    events: Arc<Notify>,
    /// How many attempts there were.
    attempts: u64,
    /// That of the plugin directory, and that of the data directory.
    disk: Disk,
    data_disk: Disk,
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
        channels: Channels,
    ) -> Self {
        Self {
            dir,
            required,
            configured: gate.configured.load_full(),
            gate,
            table,
            metrics,
            channels,
            entries: BTreeMap::new(),
            directory_failure: None,
            is_listed: false,
            watched: None,
            events: Arc::default(),
            attempts: 0,
            disk: Disk::default(),
            data_disk: Disk::default(),
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
            let (token, failing) = (self.channels.token.clone(), Arc::clone(&self.gate.failing));
            let gate = Arc::clone(&self.gate);
            tokio::select! {
                () = token.cancelled() => return,
                Some(command) = self.channels.commands.recv() => self.command(command).await,
                () = failing.notified() => self.roll_back_failing().await,
                () = gate.reconfigured.notified() => self.reconfigure(),
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
            let entry = self.entry(&name);
            entry.record = record.clone();
            if record.is_disabled {
                entry.disable(DisabledBy::Operator);
            } else if let Some(generation) = record.current {
                match self.of_record(&name, &generation).await {
                    Ok(candidate) => self.entry(&name).load_record(candidate),
                    Err(error) => self.entry(&name).lost(&error.to_string()),
                }
            }
        }
    }

    /// A generation on record, to be tried.
    async fn of_record(&mut self, name: &str, generation: &GenerationRecord) -> io::Result<Candidate> {
        let (store, hash) = (Arc::clone(&self.gate.store), generation.hash);
        let component = self.data_disk.run(move || store.component(&hash)).await;
        let component = component.inspect_err(|error| {
            tracing::error!(plugin = name, %hash, %error, "the last good bytes of a plugin cannot be read");
        })?;
        let beside = generation.beside();
        Ok(Candidate {
            name: name.into(),
            hash: generation.hash,
            contents: scan::contents_hash(&generation.hash, &beside),
            bytes: component.bytes(),
            component: Some(Arc::new(component)),
            config: PluginConfig::beside(&beside),
            beside,
            is_record: true,
        })
    }

    /// Looks at the directory, and reads what held for long enough: at a poll, also what could not be read before.
    async fn rescan(&mut self, is_start: bool, poll: bool) {
        let (dir, signed) = (self.dir.clone(), self.gate.trusted_keys.is_some());
        let listed = self.disk.run(move || Ok((scan::directory(&dir, signed)?, scan::list(&dir)))).await;
        // What lay there when it could not be listed lay there since the start.
        let is_start = is_start || !self.is_listed;
        let found = match listed {
            Ok((id, found)) => {
                self.watch(id).await;
                found
            }
            Err(error) => Err(error),
        };
        // What served before is on record, so that nothing is passed over if it is empty.
        self.is_listed |= found.is_ok();
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
                self.entries.values_mut().for_each(Entry::unseen);
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
        let read = self.disk.run(move || scan::read(&found.files, &store)).await;
        let of_server = self.configured.text(&stem);
        let entry = self.entry(&stem);
        match read {
            Ok(Some(contents)) => {
                let before = entry.disabled();
                entry.contents(of_directory(&stem, contents, of_server));
                if entry.disabled() == Some(DisabledBy::File) && before != Some(DisabledBy::File) {
                    entry.settle_memory();
                    self.happened(&stem, Type::Disabled, None, &format!("{stem}.toml says `enabled = false`"));
                    self.store(&stem, GenerationStore::retire).await;
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
            self.forget(&name, "its file was deleted").await;
        }
    }

    /// Forgets a plugin: its absence is wanted.
    async fn forget(&mut self, name: &str, why: &str) {
        self.happened(name, Type::Removed, None, why);
        self.store(name, GenerationStore::forget).await;
        self.entries.remove(name);
    }

    /// Changes what is known of a plugin over restarts. False, and said, if it cannot be written.
    async fn store(
        &mut self,
        name: &str,
        change: impl FnOnce(&GenerationStore, &str) -> io::Result<()> + Send + 'static,
    ) -> bool {
        let (store, plugin) = (Arc::clone(&self.gate.store), name.to_owned());
        let changed = self.data_disk.run(move || change(&store, &plugin)).await;
        if let Err(error) = &changed {
            // It is as before after a restart.
            tracing::error!(plugin = name, %error, "what became of a plugin is not remembered");
        }
        let record = self.gate.store.record(name).unwrap_or_default();
        if let Some(entry) = self.entries.get_mut(name) {
            entry.record = record;
        }
        changed.is_ok()
    }

    /// Says what became of a plugin, of which component, everywhere.
    fn happened(&mut self, name: &str, what: Type, generation: Option<(Hash, &str)>, reason: &str) {
        let (hash, version) =
            generation.map(|(hash, version)| (hash.to_string(), version.to_owned())).unwrap_or_default();
        match what {
            Type::Rejected | Type::RolledBack | Type::Quarantined => {
                tracing::warn!(plugin = name, hash, version, reason, what = what.as_str_name(), "plugin_changed");
            }
            _ => tracing::info!(plugin = name, hash, version, reason, what = what.as_str_name(), "plugin_changed"),
        }
        let event_time = Some(self.gate.clock.now().into());
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let event = PluginEvent { name: name.clone(), r#type: what.into(), event_time, hash, version, reason };
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.happened(event.clone());
        }
        // An error means that nobody watches.
        let _ = self.channels.events.send(event);
    }

    /// Follows the directory, and the one that takes its place.
    async fn watch(&mut self, id: DirectoryId) {
        if self.watched.as_ref().is_some_and(|(watched, _)| *watched == id) {
            return;
        }
        let (dir, events) = (self.dir.clone(), Arc::clone(&self.events));
        let handler = move |event: notify::Result<notify::Event>| {
            // The watcher's own reading sends events too: only what changes counts, and the end of a writer.
            let changes = event.is_ok_and(
                |event| !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)),
            );
            if changes {
                events.notify_one();
            }
        };
        let follow = move || {
            let mut watcher = notify::recommended_watcher(handler).map_err(io::Error::other)?;
            watcher.watch(&dir, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
            Ok(watcher)
        };
        let watcher = self.disk.run(follow).await;
        if let Err(error) = &watcher {
            let poll_s = POLL.as_secs();
            tracing::warn!(dir = %self.dir.display(), %error, poll_s, "no file events, the directory is polled");
        }
        // What the disk did not answer is asked again.
        let is_silent = watcher.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
        self.watched = (!is_silent).then(|| (id, watcher.ok()));
    }

    /// Tries what waits, one candidate of each plugin at a time.
    fn try_waiting(&mut self) {
        let now = Instant::now();
        for entry in self.entries.values_mut() {
            let Some(candidate) = entry.next(now, self.attempts) else { continue };
            let (gate, shared, outcomes) = (Arc::clone(&self.gate), entry.shared.clone(), self.outcomes.0.clone());
            let (token, serving) = (self.channels.token.clone(), entry.serving().cloned());
            let attempt = attempt(gate, self.attempts, candidate, shared, serving, outcomes);
            self.attempts += 1;
            self.gate.tracker.spawn(async move {
                let _ = token.run_until_cancelled_owned(attempt).await;
            });
        }
    }

    async fn ended(&mut self, outcome: Outcome) {
        let Outcome { attempt, candidate, news } = outcome;
        let Some(entry) = self.entries.get_mut(&*candidate.name).filter(|entry| entry.is_trying(attempt)) else {
            return;
        };
        let ended = match news {
            News::Described(described) => return entry.described(described),
            // It was taken out of service while it was tried.
            News::Ended(_) if entry.disabled().is_some() => return entry.dismiss(),
            News::Ended(ended) => ended,
        };
        let kept = match ended {
            Ok(generation) => self.keep(&candidate, &generation).await.map(|()| generation),
            refused => refused,
        };
        match kept {
            Ok(generation) => self.activate(&candidate, generation),
            Err(rejection) => self.refuse(&candidate, rejection),
        }
    }

    /// Keeps a generation for a restart, before it serves.
    async fn keep(&mut self, candidate: &Candidate, generation: &Generation) -> Result<(), Rejection> {
        let (Some(component), manifest) = (candidate.component.clone(), &generation.manifest) else { return Ok(()) };
        let name = Arc::clone(&candidate.name);
        let beside = candidate.beside.clone();
        let record = GenerationRecord::new(candidate.hash, manifest.kind, &manifest.subscriptions, beside);
        if candidate.is_record && self.entry(&name).record.current.as_ref() == Some(&record) {
            return Ok(());
        }
        let store = Arc::clone(&self.gate.store);
        let kept = self.data_disk.run(move || store.keep(&name, record, &component)).await;
        kept.map_err(|error| gate::machine("keep")(format!("its bytes cannot be kept for a restart: {error}")))
    }

    fn activate(&mut self, candidate: &Candidate, generation: Arc<Generation>) {
        let name = Arc::clone(&candidate.name);
        let (record, now) = (self.gate.store.record(&name).unwrap_or_default(), self.gate.clock.now());
        let version = generation.manifest.version.clone();
        let changed = generation.replay.as_ref().filter(|replay| replay.changed > 0);
        let said = changed.map(|it| format!("{} of {} recorded calls are answered otherwise", it.changed, it.calls));
        let entry = self.entry(&name);
        let failed = entry.rolling_back().filter(|_| candidate.is_record);
        entry.record = record;
        entry.activate(generation, candidate.is_record, now);
        entry.settle_memory();
        let activations = entry.activations();
        if let Some((failed, why)) = failed {
            return self.rolled_back(&name, failed.hash, &failed.manifest.version, &why);
        }
        self.metrics.swaps.with_label_values(&[&*name]).inc();
        self.metrics.generation.with_label_values(&[&*name]).set(activations);
        self.happened(&name, Type::Activated, Some((candidate.hash, &version)), &said.unwrap_or_default());
    }

    fn refuse(&mut self, candidate: &Candidate, rejection: Rejection) {
        let name = Arc::clone(&candidate.name);
        let (step, reason) = (rejection.step, format!("{}: {}", rejection.step, rejection.reason));
        self.metrics.rejections.with_label_values(&[&*name, step]).inc();
        let entry = self.entry(&name);
        let is_again = entry.refused_for(&reason);
        entry.reject(candidate, rejection, Instant::now());
        entry.settle_memory();
        if !is_again {
            self.happened(&name, Type::Rejected, Some((candidate.hash, "")), &reason);
        }
    }

    fn publish(&self) {
        for (name, _) in self.entries.iter().filter(|(_, entry)| !entry.serves()) {
            self.metrics.generation.with_label_values(&[name]).set(0);
        }
        let publish =
            |(name, entry): (&String, &Entry)| (name.clone(), entry.publish(name, self.required.contains(name)));
        let by_name = self.entries.iter().map(publish).collect();
        let (directory_failure, is_listed) = (self.directory_failure.clone(), self.is_listed);
        self.table.publish(Plugins { by_name, directory_failure, is_listed });
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        let (metrics, budget) = (&self.metrics, &self.gate.budget);
        self.entries.entry(name.to_owned()).or_insert_with(|| Entry::new(Stats::new(name, metrics), budget))
    }
}

/// Tries a candidate, and tells the watcher what it is as soon as it is known.
async fn attempt(
    gate: Arc<Gate>,
    attempt: u64,
    candidate: Candidate,
    shared: PluginShared,
    serving: Option<Arc<Generation>>,
    outcomes: mpsc::Sender<Outcome>,
) {
    let (described, mut descriptions) = mpsc::channel(1);
    let tell = async |news: News| {
        // An error means that the watcher ended.
        let _ = outcomes.send(Outcome { attempt, candidate: candidate.clone(), news }).await;
    };
    let forward = async {
        if let Some(described) = descriptions.recv().await {
            tell(News::Described(described)).await;
        }
    };
    // In a task of its own: whatever ends it, that it ended is told.
    let (tracker, tried) = (gate.tracker.clone(), candidate.clone());
    let passing = async move { gate.pass(&tried, &shared, serving.as_deref(), described).await };
    let passing = AbortOnDropHandle::new(tracker.spawn(passing));
    let ((), passed) = tokio::join!(forward, passing);
    let passed = passed.unwrap_or_else(|error| Err(gate::machine("gate")(format!("the trial broke: {error}"))));
    tell(News::Ended(passed)).await;
}

fn of_directory(name: &str, contents: Contents, server: Option<String>) -> Candidate {
    let Contents { component, beside } = contents;
    let beside = Beside { server, ..beside };
    Candidate {
        name: name.into(),
        hash: component.hash,
        contents: scan::contents_hash(&component.hash, &beside),
        bytes: component.bytes,
        component: component.component.map(Arc::new),
        config: PluginConfig::beside(&beside),
        beside,
        is_record: false,
    }
}
