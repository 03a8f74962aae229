//! A file that nobody may write, not even root: what a volume is that is mounted read-only.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A file, mounted over itself. Writable again with its drop.
pub struct ReadOnlyFile {
    path: PathBuf,
}

impl ReadOnlyFile {
    /// Makes it so; none where this user may not, which is said, and fails where everything is to be tested.
    pub fn mount(path: &Path) -> Option<Self> {
        let bind = Command::new("mount").arg("--bind").args([path, path]).output().unwrap();
        if !bind.status.success() {
            assert!(std::env::var_os("CI").is_none(), "a file cannot be mounted: {bind:?}");
            println!("skipped: only root can mount a file: {bind:?}");
            return None;
        }
        let this = Self { path: path.to_owned() };
        let read_only = Command::new("mount").args(["-o", "remount,ro,bind"]).arg(path).output().unwrap();
        assert!(read_only.status.success(), "{read_only:?}");
        Some(this)
    }
}

impl Drop for ReadOnlyFile {
    fn drop(&mut self) {
        // Lazily: a server that ends beside this may still have it open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
    }
}
