//! The registry and the floor, with the same answers, taking turns.

use cqar_proto::v1;

use crate::{
    floor::FloorProcess,
    load::{Load, Measured, Target},
    registry_process::{Database, RegistryProcess},
    report::median,
    rows::RunConfig,
};

/// Both, running.
pub(crate) struct Comparison {
    /// What is asked, and cached by both.
    pub(crate) requests: Vec<v1::ResolveMarketRequest>,
    registry: RegistryProcess,
    floor: FloorProcess,
}

/// What both did in one repeat.
pub(crate) struct PairedSample<T> {
    /// The registry.
    pub(crate) registry: T,
    /// The floor.
    pub(crate) floor: T,
}

impl Comparison {
    /// Starts both with that many markets.
    pub(crate) async fn start(markets: usize) -> anyhow::Result<Self> {
        let registry = RegistryProcess::start(Database::Sqlite, markets.saturating_sub(1)).await?;
        let requests = registry.requests();
        // This also caches them in the registry.
        let answers = registry.answers(&requests).await?;
        let floor = FloorProcess::start(&answers, registry.folder())?;
        Ok(Self { requests, registry, floor })
    }

    /// Where the registry listens.
    pub(crate) const fn registry_target(&self) -> &Target {
        self.registry.target()
    }

    /// Where the floor listens.
    pub(crate) const fn floor(&self) -> &Target {
        self.floor.target()
    }

    /// Puts both under a load.
    pub(crate) async fn rounds(&self, load: &Load, config: &RunConfig) -> anyhow::Result<Vec<PairedSample<Measured>>> {
        self.take_turns(config, async |target| load.run(target, config.time).await).await
    }

    /// Measures one after the other, beginning with each in turn: what the first leaves behind hurts both.
    pub(crate) async fn take_turns<T>(
        &self,
        config: &RunConfig,
        measure: impl AsyncFn(&Target) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<PairedSample<T>>> {
        let mut rounds = Vec::new();
        for repeat in 0..config.repeats {
            rounds.push(if repeat % 2 == 0 {
                let floor = measure(self.floor()).await?;
                PairedSample { registry: measure(self.registry_target()).await?, floor }
            } else {
                let registry = measure(self.registry_target()).await?;
                PairedSample { registry, floor: measure(self.floor()).await? }
            });
        }
        Ok(rounds)
    }
}

/// The registry's figure divided by the floor's, of each round.
pub(crate) fn ratios<T>(rounds: &[PairedSample<T>], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    rounds.iter().map(|round| figure(&round.registry) / figure(&round.floor)).collect()
}

/// The medians of a figure: the registry's, and the floor's.
pub(crate) fn medians<T>(rounds: &[PairedSample<T>], figure: impl Fn(&T) -> f64) -> (f64, f64) {
    let of =
        |side: fn(&PairedSample<T>) -> &T| median(&rounds.iter().map(|round| figure(side(round))).collect::<Vec<_>>());
    (of(|round| &round.registry), of(|round| &round.floor))
}
