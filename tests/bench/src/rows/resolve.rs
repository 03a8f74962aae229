//! `ResolveMarket` from the cache, with keys, metrics and traces on, against the floor.

use bytes::Bytes;
use prost::Message;

use super::{
    Plan,
    duel::{Duel, medians, ratios},
};
use crate::{
    load::{Load, Measured},
    report::{Report, Row, Target, Unit},
    subject::RESOLVE,
};

/// As many connections, and calls at a time on each, as the target says.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;
/// More symbols than a processor's fastest cache holds answers.
const MARKETS: usize = 500;

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let duel = Duel::start(MARKETS).await?;
    let requests: Vec<Bytes> = duel.requests.iter().map(|request| request.encode_to_vec().into()).collect();
    let load = Load { path: RESOLVE, requests: requests.into(), connections: CONNECTIONS, streams: STREAMS };
    let rounds = duel.rounds(&load, plan).await?;

    let (subject, floor) = medians(&rounds, |it| it.calls_per_second);
    let throughput = ratios(&rounds, |it| it.calls_per_second);
    report.row(
        Row::new("ResolveMarket, cached: throughput", Unit::Ratio, throughput)
            .target(Target::AtLeast(0.85))
            .detail(format!("{subject:.0} /s against {floor:.0} /s, {CONNECTIONS} connections × {STREAMS} calls")),
    );
    let (subject, floor) = medians(&rounds, Measured::p99_ms);
    report.row(
        Row::new("ResolveMarket, cached: p99", Unit::Ratio, ratios(&rounds, Measured::p99_ms))
            .target(Target::AtMost(1.5))
            .detail(format!("{subject:.2} ms against {floor:.2} ms")),
    );
    let (subject, floor) = medians(&rounds, |it| it.cpu_us);
    report.row(
        Row::new("ResolveMarket, cached: processor time", Unit::Ratio, ratios(&rounds, |it| it.cpu_us))
            .detail(format!("{subject:.1} µs a call against {floor:.1} µs, of the servers alone")),
    );
    Ok(())
}
