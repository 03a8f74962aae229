//! Whether this server can serve, for probes: `grpc.health.v1`, and what HTTP says.
//!
//! The protocol is implemented here, as the library's own answers Watch of an unknown name by `NOT_FOUND`, where the protocol says
//! `SERVICE_UNKNOWN` and to stay open: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.

use std::{pin::Pin, sync::Arc, time::Duration};

use cqar_proto::{
    server::market_service_server::SERVICE_NAME as MARKETS,
    v1::{Component, component::State},
};
use futures::{Stream, StreamExt as _, stream};
use tokio::{sync::watch, time::sleep};
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use crate::{
    listen::Peer,
    services::SERVICES,
    startup::{Condition, Startup},
};

/// How often the condition is looked at. Probes come every few seconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// How a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    /// Every part works, or is not configured.
    Ready,
    /// Something does not work, and the server serves without it.
    Degraded,
    /// It cannot serve.
    NotReady,
}

impl Readiness {
    /// What the parts add up to.
    pub(crate) fn of(components: &[Component]) -> Self {
        let any = |state| components.iter().any(|component| component.state() == state);
        if any(State::Failed) {
            Self::NotReady
        } else if any(State::Degraded) {
            Self::Degraded
        } else {
            Self::Ready
        }
    }

    /// Whether it serves.
    pub(crate) fn is_serving(self) -> bool {
        self != Self::NotReady
    }
}

/// What serves: the server as a whole (the empty name) and the markets' service, which have the cache to answer from; and all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Serving {
    markets: bool,
    others: bool,
}

impl Serving {
    const NOTHING: Self = Self { markets: false, others: false };

    fn of(condition: &Condition) -> Self {
        let markets = condition.readiness.is_serving();
        Self { markets, others: markets && !condition.serves_cache_alone }
    }

    /// The status of a service; none if there is no such service.
    fn status(self, service: &str) -> Option<ServingStatus> {
        let is_serving = match service {
            "" | MARKETS => self.markets,
            _ if SERVICES.contains(&service) => self.others,
            _ => return None,
        };
        Some(if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

/// `grpc.health.v1.Health`. Clones share what they say.
#[derive(Clone)]
pub(crate) struct HealthService {
    startup: Startup,
    serving: Arc<watch::Sender<Serving>>,
}

impl HealthService {
    pub(crate) fn new(startup: Startup) -> Self {
        let serving = Serving::of(&startup.condition());
        Self { startup, serving: Arc::new(watch::Sender::new(serving)) }
    }

    /// As a service to be served.
    pub(crate) fn server(&self) -> HealthServer<Self> {
        HealthServer::new(self.clone())
    }

    /// Tells those who watch what changes, until the server drains. Then nothing serves, and they are told so; they are let go when it
    /// closes.
    pub(crate) async fn report(&self) {
        loop {
            let now = Serving::of(&self.startup.condition());
            // Only news is reported.
            self.serving.send_if_modified(|before| std::mem::replace(before, now) != now);
            tokio::select! {
                () = self.startup.draining().cancelled() => break,
                () = self.startup.closing().cancelled() => break,
                () = sleep(INTERVAL) => {}
            }
        }
        self.serving.send_replace(Serving::NOTHING);
    }
}

#[async_trait]
impl Health for HealthService {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        // As it is at this moment, and not when it was looked at last.
        let status = Serving::of(&self.startup.condition()).status(&service);
        let status = status.ok_or_else(|| Status::not_found(format!("there is no service {service:?}")))?;
        Ok(Response::new(response(status)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let closing = Peer::of(&request).map_or_else(|| self.startup.closing().clone(), |peer| peer.closing.clone());
        let service = request.into_inner().service;
        let (serving, draining) = (self.serving.subscribe(), self.startup.draining().clone());
        let changes = stream::unfold((serving, None), move |(mut serving, last)| {
            let (service, draining, closing) = (service.clone(), draining.clone(), closing.clone());
            async move {
                loop {
                    let is_last = closing.is_cancelled();
                    let reported = *serving.borrow_and_update();
                    let now = if draining.is_cancelled() { Serving::NOTHING } else { reported };
                    let now = now.status(&service).unwrap_or(ServingStatus::ServiceUnknown);
                    if last != Some(now) {
                        return Some((Ok(response(now)), (serving, Some(now))));
                    }
                    // Who watches is let go once it was told.
                    if is_last {
                        return None;
                    }
                    if let Some(Err(_)) = closing.run_until_cancelled(serving.changed()).await {
                        return None;
                    }
                }
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, TryStreamExt};
    use tokio_util::sync::CancellationToken;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    fn request(service: &str) -> HealthCheckRequest {
        HealthCheckRequest { service: service.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_is_told_what_changes_and_let_go_at_the_end() {
        let stopping = CancellationToken::new();
        let health = HealthService::new(Startup::new(stopping.clone(), stopping.clone()));
        let watching = async {
            let mut client = HealthClient::new(health.server());
            let mut watched = client.watch(request("cqar.v1.MarketService")).await.unwrap().into_inner();
            let mut unknown = client.watch(request("nonsense")).await.unwrap().into_inner();
            let mut seen = vec![watched.message().await.unwrap().unwrap()];
            assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
            sleep(INTERVAL * 3).await;
            assert!(watched.message().now_or_never().is_none(), "nothing changed");
            assert!(unknown.message().now_or_never().is_none(), "it stays open");
            health.serving.send_replace(Serving { markets: true, others: false });
            seen.push(watched.message().await.unwrap().unwrap());
            stopping.cancel();
            seen.extend(watched.try_collect::<Vec<_>>().await.unwrap());
            assert!(unknown.message().await.unwrap().is_none(), "let go");
            seen
        };
        let ((), seen) = tokio::join!(biased; health.report(), watching);
        let seen: Vec<ServingStatus> = seen.iter().map(HealthCheckResponse::status).collect();
        assert_eq!(seen, [ServingStatus::NotServing, ServingStatus::Serving, ServingStatus::NotServing]);
    }

    #[tokio::test]
    async fn an_unknown_service_is_not_found_and_a_starting_server_does_not_serve() {
        let health = HealthService::new(Startup::new(CancellationToken::new(), CancellationToken::new()));
        let mut client = HealthClient::new(health.server());
        assert_eq!(client.check(request("nonsense")).await.unwrap_err().code(), tonic::Code::NotFound);
        for service in ["", "cqar.v1.AssetService"] {
            let status = client.check(request(service)).await.unwrap().into_inner().status();
            assert_eq!(status, ServingStatus::NotServing, "{service}");
        }
    }

    #[test]
    fn while_only_the_cache_answers_only_markets_serve() {
        let serving = Serving { markets: true, others: false };
        assert_eq!(serving.status(""), Some(ServingStatus::Serving));
        assert_eq!(serving.status("cqar.v1.MarketService"), Some(ServingStatus::Serving));
        assert_eq!(serving.status("cqar.v1.AssetService"), Some(ServingStatus::NotServing));
    }

    fn readiness(states: &[State]) -> Readiness {
        let component = |state: &State| Component { state: (*state).into(), ..Default::default() };
        Readiness::of(&states.iter().map(component).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_failed_makes_a_server_unready() {
        assert_eq!(readiness(&[State::Ok, State::Off]), Readiness::Ready);
        assert_eq!(readiness(&[State::Ok, State::Degraded]), Readiness::Degraded);
        assert_eq!(readiness(&[State::Degraded, State::Failed]), Readiness::NotReady);
        assert!(Readiness::Degraded.is_serving() && !Readiness::NotReady.is_serving());
    }
}
