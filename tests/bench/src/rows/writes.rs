//! The ceiling of serial writes: one client changes one market after the other, each in a transaction of its own, with
//! the validators, the event log and everything else that a write goes through.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use cqar_proto::{
    v1::{Market, UpdateMarketRequest},
    well_known::FieldMask,
};
use prost::Message;

use super::RunConfig;
use crate::{
    load::Load,
    registry_process::{Database, RegistryProcess},
    report::{Report, Row, Unit, median},
};

const UPDATE: &str = "/cqar.v1.MarketService/UpdateMarket";
/// A page of either database, about.
const APPEND_BYTES: usize = 4096;

/// How long writes took.
pub(super) struct Written {
    pub(super) p50_ms: f64,
    p99_ms: f64,
    per_second: f64,
}

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    for database in [Database::Sqlite, Database::Postgres] {
        let registry = RegistryProcess::start(database, 0).await?;
        let (mut rates, mut appends, mut p99) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..config.repeats {
            let (folder, time) = (registry.folder().to_owned(), config.time / 2);
            appends.push(tokio::task::spawn_blocking(move || appends_per_second(&folder, time)).await??);
            let Written { p99_ms, per_second, .. } = serial(&registry, config.time).await?;
            rates.push(per_second);
            p99.push(p99_ms);
        }
        let per_second = median(&rates);
        report.row(Row::new(format!("serial writes, {database}"), Unit::PerSecond, rates).detail(format!(
            "{:.2} ms each, p99 {:.2} ms; a synced append of {APPEND_BYTES} bytes there takes {:.2} ms",
            1000.0 / per_second,
            median(&p99),
            1000.0 / median(&appends)
        )));
    }
    Ok(())
}

/// One write after the other for this long.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of one call")]
pub(super) async fn serial(registry: &RegistryProcess, time: Duration) -> anyhow::Result<Written> {
    let answers = registry.answers(&registry.requests()).await?;
    let market = answers.into_iter().next().and_then(|answer| answer.market).context("a market")?;
    let requests = ["0.0015", "0.0025"].map(|fee| update(&market, fee)).into();
    let load = Load { path: UPDATE, requests, connections: 1, streams: 1 };
    let before = registry.revision().await?;
    let measured = load.run(registry.target(), time).await?;
    // The first may find the fee as the last repeat left it, and then changes nothing.
    let written = u64::try_from(registry.revision().await? - before)? + 1;
    ensure!(written >= measured.latency_ns.len(), "not every call was a write");
    let p50_ms = measured.latency_ns.value_at_quantile(0.5) as f64 / 1e6;
    Ok(Written { p50_ms, p99_ms: measured.p99_ms(), per_second: measured.calls_per_second })
}

/// Changes a market's fee, and nothing else.
fn update(market: &Market, taker_fee: &str) -> Bytes {
    let market = Market { id: market.id.clone(), taker_fee: taker_fee.to_owned(), ..Market::default() };
    let update_mask = Some(FieldMask { paths: vec!["taker_fee".to_owned()] });
    UpdateMarketRequest { market: Some(market), update_mask, ..UpdateMarketRequest::default() }.encode_to_vec().into()
}

/// What the disk allows: no write that survives a power cut is faster than this.
fn appends_per_second(folder: &Path, time: Duration) -> anyhow::Result<f64> {
    let path = folder.join("appends");
    let mut file = File::create(&path)?;
    let (began, mut count) = (Instant::now(), 0.0);
    while began.elapsed() < time {
        file.write_all(&[0; APPEND_BYTES])?;
        file.sync_data()?;
        count += 1.0;
    }
    let took = began.elapsed();
    std::fs::remove_file(&path)?;
    Ok(count / took.as_secs_f64())
}
