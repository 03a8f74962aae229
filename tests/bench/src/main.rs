//! What the registry costs beyond its transport: benchmarks against a floor, which is the least service that answers
//! the same messages.
//!
//! Floor and registry take turns within each repeat, so that both see the same machine; a row shows the median of the
//! repeats, and their spread. The load comes from the same machine, and so do its costs: a ratio of 1 means that
//! nothing was measurable, not that nothing was done. What the processes themselves used is a row of its own.
//!
//! It may depend on every crate but `cqar`, whose binary it runs.
//!
//! | module | subject |
//! |---|---|
//! | [`floor`] | the floor: a bare tonic service with a cache in front of nothing |
//! | [`million`] | the store at a million markets |
//! | [`plugin_host`] | the plugin host in this process |
//! | [`registry_process`] | the registry, with everything on that it has in production |
//! | [`collector`] | takes the registry's traces, and drops them |
//! | [`load`] | many calls at once, and how long they took |
//! | [`codec`] | messages that were encoded before, or need no decoding |
//! | [`rows`] | what is measured, one file each |
//! | [`report`] | the table, and its copy in `target/bench/` |

mod codec;
mod collector;
mod floor;
mod load;
mod million;
mod plugin_host;
mod registry_process;
mod report;
mod rows;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    registry_process::Database,
    report::Report,
    rows::{Benchmark, RunConfig},
};

/// Measures the registry against the floor server, and prints one table.
///
/// The table, and every figure behind it as JSON, go to target/bench/. The exit code says whether everything could be
/// measured, not whether every target was met: that is the table's business, and a busy machine's.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only these rows, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<Benchmark>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// For how long, each time.
    #[arg(long, default_value_t = 3.0, value_name = "S", value_parser = seconds)]
    seconds: f64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the floor server alone, and prints its address.
    Floor {
        /// The port on loopback; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// A file of answers, one JSON `ResolveMarketResponse` a line.
        #[arg(long)]
        answers: PathBuf,
    },
    /// Fills each database with a million made-up markets, and measures what they cost; target/bench/million.*.
    Million {
        /// Another number of them.
        #[arg(long, default_value_t = 1_000_000)]
        markets: usize,
        /// Only this database.
        #[arg(long)]
        database: Option<Database>,
        /// How many listings are imported at once.
        #[arg(long, default_value_t = 2, value_name = "N")]
        imports: usize,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = RunConfig { repeats: arguments.repeats, time: Duration::from_secs_f64(arguments.seconds) };
    match arguments.command {
        Some(Command::Floor { port, answers }) => return floor::serve(port, &answers).await,
        Some(Command::Million { markets, database, imports }) => {
            let once = RunConfig { repeats: 1, ..config };
            let mut report = Report::new(&once);
            for each in [Database::Sqlite, Database::Postgres] {
                if database.is_none_or(|only| only == each) {
                    million::measure(each, markets, imports, &mut report).await?;
                }
            }
            return report.publish("million");
        }
        None => {}
    }
    let mut report = Report::new(&config);
    for rows in Benchmark::selected(&arguments.only) {
        eprintln!("measuring: {rows}");
        rows.measure(&config, &mut report).await?;
    }
    report.publish("latest")
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0.1 to 600".to_owned()),
    }
}
