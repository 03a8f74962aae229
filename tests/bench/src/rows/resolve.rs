//! `ResolveMarket` from the cache, with keys, metrics and traces on, against the floor.

use bytes::Bytes;
use prost::Message;

use super::{
    RunConfig,
    comparison::{Comparison, medians, ratios},
};
use crate::{
    load::{Load, Measured},
    registry_process::RESOLVE,
    report::{Report, Row, Threshold, Unit},
};

/// As many connections, and calls at a time on each, as the target says.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;
/// More symbols than a processor's fastest cache holds answers.
const MARKETS: usize = 500;

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let comparison = Comparison::start(MARKETS).await?;
    let requests: Vec<Bytes> = comparison.requests.iter().map(|request| request.encode_to_vec().into()).collect();
    let load = Load { path: RESOLVE, requests: requests.into(), connections: CONNECTIONS, streams: STREAMS };
    let rounds = comparison.rounds(&load, config).await?;

    let (registry, floor) = medians(&rounds, |it| it.calls_per_second);
    let throughput = ratios(&rounds, |it| it.calls_per_second);
    report.row(
        Row::new("ResolveMarket, cached: throughput", Unit::Ratio, throughput)
            .target(Threshold::AtLeast(0.85))
            .detail(format!("{registry:.0} /s against {floor:.0} /s, {CONNECTIONS} connections × {STREAMS} calls")),
    );
    let (registry, floor) = medians(&rounds, Measured::p99_ms);
    report.row(
        Row::new("ResolveMarket, cached: p99", Unit::Ratio, ratios(&rounds, Measured::p99_ms))
            .target(Threshold::AtMost(1.5))
            .detail(format!("{registry:.2} ms against {floor:.2} ms")),
    );
    let (registry, floor) = medians(&rounds, |it| it.cpu_us);
    report.row(
        Row::new("ResolveMarket, cached: processor time", Unit::Ratio, ratios(&rounds, |it| it.cpu_us))
            .detail(format!("{registry:.1} µs a call against {floor:.1} µs, of the servers alone")),
    );
    Ok(())
}
