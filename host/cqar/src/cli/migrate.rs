//! `cqar migrate`: the database's schema.

use std::{collections::BTreeMap, sync::Arc};

use clap::{Args, Subcommand};
use cqar_domain::time::SystemClock;
use cqar_store::{MigrationStatus, Store};
use serde::Serialize;

use super::{
    ClientArgs, ConfigArgs,
    error::{CliError, Exit},
    output::{self, OutputFormat},
};
use crate::serve::store_settings;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar migrate status
  cqar migrate up
  cqar migrate down --steps 1     takes the newest migration back, with everything that it holds

The database is the one of the configuration: database.url, or DATABASE_URL. With SQLite
`cqar serve` migrates by itself; with PostgreSQL it refuses to start until `cqar migrate up` ran.")]
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
    let loaded = config.load()?;
    let settings = store_settings(&loaded.config.database);
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
    match client.format() {
        OutputFormat::Json => output::json(&BTreeMap::from([(outcome, done)]))?,
        OutputFormat::Table => output::line(&names(&outcome.replace('_', " "), &done))?,
    }
    Ok(Exit::Done)
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
    match format {
        OutputFormat::Json => output::json(&migrations.collect::<Vec<_>>())?,
        OutputFormat::Table => {
            let rows =
                migrations.map(|m| [m.name, if m.applied.is_empty() { "PENDING".to_owned() } else { m.applied }]);
            output::table(["MIGRATION", "APPLIED"], rows)?;
        }
    }
    Ok(())
}
