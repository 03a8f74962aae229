//! `cqar import`: the starter dataset, or a venue's own listing.

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::{Args, Subcommand};
use cqar_proto::{
    v1::{
        Binding, Finding, ImportCoverage, ImportListingOptions, ImportListingRequest, ImportProgress, ImportSummary,
        ImportedMarket, InstrumentKind, ListingSource, import_listing_request::Part, import_listing_response::Step,
        import_progress::Phase, imported_market::Outcome,
    },
    well_known::Timestamp,
};
use futures::stream;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{
    ClientArgs,
    apply::{self, WriteArgs},
    client::{BULK_TIMEOUT, Connection},
    error::{CliError, Exit},
    output::{self, OutputFormat},
    parse_time, rows,
};
use crate::mutations;

/// What the contract allows a payload.
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

const CHUNK_BYTES: usize = 1 << 20;
/// So many addresses of further requests are shown.
const SHOWN_REQUESTS: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar import starter
  cqar import listing --venue binance exchangeInfo.json --create-missing-assets
  cqar import listing --venue binance exchangeInfo.json --validate-only

`cqar help import listing` says how codes and times are read.")]
pub struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Loads the starter dataset: well-known assets, chains, venues and markets. What exists is left as it is.
    #[command(after_help = "\
Examples:
  cqar import starter
  cqar import starter --dir config/starter --validate-only

Every *.yaml file of the directory, in the order of their names, is applied as one request: all of it or nothing.")]
    Starter(StarterArgs),
    /// Registers the markets of a venue's own listing, read by the venue's symbology plugin.
    #[command(after_help = "\
Examples:
  cqar import listing --venue binance exchangeInfo.json
  cqar import listing --venue binance exchangeInfo.json --create-missing-assets
  cqar import listing --venue binance old.json --observed-time 2021-10-12T00:00:00Z --backfill
  cqar import listing --venue binance exchangeInfo.json --delist-absent --validate-only
  curl -s https://api.binance.com/api/v3/exchangeInfo | cqar import listing --venue binance -

A code is the asset of the market that has the symbol already, else the venue's binding of the
code, else the one classified asset with that symbol. What stays unknown is rejected with its
candidates; mend it with `cqar apply`. Rejected rows are shown, and the rest is committed: the exit
code is 0.")]
    Listing(ListingArgs),
}

