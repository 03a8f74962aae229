//! `cqar format`: under which symbol a venue trades an instrument.

use clap::Args;
use cqar_proto::v1::{FormatSymbolRequest, FormatSymbolResponse, format_symbol_request::Key};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output,
    resolve::MarketArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar format binance BTC/USDT                            BTCUSDT
  cqar format binance BTC/USDT:USDT --output json
  cqar format okx BTC/USDT --as-of 2025-01-01T00:00:00Z
  cqar format binance BTC/USDT --segment spot --allow-inferred

The symbol stands alone on the standard output. An instrument that several markets of the venue
trade is ambiguous (exit code 5): name the segment.")]
pub struct FormatArgs {
    /// The venue's id.
    venue: String,
    /// The instrument's canonical code, or its id.
    instrument: String,
    #[command(flatten)]
    market: MarketArgs,
}

/// Formats the instrument.
pub async fn run(args: FormatArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    // Every canonical code has one of these, and no id has.
    let is_code = args.instrument.contains(['/', ':']);
    let MarketArgs { segment, as_of, min_revision, allow_inferred } = args.market;
    let request = FormatSymbolRequest {
        key: Some(if is_code { Key::Code(args.instrument) } else { Key::InstrumentId(args.instrument) }),
        venue_id: args.venue,
        segment,
        as_of,
        min_revision,
        at_revision: 0,
        allow_inferred,
    };
    let answer = server.markets().format_symbol(request).await?.into_inner();
    if !client.format().print(&answer)? {
        let FormatSymbolResponse { venue_symbol, segment, unit_multiplier, inferred, .. } = answer;
        output::line(&venue_symbol)?;
        let multiplied =
            (unit_multiplier != "1").then(|| format!("one unit of its base is {unit_multiplier} of the instrument's"));
        let inferred = inferred.then(|| "inferred: no registered market has it".to_owned());
        let segment = (!segment.is_empty()).then(|| format!("in segment {segment}"));
        let notes: Vec<String> = [segment, multiplied, inferred].into_iter().flatten().collect();
        if !notes.is_empty() {
            eprintln!("{}", notes.join("; "));
        }
    }
    Ok(Exit::Done)
}
