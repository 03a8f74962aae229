//! What lies in the watched directory.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    config::MAX_COMPONENT_BYTES,
    generation_store::{GenerationStore, Received},
    hash::{Hash, StreamHasher},
};

/// A directory with more is refused: some dozen venues and rules are what one server has.
const MAX_FILES: usize = 256;
/// What lies beside a component is read whole: its settings are a page, its cases a few calls.
const MAX_SIDECAR_BYTES: u64 = 8 << 20;

/// What tells that a file changed without its contents being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Links resolved: a link that leads elsewhere is another file.
    path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Set by the kernel whatever a copy does to the time of modification.
    changed: (i64, i64),
}

/// The files that belong to one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginFiles {
    /// As it lies in the directory.
    pub(crate) path: PathBuf,
    /// `<name>.wasm`; the error says why it cannot be looked at.
    component: Result<Fingerprint, String>,
    /// What lies beside it.
    beside: Beside<Fingerprint>,
}

/// What may lie beside a component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beside<T> {
    /// `<name>.toml`
    pub(crate) config: Option<T>,
    /// `<name>.tests.json`
    pub(crate) cases: Option<T>,
    /// `<name>.wasm.minisig`
    pub(crate) signature: Option<T>,
    /// Its settings in the server's configuration, which lie in no file here.
    pub(crate) server: Option<T>,
}

impl<T> Beside<T> {
    /// Makes something of each file.
    fn try_map<U, E>(&self, mut make: impl FnMut(&T) -> Result<U, E>) -> Result<Beside<U>, E> {
        Ok(Beside {
            config: self.config.as_ref().map(&mut make).transpose()?,
            cases: self.cases.as_ref().map(&mut make).transpose()?,
            signature: self.signature.as_ref().map(&mut make).transpose()?,
            server: self.server.as_ref().map(&mut make).transpose()?,
        })
    }
}

impl Beside<Fingerprint> {
    /// What lies beside the component now.
    fn of(component: &Path) -> io::Result<Self> {
        // A link whose target is not there yet is one that cannot be read, and not none: what it says must not be passed over.
        let look = |extension: &str| {
            let path = component.with_extension(extension);
            match fs::symlink_metadata(&path) {
                Err(error) => absent(error),
                Ok(_) => fingerprint(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display()))),
            }
        };
        Ok(Self { config: look("toml")?, cases: look("tests.json")?, signature: look("wasm.minisig")?, server: None })
    }
}

/// A plugin in the directory.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) stem: String,
    pub(crate) files: PluginFiles,
}

/// What the files of a plugin hold.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) component: Received,
    pub(crate) beside: Beside<String>,
}

/// Names a component together with what lies beside it.
pub(crate) fn contents_hash(component: &Hash, beside: &Beside<String>) -> Hash {
    let mut hasher = StreamHasher::default();
    hasher.update(component.bytes());
    for text in [&beside.config, &beside.cases, &beside.signature] {
        // That one is there and empty is another thing than that it is not there.
        hasher.update(&[u8::from(text.is_some())]);
        hasher.update(Hash::of(text.as_deref().unwrap_or_default().as_bytes()).bytes());
    }
    if let Some(text) = &beside.server {
        hasher.update(Hash::of(text.as_bytes()).bytes());
    }
    hasher.finish()
}

/// Which directory a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryId {
    device: u64,
    inode: u64,
    /// The number of an inode is used again, the time of its birth is not. Not every file system tells it.
    created: Option<SystemTime>,
}

/// The directory that the path leads to now, links resolved. Where plugins must be `signed`, it is refused if others may write to it:
/// who can change what lies beside a component can take a rule out of service.
pub(crate) fn directory(dir: &Path, signed: bool) -> io::Result<DirectoryId> {
    let metadata = fs::metadata(dir)?;
    if signed && metadata.mode() & 0o022 != 0 {
        let message = "others may write to it, and plugins.trust is `signed`: chmod go-w";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(DirectoryId { device: metadata.dev(), inode: metadata.ino(), created: metadata.created().ok() })
}

/// The plugins `<stem>.wasm`, in the order of their names. Names that begin with a dot are how a file is written before it is
/// renamed.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let (Some(stem), Some(extension)) = (path.file_stem().and_then(|it| it.to_str()), path.extension()) else {
            continue;
        };
        if extension != "wasm" || stem.starts_with('.') {
            continue;
        }
        let component = match fingerprint(&path) {
            Ok(Some(fingerprint)) => Ok(fingerprint),
            Ok(None) => continue,
            // A link whose target is not there yet: what cannot be looked at is not deleted.
            Err(error) => Err(error.to_string()),
        };
        let (component, beside) = match Beside::of(&path) {
            Ok(beside) => (component, beside),
            Err(error) => (Err(error.to_string()), Beside { config: None, cases: None, signature: None, server: None }),
        };
        found.insert(stem.to_owned(), PluginFiles { path, component, beside });
    }
    // None of them is passed over: it would look deleted, and a rule would be gone.
    if found.len() > MAX_FILES {
        return Err(io::Error::other(format!("has {} plugins, and must have at most {MAX_FILES}", found.len())));
    }
    Ok(found.into_iter().map(|(stem, files)| Found { stem, files }).collect())
}

