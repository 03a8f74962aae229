//! `BatchResolveMarkets` from the cache, against the floor, which encodes each answer anew.

use bytes::Bytes;
use cqar_tests::fixtures;
use prost::Message;

use super::{
    RunConfig,
    comparison::{Comparison, medians, ratios},
};
use crate::{
    load::{Load, Measured},
    registry_process::BATCH_RESOLVE,
    report::{Report, Row, Threshold, Unit},
};

/// Symbols in one call.
const BATCH: usize = 500;
/// Enough calls at a time to keep two processors busy, and few enough that the answers fit into memory caches.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 2;

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let comparison = Comparison::start(BATCH).await?;
    let batch = fixtures::batch_of(&comparison.requests);
    let requests = [Bytes::from(batch.encode_to_vec())].into();
    let load = Load { path: BATCH_RESOLVE, requests, connections: CONNECTIONS, streams: STREAMS };
    let rounds = comparison.rounds(&load, config).await?;

    let (registry, floor) = medians(&rounds, |it| it.calls_per_second);
    let (registry_p99, floor_p99) = medians(&rounds, Measured::p99_ms);
    report.row(
        Row::new("BatchResolveMarkets, cached: throughput", Unit::Ratio, ratios(&rounds, |it| it.calls_per_second))
            .target(Threshold::AtLeast(1.0))
            .detail(format!(
                "{registry:.0} calls/s of {BATCH} against {floor:.0}, p99 {registry_p99:.1} ms against {floor_p99:.1} ms"
            )),
    );
    let (registry, floor) = medians(&rounds, |it| it.cpu_us);
    report.row(
        Row::new("BatchResolveMarkets, cached: processor time", Unit::Ratio, ratios(&rounds, |it| it.cpu_us))
            .detail(format!("{registry:.0} µs a call against {floor:.0} µs, of the servers alone")),
    );
    Ok(())
}
