//! The ports that the server listens on.

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::greet::Addresses;
use crate::config::sections::Config;

/// The ports, taken before anything else is touched: whoever starts a second server learns of it at once.
pub struct Listeners {
    pub grpc: TcpListener,
    pub http: TcpListener,
    /// None where nothing is to be scraped.
    pub metrics: Option<TcpListener>,
}

impl Listeners {
    /// Takes the configured ports.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let host = config.listen_host();
        let server = &config.server;
        Ok(Self {
            grpc: bind(host, server.grpc_port, "server.grpc_port").await?,
            http: bind(host, server.http_port, "server.http_port").await?,
            metrics: match &config.metrics {
                metrics if metrics.enabled => Some(bind(host, metrics.port, "metrics.port").await?),
                _ => None,
            },
        })
    }

    /// Where they are.
    pub fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.local_addr()?,
            http: self.http.local_addr()?,
            metrics: self.metrics.as_ref().map(TcpListener::local_addr).transpose()?,
        })
    }
}

async fn bind(host: &str, port: u16, key: &str) -> anyhow::Result<TcpListener> {
    let host = host.trim_matches(['[', ']']);
    TcpListener::bind((host, port)).await.with_context(|| {
        let variable = key.to_uppercase().replace('.', "_");
        format!("cannot listen on {host}:{port} ({key}); stop what listens there, or set {variable} to another port")
    })
}
