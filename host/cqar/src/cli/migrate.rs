//! `cqar migrate`: the database's schema.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
};

use clap::{Args, Subcommand};
use cqar_domain::time::SystemClock;
use cqar_store::{MigrationStatus, Store};
use serde::Serialize;

use super::{
    ClientArgs, ConfigArgs,
    error::{CliError, Exit},
    output::{self, OutputFormat},
};
use crate::{config::Purpose, serve::store_settings};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar migrate status
  cqar migrate up
  cqar migrate down --steps 1     takes the newest migration back, with everything that it holds
  cqar migrate down --yes         does not ask

The database is the one of the configuration: database.url, or DATABASE_URL. With SQLite
`cqar serve` migrates by itself; with PostgreSQL it waits for `cqar migrate up`.")]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Applies the migrations that are missing.
    Up(ConfigArgs),
    /// Takes the newest migrations back. What their tables hold is lost.
    Down {
        #[command(flatten)]
        config: ConfigArgs,
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: usize,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Lists the migrations, and when each was applied.
    Status(ConfigArgs),
}

#[derive(Serialize)]
struct Migration {
    number: i64,
    name: String,
    /// Empty while it is not applied.
    applied: String,
}

/// Migrates, or says how far it is.
pub async fn run(args: MigrateArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let (MigrateCommand::Up(config) | MigrateCommand::Down { config, .. } | MigrateCommand::Status(config)) =
        &args.command;
    let loaded = config.load_for(Purpose::Migrate)?;
    let settings = store_settings(&loaded.config.database);
    if let MigrateCommand::Down { steps, yes: false, .. } = &args.command {
        let question =
            format!("Take back {steps} migration(s) of {}? What their tables hold is lost.", settings.redacted_url());
        if !confirmed(&question)? {
            return Err(CliError::Refused("nothing was taken back".to_owned()));
        }
    }
    let store = Store::open(&settings, Arc::new(SystemClock), &prometheus::Registry::new()).await;
    let store = store.map_err(anyhow::Error::new)?;
    let (outcome, done) = match args.command {
        MigrateCommand::Up(_) => ("applied", store.migrate_up().await),
        MigrateCommand::Down { steps, .. } => ("taken_back", store.migrate_down(steps).await),
        MigrateCommand::Status(_) => {
            let status = store.migration_status().await;
            store.close().await;
            show(status.map_err(anyhow::Error::new)?, client.format())?;
            return Ok(Exit::Done);
        }
    };
    store.close().await;
    let done = done.map_err(anyhow::Error::new)?;
    let told = names(&outcome.replace('_', " "), &done);
    if !client.format().print(&BTreeMap::from([(outcome, done)]))? {
        output::line(&told)?;
    }
    Ok(Exit::Done)
}

/// Asks on a terminal; elsewhere nobody can answer.
fn confirmed(question: &str) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage(format!("{question} Say so with --yes")));
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn names(what: &str, done: &[String]) -> String {
    if done.is_empty() { format!("nothing to be {what}") } else { format!("{what}: {}", done.join(", ")) }
}

fn show(status: Vec<MigrationStatus>, format: OutputFormat) -> Result<(), CliError> {
    let migrations = status.into_iter().map(|migration| Migration {
        number: migration.number,
        name: migration.name,
        applied: migration.applied.map_or_else(String::new, |time| time.to_string()),
    });
    let migrations: Vec<Migration> = migrations.collect();
    if !format.print(&migrations)? {
        let applied = |m: Migration| [m.name, if m.applied.is_empty() { "PENDING".to_owned() } else { m.applied }];
        output::table(["MIGRATION", "APPLIED"], migrations.into_iter().map(applied))?;
    }
    Ok(())
}