#[derive(Debug, Args)]
struct StarterArgs {
    /// The directory of the dataset.
    #[arg(long, value_name = "DIR", default_value = "config/starter")]
    dir: PathBuf,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct ListingArgs {
    /// The venue's response body (JSON), or the wrapped form with `responses`; `-` is the standard input.
    file: PathBuf,
    /// The venue's id.
    #[arg(long)]
    venue: String,
    /// The segment, where the body does not say it.
    #[arg(long, default_value = "", hide_default_value = true)]
    segment: String,
    /// The moment that the listing speaks of, in RFC 3339. Absent: `received_at` of the wrapped form, else now.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    observed_time: Option<Timestamp>,
    /// Create codes that nothing knows as UNCLASSIFIED assets.
    #[arg(long)]
    create_missing_assets: bool,
    /// Let a code match an UNCLASSIFIED asset that another venue's listing created.
    #[arg(long)]
    trust_symbols: bool,
    /// Accept a listing that is older than the newest that was imported, and only add what is absent.
    #[arg(long)]
    backfill: bool,
    /// Delist the markets that the listing covers completely and does not name.
    #[arg(long)]
    delist_absent: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// Imports.
pub async fn run(args: ImportArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    match args.command {
        ImportCommand::Starter(args) => starter(&args, client).await,
        ImportCommand::Listing(args) => listing(args, client).await,
    }
}

async fn starter(args: &StarterArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let request = mutations::read_directory(&args.dir)?;
    let answer = apply::send(request, &args.write, client).await?;
    match client.format() {
        OutputFormat::Json => output::json(&answer)?,
        OutputFormat::Table => apply::summarize(&answer, args.write.validate_only)?,
    }
    Ok(Exit::Done)
}

async fn listing(args: ListingArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let payload = payload(&args.file)?;
    let server = Connection::open(client, Some(BULK_TIMEOUT)).await?;
    let validate_only = args.write.validate_only;
    // Always with an id, so that an answer that is lost can be asked for again.
    let request_id = match args.write.request_id.as_str() {
        "" => Uuid::now_v7().to_string(),
        given => given.to_owned(),
    };
    let options = ImportListingOptions {
        venue_id: args.venue,
        segment: args.segment,
        observed_time: args.observed_time,
        create_missing_assets: args.create_missing_assets,
        trust_symbols: args.trust_symbols,
        backfill: args.backfill,
        delist_absent: args.delist_absent,
        validate_only,
        request_id: request_id.clone(),
        reason: args.write.reason,
    };
    let progress = progress(payload.len());
    let parts = parts(options, payload, progress.clone());
    let answer = receive(&server, parts, &progress, &request_id).await;
    progress.finish_and_clear();
    let answer = answer?;
    match client.format() {
        OutputFormat::Json => output::json(&answer)?,
        OutputFormat::Table => report(answer, validate_only)?,
    }
    Ok(Exit::Done)
}

/// Everything that an import answers, its progress left out.
#[derive(Default, Serialize)]
struct ImportAnswer {
    summary: ImportSummary,
    markets: Vec<ImportedMarket>,
    bindings: Vec<Binding>,
    warnings: Vec<Finding>,
    more: Vec<ListingSource>,
}

/// Sends the listing, shows where the import is, and collects its answer to the end.
async fn receive(
    server: &Connection,
    parts: impl Iterator<Item = ImportListingRequest> + Send + 'static,
    progress: &ProgressBar,
    request_id: &str,
) -> Result<ImportAnswer, CliError> {
    let unknown = |why: &str| {
        let remedy = format!("{why}: what became of the import is not known; repeat it with --request-id {request_id}");
        CliError::from(tonic::Status::unknown(remedy))
    };
    let mut steps = server.registry().import_listing(stream::iter(parts)).await?.into_inner();
    let mut answer = ImportAnswer::default();
    loop {
        let response = match steps.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return Err(unknown("the answer ended before its summary")),
            Err(status) if is_of_transport(&status) => return Err(unknown(status.message())),
            Err(status) => return Err(status.into()),
        };
        match response.step {
            Some(Step::Progress(at)) => progress.set_message(described(&at)),
            Some(Step::Rows(rows)) => {
                answer.markets.extend(rows.markets);
                answer.bindings.extend(rows.bindings);
                answer.warnings.extend(rows.warnings);
                answer.more.extend(rows.more);
            }
            Some(Step::Summary(summary)) => return Ok(ImportAnswer { summary, ..answer }),
            None => {}
        }
    }
}

/// Whether the connection broke, and not the server refused: its refusals say their reason.
fn is_of_transport(status: &tonic::Status) -> bool {
    status.get_details_error_info().is_none()
}

fn described(progress: &ImportProgress) -> String {
    let ImportProgress { row_count: rows, change_count: changes, .. } = progress;
    match progress.phase() {
        Phase::Unspecified => String::new(),
        Phase::Reading => "the plugin reads the listing".to_owned(),
        Phase::Comparing => format!("comparing {rows} rows"),
        Phase::Validating => format!("validating {changes} changes of {rows} rows"),
        Phase::Committing => format!("committing {changes} changes of {rows} rows"),
    }
}

/// The whole payload, so that a file that cannot be read to its end is never sent in part.
fn payload(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut payload = Vec::new();
    let limit = MAX_PAYLOAD_BYTES + 1;
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(limit).read_to_end(&mut payload),
        _ => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut payload)),
    };
    match read.map_err(|source| CliError::Unreadable { path: path.to_owned(), source })? as u64 {
        0 => Err(CliError::Refused(format!("{}: is empty", path.display()))),
        size if size > MAX_PAYLOAD_BYTES => {
            Err(CliError::Refused(format!("{}: is larger than 64 MiB", path.display())))
        }
        _ => Ok(payload),
    }
}

/// The options, then the payload in chunks, counted as the connection takes them.
fn parts(
    options: ImportListingOptions,
    payload: Vec<u8>,
    progress: ProgressBar,
) -> impl Iterator<Item = ImportListingRequest> {
    let end = payload.len();
    let payload = Bytes::from(payload);
    let chunks = (0..end).step_by(CHUNK_BYTES).map(move |start| {
        let chunk = payload.slice(start..end.min(start + CHUNK_BYTES));
        progress.inc(chunk.len() as u64);
        if progress.position() >= end as u64 {
            progress.set_message("waiting for the server");
        }
        Part::Chunk(chunk)
    });
    std::iter::once(Part::Options(options)).chain(chunks).map(|part| ImportListingRequest { part: Some(part) })
}

