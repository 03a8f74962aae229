//! `cqar resolve`: what a venue's symbols mean.

use std::{
    io::{self, Write as _},
    pin::pin,
};

use clap::Args;
use cqar_proto::{
    rpc,
    v1::{
        Asset, BatchResolveMarketsRequest, BatchResolveMarketsResponse, InstrumentKind, Reading, ResolveMarketRequest,
        ResolveMarketResponse,
        batch_resolve_markets_request::Item,
        batch_resolve_markets_response::{self, result::Result as Resolved},
    },
    well_known::Timestamp,
};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::Code;

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT, one_each},
    entities::{self, asset_type, market_status},
    error::{CliError, Exit},
    output::{self, OutputFormat},
    parse_time,
};

/// Answers to so many fit into the 4 MiB that most clients accept.
const BATCH: usize = 1000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar resolve binance BTCUSDT --segment spot
  cqar resolve binance BTCUSDT      ambiguous (exit code 5) if several segments have it
  cqar resolve coinbase BTC-USD ETH-USD
  cqar resolve binance BTCUSDT_211231 --segment usdm --as-of 2021-12-01T00:00:00Z
  cqar resolve binance BTCUSDT --segment spot --output json
  jq -r .symbol trades.json | cqar resolve binance -

With `-` each line of the output is one JSON object, in the order of the input: `venue_symbol`, and
either `resolved` or `error`. Empty lines are skipped. The exit code is that of the first symbol
that did not resolve. Resolving is no permission to trade: see the status.")]
pub struct ResolveArgs {
    /// The venue's id.
    venue: String,
    /// The symbols exactly as the venue writes them; `-` reads them from the standard input, one a line.
    #[arg(required = true, value_name = "SYMBOL")]
    symbols: Vec<String>,
    #[command(flatten)]
    market: MarketArgs,
}

/// Which of the markets that fit is meant.
#[derive(Debug, Args)]
pub struct MarketArgs {
    /// The segment; '' for markets without one. Absent: any.
    #[arg(long)]
    pub segment: Option<String>,
    /// The time at which the market was live, in RFC 3339. Absent: now.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub as_of: Option<Timestamp>,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    pub min_revision: i64,
    /// Let the venue's symbology plugin infer what no registered market tells.
    #[arg(long)]
    pub allow_inferred: bool,
}

/// Resolves the symbols.
pub async fn run(args: ResolveArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let has_dash = args.symbols.iter().any(|symbol| symbol == "-");
    if has_dash && args.symbols.len() > 1 {
        return Err(CliError::Usage("`-` stands alone, instead of symbols".to_owned()));
    }
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    match args.symbols.as_slice() {
        _ if has_dash => stdin(&args, &server, client).await,
        [symbol] => one(args.request(symbol), &server, client.format()).await,
        symbols => many(&args, symbols, &server, client.format()).await,
    }
}

impl ResolveArgs {
    fn request(&self, symbol: &str) -> ResolveMarketRequest {
        ResolveMarketRequest {
            venue_id: self.venue.clone(),
            venue_symbol: symbol.to_owned(),
            segment: self.market.segment.clone(),
            as_of: self.market.as_of,
            min_revision: self.market.min_revision,
            at_revision: 0,
            allow_inferred: self.market.allow_inferred,
        }
    }

    async fn batch(&self, symbols: &[String], server: &Connection) -> Result<BatchResolveMarketsResponse, CliError> {
        let item = |symbol: &String| Item {
            venue_id: self.venue.clone(),
            venue_symbol: symbol.clone(),
            segment: self.market.segment.clone(),
            as_of: self.market.as_of,
        };
        let request = BatchResolveMarketsRequest {
            requests: symbols.iter().map(item).collect(),
            min_revision: self.market.min_revision,
            at_revision: 0,
            allow_inferred: self.market.allow_inferred,
        };
        let mut answer = server.markets().batch_resolve_markets(request).await?.into_inner();
        answer.results = one_each(symbols.len(), answer.results)?;
        Ok(answer)
    }
}

