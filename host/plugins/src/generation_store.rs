//! The generations that were activated, kept over restarts: a damaged file is never an absent rule.
//!
//! The data directory holds `<hash>.wasm` of each, and `plugins.json`, which says what each plugin is: its generation, the one before,
//! what is quarantined or disabled. A file is written under another name, synced, and renamed. In `incoming/` are the bytes of files
//! that are being tried.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use cqar_domain::id::EntityType;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    directory::scan::{Beside, contents_hash},
    error::StartError,
    hash::{Hash, StreamHasher},
    kinds::KindRef,
    plugin_config::{Mode, PluginConfig},
};

const STATE_FILE: &str = "plugins.json";
const INCOMING: &str = "incoming";
/// What every WebAssembly binary begins with (WebAssembly Core Specification, 5.5.16).
const MAGIC: &[u8] = b"\0asm";

/// The data directory.
pub(crate) struct GenerationStore {
    dir: PathBuf,
    /// What is on the disk. Whoever reads it waits for no disk.
    state: ArcSwap<State>,
    /// Held by the one that writes, over all of its work on the disk.
    writing: Mutex<()>,
}

/// Numbers what is received, of all stores of the process: what is left of one is removed a little later.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct State {
    plugins: BTreeMap<String, PluginRecord>,
}

/// What is known of a plugin over restarts.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct PluginRecord {
    /// What served last.
    #[serde(flatten)]
    pub(crate) current: Option<GenerationRecord>,
    /// What served before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<GenerationRecord>,
    /// Components that were rolled back, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) quarantined: Vec<Quarantined>,
    /// Whether an operator disabled it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) is_disabled: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A component, with what lay beside it, that is not tried again until its operator says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quarantined {
    pub(crate) hash: Hash,
    pub(crate) contents: Hash,
    /// What it did, and when.
    pub(crate) reason: String,
}

/// Components that are remembered as quarantined: each is one that an operator put there.
const MAX_QUARANTINED: usize = 16;

impl PluginRecord {
    /// Whether nothing is known that would have to be remembered.
    fn is_empty(&self) -> bool {
        self.current.is_none() && self.quarantined.is_empty() && !self.is_disabled
    }
}

/// A generation that was activated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GenerationRecord {
    pub(crate) hash: Hash,
    kind: KindRef,
    subscriptions: Vec<String>,
    /// What lay beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cases: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
}

impl GenerationRecord {
    pub(crate) fn new(hash: Hash, kind: KindRef, subscriptions: &[EntityType], beside: Beside<String>) -> Self {
        let subscriptions = subscriptions.iter().map(ToString::to_string).collect();
        let Beside { config, cases, signature, server } = beside;
        Self { hash, kind, subscriptions, config, cases, signature, server }
    }

    /// What lay beside it.
    pub(crate) fn beside(&self) -> Beside<String> {
        Beside {
            config: self.config.clone(),
            cases: self.cases.clone(),
            signature: self.signature.clone(),
            server: self.server.clone(),
        }
    }

    /// Names the component together with what lay beside it.
    pub(crate) fn contents(&self) -> Hash {
        contents_hash(&self.hash, &self.beside())
    }

    pub(crate) const fn kind(&self) -> KindRef {
        self.kind
    }

    /// The types of writes that were not to pass without it.
    pub(crate) fn judges(&self) -> Vec<EntityType> {
        // It was read when it was activated: what cannot be read any more lifts nothing.
        let only_watches = PluginConfig::beside(&self.beside()).is_ok_and(|config| config.mode != Mode::Enforce);
        if only_watches || !self.kind.0.judges_writes() {
            return Vec::new();
        }
        EntityType::ALL.into_iter().filter(|it| self.subscribes(*it)).collect()
    }

    /// Whether it subscribed to this type.
    pub(crate) fn subscribes(&self, entity_type: EntityType) -> bool {
        self.subscriptions.iter().any(|it| it == entity_type.name())
    }
}

/// The bytes of a component, on the disk of the data directory.
#[derive(Debug)]
pub(crate) struct ComponentFile {
    path: PathBuf,
    bytes: u64,
    /// Whether it is gone when nobody has it any more.
    is_incoming: bool,
}

