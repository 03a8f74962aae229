//! How much memory this process's control group can still give (cgroups(7), versions 1 and 2).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The least that is left of what bounds this process: its control groups, and the machine. None where nothing is known.
pub(super) fn bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_groups = groups.lines().flat_map(|line| of_group(line, Path::new("/sys/fs/cgroup")));
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    of_groups.chain(of_machine).min()
}

/// `MemAvailable` of /proc/meminfo, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}

/// What each group has left, from this one to the outermost. A line is `id:controllers:path`.
fn of_group(line: &str, root: &Path) -> Vec<u64> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let version = match controllers {
        "" => Version { root: root.into(), limit: "memory.max", usage: "memory.current", reclaimable: "inactive_file" },
        it if it.split(',').any(|it| it == "memory") => Version {
            root: root.join("memory"),
            limit: "memory.limit_in_bytes",
            usage: "memory.usage_in_bytes",
            reclaimable: "total_inactive_file",
        },
        _ => return Vec::new(),
    };
    // In a container the path may be the host's, while the files are the container's own: then only the outermost is there.
    let innermost = version.root.join(path.trim_start_matches('/'));
    innermost.ancestors().take_while(|dir| dir.starts_with(&version.root)).filter_map(|dir| version.left(dir)).collect()
}

struct Version {
    root: PathBuf,
    limit: &'static str,
    usage: &'static str,
    reclaimable: &'static str,
}

impl Version {
    /// What a group has left: its limit less its usage, of which the kernel can take cached files back.
    fn left(&self, dir: &Path) -> Option<u64> {
        let number = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let statistics = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        let reclaimable = statistics.lines().find_map(|line| line.strip_prefix(self.reclaimable)?.trim().parse().ok());
        Some(limit.saturating_sub(usage.saturating_sub(reclaimable.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts_in_both_versions() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pod/memory.max", "1000\n");
        write("pod/memory.current", "700\n");
        write("pod/memory.stat", "anon 1\ninactive_file 100\n");
        write("pod/app/memory.max", "max\n");
        write("pod/app/memory.current", "1\n");
        write("memory/a/memory.limit_in_bytes", "500");
        write("memory/a/memory.usage_in_bytes", "450");
        assert_eq!(of_group("0::/pod/app", root.path()), [400]);
        assert_eq!(of_group("4:memory:/a", root.path()), [50]);
        assert!(of_group("4:memory:/of/the/host", root.path()).is_empty());
        assert!(of_group("3:cpuset:/", root.path()).is_empty());
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:  3 kB\n"), Some(3072));
    }
}
