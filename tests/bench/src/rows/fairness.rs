//! One caller floods, and another goes on as if it were alone.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cqar_tests::server::binary;
use hdrhistogram::Histogram;
use prost::Message;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::RunConfig;
use crate::{
    load::{EncodedClient, Target, in_ms, nanoseconds},
    registry_process::{Database, RESOLVE, RegistryProcess},
    report::{Report, Row, Threshold, Unit},
};

/// What the flooding caller may, and what it sends.
const ALLOWED: u32 = 1000;
const OFFERED: u32 = 10_000;
/// What the other one sends.
const CALM: u32 = 500;
/// The most that its 99th percentile grows by.
const TARGET: f64 = 2.0;

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let (flooding, flooding_line) = new_key("flooding")?;
    let (calm, calm_line) = new_key("calm")?;
    let mut keys = tempfile::NamedTempFile::new()?;
    let limited = flooding_line.replace('}', &format!(", limits: {{requests_per_second: {ALLOWED}}}}}"));
    writeln!(keys, "{limited}\n{calm_line}")?;
    let registry = RegistryProcess::start_with(Database::Sqlite, 0, |options| {
        Ok(options.with("AUTH_KEYS_FILE", keys.path().display()))
    })
    .await?;
    let target = |key: &str| -> anyhow::Result<Target> {
        Ok(Target { key: Some(format!("Bearer {key}").parse()?), ..registry.target().clone() })
    };
    let request: Bytes = registry.requests().first().map(Message::encode_to_vec).unwrap_or_default().into();
    let (flooding, calm) = (target(&flooding)?, target(&calm)?);
    let (mut ratios, mut details) = (Vec::new(), Vec::new());
    for _ in 0..config.repeats {
        let alone = offered(&calm, &request, CALM, config.time).await?;
        let (flood, beside) = tokio::try_join!(
            offered(&flooding, &request, OFFERED, config.time),
            offered(&calm, &request, CALM, config.time)
        )?;
        anyhow::ensure!(alone.refused == 0 && beside.refused == 0, "the calm caller was refused");
        ratios.push(beside.p99_ms() / alone.p99_ms());
        details.push(format!(
            "alone {:.2} ms, beside {:.2} ms; of the flood {} answered, {} refused",
            alone.p99_ms(),
            beside.p99_ms(),
            flood.latency_ns.len(),
            flood.refused
        ));
    }
    report.row(
        Row::new(
            format!("{CALM}/s of one key beside {OFFERED}/s of another that may {ALLOWED}/s: p99 to that alone"),
            Unit::Ratio,
            ratios,
        )
        .target(Threshold::AtMost(TARGET))
        .detail(details.join("; ")),
    );
    Ok(())
}

/// What came of calls that were made whatever became of those before.
struct Offered {
    latency_ns: Histogram<u64>,
    refused: u64,
}

impl Offered {
    fn p99_ms(&self) -> f64 {
        in_ms(self.latency_ns.value_at_quantile(0.99))
    }
}

/// So many calls in a second, each when its time has come.
async fn offered(target: &Target, request: &Bytes, per_second: u32, time: Duration) -> anyhow::Result<Offered> {
    let channel = target.connect().await?;
    // Timers are no finer than a millisecond.
    let at_once = per_second.div_ceil(1000);
    let mut due = interval(Duration::from_secs(1) * at_once / per_second);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut calls, ends) = (JoinSet::new(), Instant::now() + time);
    let mut all = Offered { latency_ns: Histogram::new(3)?, refused: 0 };
    let note = |all: &mut Offered, answered: anyhow::Result<Option<u64>>| -> anyhow::Result<()> {
        match answered? {
            Some(ns) => all.latency_ns.record(ns)?,
            None => all.refused += 1,
        }
        Ok(())
    };
    while Instant::now() < ends {
        due.tick().await;
        for _ in 0..at_once {
            let (mut client, request) = (EncodedClient::on(channel.clone(), target, RESOLVE), request.clone());
            calls.spawn(async move {
                let began = Instant::now();
                match client.call(request).await {
                    Ok(_) => Ok(Some(nanoseconds(began.elapsed()))),
                    Err(error) => match error.downcast_ref::<tonic::Status>() {
                        Some(status) if status.code() == tonic::Code::ResourceExhausted => Ok(None),
                        _ => Err(error),
                    },
                }
            });
        }
        while let Some(answered) = calls.try_join_next() {
            note(&mut all, answered?)?;
        }
    }
    while let Some(answered) = calls.join_next().await {
        note(&mut all, answered?)?;
    }
    Ok(all)
}

/// A key, and its line for the file of keys.
fn new_key(name: &str) -> anyhow::Result<(String, String)> {
    let made = std::process::Command::new(binary()).args(["key", "new", name, "--output", "json"]).output()?;
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let text = |field: &str| made.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((text("key"), text("entry")))
}
