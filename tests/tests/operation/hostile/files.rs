//! Files that are no plugins, or none that the server could bear.

use std::{fs, time::Duration};

use cqar_proto::v1::plugin::State;
use cqar_tests::{
    collect::until,
    modules,
    server::{Options, Server},
};

use super::{PEAK_KIB, hostile_server, memory_kib, testing_plugin, well_behaved};
use crate::{
    load::Load,
    swap::{find, plugin, put, serves},
};

/// Files written into the one that is there, one every 50 ms for a minute.
const TURNS: usize = 1200;

/// Waits until a file is refused, and says why.
async fn refused(options: &Options, server: &Server, name: &str, bytes: &[u8]) -> String {
    put(options, name, bytes);
    until(&format!("{name} is refused"), async || {
        let found = find(server, name).await?;
        (found.state() == State::Rejected).then_some(found.reason)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_hurts_the_server_and_each_says_what_is_wrong_with_it() {
    let (server, registered) = hostile_server().await;
    let options = server.options.clone();
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    let good = testing_plugin("require-tick");
    let files = [
        ("many-locals", modules::many_locals(), "compile: the compiler would need more than 512 MiB of memory"),
        ("require-tick", modules::within(&good, &modules::large_memory()), "instantiate: needed more than 64 MiB"),
        ("large-table", modules::within(&good, &modules::large_table()), "instantiate: needed more than 64 MiB"),
        ("many-memories", modules::within(&good, &modules::many_memories()), "instantiate: "),
        ("nothing", modules::nothing(50 << 20), "compile: the file is not WebAssembly"),
        (
            "teleport",
            modules::unknown_import(modules::UNKNOWN_INTERFACE),
            "link: it imports what this server does not have: cqar:plugin/teleport@0.2.0 (build the plugin against",
        ),
        (
            "neural",
            modules::unknown_import(modules::UNKNOWN_WASI),
            "link: it imports what this server does not have: wasi:nn/inference@0.2.0 (build the plugin for wasm32-wasip2",
        ),
        ("wrong-type", modules::wrong_type(), "interface: "),
        ("core-module", modules::core_module(), "compile: the file is a module of WebAssembly and no component"),
        ("loop-in-describe", testing_plugin("loop-in-describe"), "describe: took longer than"),
        ("loop-in-configure", testing_plugin("loop-in-configure"), "configure: took longer than"),
        ("large-manifest", testing_plugin("large-manifest"), "describe: "),
        ("other-name", testing_plugin("hostile-symbology"), "describe: the manifest's name is \"hostile-symbology\""),
    ];
    for (name, bytes, says) in &files {
        let reason = refused(&options, &server, name, bytes).await;
        println!("{name}: {reason:.200}");
        assert!(reason.starts_with(says) && reason.len() < 5000, "{name}: {reason}");
    }
    load.goes_on().await;
    load.end().await;
    assert!(memory_kib(&server, "VmHWM") < PEAK_KIB, "{}", memory_kib(&server, "VmHWM"));

    // What was found out about a file is known after a restart.
    let server = server.kill().start().await;
    let reason = until("refused at once", async || {
        let found = plugin(&server, "many-locals").await;
        (found.state() == State::Rejected).then_some(found.reason)
    })
    .await;
    assert!(reason.contains("512 MiB"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_all_the_time_is_pending_and_the_last_one_serves() {
    let (server, _) = hostile_server().await;
    let builds = ["require-tick", "v2/market-sanity"].map(testing_plugin);
    put(&server.options, "require-tick", &builds[0]);
    let first = serves(&server, "require-tick", 1).await;
    let path = server.options.plugins().join("require-tick.wasm");
    let mut pending = 0;
    for turn in 0..TURNS {
        // As a build does that writes into the file that is there.
        fs::write(&path, &builds[turn % 2]).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let found = plugin(&server, "require-tick").await;
        assert_eq!(found.hash, first.hash, "the old generation serves");
        pending += usize::from(found.state() == State::Pending);
    }
    assert!(pending > TURNS / 2, "{pending}");
    fs::write(&path, &builds[0]).unwrap();
    let last = until("the last file serves", async || {
        let found = plugin(&server, "require-tick").await;
        (found.state() == State::Serving).then_some(found)
    })
    .await;
    assert_eq!(last.hash, first.hash);
}
