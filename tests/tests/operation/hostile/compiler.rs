//! What the compiler's process is bounded by.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cqar_proto::v1::plugin::State;
use cqar_tests::{
    collect::until,
    environment::TestEnvironment,
    modules,
    server::{Options, Server},
};

use super::{SYMBOLOGY, VALIDATOR, hostile_server, start, testing_plugin, well_behaved};
use crate::{
    load::Load,
    swap::{find, plugin, put, serves},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute of processor time: make test-full"]
async fn a_file_that_takes_the_compiler_minutes_is_refused_and_delays_no_small_one() {
    // Enough memory that it is time that runs out: it takes 0.8 GB.
    let with = |options: Options| options.with("PLUGINS_COMPILE_MEMORY", "2GiB");
    let (server, registered) = start(&TestEnvironment::none(), &[VALIDATOR, SYMBOLOGY], with).await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    put(&server.options, "huge-function", &modules::one_huge_function());
    put(&server.options, "require-tick", &testing_plugin("require-tick"));
    serves(&server, "require-tick", 1).await;
    assert_eq!(plugin(&server, "huge-function").await.state(), State::Pending);
    let mut reason = String::new();
    for _ in 0..200 {
        let found = plugin(&server, "huge-function").await;
        if found.state() == State::Rejected {
            reason = found.reason;
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(reason.contains("60 s of processor time"), "{reason}");
    load.end().await;
}

/// The processes whose parent this is.
fn children(pid: u32) -> Vec<u32> {
    let parent = |stat: &str| stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let of_parent =
        |child: &u32| fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| parent(&stat) == Some(pid));
    processes.filter(of_parent).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_ends_with_its_server() {
    let (server, _) = hostile_server().await;
    let pid = server.pid();
    put(&server.options, "huge-function", &modules::one_huge_function());
    let compiler = until("it compiles", async || children(pid).first().copied()).await;
    // It takes them one by one, the last of which makes it the first to go where memory is short.
    let first_to_go = || fs::read_to_string(format!("/proc/{compiler}/oom_score_adj")).unwrap().trim() == "1000";
    until("it has its limits", async || first_to_go().then_some(())).await;
    let limits = fs::read_to_string(format!("/proc/{compiler}/limits")).unwrap();
    let line = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("Max cpu time").contains("60") && line("Max core file size").contains(" 0 "), "{limits}");
    assert!(line("Max address space").contains(&(512_u64 << 20).to_string()), "{limits}");
    assert!(fs::read(format!("/proc/{compiler}/environ")).unwrap().starts_with(b"MALLOC_CONF="));
    drop(server.kill());
    until("it is gone", async || (!Path::new(&format!("/proc/{compiler}")).exists()).then_some(())).await;
}

/// A control group within this process's own, which bounds memory (cgroups(7)); it is taken away when it is dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    /// None where none may be made.
    fn bounded(bytes: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let (root, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let group = Path::new(root).join(path).join(format!("cqar-{}", std::process::id()));
            fs::create_dir(&group).ok()?;
            let group = Self(group);
            fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }

    fn take(&self, server: &Server) {
        fs::write(self.0.join("cgroup.procs"), server.pid().to_string()).unwrap();
    }

    /// How often the kernel ended a process of it.
    fn killed(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"].map(|name| fs::read_to_string(self.0.join(name)));
        let lines = files.iter().flatten().flat_map(|text| text.lines());
        lines.filter_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok()).sum()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Its processes end a moment after they were told to.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compiler_takes_no_more_than_its_control_group_has_left() {
    let Some(group) = ControlGroup::bounded(1 << 30) else {
        println!("no control group may be made here");
        return;
    };
    // The configuration alone would allow what the group does not have.
    let allowed = |options: Options| options.with("PLUGINS_COMPILE_MEMORY", "2GiB");
    let (server, registered) = start(&TestEnvironment::none(), &[], allowed).await;
    group.take(&server);
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    put(&server.options, "many-locals", &modules::many_locals());
    let reason = until("it is refused", async || {
        let found = find(&server, "many-locals").await?;
        (found.state() == State::Rejected).then_some(found.reason)
    })
    .await;
    assert!(reason.contains("that are free now"), "{reason}");
    assert_eq!(group.killed(), 0);
    load.goes_on().await;
    load.end().await;
    assert_eq!(group.killed(), 0);
    drop(server.kill());
}