impl ComponentFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for ComponentFile {
    fn drop(&mut self) {
        if !self.is_incoming {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // What stays for now goes with the next start.
        let remove = move || drop(fs::remove_file(path));
        // Threads of the runtime wait for no disk.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// What a file of the watched directory holds.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) hash: Hash,
    /// Its bytes; None if they are no WebAssembly.
    pub(crate) component: Option<ComponentFile>,
    pub(crate) bytes: u64,
}

impl GenerationStore {
    /// Opens the directory, which is made if it is not there.
    pub(crate) fn open(dir: &Path) -> Result<Self, StartError> {
        let failed = |path: &Path, source: io::Error| StartError::DataDirectory { path: path.into(), source };
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(|error| failed(dir, error))?;
        let path = dir.join(STATE_FILE);
        let state = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| StartError::State { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(failed(&path, error)),
        };
        let probe = dir.join(".writable");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|error| failed(dir, error))?;
        for left in fs::read_dir(&incoming).map_err(|error| failed(&incoming, error))?.flatten() {
            // Of a process that ended meanwhile. What cannot be removed harms nobody.
            let _ = fs::remove_file(left.path());
        }
        Ok(Self { dir: dir.into(), state: ArcSwap::from_pointee(state), writing: Mutex::default() })
    }

    /// What is known of every plugin.
    pub(crate) fn records(&self) -> BTreeMap<String, PluginRecord> {
        self.state.load().plugins.clone()
    }

    /// What is known of a plugin.
    pub(crate) fn record(&self, name: &str) -> Option<PluginRecord> {
        self.state.load().plugins.get(name).cloned()
    }

    /// Copies a file that may be a component, and hashes it. Only a part of it is in memory at a time.
    pub(crate) fn receive(&self, source: &Path) -> io::Result<Received> {
        let number = RECEIVED.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(INCOMING).join(format!("{number}.wasm"));
        let mut file = File::open(source)?;
        let mut buffer = vec![0; 256 << 10];
        let mut begun = 0;
        // As much as tells whether it is WebAssembly at all.
        while begun < MAGIC.len() {
            match file.read(buffer.get_mut(begun..).unwrap_or_default())? {
                0 => break,
                count => begun += count,
            }
        }
        let is_wasm = buffer.starts_with(MAGIC);
        let mut component = is_wasm.then_some(ComponentFile { path, bytes: 0, is_incoming: true });
        let mut copy = component.as_ref().map(|it| File::create(&it.path)).transpose()?;
        let (mut hasher, mut bytes, mut count) = (StreamHasher::default(), 0, begun);
        while count > 0 {
            let read = buffer.get(..count).unwrap_or_default();
            hasher.update(read);
            bytes += read.len() as u64;
            if let Some(copy) = &mut copy {
                copy.write_all(read)?;
            }
            count = file.read(&mut buffer)?;
        }
        if let Some(component) = &mut component {
            component.bytes = bytes;
        }
        Ok(Received { hash: hasher.finish(), component, bytes })
    }

    /// The component of this hash, if its bytes still have it.
    pub(crate) fn component(&self, hash: &Hash) -> io::Result<ComponentFile> {
        let path = self.path(hash);
        let mut file = File::open(&path)?;
        let mut hasher = StreamHasher::default();
        let bytes = io::copy(&mut file, &mut hasher)?;
        if hasher.finish() != *hash {
            return Err(io::Error::other("the kept bytes are damaged"));
        }
        Ok(ComponentFile { path, bytes, is_incoming: false })
    }

    /// Makes this a plugin's generation. Nothing has changed if it fails.
    pub(crate) fn keep(&self, name: &str, generation: GenerationRecord, component: &ComponentFile) -> io::Result<()> {
        let _writing = self.writing.lock();
        let path = self.path(&generation.hash);
        if component.path != path {
            let partial = path.with_extension("partial");
            // An error means that there is none.
            let _ = fs::remove_file(&partial);
            fs::hard_link(&component.path, &partial).or_else(|_| fs::copy(&component.path, &partial).map(drop))?;
            File::open(&partial)?.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.dir)?.sync_all()?;
        }
        let mut next = State::clone(&self.state.load());
        let record = next.plugins.entry(name.into()).or_default();
        let before = record.current.replace(generation);
        if let Some(before) = before
            && record.current.as_ref().is_some_and(|current| current.contents() != before.contents())
        {
            record.previous = Some(before);
        }
        self.save(next)
    }

