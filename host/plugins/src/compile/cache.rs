//! What was compiled, kept by the component's hash, the engine and the limits.
//!
//! An artefact is machine code that the server runs: whoever can write here can do what the server can. So the folder belongs to the
//! server's user and is closed to all others, which is checked whenever something is read from it. The SHA-256 at the beginning of each
//! file finds damage, not an attacker, who would write another.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::process::geteuid;

use crate::{error::StartError, hash::Hash};

/// The largest components become some 60 MiB; a server has a few of these at most.
const MAX_BYTES: u64 = 1 << 30;
/// Reasons of files that were refused: one for each attempt of somebody who tries.
const MAX_REFUSALS: usize = 1000;
const ARTEFACT: &str = "cwasm";
const REFUSAL: &str = "refused";
const PARTIAL: &str = "partial";

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The folder.
pub(crate) struct CompiledCache {
    dir: PathBuf,
    /// What is common to all keys: the engine, and the limit under which it compiles.
    suffix: String,
}

impl CompiledCache {
    /// Opens the folder, which is made if it is not there.
    pub(crate) fn open(dir: &Path, engine: Hash, memory_bytes: u64) -> Result<Self, StartError> {
        let failed = |source| StartError::CompiledDirectory { path: dir.into(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let cache = Self { dir: dir.into(), suffix: format!("{}-{}m", engine.short(), memory_bytes >> 20) };
        cache.verify().map_err(failed)?;
        cache.sweep(true);
        Ok(cache)
    }

    /// Refuses a folder that is not this user's alone.
    fn verify(&self) -> io::Result<()> {
        let metadata = fs::symlink_metadata(&self.dir)?;
        let own = metadata.is_dir() && metadata.uid() == geteuid().as_raw();
        if own && metadata.mode() & OTHERS == 0 {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "holds machine code that the server runs, so it must be a folder of the server's user, closed to all others: chmod 700",
        ))
    }

    /// The artefact of a component, or why it was refused; None where neither is known, or what is there is damaged.
    pub(super) fn get(&self, hash: &Hash) -> Option<Result<Vec<u8>, String>> {
        if let Err(error) = self.verify() {
            tracing::error!(dir = %self.dir.display(), %error, "compiled_directory_not_trusted");
            return None;
        }
        // An empty one was not written to its end.
        if let Some(reason) = fs::read_to_string(self.path(hash, REFUSAL)).ok().filter(|reason| !reason.is_empty()) {
            return Some(Err(reason));
        }
        let path = self.path(hash, ARTEFACT);
        let artefact = read_artefact(&path)?;
        // What is used stays longest. A failure costs nothing but that.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(Ok(artefact))
    }

    /// A new file, which the compiler writes to.
    pub(super) fn begin(&self, hash: &Hash) -> io::Result<(File, PathBuf)> {
        self.verify()?;
        let path = self.dir.join(format!(".{hash}.{}.{PARTIAL}", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok((file, path))
    }

    /// Keeps what the compiler wrote, if that is what its beginning says.
    pub(super) fn finish(&self, hash: &Hash, partial: &Path) -> io::Result<()> {
        self.verify()?;
        read_artefact(partial).ok_or_else(|| io::Error::other("what the compiler wrote is damaged"))?;
        File::open(partial)?.sync_all()?;
        fs::rename(partial, self.path(hash, ARTEFACT))?;
        File::open(&self.dir)?.sync_all()?;
        self.sweep(false);
        Ok(())
    }

    /// Remembers why a file cannot be compiled. What cannot be remembered is found out again.
    pub(super) fn refuse(&self, hash: &Hash, reason: &str) {
        let path = self.path(hash, REFUSAL);
        if let Err(error) = self.keep_refusal(&path, reason) {
            tracing::warn!(path = %path.display(), %error, "refusal_not_remembered");
        }
        self.sweep(false);
    }

    fn keep_refusal(&self, path: &Path, reason: &str) -> io::Result<()> {
        self.verify()?;
        let partial = path.with_extension(PARTIAL);
        // An error means that there is none.
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(reason.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    }

    pub(super) fn forget_refusal(&self, hash: &Hash) {
        // An error means that there is none.
        let _ = fs::remove_file(self.path(hash, REFUSAL));
    }

    fn path(&self, hash: &Hash, extension: &str) -> PathBuf {
        self.dir.join(format!("{hash}-{}.{extension}", self.suffix))
    }

    /// Keeps the folder within its bounds: what was not used for longest goes first.
    fn sweep(&self, starting: bool) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let mut artefacts = Vec::new();
        let mut refusals = Vec::new();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(metadata) = path.metadata() else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|it| it.to_str()) {
                Some(ARTEFACT) => artefacts.push((used, metadata.len(), path)),
                Some(REFUSAL) => refusals.push((used, metadata.len(), path)),
                // Of a server that ended meanwhile. One that shares the folder would compile again.
                Some(PARTIAL) if starting && is_stale(used) => remove(&path),
                _ => {}
            }
        }
        let most = MAX_REFUSALS.min(refusals.len());
        refusals.sort();
        refusals.iter().rev().skip(most).for_each(|(_, _, path)| remove(path));
        artefacts.sort();
        let mut bytes = 0;
        for (_, size, path) in artefacts.iter().rev() {
            bytes += size;
            if bytes > MAX_BYTES {
                remove(path);
            }
        }
    }
}

/// No compilation takes so long.
fn is_stale(written: SystemTime) -> bool {
    written.elapsed().is_ok_and(|age| age > super::PATIENCE)
}

fn remove(path: &Path) {
    // What stays for now is swept the next time.
    let _ = fs::remove_file(path);
}

/// The machine code of a file that begins with its SHA-256; None if it is not there or damaged.
fn read_artefact(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    let (digest, artefact) = bytes.split_first_chunk::<32>()?;
    if Hash::of(artefact).bytes() != digest {
        return None;
    }
    bytes.drain(..32);
    Some(bytes)
}

/// Writes machine code as [`read_artefact`] reads it.
pub(super) fn write_artefact(mut out: impl io::Write, artefact: &[u8]) -> io::Result<()> {
    out.write_all(Hash::of(artefact).bytes())?;
    out.write_all(artefact)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn keep(cache: &CompiledCache, hash: &Hash, artefact: &[u8]) {
        let (file, partial) = cache.begin(hash).unwrap();
        write_artefact(file, artefact).unwrap();
        cache.finish(hash, &partial).unwrap();
    }

    #[test]
    fn what_was_compiled_is_kept_for_the_same_engine_and_limit_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("compiled");
        let (hash, engine) = (Hash::of(b"component"), Hash::of(b"engine"));
        let cache = CompiledCache::open(&dir, engine, 64 << 20).unwrap();
        assert_eq!(cache.get(&hash), None);
        keep(&cache, &hash, b"code");
        assert_eq!(cache.get(&hash), Some(Ok(b"code".to_vec())));
        assert_eq!(CompiledCache::open(&dir, Hash::of(b"newer"), 64 << 20).unwrap().get(&hash), None);
        assert_eq!(CompiledCache::open(&dir, engine, 32 << 20).unwrap().get(&hash), None);

        let path = cache.path(&hash, ARTEFACT);
        let mut damaged = fs::read(&path).unwrap();
        damaged[33] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert_eq!(cache.get(&hash), None);
    }

    #[test]
    fn a_refusal_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, hash) = (folder.path().join("compiled"), Hash::of(b"bomb"));
        CompiledCache::open(&dir, Hash::of(b"engine"), 1).unwrap().refuse(&hash, "too much memory");
        let cache = CompiledCache::open(&dir, Hash::of(b"engine"), 1).unwrap();
        assert_eq!(cache.get(&hash), Some(Err("too much memory".into())));
        cache.forget_refusal(&hash);
        assert_eq!(cache.get(&hash), None);
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, hash) = (folder.path().join("compiled"), Hash::of(b"component"));
        let cache = CompiledCache::open(&dir, Hash::of(b"engine"), 1).unwrap();
        keep(&cache, &hash, b"code");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.get(&hash), None);
        assert!(cache.begin(&hash).is_err());
        let error = CompiledCache::open(&dir, Hash::of(b"engine"), 1).map(drop).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("chmod 700"), "{error:?}");
    }
}
