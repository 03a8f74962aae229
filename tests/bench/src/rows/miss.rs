//! `ResolveMarket` past the cache: each symbol is asked for once.

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use prost::Message;

use super::RunConfig;
use crate::{
    load::{EncodedClient, in_ms, nanoseconds},
    registry_process::{Database, RESOLVE, RegistryProcess},
    report::{Report, Row, Threshold, Unit, median},
};

/// Symbols in one repeat: enough that twenty are beyond the 99th percentile.
const SYMBOLS: usize = 2000;
/// The most markets of one import.
const MAX_MARKETS: usize = 20_000;
/// Calls at a time: misses are rare, and come a few together.
const STREAMS: usize = 4;

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    for database in [Database::Sqlite, Database::Postgres] {
        let repeats = usize::try_from(config.repeats)?;
        let symbols = SYMBOLS.min(MAX_MARKETS / repeats).max(1);
        let registry = RegistryProcess::start(database, symbols * repeats).await?;
        let requests: Vec<Bytes> =
            registry.requests().iter().skip(1).map(|request| request.encode_to_vec().into()).collect();
        let mut latencies = Vec::new();
        for requests in requests.chunks(symbols) {
            let before = misses(&registry).await?;
            latencies.push(each_once(&registry, requests).await?);
            #[expect(clippy::cast_precision_loss, reason = "20,000 at most")]
            let expected = requests.len() as f64;
            ensure!(misses(&registry).await? - before >= expected, "what was to be a miss was cached");
        }
        let quantile = |q| latencies.iter().map(|it| in_ms(it.value_at_quantile(q))).collect::<Vec<_>>();
        report.row(
            Row::new(format!("ResolveMarket, cache miss, {database}: p99"), Unit::Milliseconds, quantile(0.99))
                .target(Threshold::AtMost(5.0))
                .detail(format!(
                    "p50 {:.2} ms, worst {:.1} ms; {symbols} symbols a repeat, {STREAMS} calls at a time",
                    median(&quantile(0.5)),
                    quantile(1.0).into_iter().fold(0.0, f64::max),
                )),
        );
    }
    Ok(())
}

async fn misses(registry: &RegistryProcess) -> anyhow::Result<f64> {
    registry.counted("cqar_cache_miss_total", "entity=\"resolve\"").await
}

/// The latencies of all requests, in nanoseconds.
async fn each_once(registry: &RegistryProcess, requests: &[Bytes]) -> anyhow::Result<Histogram<u64>> {
    let target = registry.target();
    let channel = target.connect().await?;
    let share = requests.len().div_ceil(STREAMS);
    let streams = requests.chunks(share).map(|requests| {
        let (mut calls, requests) = (EncodedClient::on(channel.clone(), target, RESOLVE), requests.to_vec());
        tokio::spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            for request in requests {
                let began = Instant::now();
                calls.call(request).await?;
                latency.record(nanoseconds(began.elapsed()))?;
            }
            anyhow::Ok(latency)
        })
    });
    let mut all = Histogram::new(3)?;
    for latency in try_join_all(streams.collect::<Vec<_>>()).await? {
        all.add(latency?)?;
    }
    Ok(all)
}
