//! Whether this server can serve, for probes.

use std::time::Duration;

use cqar_proto::v1::{Component, component::State};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

/// How often readiness is looked at. Probes come every few seconds.
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

/// Keeps the health of the services, and of the server as a whole (the empty name), in step with what `is_serving` says,
/// until the server stops. Then nothing is serving, and whoever watches is told so and let go.
pub(crate) async fn report(
    is_serving: impl Fn() -> bool,
    mut reporter: HealthReporter,
    services: &[&str],
    stopping: &CancellationToken,
) {
    let names = || services.iter().copied().chain([""]);
    let mut last = None;
    loop {
        let status = if is_serving() { ServingStatus::Serving } else { ServingStatus::NotServing };
        // Every report is sent to all who watch, so only news is reported.
        if last.replace(status) != Some(status) {
            for name in names() {
                reporter.set_service_status(name, status).await;
            }
        }
        if stopping.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            break;
        }
    }
    for name in names() {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
        reporter.clear_service_status(name).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::{FutureExt, TryStreamExt};
    use tonic_health::{
        pb::{
            HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus as Seen,
            health_client::HealthClient,
        },
        server::health_reporter,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watcher_is_told_what_changes_and_let_go_at_the_end() {
        let (reporter, service) = health_reporter();
        let (serving, stopping) = (AtomicBool::new(true), CancellationToken::new());
        let watching = async {
            let mut client = HealthClient::new(service);
            let request = HealthCheckRequest { service: "cqar.v1.MarketService".to_owned() };
            let mut watched = client.watch(request).await.unwrap().into_inner();
            let mut seen = vec![watched.message().await.unwrap().unwrap()];
            tokio::time::sleep(INTERVAL * 3).await;
            assert!(watched.message().now_or_never().is_none(), "nothing changed");
            serving.store(false, Ordering::Relaxed);
            seen.push(watched.message().await.unwrap().unwrap());
            serving.store(true, Ordering::Relaxed);
            seen.push(watched.message().await.unwrap().unwrap());
            stopping.cancel();
            seen.extend(watched.try_collect::<Vec<_>>().await.unwrap());
            seen
        };
        let is_serving = || serving.load(Ordering::Relaxed);
        let ((), seen) =
            tokio::join!(biased; report(is_serving, reporter, &["cqar.v1.MarketService"], &stopping), watching);
        let seen: Vec<Seen> = seen.iter().map(HealthCheckResponse::status).collect();
        assert_eq!(seen, [Seen::Serving, Seen::NotServing, Seen::Serving, Seen::NotServing]);
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