async fn one(request: ResolveMarketRequest, server: &Connection, format: OutputFormat) -> Result<Exit, CliError> {
    let answer = server.markets().resolve_market(request).await?.into_inner();
    let name = answer.market.as_ref().map(entities::printed_name);
    if !format.print_named(&answer, name)? {
        output::pairs(described(&answer))?;
    }
    Ok(Exit::Done)
}

async fn many(
    args: &ResolveArgs,
    symbols: &[String],
    server: &Connection,
    format: OutputFormat,
) -> Result<Exit, CliError> {
    let mut answer = BatchResolveMarketsResponse::default();
    for symbols in symbols.chunks(BATCH) {
        let BatchResolveMarketsResponse { results, revision } = args.batch(symbols, server).await?;
        answer.results.extend(results);
        // All of it is at least that new.
        answer.revision = if answer.revision == 0 { revision } else { answer.revision.min(revision) };
    }
    let BatchResolveMarketsResponse { results, revision } = answer;
    let exit = results.iter().map(exit_of).find(|exit| *exit != Exit::Done).unwrap_or(Exit::Done);
    let answer = BatchResolveMarketsResponse { results, revision };
    if !format.print_named(&answer, resolved_names(&answer.results))? {
        let rows = symbols.iter().zip(answer.results).map(|(symbol, result)| row(symbol, result));
        output::table(HEADERS, rows)?;
    }
    Ok(exit)
}

/// One line of the answer to a stream of symbols.
#[derive(Serialize)]
struct Line<'a> {
    venue_symbol: &'a str,
    #[serde(flatten)]
    result: &'a batch_resolve_markets_response::Result,
}

/// Resolves what has arrived, at most a batch, so that a slow producer gets its answers as it goes.
async fn stdin(args: &ResolveArgs, server: &Connection, client: &ClientArgs) -> Result<Exit, CliError> {
    const INPUT_BUFFER: usize = 64 << 10;
    let format = OutputFormat::of_stream(client.output);
    let lines = BufReader::with_capacity(INPUT_BUFFER, tokio::io::stdin()).lines();
    let lines =
        stream::unfold(lines, |mut lines| async { lines.next_line().await.transpose().map(|line| (line, lines)) });
    let mut batches = pin!(lines.ready_chunks(BATCH));
    let mut exit = Exit::Done;
    while let Some(lines) = batches.next().await {
        let symbols = lines.into_iter().collect::<Result<Vec<_>, io::Error>>()?;
        let symbols: Vec<_> = symbols.into_iter().filter(|symbol| !symbol.is_empty()).collect();
        if symbols.is_empty() {
            continue;
        }
        let results = args.batch(&symbols, server).await?.results;
        if exit == Exit::Done {
            exit = results.iter().map(exit_of).find(|exit| *exit != Exit::Done).unwrap_or(exit);
        }
        if format == OutputFormat::Name {
            resolved_names(&results).try_for_each(|name| output::line(&name))?;
            continue;
        }
        if format == OutputFormat::Table {
            output::table(HEADERS, symbols.iter().zip(results).map(|(symbol, result)| row(symbol, result)))?;
            continue;
        }
        let mut out = io::BufWriter::new(io::stdout().lock());
        for (symbol, result) in symbols.iter().zip(&results) {
            format.print_next(&mut out, &Line { venue_symbol: symbol, result })?;
        }
        out.flush()?;
    }
    Ok(exit)
}

fn exit_of(result: &batch_resolve_markets_response::Result) -> Exit {
    match &result.result {
        Some(Resolved::Resolved(_)) => Exit::Done,
        Some(Resolved::Error(status)) => Code::from(status.code).into(),
        None => Exit::Failed,
    }
}

/// What `--output name` prints: the markets of those that resolved.
fn resolved_names(results: &[batch_resolve_markets_response::Result]) -> impl Iterator<Item = String> {
    results.iter().filter_map(|result| match &result.result {
        Some(Resolved::Resolved(answer)) => answer.market.as_ref().map(entities::printed_name),
        _ => None,
    })
}