    /// Forgets a plugin.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        self.change(name, |record| *record = PluginRecord::default())
    }

    /// Forgets what served: its absence is wanted.
    pub(crate) fn retire(&self, name: &str) -> io::Result<()> {
        self.change(name, |record| (record.current, record.previous) = (None, None))
    }

    /// Quarantines a component, and goes back to the generation before, if it is what serves.
    pub(crate) fn quarantine(&self, name: &str, failed: Quarantined) -> io::Result<()> {
        self.change(name, |record| {
            let is_failed = |it: &GenerationRecord| it.contents() == failed.contents;
            record.previous = record.previous.take().filter(|it| !is_failed(it));
            if record.current.as_ref().is_some_and(is_failed) {
                record.current = record.previous.take();
            }
            record.quarantined.retain(|it| it.contents != failed.contents);
            record.quarantined.push(failed);
            let excess = record.quarantined.len().saturating_sub(MAX_QUARANTINED);
            record.quarantined.drain(..excess);
        })
    }

    /// Lifts the quarantine of a plugin.
    pub(crate) fn lift(&self, name: &str) -> io::Result<()> {
        self.change(name, |record| record.quarantined.clear())
    }

    /// Notes whether an operator disabled a plugin.
    pub(crate) fn set_disabled(&self, name: &str, is_disabled: bool) -> io::Result<()> {
        self.change(name, |record| record.is_disabled = is_disabled)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut PluginRecord)) -> io::Result<()> {
        let _writing = self.writing.lock();
        let mut next = State::clone(&self.state.load());
        let record = next.plugins.entry(name.into()).or_default();
        change(record);
        if record.is_empty() {
            next.plugins.remove(name);
        }
        self.save(next)
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.dir.join(format!("{hash}.wasm"))
    }

    /// Either the old contents or the new are there, whenever the power fails.
    fn save(&self, next: State) -> io::Result<()> {
        let path = self.dir.join(STATE_FILE);
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(&next)?)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.sweep(&next);
        self.state.store(Arc::new(next));
        Ok(())
    }

    /// Removes the files of generations that nothing refers to.
    fn sweep(&self, state: &State) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let generations = || state.plugins.values().flat_map(|it| it.current.iter().chain(&it.previous));
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let hash = path.file_stem().and_then(|stem| stem.to_str()).and_then(Hash::from_hex);
            if hash.is_some_and(|hash| !generations().any(|generation| generation.hash == hash)) {
                // What stays for now is swept the next time.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(store: &GenerationStore, bytes: &[u8]) -> Received {
        let file = store.dir.join("dropped");
        fs::write(&file, [MAGIC, bytes].concat()).unwrap();
        store.receive(&file).unwrap()
    }

    fn keep(store: &GenerationStore, bytes: &[u8]) -> Hash {
        let received = receive(store, bytes);
        let kind = KindRef::from_name("validator").unwrap();
        let generation = GenerationRecord::new(received.hash, kind, &[EntityType::Market], Beside::default());
        store.keep("a", generation, received.component.as_ref().unwrap()).unwrap();
        received.hash
    }

    #[test]
    fn a_generation_and_the_one_before_are_there_after_a_restart_and_older_ones_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = GenerationStore::open(dir.path()).unwrap();
        let [first, second, third] = [b"1", b"2", b"3"].map(|bytes| keep(&store, bytes));

        let store = GenerationStore::open(dir.path()).unwrap();
        let record = store.record("a").unwrap();
        let current = record.current.unwrap();
        assert!(current.hash == third && current.judges() == [EntityType::Market]);
        assert_eq!(record.previous.unwrap().hash, second);
        assert!(store.component(&third).is_ok() && store.component(&second).is_ok());
        assert!(store.component(&first).is_err());

        store.forget("a").unwrap();
        assert!(GenerationStore::open(dir.path()).unwrap().records().is_empty());
        assert!(store.component(&third).is_err());
    }

    #[test]
    fn what_is_quarantined_gives_way_to_the_generation_before_and_stays_so_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let store = GenerationStore::open(dir.path()).unwrap();
        let [first, second] = [b"1", b"2"].map(|bytes| keep(&store, bytes));
        let contents = contents_hash(&second, &Beside::default());
        store.quarantine("a", Quarantined { hash: second, contents, reason: "it failed".into() }).unwrap();
        store.set_disabled("a", true).unwrap();

        let store = GenerationStore::open(dir.path()).unwrap();
        let record = store.record("a").unwrap();
        assert_eq!((record.current.unwrap().hash, record.previous.is_none(), record.is_disabled), (first, true, true));
        assert_eq!(record.quarantined[0].hash, second);
        store.lift("a").unwrap();
        store.retire("a").unwrap();
        store.set_disabled("a", false).unwrap();
        assert!(store.record("a").is_none(), "nothing is left to be remembered");
    }

    #[test]
    fn damaged_bytes_are_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = GenerationStore::open(dir.path()).unwrap();
        let hash = keep(&store, b"good");
        fs::write(dir.path().join(format!("{hash}.wasm")), b"evil").unwrap();
        assert!(store.component(&hash).is_err());
    }

    #[test]
    fn what_is_no_webassembly_is_hashed_and_not_copied_and_what_was_not_kept_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = GenerationStore::open(dir.path()).unwrap();
        let incoming = || fs::read_dir(dir.path().join(INCOMING)).unwrap().count();
        for bytes in [b"".as_slice(), b"\0as", &vec![7; 1 << 20]] {
            let file = dir.path().join("dropped");
            fs::write(&file, bytes).unwrap();
            let received = store.receive(&file).unwrap();
            assert!(received.component.is_none() && received.hash == Hash::of(bytes) && incoming() == 0);
        }
        let received = receive(&store, b"tried");
        assert_eq!(incoming(), 1);
        drop(received);
        assert_eq!(incoming(), 0);
    }

    #[test]
    fn a_damaged_state_file_stops_the_start_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STATE_FILE), b"{").unwrap();
        let error = GenerationStore::open(dir.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("delete it"), "{error}");
    }

    #[test]
    fn the_state_of_an_earlier_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let hash = Hash::of(b"x");
        let text = format!(
            r#"{{"plugins": {{"a": {{"hash": "{hash}", "artefact": null, "kind": "validator", "subscriptions": ["market"]}}}}}}"#
        );
        fs::write(dir.path().join(STATE_FILE), text).unwrap();
        let record = GenerationStore::open(dir.path()).unwrap().record("a").unwrap();
        assert_eq!((record.current.unwrap().hash, record.previous), (hash, None));
    }
}
