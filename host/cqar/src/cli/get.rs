//! `cqar get`: one entity, by its id or its name.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    entities::{ENTITIES, EntityCommands, Lookup},
    error::{CliError, Exit},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar get venue binance
  cqar get asset BTC                                    by its symbol
  cqar get asset 019ab3f0-0000-7000-8000-000000000001
  cqar get instrument BTC/USDT:USDT                     by its canonical code
  cqar get market binance/spot/BTCUSDT --output yaml    by venue, segment and symbol
  cqar get market kraken/XBT/USD                        in whichever segment
  cqar get chain eip155:1                               by its CAIP-2 id
  cqar get venue binance --min-revision 42              from a state of at least that revision

A name of several is ambiguous: the exit code is 5, and the candidates are listed with their ids.
Soft-deleted entities are shown too, instruments by their id alone. A market is the live one, or
the only one that ever was.")]
pub struct GetArgs {
    /// What it is.
    #[arg(value_parser = kinds())]
    kind: &'static EntityCommands,
    /// Its id, or its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

/// Reads what a type of entity is called.
pub fn kinds() -> impl TypedValueParser<Value = &'static EntityCommands> {
    PossibleValuesParser::new(ENTITIES.map(EntityCommands::possible_value))
        .try_map(|name| EntityCommands::named(&name).ok_or("there is no such type of entity"))
}

/// Shows the entity.
pub async fn run(args: GetArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let lookup = Lookup { min_revision: args.min_revision, ..Lookup::default() };
    let id = args.kind.id_of(&server, &args.name, lookup).await?;
    (args.kind.get)(&server, id, args.min_revision, client.format()).await
}