const HEADERS: [&str; 9] = ["SYMBOL", "SEGMENT", "INSTRUMENT", "BASE", "QUOTE", "SETTLE", "TICK", "LOT", "STATUS"];

fn row(symbol: &str, result: batch_resolve_markets_response::Result) -> [String; 9] {
    let mut row = [const { String::new() }; 9];
    match result.result {
        Some(Resolved::Resolved(answer)) => {
            let market = answer.market.unwrap_or_default();
            let status = if answer.inferred { "INFERRED".to_owned() } else { market_status(&market) };
            let code = answer.instrument.map(|instrument| instrument.code).unwrap_or_default();
            let symbol_of = |asset: Option<Asset>| asset.map(|asset| asset.symbol).unwrap_or_default();
            let [base, quote, settle] = [answer.base_asset, answer.quote_asset, answer.settle_asset].map(symbol_of);
            let segment = answer.reading.map_or(market.segment, |reading| reading.segment);
            [symbol.to_owned(), segment, code, base, quote, settle, market.tick_size, market.lot_size, status]
        }
        Some(Resolved::Error(status)) => {
            let rpc::Status { message, .. } = &status;
            let why = status.reason().map_or_else(|| message.clone(), |reason| format!("{reason}: {message}"));
            let [first, .., last] = &mut row;
            (*first, *last) = (symbol.to_owned(), why);
            row
        }
        None => row,
    }
}

fn described(answer: &ResolveMarketResponse) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: String| pairs.push((name.to_owned(), value));
    if let Some(venue) = &answer.venue {
        add("venue", format!("{} ({})", venue.id, venue.name));
    }
    if let Some(reading) = &answer.reading {
        add("inferred", read(reading));
    }
    let market = answer.market.clone().unwrap_or_default();
    if answer.market.is_some() {
        let segment = if market.segment.is_empty() { String::new() } else { format!(" in {}", market.segment) };
        add("market", format!("{}{segment} ({})", market.venue_symbol, market.id));
    }
    if let Some(instrument) = &answer.instrument {
        add("instrument", format!("{} ({})", instrument.code, instrument.id));
    }
    for (name, asset) in
        [("base", &answer.base_asset), ("quote", &answer.quote_asset), ("settle", &answer.settle_asset)]
    {
        if let Some(asset) = asset {
            add(name, format!("{} {}, {} ({})", asset.symbol, asset.name, asset_type(asset), asset.id));
        }
    }
    if answer.market.is_some() {
        let contract = market.contract_unit().as_str_name();
        let unit = output::short(contract, "CONTRACT_UNIT_").to_ascii_lowercase();
        let live = (
            output::time(market.listed_time.as_ref()),
            output::time(market.delisted_time.or(market.expiry_time).as_ref()),
        );
        add("tick_size", market.tick_size.clone());
        add("lot_size", market.lot_size.clone());
        add("min_notional", market.min_notional.clone());
        add("unit_multiplier", market.unit_multiplier.clone());
        add("contract_size", format!("{} {unit}", market.contract_size).trim().to_owned());
        add("status", market_status(&market));
        add(
            "live",
            match live {
                (from, until) if from.is_empty() && until.is_empty() => "always".to_owned(),
                (from, until) if until.is_empty() => format!("from {from} on"),
                (from, until) if from.is_empty() => format!("until {until}"),
                (from, until) => format!("from {from} until {until}"),
            },
        );
    }
    pairs
}

fn read(reading: &Reading) -> String {
    let kind = InstrumentKind::try_from(reading.kind).map_or("", |kind| kind.as_str_name());
    let kind = output::short(kind, "INSTRUMENT_KIND_").to_ascii_lowercase();
    let parts =
        [&kind, &reading.segment, &reading.base_code, &reading.quote_code, &reading.settle_code].map(String::as_str);
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
