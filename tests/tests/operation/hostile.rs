//! Plugins that do their worst, one after another and three times over, beside well-behaved ones: no call of a neighbour fails, the
//! server lives on, its memory does not grow, and each reason is shown.

use std::{fs, time::Duration};

use cqar_proto::v1::{
    CreateMarketRequest, ImportListingOptions, Mutation, ResolveMarketRequest, Venue, VenueType, plugin::State,
};
use cqar_tests::{
    collect::until,
    environment::TestEnvironment,
    modules,
    server::{Options, Server, testing_plugins},
};
use tonic::{Code, Status};

use crate::{
    fixture::{apply, create, import_listing, instrument, market, mutation},
    load::Load,
    swap::{plugin, put},
};

const VALIDATOR: &str = "hostile-validator";
const SYMBOLOGY: &str = "hostile-symbology";
/// What one round may leave in memory beside the round before: pages that the allocator has not given back yet.
const GROWTH: f64 = 1.05;
/// The highest that the server's memory may ever be: its caches, 64 MiB for each of the calls that eat at a time, 512 MiB for a listing.
const PEAK_KIB: u64 = 1 << 20;

/// What is asked of a plugin that misbehaves on it.
enum Ask {
    /// A market is written.
    Write,
    /// A symbol is read.
    Read,
    /// A listing is imported.
    Import,
}

struct Case {
    plugin: &'static str,
    /// What it does.
    does: &'static str,
    export: &'static str,
    ask: Ask,
    /// What is said of it; none where the call ends well.
    says: Option<&'static str>,
}

const fn case(
    plugin: &'static str,
    does: &'static str,
    export: &'static str,
    ask: Ask,
    says: Option<&'static str>,
) -> Case {
    Case { plugin, does, export, ask, says }
}

const CASES: &[Case] = &[
    case(VALIDATOR, "loop", "validate", Ask::Write, Some("took longer than 250 ms to compute")),
    case(VALIDATOR, "eat", "validate", Ask::Write, Some("needed more than 64 MiB of memory")),
    case(VALIDATOR, "recurse", "validate", Ask::Write, Some("call stack exhausted")),
    case(VALIDATOR, "trap", "validate", Ask::Write, Some("told to trap")),
    case(VALIDATOR, "fail", "validate", Ask::Write, Some("TOLD_TO_FAIL")),
    case(VALIDATOR, "fail-control-characters", "validate", Ask::Write, Some("failed: ")),
    case(VALIDATOR, "sleep", "validate", Ask::Write, Some("took longer than 2000 ms in all")),
    case(VALIDATOR, "file", "validate", Ask::Write, None),
    case(VALIDATOR, "socket", "validate", Ask::Write, None),
    case(VALIDATOR, "print", "validate", Ask::Write, Some("took longer than")),
    case(VALIDATOR, "lookup-flood", "validate", Ask::Write, None),
    case(VALIDATOR, "log-flood", "validate", Ask::Write, Some("took longer than")),
    case(VALIDATOR, "large-answer", "validate", Ask::Write, None),
    case(VALIDATOR, "wrong-number", "validate", Ask::Write, Some("gave an answer that is none")),
    case(VALIDATOR, "control-characters", "validate", Ask::Write, None),
    case(SYMBOLOGY, "loop", "parse", Ask::Read, Some("took longer than 250 ms to compute")),
    case(SYMBOLOGY, "eat", "parse", Ask::Read, Some("needed more than 64 MiB of memory")),
    case(SYMBOLOGY, "trap", "parse", Ask::Read, Some("told to trap")),
    case(SYMBOLOGY, "large-kind", "parse", Ask::Read, Some("gave an answer that is none: kind")),
    case(SYMBOLOGY, "large-extra", "parse", Ask::Read, Some("gave an answer that is none: extra")),
    case(SYMBOLOGY, "large-answer", "parse", Ask::Read, None),
    case(SYMBOLOGY, "million-coverages", "read-listing", Ask::Import, Some("")),
    case(SYMBOLOGY, "million-markets", "read-listing", Ask::Import, Some("")),
    case(SYMBOLOGY, "trap", "read-listing", Ask::Import, Some("told to trap")),
];

