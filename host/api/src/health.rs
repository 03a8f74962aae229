//! Whether this server can serve, for probes.

use std::time::Duration;

use cqar_proto::v1::{Component, component::State};
use cqar_registry::Registry;
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

/// Keeps the health of the services, and of the server as a whole (the empty name), in step with the registry until the
/// server stops. Then nothing is serving, and whoever watches is told so and let go.
pub(crate) async fn report(
    registry: &Registry,
    mut reporter: HealthReporter,
    services: &[&str],
    stopping: &CancellationToken,
) {
    let names = || services.iter().copied().chain([""]);
    loop {
        let is_serving = Readiness::of(&registry.components()).is_serving();
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in names() {
            reporter.set_service_status(name, status).await;
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
    use super::*;

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
