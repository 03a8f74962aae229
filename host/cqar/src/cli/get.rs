//! `cqar get`: one entity, by its id.

use clap::{Args, ValueEnum};
use cqar_proto::v1::{
    GetAssetRequest, GetChainRequest, GetInstrumentRequest, GetMarketRequest, GetVenueAssetRequest, GetVenueRequest,
    get_instrument_request::Key,
};
use serde::Serialize;

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output::{self, OutputFormat},
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
    kind: Kind,
    /// Its id; an instrument's canonical code will do.
    #[arg(value_name = "ID")]
    id: String,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    #[value(alias = "assets")]
    Asset,
    #[value(alias = "chains")]
    Chain,
    #[value(alias = "venues")]
    Venue,
    #[value(aliases = ["venue-assets", "venue_asset", "venue_assets"])]
    VenueAsset,
    #[value(alias = "instruments")]
    Instrument,
    #[value(alias = "markets")]
    Market,
}

/// Shows the entity.
pub async fn run(args: GetArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let GetArgs { kind, id, min_revision } = args;
    let format = client.format();
    match kind {
        Kind::Asset => show(format, server.assets().get_asset(GetAssetRequest { id, min_revision }).await?),
        Kind::Chain => show(format, server.chains().get_chain(GetChainRequest { id, min_revision }).await?),
        Kind::Venue => show(format, server.venues().get_venue(GetVenueRequest { id, min_revision }).await?),
        Kind::VenueAsset => {
            show(format, server.venues().get_venue_asset(GetVenueAssetRequest { id, min_revision }).await?)
        }
        Kind::Instrument => {
            // Every canonical code has one of these, and no id has.
            let key = if id.contains(['/', ':']) { Key::Code(id) } else { Key::Id(id) };
            show(
                format,
                server.instruments().get_instrument(GetInstrumentRequest { key: Some(key), min_revision }).await?,
            )
        }
        Kind::Market => show(format, server.markets().get_market(GetMarketRequest { id, min_revision }).await?),
    }
}

fn show(format: OutputFormat, answer: tonic::Response<impl Serialize>) -> Result<Exit, CliError> {
    let entity = answer.into_inner();
    match format {
        OutputFormat::Json => output::json(&entity)?,
        OutputFormat::Table => output::pairs(output::fields(&entity))?,
    }
    Ok(Exit::Done)
}
