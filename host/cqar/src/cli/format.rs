//! `cqar format`: under which symbol a venue trades an instrument.

use clap::Args;
use cqar_proto::{
    v1::{FormatSymbolRequest, FormatSymbolResponse, format_symbol_request::Key},
    well_known::Timestamp,
};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output, parse_time,
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
    /// The segment; '' for markets without one. Absent: any.
    #[arg(long)]
    segment: Option<String>,
    /// The time at which the market was live, in RFC 3339. Absent: now.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    as_of: Option<Timestamp>,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
    /// Let the venue's symbology plugin write a symbol for an instrument that no registered market has.
    #[arg(long)]
    allow_inferred: bool,
}

/// Formats the instrument.
pub async fn run(args: FormatArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    // Every canonical code has one of these, and no id has.
    let is_code = args.instrument.contains(['/', ':']);
    let request = FormatSymbolRequest {
        key: Some(if is_code { Key::Code(args.instrument) } else { Key::InstrumentId(args.instrument) }),
        venue_id: args.venue,
        segment: args.segment,
        as_of: args.as_of,
        min_revision: args.min_revision,
        at_revision: 0,
        allow_inferred: args.allow_inferred,
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
