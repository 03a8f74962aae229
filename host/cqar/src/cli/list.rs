//! `cqar list`: entities, page by page.

use clap::{ArgMatches, Args, Command, FromArgMatches, error::ErrorKind};

use super::{
    ClientArgs,
    entities::{ENTITIES, EntityCommands},
    error::{CliError, Exit},
};

const EXAMPLES: &str = "\
Examples:
  cqar list venues
  cqar list markets --venue binance --segment usdm --limit 100
  cqar list markets --venue binance --segment '' --all       those without a segment
  cqar list markets --venue binance --status halted --all
  cqar list assets --symbol BTC
  cqar list assets --type unclassified --all --output json
  cqar list instruments --kind perpetual
  cqar list venue-assets --venue kraken

In JSON, next_page_token goes on with --page-token under the same filters.";

/// What to list, with its options: a subcommand for each type of entity.
#[derive(Debug)]
pub struct ListArgs {
    of: &'static EntityCommands,
    options: ArgMatches,
}

impl FromArgMatches for ListArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let listed = matches.subcommand().and_then(|(name, options)| {
            let of = ENTITIES.into_iter().find(|of| of.plural == name)?;
            Some(Self { of, options: options.clone() })
        });
        listed.ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ListArgs {
    fn augment_args(command: Command) -> Command {
        let subcommands = ENTITIES.map(|of| {
            let about = format!("Lists {}", of.many_described);
            (of.filters)(Command::new(of.plural)).about(about).aliases(of.plural_aliases)
        });
        command.subcommands(subcommands).subcommand_required(true).arg_required_else_help(true).after_help(EXAMPLES)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Prints the list.
pub async fn run(args: ListArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    (args.of.list)(&args.options, client).await
}