/// What a process has of memory, by a line of its status in KiB.
fn memory_kib(server: &Server, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Lets a plugin do this on what contains `HOSTILE`.
async fn behave(server: &Server, case: &Case) {
    let before = plugin(server, case.plugin).await;
    let file = server.options.plugins().join(format!("{}.toml", case.plugin));
    let partial = server.options.folder().join("partial.toml");
    let grants = if case.plugin == VALIDATOR { "grants = [\"registry\"]\n" } else { "" };
    let settings = format!(
        "{grants}# {}\n[settings]\ndoes = \"{}\"\nin = \"{}\"\non = \"HOSTILE\"\n",
        before.generation, case.does, case.export
    );
    fs::write(&partial, settings).unwrap();
    fs::rename(&partial, &file).unwrap();
    until(&format!("{} {}", case.plugin, case.does), async || {
        let found = plugin(server, case.plugin).await;
        assert_ne!(found.state(), State::ServingLastGood, "{}", found.reason);
        (found.generation == before.generation + 1 && found.state() == State::Serving).then_some(())
    })
    .await;
}

async fn ask(server: &Server, ask: &Ask, spot: &str, number: usize) -> Result<(), Status> {
    match ask {
        Ask::Write => {
            let create: Mutation = mutation(create(market("okx", &format!("HOSTILE{number}"), spot)));
            apply(server, vec![create]).await.map(drop)
        }
        Ask::Read => {
            let request = ResolveMarketRequest {
                venue_id: "hostile".into(),
                venue_symbol: "HOSTILE-USDT".into(),
                allow_inferred: true,
                ..ResolveMarketRequest::default()
            };
            match server.markets().await.resolve_market(request).await {
                // That it is not known is an answer.
                Err(status) if status.code() == Code::NotFound => Ok(()),
                resolved => resolved.map(drop),
            }
        }
        Ask::Import => {
            let options = ImportListingOptions { venue_id: "hostile".into(), ..ImportListingOptions::default() };
            import_listing(server, options, b"\"HOSTILE-USDT\"").await.map(drop)
        }
    }
}

fn well_behaved(
    load: &mut Load,
    markets: &cqar_proto::v1::market_service_client::MarketServiceClient<tonic::transport::Channel>,
    spot: &str,
) {
    for symbol in ["BTC-USD", "NOBODYHASIT"] {
        let client = markets.clone();
        load.start(move || {
            let inferred = symbol == "NOBODYHASIT";
            let request = ResolveMarketRequest {
                venue_id: if inferred { "binance".into() } else { "coinbase".into() },
                venue_symbol: if inferred { "NOBODYHASITUSDT".into() } else { symbol.into() },
                segment: inferred.then(|| "spot".into()),
                allow_inferred: inferred,
                ..ResolveMarketRequest::default()
            };
            let mut client = client.clone();
            async move { client.resolve_market(request).await.map(drop) }
        });
    }
    // It is judged as any other, and leaves nothing that would have to be told from what a plugin leaves.
    let (client, spot) = (markets.clone(), spot.to_owned());
    let mut count = 0;
    load.start(move || {
        count += 1;
        let market = market("okx", &format!("WELL{count}"), &spot);
        let request =
            CreateMarketRequest { market: Some(market), validate_only: true, ..CreateMarketRequest::default() };
        let mut client = client.clone();
        async move { client.create_market(request).await.map(drop) }
    });
}

async fn hostile_server() -> (Server, String) {
    let options = TestEnvironment::none()
        .options()
        .with("PLUGINS_GRANTS", format!("{VALIDATOR}:registry"))
        .with("PLUGINS_CALL_TIMEOUT", "2s")
        .with("PLUGINS_COMPILE_MEMORY", "512MiB");
    for name in [VALIDATOR, SYMBOLOGY] {
        put(&options, name, &fs::read(testing_plugins().join(format!("{name}.wasm"))).unwrap());
    }
    let server = options.with_starter().start().await;
    let venue = Venue {
        id: "hostile".into(),
        name: "Hostile".into(),
        r#type: VenueType::Cex.into(),
        symbology: SYMBOLOGY.into(),
        ..Venue::default()
    };
    apply(&server, vec![mutation(create(venue))]).await.unwrap();
    let spot = instrument(&server, "BTC/USDT").await;
    (server, spot)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_plugin_does_hurts_its_neighbours() {
    let (server, spot) = hostile_server().await;
    let pid = server.pid();
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &spot);
    let (mut resident, mut number) = (Vec::new(), 0);
    for round in 0..3 {
        for case in CASES {
            behave(&server, case).await;
            number += 1;
            let answered = ask(&server, &case.ask, &spot, number).await;
            let failures = plugin(&server, case.plugin).await.failures;
            match (case.says, &answered) {
                (None, Ok(())) => {}
                (Some(says), Err(status)) => {
                    assert_eq!(status.code(), Code::Unavailable, "{} {}: {status:?}", case.plugin, case.does);
                    assert!(status.message().contains(says) && status.message().len() < 4000, "{status:?}");
                    assert!(!status.message().contains(char::is_control), "{status:?}");
                    assert!(failures[0].reason.contains(says), "{failures:?}");
                }
                (says, answered) => panic!("{} {}: {says:?}, {answered:?}", case.plugin, case.does),
            }
        }
        load.goes_on().await;
        // What was dropped is given back within the allocator's own time.
        let settled = || memory_kib(&server, "VmRSS");
        tokio::time::sleep(Duration::from_secs(2)).await;
        resident.push(settled());
        println!(
            "round {round}: {} MiB resident, {} MiB at most",
            resident[round] >> 10,
            memory_kib(&server, "VmHWM") >> 10
        );
    }
    load.end().await;
    assert_eq!(server.pid(), pid);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let growth = resident[2] as f64 / resident[1] as f64;
    assert!(growth < GROWTH, "{resident:?}");
    assert!(memory_kib(&server, "VmHWM") < PEAK_KIB, "{}", memory_kib(&server, "VmHWM"));
}

/// Waits until a file is refused, and says why.
async fn refused(options: &Options, server: &Server, name: &str, bytes: &[u8]) -> String {
    put(options, name, bytes);
    until(&format!("{name} is refused"), async || {
        let request = cqar_proto::v1::GetPluginRequest { name: name.into() };
        let found = server.plugins().await.get_plugin(request).await.ok()?.into_inner();
        (found.state() == State::Rejected).then_some(found.reason)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_hurts_the_server_and_each_says_what_is_wrong_with_it() {
    let (server, spot) = hostile_server().await;
    let options = server.options.clone();
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &spot);
    let good = fs::read(testing_plugins().join("require-tick.wasm")).unwrap();
    let testing = |name: &str| fs::read(testing_plugins().join(format!("{name}.wasm"))).unwrap();
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
        ("core-module", modules::core_module(), "compile: "),
        ("loop-in-describe", testing("loop-in-describe"), "describe: took longer than"),
        ("loop-in-configure", testing("loop-in-configure"), "configure: took longer than"),
        ("large-manifest", testing("large-manifest"), "describe: "),
        ("other-name", testing("hostile-symbology"), "describe: the manifest's name is \"hostile-symbology\""),
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
#[ignore = "a minute of processor time: make test-full"]
async fn a_file_that_takes_the_compiler_minutes_is_refused_and_delays_no_small_one() {
    let (server, spot) = hostile_server().await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &spot);
    put(&server.options, "huge-function", &modules::one_huge_function());
    put(&server.options, "require-tick", &fs::read(testing_plugins().join("require-tick.wasm")).unwrap());
    crate::swap::serves(&server, "require-tick", 1).await;
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
    until("it is gone", async || (!std::path::Path::new(&format!("/proc/{compiler}")).exists()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_all_the_time_is_pending_and_the_last_one_serves() {
    let (server, _) = hostile_server().await;
    let builds = ["require-tick", "v2/market-sanity"]
        .map(|name| fs::read(testing_plugins().join(format!("{name}.wasm"))).unwrap());
    put(&server.options, "require-tick", &builds[0]);
    let first = crate::swap::serves(&server, "require-tick", 1).await;
    let path = server.options.plugins().join("require-tick.wasm");
    let mut pending = 0;
    for turn in 0..100 {
        // As a build does that writes into the file that is there.
        fs::write(&path, &builds[turn % 2]).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let found = plugin(&server, "require-tick").await;
        assert_eq!(found.hash, first.hash, "the old generation serves");
        pending += usize::from(found.state() == State::Pending);
    }
    assert!(pending > 50, "{pending}");
    fs::write(&path, &builds[0]).unwrap();
    let last = until("the last file serves", async || {
        let found = plugin(&server, "require-tick").await;
        (found.state() == State::Serving).then_some(found)
    })
    .await;
    assert_eq!(last.hash, first.hash);
}
