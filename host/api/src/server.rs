//! The gRPC server: its services, its limits, and its drain.

use std::{sync::Arc, time::Duration};

use cqar_proto::{DESCRIPTORS, v1::ErrorReason};
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{
    Code, Status,
    body::Body,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS;
use tonic_reflection::pb::{
    v1::FILE_DESCRIPTOR_SET as REFLECTION_DESCRIPTORS, v1alpha::FILE_DESCRIPTOR_SET as REFLECTION_ALPHA_DESCRIPTORS,
};

use crate::{
    auth::{ApiKeys, AuthLayer},
    calls::InstrumentationLayer,
    error_info::ErrorInfoLayer,
    health::HealthService,
    memory::MemoryLayer,
    metrics::{Methods, MethodsError},
    services::{Api, MAX_IMPORTS, routes},
    stale::StaleLayer,
    startup::Startup,
    status::RETRY_LATER,
    status_builder::StatusBuilder,
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
    /// Its port could not be used.
    #[error("the gRPC port failed: {0}")]
    Port(#[from] std::io::Error),
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves every service until the token of the startup is cancelled. Then it takes no more calls, ends the streams that would not end
/// by themselves, and returns when the running calls have ended; how long that may take is the caller's to say.
///
/// Health answers from the first moment. Until there is a registry every other call is answered UNAVAILABLE (`STARTING`): by a server
/// of its own, on the same port, whose connections are told to go when the other one takes over.
pub async fn serve_grpc(
    listener: TcpListener,
    startup: Startup,
    settings: GrpcSettings,
    metrics: &prometheus::Registry,
) -> Result<(), ServeError> {
    let GrpcSettings { max_request_bytes, batch_memory_bytes, keys, reflection_requires_key, trace_sample_rate } =
        settings;
    let descriptors = [DESCRIPTORS, HEALTH_DESCRIPTORS, REFLECTION_DESCRIPTORS, REFLECTION_ALPHA_DESCRIPTORS];
    let methods = Methods::new(&descriptors, metrics)?;
    let memory = MemoryLayer::new(batch_memory_bytes, metrics).map_err(MethodsError::from)?;
    let health = HealthService::new(startup.clone());
    let instrumentation = InstrumentationLayer { methods, trace_sample_rate };
    let auth = AuthLayer { keys, reflection_requires_key };

    let listener = listener.into_std()?;
    let (first, second) = (TcpListener::from_std(listener.try_clone()?)?, TcpListener::from_std(listener)?);
    let unavailable = Routes::new(health.server()).into_axum_router().fallback(async || starting().into_http::<Body>());
    let starting = server()
        .layer(instrumentation.clone())
        .layer(ErrorInfoLayer)
        .layer(auth.clone())
        .add_routes(Routes::from(unavailable))
        .serve_with_incoming_shutdown(incoming(first), async {
            startup.started().await;
        });
    let serving = async {
        let Some(registry) = startup.started().await else { return Ok(()) };
        let imports = Arc::new(Semaphore::new(MAX_IMPORTS));
        let api = Api { registry: registry.clone(), stopping: startup.stopping().clone(), imports };
        let routes = routes(&api, max_request_bytes)?.add_service(health.server());
        let served = server()
            .layer(instrumentation)
            .layer(ErrorInfoLayer)
            .layer(auth)
            .layer(StaleLayer { registry })
            .layer(memory)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming(second), startup.stopping().cancelled());
        Ok(served.await?)
    };
    let ended = async { tokio::try_join!(async { Ok(starting.await?) }, serving).map(drop) };
    // However it ends, its health is not to be reported any more.
    tokio::select! {
        ended = ended => ended,
        never = async { health.report().await; std::future::pending().await } => never,
    }
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

fn starting() -> Status {
    let message = "this server starts: what it waits for is in its log and at /health/ready";
    StatusBuilder::new(Code::Unavailable, ErrorReason::Starting, message).retry_after(RETRY_LATER).into_status()
}
