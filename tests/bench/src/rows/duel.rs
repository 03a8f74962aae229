//! The registry and the floor, with the same answers, taking turns.

use cqar_proto::v1;

use crate::{
    floor::FloorProcess,
    load::{Load, Measured, Target},
    report::median,
    rows::Plan,
    subject::{Database, Subject},
};

/// Both, running.
pub(crate) struct Duel {
    /// What is asked, and cached by both.
    pub(crate) requests: Vec<v1::ResolveMarketRequest>,
    subject: Subject,
    floor: FloorProcess,
}

/// What both did in one repeat.
pub(crate) struct Round<T> {
    /// The registry.
    pub(crate) subject: T,
    /// The floor.
    pub(crate) floor: T,
}

impl Duel {
    /// Starts both with that many markets.
    pub(crate) async fn start(markets: usize) -> anyhow::Result<Self> {
        let subject = Subject::start(Database::Sqlite, markets.saturating_sub(1)).await?;
        let requests = subject.requests();
        // This also caches them in the registry.
        let answers = subject.answers(&requests).await?;
        let floor = FloorProcess::start(&answers, subject.folder())?;
        Ok(Self { requests, subject, floor })
    }

    /// Where the registry listens.
    pub(crate) const fn subject(&self) -> &Target {
        self.subject.target()
    }

    /// Where the floor listens.
    pub(crate) const fn floor(&self) -> &Target {
        self.floor.target()
    }

    /// Puts both under a load.
    pub(crate) async fn rounds(&self, load: &Load, plan: &Plan) -> anyhow::Result<Vec<Round<Measured>>> {
        self.take_turns(plan, async |target| load.run(target, plan.time).await).await
    }

    /// Measures one after the other, beginning with each in turn: what the first leaves behind hurts both.
    pub(crate) async fn take_turns<T>(
        &self,
        plan: &Plan,
        measure: impl AsyncFn(&Target) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<Round<T>>> {
        let mut rounds = Vec::new();
        for repeat in 0..plan.repeats {
            rounds.push(if repeat % 2 == 0 {
                let floor = measure(self.floor()).await?;
                Round { subject: measure(self.subject()).await?, floor }
            } else {
                let subject = measure(self.subject()).await?;
                Round { subject, floor: measure(self.floor()).await? }
            });
        }
        Ok(rounds)
    }
}

/// The registry's figure divided by the floor's, of each round.
pub(crate) fn ratios<T>(rounds: &[Round<T>], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    rounds.iter().map(|round| figure(&round.subject) / figure(&round.floor)).collect()
}

/// The medians of a figure: the registry's, and the floor's.
pub(crate) fn medians<T>(rounds: &[Round<T>], figure: impl Fn(&T) -> f64) -> (f64, f64) {
    let of = |side: fn(&Round<T>) -> &T| median(&rounds.iter().map(|round| figure(side(round))).collect::<Vec<_>>());
    (of(|round| &round.subject), of(|round| &round.floor))
}
