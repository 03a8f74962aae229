//! What plugins cost their neighbours, a write, a swap and a start.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use cqar_domain::time::{Clock as _, SystemClock};
use cqar_plugins::{CallContext, Change, Operation, PluginHost, Query};
use cqar_tests::server::{Options, shipped_plugins, testing_plugins};
use hdrhistogram::Histogram;

use super::{
    RunConfig,
    writes::{self, Written},
};
use crate::{
    load::nanoseconds,
    plugin_host::RunningHost,
    registry_process::{Database, RegistryProcess},
    report::{Report, Row, Threshold, Unit, median},
};

/// Builds that are dropped one after the other, each compiled anew.
const DROPS: u32 = 100;
/// Swaps under load.
const SWAPS: u32 = 1000;
/// Of a neighbour that is called at a pace of its own.
const BETWEEN_CALLS: Duration = Duration::from_millis(2);
/// Plugins of one start.
const PLUGINS: usize = 30;
/// A component whose name can be replaced by another of its length.
const NAMED: (&str, &str) = ("wrong-name", "right-name");

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    drops(report).await?;
    swaps(report).await?;
    neighbours(config, report).await?;
    write_with_five(config, report).await?;
    start_with_thirty(config, report).await
}

fn component(folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(format!("{name}.wasm"));
    fs::read(&path)
        .with_context(|| format!("{}: run `plugins/build shipped` and `plugins/build testing`", path.display()))
}

/// The same component with a section that says which build it is.
fn build(component: &[u8], number: u32) -> Vec<u8> {
    // A custom section: id 0, its size, its name's size and its name, its contents (WebAssembly Core Specification, 5.5.3).
    let section = [&[0, 10, 5], b"build".as_slice(), &number.to_le_bytes()].concat();
    [component, &section].concat()
}

async fn drops(report: &mut Report) -> anyhow::Result<()> {
    let original = component(&shipped_plugins(), "market-sanity")?;
    let host = RunningHost::start(&[("market-sanity", original.clone())]).await?;
    let mut took_ns = Histogram::<u64>::new(3)?;
    for number in 0..DROPS {
        took_ns.record(nanoseconds(host.swap("market-sanity", &build(&original, number)).await?))?;
    }
    host.stop().await;
    let (p50, p99) = (millis(&took_ns, 0.5), millis(&took_ns, 0.99));
    report.row(
        Row::new("plugin dropped → serving, p99", Unit::Milliseconds, vec![p99])
            .target(Threshold::AtMost(500.0))
            .detail(format!(
                "{DROPS} builds of {} KB, each compiled; p50 {p50:.0} ms, of which a file holds still for 100",
                original.len() >> 10
            )),
    );
    Ok(())
}

/// What this process has in memory.
fn resident_kib() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

