//! `cqar list`: entities, page by page.

use clap::{Args, Subcommand};
use cqar_proto::v1::{
    AssetType, InstrumentKind, ListAssetsRequest, ListAssetsResponse, ListChainsRequest, ListChainsResponse,
    ListInstrumentsRequest, ListInstrumentsResponse, ListMarketsRequest, ListMarketsResponse, ListVenueAssetsRequest,
    ListVenueAssetsResponse, ListVenuesRequest, ListVenuesResponse, MarketStatus, VenueType,
};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output::{self, OutputFormat},
    parse_value, rows,
};

/// The most that a server gives in one page.
const MAX_PAGE_SIZE: i32 = 1000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar list venues
  cqar list markets --venue binance --segment usdm --limit 100
  cqar list markets --venue binance --segment '' --all       those without a segment
  cqar list markets --venue binance --status halted --all
  cqar list assets --symbol BTC
  cqar list assets --type unclassified --all --output json
  cqar list instruments --kind perpetual
  cqar list venue-assets --venue kraken

In JSON, next_page_token goes on with --page-token under the same filters.")]
pub struct ListArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Lists assets.
    #[command(alias = "asset")]
    Assets {
        /// Only those with exactly this symbol.
        #[arg(long, default_value = "", hide_default_value = true)]
        symbol: String,
        /// Only those of this type, such as stablecoin.
        #[arg(long = "type", value_name = "TYPE", value_parser = asset_type)]
        kind: Option<i32>,
        /// Soft-deleted ones too.
        #[arg(long)]
        show_deleted: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Lists chains.
    #[command(alias = "chain")]
    Chains {
        /// Only the one with this CAIP-2 id, such as eip155:1.
        #[arg(long, default_value = "", hide_default_value = true)]
        caip2: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Lists venues.
    #[command(alias = "venue")]
    Venues {
        /// Only those of this type, such as cex.
        #[arg(long = "type", value_name = "TYPE", value_parser = venue_type)]
        kind: Option<i32>,
        /// Soft-deleted ones too.
        #[arg(long)]
        show_deleted: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Lists the codes by which venues know assets.
    #[command(aliases = ["venue-asset", "venue_assets", "venue_asset"])]
    VenueAssets {
        /// Only those of this venue.
        #[arg(long, default_value = "", hide_default_value = true)]
        venue: String,
        /// Only those that stand for the asset with this id.
        #[arg(long, default_value = "", hide_default_value = true)]
        asset: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Lists instruments.
    #[command(alias = "instrument")]
    Instruments {
        /// Only those of this kind, such as perpetual.
        #[arg(long, value_parser = instrument_kind)]
        kind: Option<i32>,
        /// Only those whose base is the asset with this id.
        #[arg(long, default_value = "", hide_default_value = true)]
        base: String,
        /// Only those whose quote is the asset with this id.
        #[arg(long, default_value = "", hide_default_value = true)]
        quote: String,
        /// Soft-deleted ones too.
        #[arg(long)]
        show_deleted: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Lists markets.
    #[command(alias = "market")]
    Markets {
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
        #[arg(long, value_parser = market_status)]
        status: Option<i32>,
        /// Only those with exactly this symbol.
        #[arg(long = "symbol", value_name = "SYMBOL", default_value = "", hide_default_value = true)]
        venue_symbol: String,
        #[command(flatten)]
        paging: Paging,
    },
}

#[derive(Debug, Args)]
struct Paging {
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..))]
    limit: i32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on after the page that gave this token.
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

/// Fetches pages until there are as many as asked for, and prints them as one.
macro_rules! list {
    ($args:expr, $paging:expr, $server:ident.$method:ident, $request:expr, $response:ident.$items:ident, $headers:expr, $row:expr) => {{
        let paging = $paging;
        let connection = Connection::open($args, Some(DEFAULT_TIMEOUT)).await?;
        let mut client = connection.$server();
        let mut request = $request;
        request.page_token = paging.page_token;
        request.min_revision = paging.min_revision;
        let mut whole = $response::default();
        let mut wanted = if paging.all { i32::MAX } else { paging.limit };
        loop {
            request.page_size = wanted.min(MAX_PAGE_SIZE);
            let page = client.$method(request.clone()).await?.into_inner();
            wanted = wanted.saturating_sub(i32::try_from(page.$items.len()).unwrap_or(i32::MAX));
            whole.$items.extend(page.$items);
            whole.next_page_token.clone_from(&page.next_page_token);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() || wanted <= 0 {
                break;
            }
        }
        match $args.format() {
            OutputFormat::Json => output::json(&whole)?,
            OutputFormat::Table => {
                let (shown, more) = (whole.$items.len(), !whole.next_page_token.is_empty());
                output::table($headers, whole.$items.into_iter().map($row))?;
                if more {
                    eprintln!("{shown} shown, and there are more: --all, or a larger --limit");
                }
            }
        }
    }};
}

/// Prints the list.
pub async fn run(args: ListArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    match args.kind {
        Kind::Assets { symbol, kind, show_deleted, paging } => {
            let request =
                ListAssetsRequest { symbol, r#type: kind.unwrap_or_default(), show_deleted, ..Default::default() };
            list!(client, paging, assets.list_assets, request, ListAssetsResponse.assets, rows::ASSET, rows::asset);
        }
        Kind::Chains { caip2, paging } => {
            let request = ListChainsRequest { caip2, ..Default::default() };
            list!(client, paging, chains.list_chains, request, ListChainsResponse.chains, rows::CHAIN, rows::chain);
        }
        Kind::Venues { kind, show_deleted, paging } => {
            let request = ListVenuesRequest { r#type: kind.unwrap_or_default(), show_deleted, ..Default::default() };
            list!(client, paging, venues.list_venues, request, ListVenuesResponse.venues, rows::VENUE, rows::venue);
        }
        Kind::VenueAssets { venue, asset, paging } => {
            let request = ListVenueAssetsRequest { venue, asset, ..Default::default() };
            list!(
                client,
                paging,
                venues.list_venue_assets,
                request,
                ListVenueAssetsResponse.venue_assets,
                rows::VENUE_ASSET,
                rows::venue_asset
            );
        }
        Kind::Instruments { kind, base, quote, show_deleted, paging } => {
            let request = ListInstrumentsRequest {
                kind: kind.unwrap_or_default(),
                base,
                quote,
                show_deleted,
                ..Default::default()
            };
            list!(
                client,
                paging,
                instruments.list_instruments,
                request,
                ListInstrumentsResponse.instruments,
                rows::INSTRUMENT,
                rows::instrument
            );
        }
        Kind::Markets { venue, segment, instrument, status, venue_symbol, paging } => {
            let status = status.unwrap_or_default();
            let request = ListMarketsRequest { venue, segment, instrument, status, venue_symbol, ..Default::default() };
            list!(
                client,
                paging,
                markets.list_markets,
                request,
                ListMarketsResponse.markets,
                rows::MARKET,
                rows::market
            );
        }
    }
    Ok(Exit::Done)
}

fn asset_type(text: &str) -> Result<i32, String> {
    let name = |value| AssetType::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "ASSET_TYPE_", AssetType::from_str_name, name)
}

fn venue_type(text: &str) -> Result<i32, String> {
    let name = |value| VenueType::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "VENUE_TYPE_", VenueType::from_str_name, name)
}

fn instrument_kind(text: &str) -> Result<i32, String> {
    let name = |value| InstrumentKind::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "INSTRUMENT_KIND_", InstrumentKind::from_str_name, name)
}

fn market_status(text: &str) -> Result<i32, String> {
    let name = |value| MarketStatus::try_from(value).ok().map(|status| status.as_str_name());
    parse_value(text, "MARKET_STATUS_", MarketStatus::from_str_name, name)
}
