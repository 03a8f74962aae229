//! The store at a million markets: how fast it takes them, what they cost in memory and on disk, and what is still quick then.

mod dataset;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use cqar_proto::v1::{
    self, GetInstrumentRequest, ImportListingOptions, ListMarketsRequest, MarketStatus, Mutation, ResolveMarketRequest,
    get_instrument_request::Key, instrument_service_client::InstrumentServiceClient,
    market_service_client::MarketServiceClient, mutation::Operation, registry_service_client::RegistryServiceClient,
};
use cqar_tests::{
    fixtures::{self, Imported, asset, create, venue},
    postgres::Postgres,
    server::{Options, Server},
};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use tonic::transport::Channel;

use self::dataset::{ASSETS, FILE_ROWS, MadeUpMarket, Random, VENUES};
use crate::{
    load::{in_ms, nanoseconds},
    registry_process::Database,
    report::{Report, Row, Threshold, Unit},
};

/// Asked for at random, each once.
const SAMPLES: usize = 2000;
/// Pages of a filtered list.
const PAGES: usize = 200;
/// How long the server rests before its memory is looked at.
const REST: Duration = Duration::from_secs(30);

/// Measures a database with so many markets, filled by so many imports at once.
pub(crate) async fn measure(
    database: Database,
    markets: usize,
    imports: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let postgres = (database == Database::Postgres).then(Postgres::start);
    let mut options = Options::new().with_testing_plugin("as-told").with("PLUGINS_REQUIRED", "as-told");
    if let Some(postgres) = &postgres {
        options = options.with("DATABASE_URL", postgres.url());
        options.migrate_up();
    }
    let server = options.start().await;
    let filled = fill(&server, markets, imports).await?;
    rates(database, &filled, report);

    tokio::time::sleep(REST).await;
    memory(database, "after the imports", server.pid(), Some(256.0), report)?;
    let size = match &postgres {
        Some(postgres) => postgres_size(postgres)?,
        None => sqlite_size(server.options.folder())?,
    };
    report.row(
        Row::new(format!("{database}: size on disk"), Unit::Mebibytes, vec![mebibytes(size)])
            .target(Threshold::AtMost(largest_size(database))),
    );

    let options = server.options.clone();
    server.terminate().await;
    let began = Instant::now();
    let server = options.start().await;
    let ready = began.elapsed();
    let what = format!("{database}: start to ready");
    report.row(Row::new(what, Unit::Milliseconds, vec![ready.as_secs_f64() * 1e3]).target(Threshold::AtMost(2000.0)));
    memory(database, "after a start", server.pid(), None, report)?;
    looked_up(database, &server, markets, report).await?;
    memory(database, "after the look-ups", server.pid(), Some(256.0), report)
}

/// Half of what the same million markets took before migration 0002, in MiB.
fn largest_size(database: Database) -> f64 {
    match database {
        Database::Sqlite => 2426.0 / 2.0,
        Database::Postgres => 3024.0 / 2.0,
    }
}

/// A file that was imported: its rows, and when that was done, from the beginning of the first.
struct Filled {
    rows: usize,
    done: Duration,
}

async fn fill(server: &Server, markets: usize, imports: usize) -> anyhow::Result<Vec<Filled>> {
    let client = || async { RegistryServiceClient::new(server.channel().await).max_decoding_message_size(256 << 20) };
    let mut registry = client().await;
    let venues = (0..VENUES).map(|n| v1::Venue { symbology: "as-told".into(), ..venue(&dataset::venue(n)) });
    apply(&mut registry, venues.map(create).collect()).await?;
    let assets: Vec<usize> = (0..ASSETS).collect();
    for assets in assets.chunks(5000) {
        apply(&mut registry, assets.iter().map(|n| create(asset(&dataset::asset(*n)))).collect()).await?;
    }
    // Made before, so that this takes no time from the server.
    let mut random = Random::new();
    let files: Vec<(usize, usize, Bytes)> = (0..markets.div_ceil(FILE_ROWS))
        .map(|n| (n, FILE_ROWS.min(markets - n * FILE_ROWS)))
        .map(|(n, rows)| (n, rows, Bytes::from(dataset::file(n, rows, &mut random))))
        .collect();
    let began = Instant::now();
    let imported = stream::iter(files).map(|(n, rows, payload)| {
        let mut registry = registry.clone();
        async move {
            let created = import(&mut registry, dataset::venue(n % VENUES), payload).await?;
            ensure!(usize::try_from(created) == Ok(rows), "{created} of {rows} rows of file {n} were created");
            let done = began.elapsed();
            eprintln!(
                "  file {n}: done after {:.1} s, {} MiB resident",
                done.as_secs_f64(),
                resident(server.pid(), "VmRSS")? >> 20
            );
            Ok(Filled { rows, done })
        }
    });
    imported.buffer_unordered(imports.max(1)).try_collect().await
}

async fn apply(registry: &mut RegistryServiceClient<Channel>, operations: Vec<Operation>) -> anyhow::Result<()> {
    let mutations = operations.into_iter().map(|it| Mutation { operation: Some(it), ..Mutation::default() }).collect();
    registry.apply(v1::ApplyRequest { mutations, ..v1::ApplyRequest::default() }).await?;
    Ok(())
}

