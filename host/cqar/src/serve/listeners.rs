//! The ports that the server listens on.

use anyhow::Context as _;
use cqar_api::listen::{Port, Protocol, ServerTls};
use rlimit::Resource;
use tokio::net::TcpListener;

use crate::config::sections::Config;

/// Files beyond the connections of gRPC: those of the other ports, of the database, the cache and the bus, of plugins and of the log.
const OTHER_FILES: u64 = 384;
/// The most connections of a port for probes, and of the one for scrapers. They have their own, so that they are answered however many
/// clients there are.
const MAX_HTTP_CONNECTIONS: usize = 128;

/// The ports, taken before anything else is touched: whoever starts a second server learns of it at once.
pub struct Ports {
    pub grpc: Port,
    pub http: Port,
    /// None where nothing is to be scraped.
    pub metrics: Option<Port>,
}

/// What the ports show of themselves; none where they speak plaintext.
pub struct PortsTls {
    pub grpc: Option<ServerTls>,
    pub http: Option<ServerTls>,
}

impl Ports {
    /// Takes the configured ports.
    pub async fn bind(config: &Config, tls: &PortsTls) -> anyhow::Result<Self> {
        let host = config.listen_host();
        let server = &config.server;
        let http = |name, listener| Port {
            name,
            listener,
            protocol: Protocol::Http1,
            tls: tls.http.clone(),
            max_connections: MAX_HTTP_CONNECTIONS,
        };
        Ok(Self {
            grpc: Port {
                name: "grpc",
                listener: bind(host, server.grpc_port, "server.grpc_port").await?,
                protocol: Protocol::Http2,
                tls: tls.grpc.clone(),
                max_connections: max_connections(server.max_connections.get()),
            },
            http: http("http", bind(host, server.http_port, "server.http_port").await?),
            metrics: match &config.metrics {
                metrics if metrics.enabled => Some(http("metrics", bind(host, metrics.port, "metrics.port").await?)),
                _ => None,
            },
        })
    }
}

/// As many connections as are wanted and there are files for. The process may open as many as the system lets it.
fn max_connections(wanted: u32) -> usize {
    let wanted = u64::from(wanted);
    let needed = wanted + OTHER_FILES;
    // Where it cannot be raised, it is as it was, which is asked for next.
    let files = rlimit::increase_nofile_limit(needed).or_else(|_| Resource::NOFILE.get_soft()).unwrap_or(needed);
    // Of few files at least a half is left.
    let possible = files.saturating_sub(OTHER_FILES).max(files / 2).min(wanted);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            nofile = files,
            "max_connections_lowered: raise the limit of open files (LimitNOFILE, ulimit -n), or set server.max_connections"
        );
    }
    usize::try_from(possible).unwrap_or(usize::MAX)
}

async fn bind(host: &str, port: u16, key: &str) -> anyhow::Result<TcpListener> {
    let host = host.trim_matches(['[', ']']);
    TcpListener::bind((host, port)).await.with_context(|| {
        let variable = key.to_uppercase().replace('.', "_");
        format!("cannot listen on {host}:{port} ({key}); stop what listens there, or set {variable} to another port")
    })
}
