//! Logs and traces: started first, flushed last.

use std::{fs, io::IsTerminal, path::Path};

use anyhow::Context;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::sections::{Log, LogFormat, Service, Tracing};

/// What must be flushed before the process ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    level: LogLevel,
    /// Its drop writes what waits.
    _lines: WorkerGuard,
}

/// What is logged, to be changed while the server runs. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// From now on these directives count.
    pub fn set(&self, directives: &str) -> anyhow::Result<()> {
        self.0.reload(EnvFilter::try_new(directives).context("log.level")?).context("log.level")
    }
}

impl Telemetry {
    /// Logs to standard error, and sends spans where that is enabled.
    pub fn start(service: &Service, log: &Log, tracing: &Tracing) -> anyhow::Result<Self> {
        let (filter, level) = reload::Layer::new(EnvFilter::try_new(&log.level).context("log.level")?);
        let is_json = match log.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !std::io::stderr().is_terminal(),
        };
        // A reader of standard error that stands still must not stop the server: lines wait in memory, and beyond 100,000 are dropped.
        let (writer, written) =
            tracing_appender::non_blocking::NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
        let lines = tracing_subscriber::fmt::layer().with_writer(writer);
        let lines = lines.with_file(log.add_caller).with_line_number(log.add_caller);
        let lines = if is_json {
            lines.json().flatten_event(true).with_current_span(false).boxed()
        } else {
            let has_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(has_colours).boxed()
        };
        let traces = tracing.enabled.then(|| exporter(service, tracing)).transpose()?;
        // The sampling is decided where a request begins (a span is made only for one that is sampled), so every span
        // that reaches this layer is sent, whatever the log's level.
        let spans = traces.as_ref().map(|traces| {
            let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("cqar"));
            layer.with_filter(EnvFilter::new("info"))
        });
        tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init()?;
        Ok(Self { traces, level: LogLevel(level), _lines: written })
    }

    /// What is logged.
    pub fn level(&self) -> LogLevel {
        self.level.clone()
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

fn exporter(service: &Service, tracing: &Tracing) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(tracing.endpoint.expose());
    let exporter = if tracing.endpoint.is_tls() { exporter.with_tls_config(tls(tracing)?) } else { exporter };
    let version = if service.version.is_empty() { env!("CARGO_PKG_VERSION") } else { &service.version };
    let resource = Resource::builder()
        .with_service_name(service.name.clone())
        .with_attribute(KeyValue::new("service.version", version.to_owned()))
        .with_attributes(
            (!service.env.is_empty()).then(|| KeyValue::new("deployment.environment.name", service.env.clone())),
        );
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter.build().context("tracing.endpoint")?)
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource.build())
        .build())
}

/// How the collector is spoken to over TLS.
fn tls(tracing: &Tracing) -> anyhow::Result<ClientTlsConfig> {
    let read = |file: &Path| fs::read(file).with_context(|| file.display().to_string());
    let config = ClientTlsConfig::new();
    let config = if tracing.tls_ca_file.as_os_str().is_empty() {
        config.with_native_roots()
    } else {
        config.ca_certificate(Certificate::from_pem(read(&tracing.tls_ca_file)?))
    };
    if tracing.tls_cert_file.as_os_str().is_empty() {
        return Ok(config);
    }
    Ok(config.identity(Identity::from_pem(read(&tracing.tls_cert_file)?, read(&tracing.tls_key_file)?)))
}
