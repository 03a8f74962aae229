//! What lies in the watched directory.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{config::MAX_COMPONENT_BYTES, hash::Hash};

/// A directory with more is refused: some dozen venues and rules are what one server has.
const MAX_FILES: usize = 256;

/// What tells that a file changed without its contents being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    bytes: u64,
    modified: SystemTime,
    device: u64,
    inode: u64,
}

/// A file that may be a plugin.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) stem: String,
    pub(crate) path: PathBuf,
    pub(crate) fingerprint: Fingerprint,
}

/// Which directory a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryId {
    device: u64,
    inode: u64,
    /// The number of an inode is used again, the time of its birth is not. Not every file system tells it.
    created: Option<SystemTime>,
}

/// The directory that the path leads to now, links resolved.
pub(crate) fn directory(dir: &Path) -> io::Result<DirectoryId> {
    let metadata = fs::metadata(dir)?;
    Ok(DirectoryId { device: metadata.dev(), inode: metadata.ino(), created: metadata.created().ok() })
}

/// The files `<stem>.wasm`, links resolved. Names that begin with a dot are how a file is written before it is renamed.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let (Some(stem), Some(extension)) = (path.file_stem().and_then(|it| it.to_str()), path.extension()) else {
            continue;
        };
        if extension != "wasm" || stem.starts_with('.') {
            continue;
        }
        // A link whose target is not there yet, or a file that was just removed.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_file() {
            found.push(Found { stem: stem.to_owned(), fingerprint: fingerprint(&metadata)?, path });
        }
    }
    found.sort_by(|a, b| a.stem.cmp(&b.stem));
    // None of them is passed over: it would look deleted, and a rule would be gone.
    if found.len() > MAX_FILES {
        return Err(io::Error::other(format!("has {} plugins, and must have at most {MAX_FILES}", found.len())));
    }
    Ok(found)
}

/// The contents, and their hash. None if the file changed meanwhile.
pub(crate) fn read(found: &Found) -> io::Result<Option<(Hash, Vec<u8>)>> {
    if found.fingerprint.bytes > MAX_COMPONENT_BYTES {
        let limit_mib = MAX_COMPONENT_BYTES >> 20;
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is larger than {limit_mib} MiB")));
    }
    let bytes = fs::read(&found.path)?;
    let unchanged = fingerprint(&fs::metadata(&found.path)?)? == found.fingerprint;
    Ok(unchanged.then(|| (Hash::of(&bytes), bytes)))
}

fn fingerprint(metadata: &fs::Metadata) -> io::Result<Fingerprint> {
    Ok(Fingerprint {
        bytes: metadata.len(),
        modified: metadata.modified()?,
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_resolved_and_dot_files_and_others_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("v1");
        fs::write(&target, b"linked").unwrap();
        symlink(&target, dir.path().join("linked.wasm")).unwrap();
        symlink("nowhere", dir.path().join("dangling.wasm")).unwrap();
        for name in [".partial.wasm", "notes.txt", "plain.wasm"] {
            fs::write(dir.path().join(name), b"plain").unwrap();
        }
        fs::create_dir(dir.path().join("folder.wasm")).unwrap();

        let found = list(dir.path()).unwrap();
        assert_eq!(found.iter().map(|it| it.stem.as_str()).collect::<Vec<_>>(), ["linked", "plain"]);
        assert_eq!(read(&found[0]).unwrap().unwrap().1, b"linked");

        fs::write(&target, b"linked anew").unwrap();
        assert!(read(&found[0]).unwrap().is_none(), "it changed since it was listed");
    }
}
