//! The gRPC server: its services, its limits, and its drain.

use std::{sync::Arc, time::Duration};

use cqar_proto::DESCRIPTORS;
use cqar_registry::Registry;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::{pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS, server::health_reporter};
use tonic_reflection::pb::{
    v1::FILE_DESCRIPTOR_SET as REFLECTION_DESCRIPTORS, v1alpha::FILE_DESCRIPTOR_SET as REFLECTION_ALPHA_DESCRIPTORS,
};

use crate::{
    auth::{ApiKeys, AuthLayer},
    calls::InstrumentationLayer,
    error_info::ErrorInfoLayer,
    health::{self, Readiness},
    memory::MemoryLayer,
    metrics::{Methods, MethodsError},
    services::{Api, MAX_IMPORTS, SERVICES, routes},
};

/// Calls at once on one connection: beyond it a client opens another one, or waits. It bounds what a connection can hold.
const MAX_CONCURRENT_STREAMS: u32 = 1024;
/// A peer that is gone without a word is noticed after so long, twice.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How the gRPC server behaves.
#[derive(Debug, Clone)]
pub struct GrpcSettings {
    /// The largest message that is received; a larger one is refused, naming the limit.
    pub max_request_bytes: usize,
    /// The most bytes that large requests and answers have in memory together.
    pub batch_memory_bytes: usize,
    /// Who may call.
    pub keys: ApiKeys,
    /// Whether tools that ask for the contract need a key too.
    pub reflection_requires_key: bool,
    /// The share of calls that get a span, 0 to 1; 0 where spans are not sent anywhere.
    pub trace_sample_rate: f64,
}

/// The defaults: nobody has a key, so everybody may call.
impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            max_request_bytes: 16 << 20,
            batch_memory_bytes: 256 << 20,
            keys: ApiKeys::default(),
            reflection_requires_key: true,
            trace_sample_rate: 0.0,
        }
    }
}

/// Why the gRPC server could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The metrics of its calls could not be made.
    #[error(transparent)]
    Methods(#[from] MethodsError),
    /// Reflection could not read the contract, which is a defect of the build.
    #[error("reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves every service until the token is cancelled. Then it takes no more calls, ends the streams that would not end by
/// themselves, and returns when the running calls have ended; how long that may take is the caller's to say.
pub async fn serve_grpc(
    listener: TcpListener,
    registry: Registry,
    settings: GrpcSettings,
    metrics: &prometheus::Registry,
    token: CancellationToken,
) -> Result<(), ServeError> {
    let GrpcSettings { max_request_bytes, batch_memory_bytes, keys, reflection_requires_key, trace_sample_rate } =
        settings;
    let descriptors = [DESCRIPTORS, HEALTH_DESCRIPTORS, REFLECTION_DESCRIPTORS, REFLECTION_ALPHA_DESCRIPTORS];
    let methods = Methods::new(&descriptors, metrics)?;
    let memory = MemoryLayer::new(batch_memory_bytes, metrics).map_err(MethodsError::from)?;
    let (reporter, health_service) = health_reporter();
    let imports = Arc::new(Semaphore::new(MAX_IMPORTS));
    let api = Api { registry: registry.clone(), stopping: token.clone(), imports };
    let routes = routes(&api, max_request_bytes)?.add_service(health_service);
    let stopping = token.child_token();
    let serving = async {
        let served = Server::builder()
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .layer(InstrumentationLayer { methods, trace_sample_rate })
            .layer(ErrorInfoLayer)
            .layer(AuthLayer { keys, reflection_requires_key })
            .layer(memory)
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), token.cancelled())
            .await;
        // However it ended, its health is not to be reported any more.
        stopping.cancel();
        served
    };
    let is_serving = || Readiness::of(&registry.components()).is_serving();
    let (served, ()) = tokio::join!(serving, health::report(is_serving, reporter, &SERVICES, &stopping));
    Ok(served?)
}