/// Deletes a component, and what lies beside it.
pub(crate) fn remove(component: &Path) -> io::Result<()> {
    // The component last: as long as it is there, nothing was removed.
    for extension in ["toml", "tests.json", "wasm.minisig", "wasm"] {
        let path = component.with_extension(extension);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn absent(error: io::Error) -> io::Result<Option<Fingerprint>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
}

/// The contents, and their hash. None if they changed meanwhile.
pub(crate) fn read(files: &PluginFiles, store: &GenerationStore) -> io::Result<Option<Contents>> {
    let component = files.component.as_ref().map_err(|why| io::Error::other(why.clone()))?;
    if component.bytes > MAX_COMPONENT_BYTES {
        let limit_mib = MAX_COMPONENT_BYTES >> 20;
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is larger than {limit_mib} MiB")));
    }
    let received = store.receive(&component.path)?;
    let beside = files.beside.try_map(read_text)?;
    let is_unchanged = fingerprint(&files.path).or_else(absent)?.as_ref() == Some(component)
        && Beside::of(&files.path)? == files.beside;
    Ok(is_unchanged.then_some(Contents { component: received, beside }))
}

fn read_text(file: &Fingerprint) -> io::Result<String> {
    if file.bytes > MAX_SIDECAR_BYTES {
        let limit_mib = MAX_SIDECAR_BYTES >> 20;
        let message = format!("{}: is larger than {limit_mib} MiB", file.path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    fs::read_to_string(&file.path)
}

/// None for what is no file.
fn fingerprint(path: &Path) -> io::Result<Option<Fingerprint>> {
    let path = fs::canonicalize(path)?;
    let metadata = fs::metadata(&path)?;
    Ok(metadata.is_file().then(|| Fingerprint {
        path,
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_resolved_and_dot_files_and_others_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let store = GenerationStore::open(elsewhere.path()).unwrap();
        let target = elsewhere.path().join("v1");
        fs::write(&target, b"linked").unwrap();
        symlink(&target, dir.path().join("linked.wasm")).unwrap();
        symlink("nowhere", dir.path().join("dangling.wasm")).unwrap();
        for name in [".partial.wasm", "notes.txt", "plain.wasm", "plain.toml"] {
            fs::write(dir.path().join(name), b"plain").unwrap();
        }
        fs::create_dir(dir.path().join("folder.wasm")).unwrap();

        let found = list(dir.path()).unwrap();
        assert_eq!(found.iter().map(|it| it.stem.as_str()).collect::<Vec<_>>(), ["dangling", "linked", "plain"]);
        assert!(read(&found[0].files, &store).is_err(), "what cannot be looked at is there all the same");
        assert_eq!(read(&found[1].files, &store).unwrap().unwrap().component.hash, Hash::of(b"linked"));
        assert_eq!(read(&found[2].files, &store).unwrap().unwrap().beside.config.as_deref(), Some("plain"));

        fs::write(&target, b"linked anew").unwrap();
        assert!(read(&found[1].files, &store).unwrap().is_none(), "it changed since it was listed");
        fs::write(dir.path().join("plain.toml"), b"other").unwrap();
        assert!(read(&found[2].files, &store).unwrap().is_none(), "and so did what lies beside it");
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        let write = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            list(dir.path()).unwrap().remove(0).files
        };
        let before = write(b"one");
        // The clock of the file system ticks every few milliseconds.
        let mut after = write(b"two");
        while after == before {
            std::thread::yield_now();
            after = write(b"two");
        }
        assert_eq!(after, list(dir.path()).unwrap().remove(0).files);
    }
}
