//! `cqar import`: the starter dataset, or a venue's own listing.

mod listing;
mod report;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::listing::ListingArgs;
use super::{
    ClientArgs,
    apply::{self, WriteArgs},
    error::{CliError, Exit},
};
use crate::starter;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar import starter
  cqar import listing --venue binance exchangeInfo.json --create-missing-assets
  cqar import listing --venue binance exchangeInfo.json --validate-only

`cqar help import listing` says how codes and times are read.")]
pub struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Loads the starter dataset: well-known assets, chains, venues and markets. What exists is left as it is.
    #[command(after_help = "\
Examples:
  cqar import starter
  cqar import starter --validate-only
  cqar import starter --dir config/starter

Every *.yaml file of the directory, in the order of their names, is applied as one request: all of
it or nothing.")]
    Starter(StarterArgs),
    /// Registers the markets of a venue's own listing, read by the venue's symbology plugin.
    #[command(after_help = "\
Examples:
  cqar import listing --venue binance exchangeInfo.json
  cqar import listing --venue binance exchangeInfo.json --create-missing-assets
  cqar import listing --venue binance old.json --observed-time 2021-10-12T00:00:00Z --backfill
  cqar import listing --venue binance exchangeInfo.json --delist-absent --validate-only
  cqar import listing --venue binance spot.json --delist-absent --complete spot
  cqar import listing --venue binance exchangeInfo.json --rebind mistake --validate-only
  curl -s https://api.binance.com/api/v3/exchangeInfo | cqar import listing --venue binance -

A code is the asset of the market that has the symbol already, else the venue's binding of the
code, else the one classified asset with that symbol. What stays unknown is rejected with its
candidates; mend it with `cqar apply`. The rest is committed, and problems are shown by kind;
--details shows each. A response without its address proves nothing absent: --complete says that
it is whole. The exit code is 0; it is 1 if delistings were refused for being too many at once, and,
with --fail-on-rejected, if a row was rejected.")]
    Listing(ListingArgs),
}

#[derive(Debug, Args)]
struct StarterArgs {
    /// The directory of another dataset. Absent: the one that is compiled in.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    write: WriteArgs,
}

/// Imports.
pub async fn run(args: ImportArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    match args.command {
        ImportCommand::Starter(args) => import_starter(&args, client).await,
        ImportCommand::Listing(args) => listing::run(args, client).await,
    }
}

async fn import_starter(args: &StarterArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let request = starter::read(args.dir.as_deref())?;
    let answer = apply::send(request, &args.write, client).await?;
    if !client.format().print_named(&answer, apply::names(&answer))? {
        apply::summarize(&answer, args.write.validate_only)?;
    }
    Ok(Exit::Done)
}
