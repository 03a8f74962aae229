//! The bytes of the generations that were activated, kept over restarts: a damaged file is never an absent rule.
//!
//! The data directory holds `<hash>.wasm`, what it was compiled to as `<hash>.cwasm`, and `plugins.json`, which names
//! the generation of each plugin. A file is written under another name, synced, and renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use cqar_domain::id::EntityType;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    error::StartError,
    hash::Hash,
    manifest::{Kind, Manifest},
};

const STATE_FILE: &str = "plugins.json";

/// The data directory.
pub(crate) struct LastGood {
    dir: PathBuf,
    kept: Mutex<State>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct State {
    plugins: BTreeMap<String, LastGoodGeneration>,
}

/// What is known of a plugin's last good generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LastGoodGeneration {
    pub(crate) hash: Hash,
    /// The hash of what it was compiled to.
    artefact: Option<Hash>,
    kind: Kind,
    subscriptions: Vec<String>,
}

impl LastGoodGeneration {
    /// Whether writes of this type were its business.
    pub(crate) fn judges(&self, entity_type: EntityType) -> bool {
        self.kind == Kind::Validator && self.subscriptions.iter().any(|it| it == entity_type.name())
    }
}

impl LastGood {
    /// Opens the directory, which is made if it is not there.
    pub(crate) fn open(dir: &Path) -> Result<Self, StartError> {
        let failed = |path: &Path, source: io::Error| StartError::DataDirectory { path: path.into(), source };
        fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        let path = dir.join(STATE_FILE);
        let state = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| StartError::State { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(failed(&path, error)),
        };
        let probe = dir.join(".writable");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|error| failed(dir, error))?;
        Ok(Self { dir: dir.into(), kept: Mutex::new(state) })
    }

    /// The last good generation of every plugin.
    pub(crate) fn kept(&self) -> BTreeMap<String, LastGoodGeneration> {
        self.kept.lock().plugins.clone()
    }

    /// The bytes of a component, if they still have their hash.
    pub(crate) fn bytes(&self, hash: &Hash) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.path(hash, "wasm"))?;
        if Hash::of(&bytes) == *hash { Ok(bytes) } else { Err(io::Error::other("the kept bytes are damaged")) }
    }

    /// What the component was compiled to, if both are kept undamaged: what is compiled anew is kept anew.
    pub(crate) fn artefact(&self, hash: &Hash) -> Option<Vec<u8>> {
        self.bytes(hash).ok()?;
        let noted = self.kept.lock().plugins.values().find(|kept| kept.hash == *hash)?.artefact?;
        let artefact = fs::read(self.path(hash, "cwasm")).ok()?;
        (Hash::of(&artefact) == noted).then_some(artefact)
    }

    /// Makes this the last good generation of a plugin. Nothing has changed if it fails.
    pub(crate) fn keep(
        &self,
        name: &str,
        hash: &Hash,
        bytes: &[u8],
        manifest: &Manifest,
        artefact: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut state = self.kept.lock();
        self.write(&self.path(hash, "wasm"), bytes)?;
        if let Some(artefact) = artefact {
            self.write(&self.path(hash, "cwasm"), artefact)?;
        }
        let kept = LastGoodGeneration {
            hash: *hash,
            artefact: artefact.map(Hash::of),
            kind: manifest.kind,
            subscriptions: manifest.subscriptions.iter().map(ToString::to_string).collect(),
        };
        let mut next = state.clone();
        next.plugins.insert(name.into(), kept);
        self.write_state(&next)?;
        *state = next;
        self.sweep(&state);
        Ok(())
    }

    /// Forgets a plugin whose file was deleted.
    pub(crate) fn forget(&self, name: &str) -> io::Result<()> {
        let mut state = self.kept.lock();
        let mut next = state.clone();
        if next.plugins.remove(name).is_some() {
            self.write_state(&next)?;
            *state = next;
            self.sweep(&state);
        }
        Ok(())
    }

    fn path(&self, hash: &Hash, extension: &str) -> PathBuf {
        self.dir.join(format!("{hash}.{extension}"))
    }

    fn write_state(&self, state: &State) -> io::Result<()> {
        self.write(&self.dir.join(STATE_FILE), &serde_json::to_vec_pretty(state)?)
    }

    /// Either the old contents or the new are there, whenever the power fails.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Removes the files of generations that nothing refers to.
    fn sweep(&self, state: &State) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let hash = path.file_stem().and_then(|stem| stem.to_str()).and_then(Hash::from_hex);
            if hash.is_some_and(|hash| !state.plugins.values().any(|kept| kept.hash == hash)) {
                // What stays for now is swept the next time.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let document = r#"{"name": "a", "version": "1", "kind": "validator", "subscriptions": ["market"]}"#;
        Manifest::read(document, "a").unwrap()
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_what_replaced_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (Hash::of(b"old"), Hash::of(b"new"));
        let store = LastGood::open(dir.path()).unwrap();
        store.keep("a", &old, b"old", &manifest(), None).unwrap();
        store.keep("a", &new, b"new", &manifest(), Some(b"compiled")).unwrap();

        let store = LastGood::open(dir.path()).unwrap();
        let kept = store.kept();
        assert!(kept["a"].hash == new && kept["a"].judges(EntityType::Market) && !kept["a"].judges(EntityType::Asset));
        assert_eq!(store.bytes(&new).unwrap(), b"new");
        assert_eq!(store.artefact(&new).unwrap(), b"compiled");
        assert!(store.bytes(&old).is_err());

        store.forget("a").unwrap();
        assert!(LastGood::open(dir.path()).unwrap().kept().is_empty());
    }

    #[test]
    fn damaged_bytes_are_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let hash = Hash::of(b"good");
        let store = LastGood::open(dir.path()).unwrap();
        store.keep("a", &hash, b"good", &manifest(), Some(b"compiled")).unwrap();
        fs::write(dir.path().join(format!("{hash}.wasm")), b"evil").unwrap();
        fs::write(dir.path().join(format!("{hash}.cwasm")), b"evil").unwrap();
        assert!(store.bytes(&hash).is_err());
        assert!(store.artefact(&hash).is_none());
    }

    #[test]
    fn a_damaged_state_file_stops_the_start_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STATE_FILE), b"{").unwrap();
        let error = LastGood::open(dir.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("delete it"), "{error}");
    }
}
