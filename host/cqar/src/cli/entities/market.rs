//! Markets on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::{
    v1::{GetMarketRequest, ListMarketsRequest, ListMarketsResponse, Market, MarketStatus, ResolveMarketRequest},
    well_known::Timestamp,
};
use tonic::Code;

use super::{
    EntityCommands, Labels, Lookup, Paging, id_filter, list,
    name::{self, AtVenue, Candidate},
    options, show,
};
use crate::cli::{
    client::Connection,
    error::CliError,
    output::{self, OutputFormat, short},
    parse_time, parse_value,
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Market,
    name: "market",
    name_aliases: &["markets"],
    plural: "markets",
    plural_aliases: &["market"],
    described: "a market",
    many_described: "markets",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .markets()
                    .get_market(GetMarketRequest { market_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { venue, segment, instrument, status, venue_symbol, live_at, paging } = options(matches)?;
            let status = status.unwrap_or_default();
            let instrument = id_filter(client, EntityType::Instrument, &instrument).await?;
            let request = ListMarketsRequest {
                venue_id: venue,
                segment,
                instrument_id: instrument,
                status,
                venue_symbol,
                live_at,
                ..Default::default()
            };
            list!(client, paging, markets.list_markets, request, ListMarketsResponse.markets, instruments of |it| [it.instrument_id.clone()])
        })
    },
};

/// By the venue, the segment and the symbol: the one that is live now, or the only one that ever was.
async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let readings = AtVenue::readings(name);
    let Some(first) = readings.first() else { return Err(AtVenue::unreadable("market", name)) };
    for reading in &readings {
        let found = all(server, reading, lookup).await?;
        match found.len() {
            0 => {}
            1 => return name::one("market", name, found.into_iter().map(candidate).collect(), lookup),
            _ => match live(server, reading, lookup).await {
                // None of them lives: whoever asks takes one by its id.
                Err(CliError::Answered(status)) if status.code() == Code::NotFound => {
                    return name::one("market", name, found.into_iter().map(candidate).collect(), lookup);
                }
                resolved => return resolved,
            },
        }
    }
    // Nothing has it as its symbol; one may have it as an alias.
    live(server, first, lookup).await
}

/// The markets that have the symbol, or had it once, or will have it.
async fn all(server: &Connection, at: &AtVenue<'_>, lookup: Lookup) -> Result<Vec<Market>, CliError> {
    let request = ListMarketsRequest {
        venue_id: at.venue.to_owned(),
        segment: at.segment.map(ToOwned::to_owned),
        venue_symbol: at.symbol.to_owned(),
        min_revision: lookup.min_revision,
        ..Default::default()
    };
    Ok(server.markets().list_markets(request).await?.into_inner().markets)
}

/// The one that is live now, by the server's clock.
async fn live(server: &Connection, at: &AtVenue<'_>, lookup: Lookup) -> Result<String, CliError> {
    let request = ResolveMarketRequest {
        venue_id: at.venue.to_owned(),
        venue_symbol: at.symbol.to_owned(),
        segment: at.segment.map(ToOwned::to_owned),
        min_revision: lookup.min_revision,
        ..Default::default()
    };
    let resolved = server.markets().resolve_market(request).await?.into_inner();
    Ok(resolved.market.unwrap_or_default().id)
}

fn candidate(market: Market) -> Candidate {
    let from = output::time(market.listed_time.as_ref());
    let until = output::time(market.delisted_time.or(market.expiry_time).as_ref());
    let from = if from.is_empty() { "since ever".to_owned() } else { format!("from {from}") };
    let until = if until.is_empty() { "on".to_owned() } else { format!("until {until}") };
    let segment =
        if market.segment.is_empty() { "no segment".to_owned() } else { format!("segment {}", market.segment) };
    let described = format!("{} in {segment}, {from} {until}", market.venue_symbol);
    Candidate { id: market.id, described, is_deleted: false }
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this venue.
    #[arg(long, default_value = "", hide_default_value = true)]
    venue: String,
    /// Only those of this segment; '' for those without one.
    #[arg(long)]
    segment: Option<String>,
    /// Only those of this instrument: its id, or its canonical code.
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

const HEADERS: [&str; 8] = ["VENUE", "SEGMENT", "SYMBOL", "STATUS", "TICK", "LOT", "INSTRUMENT", "ID"];

fn row(market: Market, instruments: &Labels) -> [String; 8] {
    let status = market_status(&market);
    let Market { id, venue_id, segment, venue_symbol, tick_size, lot_size, instrument_id, .. } = market;
    [venue_id, segment, venue_symbol, status, tick_size, lot_size, instruments.of(&instrument_id), id]
}

/// `ACTIVE`, `HALTED` …
pub fn market_status(market: &Market) -> String {
    short(MarketStatus::try_from(market.status).map_or("", |status| status.as_str_name()), "MARKET_STATUS_")
}

fn read_status(text: &str) -> Result<i32, String> {
    let name = |value| MarketStatus::try_from(value).ok().map(|status| status.as_str_name());
    parse_value(text, "MARKET_STATUS_", MarketStatus::from_str_name, name)
}
