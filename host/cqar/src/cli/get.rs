//! `cqar get`: one entity, by its id.

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    entities::{ENTITIES, EntityCommands},
    error::{CliError, Exit},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar get venue binance
  cqar get asset 019ab3f0-0000-7000-8000-000000000001
  cqar get instrument BTC/USDT:USDT                     by its canonical code, or by its id
  cqar get market 019ab3f0-0000-7000-8000-000000000002 --output json
  cqar get venue binance --min-revision 42              from a state of at least that revision

Soft-deleted entities are shown too. A code of several instruments is ambiguous (exit code 5).")]
pub struct GetArgs {
    /// What it is.
    #[arg(value_parser = kinds())]
    kind: &'static EntityCommands,
    /// Its id; an instrument's canonical code will do.
    #[arg(value_name = "ID")]
    id: String,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

fn kinds() -> impl TypedValueParser<Value = &'static EntityCommands> {
    let names = ENTITIES.map(|of| PossibleValue::new(of.name).aliases(of.name_aliases));
    PossibleValuesParser::new(names).try_map(|name| {
        let called = |of: &&EntityCommands| of.name == name || of.name_aliases.contains(&name.as_str());
        ENTITIES.into_iter().find(called).ok_or("there is no such type of entity")
    })
}

/// Shows the entity.
pub async fn run(args: GetArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    (args.kind.get)(&server, args.id, args.min_revision, client.format()).await
}