/// A bar on a terminal, and a plain line elsewhere.
fn progress(bytes: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        eprintln!("sending {bytes} bytes");
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

fn report(answer: ImportAnswer, validate_only: bool) -> Result<(), CliError> {
    if validate_only {
        let changes = answer.markets.iter().filter(|market| market.outcome() != Outcome::Rejected).cloned();
        output::table(["OUTCOME", "SEGMENT", "SYMBOL", "FIELDS"], changes.map(change))?;
    }
    let rejected: Vec<_> =
        answer.markets.iter().filter(|market| market.outcome() == Outcome::Rejected).cloned().collect();
    if !rejected.is_empty() {
        output::table(["SEGMENT", "SYMBOL", "CODE", "MESSAGE", "CANDIDATES"], rejected.into_iter().map(rejection))?;
    }
    if !answer.bindings.is_empty() {
        let rows = answer.bindings.into_iter().map(|bound| {
            let how = if bound.created { "created" } else { "matched by symbol" };
            [bound.segment, bound.code, bound.symbol, how.to_owned(), bound.asset_id]
        });
        output::table(["SEGMENT", "BOUND CODE", "ASSET", "HOW", "ID"], rows)?;
    }
    if !answer.more.is_empty() {
        let hidden = answer.more.len().saturating_sub(SHOWN_REQUESTS);
        let shown = answer.more.into_iter().take(SHOWN_REQUESTS).map(|source| [source.segment, source.url]);
        output::table(["SEGMENT", "FURTHER REQUEST"], shown)?;
        if hidden > 0 {
            eprintln!("and {hidden} further requests; --output json has them all");
        }
    }
    if !answer.warnings.is_empty() {
        output::table(rows::FINDING, answer.warnings.into_iter().map(rows::finding))?;
    }
    let summary = answer.summary;
    let committed = match (validate_only, summary.replayed) {
        (true, _) => "nothing: --validate-only",
        (false, true) if summary.rows_omitted => "before: this is what is kept of the answer to the same request",
        (false, true) => "before: this is the stored answer to the same request",
        (false, false) => "",
    };
    let pairs = [
        ("created", summary.created.to_string()),
        ("updated", summary.updated.to_string()),
        ("unchanged", summary.unchanged.to_string()),
        ("delisted", summary.delisted.to_string()),
        ("rejected", summary.rejected.to_string()),
        ("ignored", summary.ignored.to_string()),
        ("covered completely", summary.covered.iter().map(covered).collect::<Vec<_>>().join(", ")),
        ("further requests", summary.more.to_string()),
        ("observed time", output::time(summary.observed_time.as_ref())),
        ("revision", summary.revision.to_string()),
        ("committed", committed.to_owned()),
    ];
    output::pairs(pairs.map(|(name, value)| (name.to_owned(), value)))?;
    Ok(())
}

/// `spot`, or `usdm (perpetual, quote USDT)`.
fn covered(covered: &ImportCoverage) -> String {
    let kind = (covered.kind() != InstrumentKind::Unspecified)
        .then(|| output::short(covered.kind().as_str_name(), "INSTRUMENT_KIND_").to_lowercase());
    let codes = [("base", &covered.base_code), ("quote", &covered.quote_code), ("settle", &covered.settle_code)];
    let codes = codes.into_iter().filter(|(_, code)| !code.is_empty()).map(|(what, code)| format!("{what} {code}"));
    let only: Vec<String> = kind.into_iter().chain(codes).collect();
    if only.is_empty() { covered.segment.clone() } else { format!("{} ({})", covered.segment, only.join(", ")) }
}

fn change(market: ImportedMarket) -> [String; 4] {
    let outcome = output::short(market.outcome().as_str_name(), "OUTCOME_");
    [outcome, market.segment, market.venue_symbol, market.changed_fields.join(", ")]
}

fn rejection(market: ImportedMarket) -> [String; 5] {
    [market.segment, market.venue_symbol, market.code, market.message, market.candidate_asset_ids.join(", ")]
}
