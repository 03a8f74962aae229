//! Markets on the command line.

use clap::Args;
use cqar_proto::{
    v1::{GetMarketRequest, ListMarketsRequest, ListMarketsResponse, Market, MarketStatus},
    well_known::Timestamp,
};

use super::{EntityCommands, Paging, list, options, show};
use crate::cli::{output::short, parse_time, parse_value};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    name: "market",
    name_aliases: &["markets"],
    plural: "markets",
    plural_aliases: &["market"],
    about: "Lists markets",
    filters: Filters::augment_args,
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server.markets().get_market(GetMarketRequest { market_id: id, min_revision, at_revision: 0 }).await?,
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { venue, segment, instrument, status, venue_symbol, live_at, paging } = options(matches)?;
            let status = status.unwrap_or_default();
            let request = ListMarketsRequest {
                venue_id: venue,
                segment,
                instrument_id: instrument,
                status,
                venue_symbol,
                live_at,
                ..Default::default()
            };
            list!(client, paging, markets.list_markets, request, ListMarketsResponse.markets)
        })
    },
};

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this venue.
    #[arg(long, default_value = "", hide_default_value = true)]
    venue: String,
    /// Only those of this segment; '' for those without one.
    #[arg(long)]
    segment: Option<String>,
    /// Only those of the instrument with this id.
    #[arg(long, default_value = "", hide_default_value = true)]
    instrument: String,
    /// Only those of this status, such as halted.
    #[arg(long, value_parser = read_status)]
    status: Option<i32>,
    /// Only those with exactly this symbol.
    #[arg(long = "symbol", value_name = "SYMBOL", default_value = "", hide_default_value = true)]
    venue_symbol: String,
    /// Only those that are live at this time, in RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    live_at: Option<Timestamp>,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 8] = ["ID", "VENUE", "SEGMENT", "SYMBOL", "STATUS", "TICK", "LOT", "INSTRUMENT"];

fn row(market: Market) -> [String; 8] {
    let status = market_status(&market);
    let Market { id, venue_id, segment, venue_symbol, tick_size, lot_size, instrument_id, .. } = market;
    [id, venue_id, segment, venue_symbol, status, tick_size, lot_size, instrument_id]
}

/// `ACTIVE`, `HALTED` …
pub fn market_status(market: &Market) -> String {
    short(MarketStatus::try_from(market.status).map_or("", |status| status.as_str_name()), "MARKET_STATUS_")
}

fn read_status(text: &str) -> Result<i32, String> {
    let name = |value| MarketStatus::try_from(value).ok().map(|status| status.as_str_name());
    parse_value(text, "MARKET_STATUS_", MarketStatus::from_str_name, name)
}
