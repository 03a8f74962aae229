//! `ResolveMarket` from the cache once more, with a generator that is not ours.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, ensure};
use bytes::{BufMut, BytesMut};
use cqar_proto::v1::ResolveMarketRequest;
use prost::Message;
use tokio::process::Command;

use super::{
    RunConfig,
    comparison::{Comparison, medians, ratios},
};
use crate::{
    load::Target,
    registry_process::{KEY, RESOLVE},
    report::{self, Report, Row, Unit},
};

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let comparison = Comparison::start(1).await?;
    let request = comparison.requests.first().context("a market")?;
    let body = report::folder()?.join("resolve.body");
    fs::write(&body, frame(request))?;
    report.note(format!(
        "{} is one framed request for {} {}, for any generator: against `make run`,\n\n    h2load {} {}{RESOLVE}",
        body.display(),
        request.venue_id,
        request.venue_symbol,
        arguments(&body, config.time).iter().map(|it| quoted(it)).collect::<Vec<_>>().join(" "),
        "http://127.0.0.1:9090",
    ));
    if Command::new("h2load").arg("--version").output().await.is_err() {
        report.note("h2load is not installed (Debian: nghttp2-client), so its row is missing.");
        return Ok(());
    }
    let rounds = comparison.take_turns(config, async |target| run(target, &body, config.time).await).await?;
    let (registry, floor) = medians(&rounds, |calls_per_second| *calls_per_second);
    report.row(
        Row::new("ResolveMarket, cached: throughput by h2load", Unit::Ratio, ratios(&rounds, |it| *it))
            .detail(format!("{registry:.0} /s against {floor:.0} /s, 8 connections × 16 calls, one symbol")),
    );
    Ok(())
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn frame(request: &ResolveMarketRequest) -> BytesMut {
    let message = request.encode_to_vec();
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message);
    frame
}

fn arguments(body: &Path, time: Duration) -> Vec<String> {
    let mut arguments = ["-c", "8", "-m", "16", "--warm-up-time", "1", "-D"].map(str::to_owned).to_vec();
    // h2load reads whole seconds.
    arguments.extend([time.as_secs().max(1).to_string(), "-d".to_owned(), body.display().to_string()]);
    let headers = ["content-type: application/grpc", "te: trailers", &format!("authorization: Bearer {KEY}")];
    arguments.extend(headers.into_iter().flat_map(|header| ["-H".to_owned(), header.to_owned()]));
    arguments
}

fn quoted(argument: &str) -> String {
    if argument.contains(' ') { format!("'{argument}'") } else { argument.to_owned() }
}

/// Calls per second.
async fn run(target: &Target, body: &Path, time: Duration) -> anyhow::Result<f64> {
    let mut command = Command::new("h2load");
    command.args(arguments(body, time)).arg(format!("{}{RESOLVE}", target.address));
    let output = command.output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "h2load: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(text.contains(" 0 failed, 0 errored, 0 timeout"), "h2load saw calls fail:\n{text}");
    read_rate(&text).with_context(|| format!("h2load printed no rate:\n{text}"))
}

/// From `finished in 3.00s, 41234.67 req/s, 12.34MB/s`.
fn read_rate(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("finished in "))?;
    line.split(", ").find_map(|part| part.strip_suffix(" req/s"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_h2load_is_read() {
        let text = "progress: 100% done\n\nfinished in 3.00s, 41234.67 req/s, 12.34MB/s\nrequests: 1 total";
        assert_eq!(read_rate(text), Some(41_234.67));
    }
}
