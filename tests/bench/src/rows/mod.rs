//! What is measured: one file for each kind of rows.

mod batch;
mod beside;
mod comparison;
mod fairness;
mod h2load;
mod joins;
mod miss;
mod plugins;
mod resolve;
mod validator;
mod writes;

use std::{fmt, time::Duration};

use clap::ValueEnum;

use crate::report::Report;

/// How often, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunConfig {
    /// How often everything is measured.
    pub(crate) repeats: u32,
    /// For how long, each time.
    pub(crate) time: Duration,
}

/// Rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// `ResolveMarket` from the cache, against the floor.
    Resolve,
    /// The same, with h2load as the generator.
    H2load,
    /// `BatchResolveMarkets` from the cache, against the floor.
    Batch,
    /// `ResolveMarket` past the cache, on both databases.
    Miss,
    /// What else is resolved from the cache, against `ResolveMarket`; and the variants of an asset.
    Joins,
    /// The host's share of a validator's call.
    Validator,
    /// Swaps, neighbours, writes and starts with plugins.
    Plugins,
    /// One write after the other, on both databases.
    Writes,
    /// Small writes beside imports, on both databases.
    Beside,
    /// One caller beside another that floods.
    Fairness,
}

impl Benchmark {
    /// The given ones, or all if none is given.
    pub(crate) fn selected(only: &[Self]) -> Vec<Self> {
        let selected = Self::value_variants().iter().filter(|rows| only.is_empty() || only.contains(rows));
        selected.copied().collect()
    }

    /// Measures them.
    pub(crate) async fn measure(self, config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::Resolve => resolve::measure(config, report).await,
            Self::H2load => h2load::measure(config, report).await,
            Self::Batch => batch::measure(config, report).await,
            Self::Miss => miss::measure(config, report).await,
            Self::Joins => joins::measure(config, report).await,
            Self::Validator => validator::measure(config, report).await,
            Self::Plugins => plugins::measure(config, report).await,
            Self::Writes => writes::measure(config, report).await,
            Self::Beside => beside::measure(config, report).await,
            Self::Fairness => fairness::measure(config, report).await,
        }
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}