async fn import(
    registry: &mut RegistryServiceClient<Channel>,
    venue_id: String,
    payload: Bytes,
) -> anyhow::Result<i32> {
    let options = ImportListingOptions { venue_id, ..ImportListingOptions::default() };
    let steps = registry.import_listing(fixtures::import(options, &payload)).await?.into_inner();
    let imported = Imported::receive(steps).await?;
    if let Some(rejected) = imported.markets.iter().find(|market| !market.code.is_empty()) {
        bail!("{}: {} {}", rejected.venue_symbol, rejected.code, rejected.message);
    }
    Ok(imported.created)
}

fn rates(database: Database, filled: &[Filled], report: &mut Report) {
    let ten = 10.min(filled.len());
    let done = |files: usize| files.checked_sub(1).and_then(|n| filled.get(n)).map_or(Duration::ZERO, |file| file.done);
    #[expect(clippy::cast_precision_loss, reason = "a million at most")]
    let rate = |files: std::ops::Range<usize>| {
        let took = done(files.end).saturating_sub(done(files.start));
        let rows: usize = filled.get(files).unwrap_or_default().iter().map(|file| file.rows).sum();
        vec![rows as f64 / took.as_secs_f64()]
    };
    let (first, last) = (rate(0..ten), rate(filled.len() - ten..filled.len()));
    report.row(Row::new(format!("{database}: rows imported, first ten files"), Unit::PerSecond, first));
    report.row(Row::new(format!("{database}: rows imported, last ten files"), Unit::PerSecond, last));
    let whole = done(filled.len()).as_secs_f64() * 1e3;
    report.row(
        Row::new(format!("{database}: all files"), Unit::Milliseconds, vec![whole])
            .target(Threshold::AtMost(120_000.0)),
    );
}

fn memory(database: Database, when: &str, pid: u32, target: Option<f64>, report: &mut Report) -> anyhow::Result<()> {
    let (now, most) = (resident(pid, "VmRSS")?, resident(pid, "VmHWM")?);
    let row = Row::new(format!("{database}: resident {when}"), Unit::Mebibytes, vec![mebibytes(now)])
        .detail(format!("{:.0} MiB at its highest", mebibytes(most)));
    report.row(match target {
        Some(most) => row.target(Threshold::AtMost(most)),
        None => row,
    });
    Ok(())
}

/// A field of the process's status, in bytes.
fn resident(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kilobytes: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes << 10)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn sqlite_size(folder: &Path) -> anyhow::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".db") {
            size += entry.metadata()?.len();
        }
    }
    Ok(size)
}

fn postgres_size(postgres: &Postgres) -> anyhow::Result<u64> {
    let query = "SELECT pg_database_size(current_database())";
    let output = std::process::Command::new("psql").arg(postgres.url()).args(["-Atqc", query]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

async fn looked_up(database: Database, server: &Server, markets: usize, report: &mut Report) -> anyhow::Result<()> {
    let mut random = Random::new();
    let mut sampled = |of: usize| usize::try_from(random.below(of as u64)).unwrap_or_default();
    let mut client = MarketServiceClient::new(server.channel().await);
    let mut misses = Histogram::<u64>::new(3)?;
    for _ in 0..SAMPLES {
        let n = sampled(markets);
        let request = ResolveMarketRequest {
            venue_id: dataset::venue(n / FILE_ROWS % VENUES),
            venue_symbol: MadeUpMarket::new(n).symbol,
            ..ResolveMarketRequest::default()
        };
        let began = Instant::now();
        client.resolve_market(request).await?;
        misses.record(nanoseconds(began.elapsed()))?;
    }
    quantiles(report, format!("{database}: ResolveMarket, cache miss: p99"), &misses, 5.0);

    let mut instruments = InstrumentServiceClient::new(server.channel().await);
    let mut codes = Histogram::<u64>::new(3)?;
    for _ in 0..SAMPLES / 4 {
        // Of the first base of all options.
        let option = sampled(markets / 100 * 60 / 200) * 200;
        let code = MadeUpMarket::new(option / 60 * 100 + option % 60).code();
        let request = GetInstrumentRequest { key: Some(Key::Code(code.clone())), ..GetInstrumentRequest::default() };
        let began = Instant::now();
        let found = instruments.get_instrument(request).await?.into_inner();
        codes.record(nanoseconds(began.elapsed()))?;
        ensure!(found.code == code, "{} is not {code}", found.code);
    }
    quantiles(report, format!("{database}: option by code, among those of one base: p99"), &codes, 5.0);

    for (what, status) in [("", MarketStatus::Unspecified), (", halted", MarketStatus::Halted)] {
        let mut pages = Histogram::<u64>::new(3)?;
        let mut client = MarketServiceClient::new(server.channel().await).max_decoding_message_size(8 << 20);
        let mut request = ListMarketsRequest {
            venue_id: dataset::venue(0),
            status: status.into(),
            page_size: 1000,
            ..ListMarketsRequest::default()
        };
        for _ in 0..PAGES {
            let began = Instant::now();
            let page = client.list_markets(request.clone()).await?.into_inner();
            pages.record(nanoseconds(began.elapsed()))?;
            request.page_token = page.next_page_token;
        }
        quantiles(report, format!("{database}: page of 1,000 of a venue{what}: p99"), &pages, 50.0);
    }
    Ok(())
}

fn quantiles(report: &mut Report, what: String, latencies: &Histogram<u64>, target: f64) {
    let at = |q| in_ms(latencies.value_at_quantile(q));
    let detail = format!("p50 {:.2} ms, worst {:.1} ms of {}", at(0.5), at(1.0), latencies.len());
    report.row(Row::new(what, Unit::Milliseconds, vec![at(0.99)]).target(Threshold::AtMost(target)).detail(detail));
}