async fn swaps(report: &mut Report) -> anyhow::Result<()> {
    let builds =
        [component(&shipped_plugins(), "market-sanity")?, component(&testing_plugins().join("v2"), "market-sanity")?];
    let host = RunningHost::start(&[("market-sanity", builds[0].clone())]).await?;
    let (done, calls, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let load = {
        let (host, done, calls, failed) = (host.plugins.clone(), done.clone(), calls.clone(), failed.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let context = CallContext::at(SystemClock.now());
                let judged = host.snapshot().validate(&context, market("BTCUSDT")).await;
                calls.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(u64::from(judged.is_err()), Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    };
    let mut resident = 0.0;
    for number in 1..=SWAPS {
        let next = builds.get(number as usize % 2).context("two builds")?;
        host.swap("market-sanity", next).await?;
        if number == SWAPS / 10 {
            resident = resident_kib()?;
        }
    }
    let growth = resident_kib()? / resident;
    done.store(true, Ordering::Relaxed);
    load.await?;
    host.stop().await;
    let (calls, failed) = (calls.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    ensure!(failed == 0, "{failed} of {calls} calls failed");
    report.row(
        Row::new(format!("memory after {SWAPS} swaps under load"), Unit::Ratio, vec![growth])
            .target(Threshold::AtMost(1.05))
            .detail(format!("to that after {}; none of {calls} calls failed", SWAPS / 10)),
    );
    Ok(())
}

async fn neighbours(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let plugins = [
        ("symbology-binance", component(&shipped_plugins(), "symbology-binance")?),
        ("misbehave", component(&testing_plugins(), "misbehave")?),
    ];
    let host = RunningHost::start(&plugins).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..config.repeats {
        alone.push(parse_p99_ms(&host.plugins, config.time).await?);
        let done = Arc::new(AtomicBool::new(false));
        let looping: Vec<_> = (0..2)
            .map(|_| {
                let (host, done) = (host.plugins.clone(), done.clone());
                tokio::spawn(async move {
                    while !done.load(Ordering::Relaxed) {
                        let context = CallContext::at(SystemClock.now());
                        // It fails, as it loops.
                        let _ = host.snapshot().validate(&context, market("LOOP")).await;
                    }
                })
            })
            .collect();
        beside.push(parse_p99_ms(&host.plugins, config.time).await?);
        done.store(true, Ordering::Relaxed);
        for ended in looping {
            ended.await?;
        }
    }
    host.stop().await;
    let (alone, most) = (median(&alone), (median(&alone) * 2.0).max(median(&alone) + 5.0));
    report.row(
        Row::new("a neighbour's p99 beside two loops", Unit::Milliseconds, beside)
            .target(Threshold::AtMost(most))
            .detail(format!("{alone:.2} ms without them")),
    );
    Ok(())
}

async fn parse_p99_ms(host: &PluginHost, time: Duration) -> anyhow::Result<f64> {
    let symbology = host.snapshot().symbology("symbology-binance")?;
    let mut took_ns = Histogram::<u64>::new(3)?;
    let ends = Instant::now() + time;
    let mut due = tokio::time::interval(BETWEEN_CALLS);
    while Instant::now() < ends {
        // From when it was due: a call that is late for its neighbours' sake took that long.
        let began = due.tick().await;
        let query = Query { symbol: "BTCUSDT".to_owned(), segment: Some("spot".to_owned()) };
        let parsed = symbology.parse(&CallContext::at(SystemClock.now()), vec![query]).await;
        took_ns.record(nanoseconds(began.elapsed()))?;
        ensure!(parsed.iter().all(Result::is_ok), "{parsed:?}");
    }
    Ok(millis(&took_ns, 0.99))
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of one call")]
fn millis(took_ns: &Histogram<u64>, quantile: f64) -> f64 {
    took_ns.value_at_quantile(quantile) as f64 / 1e6
}

fn market(symbol: &str) -> Arc<[Change]> {
    let document = format!(
        r#"{{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "venue_id": "binance", "segment": "spot", "venue_symbol": "{symbol}",
            "instrument_id": "01890a5d-ac96-774b-bcce-b302099a8058", "unit_multiplier": "1", "tick_size": "0.01",
            "lot_size": "0.00001", "status": "MARKET_STATUS_ACTIVE"}}"#
    );
    let change = Change {
        operation: Operation::Create,
        entity_type: cqar_domain::id::EntityType::Market,
        id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        before: None,
        after: Some(document),
    };
    Arc::new([change])
}

/// Plugins of these names in a server's directory, and nothing else.
fn only(options: Options, plugins: &[(String, Vec<u8>)]) -> anyhow::Result<Options> {
    let dir: PathBuf = options.plugins();
    fs::remove_dir_all(&dir)?;
    fs::create_dir(&dir)?;
    for (name, bytes) in plugins {
        fs::write(dir.join(format!("{name}.wasm")), bytes)?;
    }
    Ok(options.with("PLUGINS_REQUIRED", ""))
}

/// The component under another name of the same length: it is nowhere but in what it says of itself.
fn named(number: usize) -> anyhow::Result<(String, Vec<u8>)> {
    let (file, name) = NAMED;
    let mut bytes = component(&testing_plugins(), file)?;
    let other = format!("plugin-{number:03}");
    ensure!(other.len() == name.len(), "as long as {name}");
    let places: Vec<usize> =
        bytes.windows(name.len()).enumerate().filter(|(_, part)| *part == name.as_bytes()).map(|(at, _)| at).collect();
    for at in places {
        bytes.get_mut(at..at + name.len()).context("a place")?.copy_from_slice(other.as_bytes());
    }
    Ok((other, bytes))
}

async fn write_with_five(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let five = (0..5).map(named).collect::<anyhow::Result<Vec<_>>>()?;
    let without = RegistryProcess::start_with(Database::Sqlite, 0, |options| only(options, &[])).await?;
    let with = RegistryProcess::start_with(Database::Sqlite, 0, |options| only(options, &five)).await?;
    let mut ratios = Vec::new();
    let (mut p50_without, mut p50_with) = (Vec::new(), Vec::new());
    for _ in 0..config.repeats {
        let Written { p50_ms: a, .. } = writes::serial(&without, config.time).await?;
        let Written { p50_ms: b, .. } = writes::serial(&with, config.time).await?;
        ratios.push(b / a);
        p50_without.push(a);
        p50_with.push(b);
    }
    report.row(
        Row::new("a write with five validators to one without, p50, SQLite", Unit::Ratio, ratios)
            .target(Threshold::AtMost(1.3))
            .detail(format!("{:.2} ms to {:.2} ms", median(&p50_with), median(&p50_without))),
    );
    Ok(())
}

async fn start_with_thirty(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let plugins = (0..PLUGINS).map(named).collect::<anyhow::Result<Vec<_>>>()?;
    let options = only(Options::new(), &plugins)?;
    // Compiles.
    drop(options.start().await.kill());
    let mut took = Vec::new();
    for _ in 0..config.repeats.max(3) {
        let began = Instant::now();
        let server = options.start().await;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        drop(server.kill());
    }
    report.row(
        Row::new(format!("start to ready with {PLUGINS} plugins compiled before"), Unit::Milliseconds, took)
            .target(Threshold::AtMost(500.0)),
    );
    Ok(())
}
