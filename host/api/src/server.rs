//! The gRPC server: its services, and what stands before them.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use cqar_proto::{DESCRIPTORS, v1::ErrorReason};
use futures::future::Either;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::{Code, Status, body::Body, service::Routes};
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS;
use tonic_reflection::pb::{
    v1::FILE_DESCRIPTOR_SET as REFLECTION_DESCRIPTORS, v1alpha::FILE_DESCRIPTOR_SET as REFLECTION_ALPHA_DESCRIPTORS,
};
use tower::{Service, ServiceBuilder};

use crate::{
    auth::{AuthLayer, Callers, Refusals},
    calls::InstrumentationLayer,
    error_info::ErrorInfoLayer,
    health::HealthService,
    listen::{self, ListenMetrics, Port},
    memory::{MemoryLayer, MemoryService},
    metrics::{Methods, MethodsError},
    services::{Api, MAX_IMPORTS, routes},
    stale::{StaleLayer, StaleService},
    startup::Startup,
    status::RETRY_LATER,
    status_builder::StatusBuilder,
};

/// How the gRPC server behaves.
#[derive(Debug, Clone)]
pub struct GrpcSettings {
    /// The largest message that is received; a larger one is refused, naming the limit.
    pub max_request_bytes: usize,
    /// The most bytes that large requests and answers have in memory together.
    pub batch_memory_bytes: usize,
    /// Who may call.
    pub callers: Callers,
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
            callers: Callers::default(),
            reflection_requires_key: true,
            trace_sample_rate: 0.0,
        }
    }
}

/// Why the gRPC server cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The metrics of its calls could not be made.
    #[error(transparent)]
    Methods(#[from] MethodsError),
    /// Reflection could not read the contract, which is a defect of the build.
    #[error("reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves every service until the startup is to close: see [`listen::serve`].
///
/// Health answers from the first moment. Until there is a registry every other call is answered UNAVAILABLE (`STARTING`).
pub async fn serve_grpc(
    port: Port,
    startup: Startup,
    settings: GrpcSettings,
    metrics: &prometheus::Registry,
    connections: &ListenMetrics,
) -> Result<(), ServeError> {
    let GrpcSettings { max_request_bytes, batch_memory_bytes, callers, reflection_requires_key, trace_sample_rate } =
        settings;
    let refusals = Refusals::register(metrics).map_err(MethodsError::from)?;
    let descriptors = [DESCRIPTORS, HEALTH_DESCRIPTORS, REFLECTION_DESCRIPTORS, REFLECTION_ALPHA_DESCRIPTORS];
    let methods = Methods::new(&descriptors, metrics)?;
    let memory = MemoryLayer::new(batch_memory_bytes, metrics).map_err(MethodsError::from)?;
    let health = HealthService::new(startup.clone());

    let unavailable = Routes::new(health.server()).into_axum_router().fallback(async || starting().into_http::<Body>());
    let by_phase = ByPhase { starting: Routes::from(unavailable), serving: Arc::new(OnceLock::new()) };
    let service = ServiceBuilder::new()
        .layer(InstrumentationLayer { methods, trace_sample_rate })
        .layer(ErrorInfoLayer)
        .layer(AuthLayer { callers, reflection_requires_key, refusals })
        .service(by_phase.clone());
    let begin = async {
        if let Some(registry) = startup.started().await {
            let api = Api { registry: registry.clone(), imports: Arc::new(Semaphore::new(MAX_IMPORTS)) };
            let routes = routes(&api, max_request_bytes)?.add_service(health.server());
            let whole = ServiceBuilder::new().layer(StaleLayer { registry }).layer(memory).service(routes);
            // It is set here alone.
            let _ = by_phase.serving.set(whole);
        }
        Ok(())
    };
    let whole = async {
        let listen = async {
            listen::serve(port, service, connections, startup.closing().clone()).await;
            Ok(())
        };
        tokio::try_join!(begin, listen).map(drop)
    };
    // However it ends, its health is not to be reported any more.
    tokio::select! {
        ended = whole => ended,
        never = async { health.report().await; std::future::pending().await } => never,
    }
}

/// What answers: while the server starts, its health alone; then every service.
#[derive(Clone)]
struct ByPhase {
    starting: Routes,
    serving: Arc<OnceLock<Serving>>,
}

type Serving = StaleService<MemoryService<Routes>>;

impl Service<Request<Body>> for ByPhase {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<<Serving as Service<Request<Body>>>::Future, <Routes as Service<Request<Body>>>::Future>;

    /// Both are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.serving.get() {
            Some(serving) => Either::Left(serving.clone().call(request)),
            None => Either::Right(self.starting.call(request)),
        }
    }
}

fn starting() -> Status {
    let message = "this server starts: what it waits for is in its log and at /health/ready";
    StatusBuilder::new(Code::Unavailable, ErrorReason::Starting, message).retry_after(RETRY_LATER).into_status()
}
