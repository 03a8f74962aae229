//! Logs and traces: started first, flushed last.

use anyhow::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use std::io::IsTerminal;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::sections::{Log, LogFormat, Tracing};

/// What must be flushed before the process ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    /// Its drop writes what waits.
    _lines: WorkerGuard,
}

impl Telemetry {
    /// Logs to standard error, and sends spans where that is enabled.
    pub fn start(log: &Log, tracing: &Tracing) -> anyhow::Result<Self> {
        let filter = EnvFilter::try_new(&log.level).context("log.level")?;
        let is_json = match log.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !std::io::stderr().is_terminal(),
        };
        // A reader of standard error that stands still must not stop the server: lines wait in memory, and beyond 100,000 are dropped.
        let (writer, written) =
            tracing_appender::non_blocking::NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
        let lines = tracing_subscriber::fmt::layer().with_writer(writer);
        let lines = if is_json {
            lines.json().flatten_event(true).with_current_span(false).boxed()
        } else {
            let has_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(has_colours).boxed()
        };
        let traces = tracing.enabled.then(|| exporter(tracing)).transpose()?;
        // The sampling is decided where a request begins (a span is made only for one that is sampled), so every span
        // that reaches this layer is sent, whatever the log's level.
        let spans = traces.as_ref().map(|traces| {
            let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("cqar"));
            layer.with_filter(EnvFilter::new("info"))
        });
        tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init()?;
        Ok(Self { traces, _lines: written })
    }

    /// Sends what is still waiting. Blocks for as long as the exporter allows itself.
    pub fn flush(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "spans_lost");
        }
    }
}

fn exporter(tracing: &Tracing) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(tracing.endpoint.expose())
        .build()
        .context("tracing.endpoint")?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(Resource::builder().with_service_name("cqar").build())
        .build())
}
