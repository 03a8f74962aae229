//! What a warm call of a validator costs beside the rule itself.
//!
//! The guest is a validator of the SDK that finds nothing and reads no change. What is left of it in the figures is
//! what the bindings do in any guest (room for the strings, and giving it back) and reading the call's own document:
//! the host's share is below what is shown. The documents are made anew for each call, as in a write.

use std::{
    fs,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use cqar_domain::{
    entities::Entity,
    time::{Clock, SystemClock},
};
use cqar_plugins::{CallContext, Change, Operation, PluginHost};
use cqar_proto::{convert, document::document, v1};
use cqar_tests::server::testing_plugins;
use hdrhistogram::Histogram;
use uuid::Uuid;

use super::RunConfig;
use crate::{
    load::nanoseconds,
    plugin_host::RunningHost,
    report::{Report, Row, Threshold, Unit, median},
};

/// Entities in one call. 256 is the most.
const SIZES: [u16; 5] = [1, 4, 16, 64, 256];
/// The name that the guest gives itself.
const GUEST: &str = "right-name";

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    // A test component whose file has another name than it says; here it has the right one.
    let guest = testing_plugins().join("wrong-name.wasm");
    let bytes = fs::read(&guest).with_context(|| format!("{}: run `plugins/build testing`", guest.display()))?;
    let host = RunningHost::start(&[(GUEST, bytes)]).await?;
    let measured = repeats(config, &host.plugins, report).await;
    host.stop().await;
    measured
}

async fn repeats(config: &RunConfig, host: &PluginHost, report: &mut Report) -> anyhow::Result<()> {
    let entities = entities()?;
    let bytes = entities.first().map_or(0, |entity| document(entity).len());
    let (mut per_batch, mut per_entity, mut encoding) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..config.repeats {
        let mut points = Vec::new();
        for size in SIZES {
            let some = entities.get(..usize::from(size)).context("256 entities")?;
            points.push((f64::from(size), call_us(host, some, config.time / 5).await?));
        }
        let (intercept, slope) = fit(&points);
        per_batch.push(intercept);
        per_entity.push(slope);
        encoding.push(encoding_us(&entities)?);
    }
    report.row(
        Row::new("validator call, host's share: per batch", Unit::Microseconds, per_batch)
            .target(Threshold::AtMost(3.0))
            .detail(format!("weighted least squares over calls of {SIZES:?} entities")),
    );
    report.row(
        Row::new("validator call, host's share: per entity", Unit::Microseconds, per_entity)
            .target(Threshold::AtMost(4.0))
            .detail(format!("{bytes} bytes each, {:.2} µs of it to encode", median(&encoding))),
    );
    Ok(())
}

/// The median time of a call for these entities, documents included.
async fn call_us(host: &PluginHost, entities: &[Entity], time: Duration) -> anyhow::Result<f64> {
    let context = CallContext { actor: "bench".to_owned(), revision: 1, ..CallContext::at(SystemClock.now()) };
    let mut took_ns = Histogram::<u64>::new(3)?;
    let ends = Instant::now() + time;
    while Instant::now() < ends {
        let began = Instant::now();
        let judged = host.snapshot().validate(&context, changes(entities)).await?;
        took_ns.record(nanoseconds(began.elapsed()))?;
        ensure!(judged.judged_by.len() == 1 && judged.findings.is_empty(), "the validator was not called");
    }
    Ok(median_us(&took_ns))
}

/// The median time to encode one entity.
fn encoding_us(entities: &[Entity]) -> anyhow::Result<f64> {
    let mut took_ns = Histogram::<u64>::new(3)?;
    for entity in entities.iter().cycle().take(16 * entities.len()) {
        let began = Instant::now();
        black_box(document(black_box(entity)));
        took_ns.record(nanoseconds(began.elapsed()))?;
    }
    Ok(median_us(&took_ns))
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of one call")]
fn median_us(took_ns: &Histogram<u64>) -> f64 {
    took_ns.value_at_quantile(0.5) as f64 / 1000.0
}

/// As a write makes them.
fn changes(entities: &[Entity]) -> Arc<[Change]> {
    let change = |entity: &Entity| {
        let key = entity.key();
        Change {
            operation: Operation::Create,
            entity_type: key.entity_type(),
            id: key.id(),
            before: None,
            after: Some(document(entity)),
        }
    };
    entities.iter().map(change).collect()
}

/// Markets whose documents have half a kilobyte.
fn entities() -> anyhow::Result<Vec<Entity>> {
    let market = || v1::Market {
        id: Uuid::now_v7().to_string(),
        venue_id: "binance".to_owned(),
        segment: "spot".to_owned(),
        venue_symbol: "BTCUSDT".to_owned(),
        instrument_id: Uuid::now_v7().to_string(),
        unit_multiplier: "1".to_owned(),
        tick_size: "0.01".to_owned(),
        lot_size: "0.00001".to_owned(),
        min_quantity: "0.00001".to_owned(),
        max_quantity: "9000".to_owned(),
        min_notional: "5".to_owned(),
        maker_fee: "0.001".to_owned(),
        taker_fee: "0.001".to_owned(),
        status: v1::MarketStatus::Active.into(),
        revision: 1234,
        etag: "r1234".to_owned(),
        create_time: Some(SystemClock.now().into()),
        update_time: Some(SystemClock.now().into()),
        ..v1::Market::default()
    };
    let entity = |_| {
        let entity = v1::Entity { entity: Some(v1::entity::Entity::Market(market())) };
        convert::stored(entity).map_err(|found| anyhow::anyhow!("{found:?}"))
    };
    (0..SIZES.into_iter().max().unwrap_or(0)).map(entity).collect()
}

/// The line through points of (size, time) with the least squares of its relative errors: of the absolute ones the
/// largest size alone would decide. Returns its value at 0, and its slope.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let sum = |term: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| term(*x, *y) / (y * y)).sum::<f64>();
    let (w, x, y) = (sum(&|_, _| 1.0), sum(&|x, _| x), sum(&|_, y| y));
    let (xx, xy) = (sum(&|x, _| x * x), sum(&|x, y| x * y));
    let slope = (w * xy - x * y) / (w * xx - x * x);
    ((y - slope * x) / w, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let points: Vec<_> = SIZES.iter().map(|size| (f64::from(*size), 2.5 + 1.5 * f64::from(*size))).collect();
        let (intercept, slope) = fit(&points);
        assert!((intercept - 2.5).abs() < 1e-9 && (slope - 1.5).abs() < 1e-9);
    }
}
