//! `BatchResolveMarkets` from the cache, against the floor, which encodes each answer anew.

use bytes::Bytes;
use cqar_proto::v1::BatchResolveMarketsRequest;
use prost::Message;

use super::{
    Plan,
    duel::{Duel, medians, ratios},
};
use crate::{
    load::{Load, Measured},
    report::{Report, Row, Target, Unit},
    subject::BATCH_RESOLVE,
};

/// Symbols in one call.
const BATCH: usize = 500;
/// Enough calls at a time to keep two processors busy, and few enough that the answers fit into memory caches.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 2;

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let duel = Duel::start(BATCH).await?;
    let batch = BatchResolveMarketsRequest { requests: duel.requests.clone() };
    let requests = [Bytes::from(batch.encode_to_vec())].into();
    let load = Load { path: BATCH_RESOLVE, requests, connections: CONNECTIONS, streams: STREAMS };
    let rounds = duel.rounds(&load, plan).await?;

    let (subject, floor) = medians(&rounds, |it| it.calls_per_second);
    let (subject_p99, floor_p99) = medians(&rounds, Measured::p99_ms);
    report.row(
        Row::new("BatchResolveMarkets, cached: throughput", Unit::Ratio, ratios(&rounds, |it| it.calls_per_second))
            .target(Target::AtLeast(1.0))
            .detail(format!(
                "{subject:.0} calls/s of {BATCH} against {floor:.0}, p99 {subject_p99:.1} ms against {floor_p99:.1} ms"
            )),
    );
    let (subject, floor) = medians(&rounds, |it| it.cpu_us);
    report.row(
        Row::new("BatchResolveMarkets, cached: processor time", Unit::Ratio, ratios(&rounds, |it| it.cpu_us))
            .detail(format!("{subject:.0} µs a call against {floor:.0} µs, of the servers alone")),
    );
    Ok(())
}
