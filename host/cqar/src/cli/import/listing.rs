//! `cqar import listing`: a venue's own listing.

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use cqar_proto::{
    v1::{
        Binding, Finding, ImportListingOptions, ImportListingRequest, ImportProgress, ImportSummary, ImportedMarket,
        ListingSource, Rebind, import_listing_request::Part, import_listing_response::Step, import_progress::Phase,
    },
    well_known::Timestamp,
};
use futures::stream;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::report;
use crate::cli::{
    ClientArgs,
    apply::WriteArgs,
    client::{BULK_TIMEOUT, Connection},
    error::{CliError, Exit},
    parse_time,
};

/// What the contract allows a payload.
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ListingArgs {
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
    /// The file names every market of this segment, though a response has no address that shows it. May be repeated.
    #[arg(long, value_name = "SEGMENT")]
    complete: Vec<String>,
    /// Delist what is absent even where it is more than a fifth of a segment's live markets.
    #[arg(long, requires = "delist_absent")]
    force: bool,
    /// What becomes of a market whose symbol means something else than what is stored; absent, its row is rejected.
    #[arg(long, value_name = "HOW")]
    rebind: Option<RebindHow>,
    /// Show every change, problem and bound code, and not only counts and examples.
    #[arg(long)]
    details: bool,
    /// End with exit code 1 if a row was rejected.
    #[arg(long)]
    fail_on_rejected: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// What becomes of a market whose symbol means something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RebindHow {
    /// It was read wrongly: it is deleted, and one with the right terms takes its place.
    Mistake,
    /// The venue uses the symbol anew: it ends at the observed moment, and another begins.
    Relisted,
}

/// Imports a listing.
pub async fn run(args: ListingArgs, client: &ClientArgs) -> Result<Exit, CliError> {
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
        complete_segments: args.complete,
        force: args.force,
        rebind: args.rebind.map_or(Rebind::Unspecified, Rebind::from).into(),
        validate_only,
        request_id: request_id.clone(),
        reason: args.write.reason,
    };
    let progress = progress(payload.len());
    let parts = parts(options, payload, progress.clone());
    let answer = receive(&server, parts, &progress, &request_id).await;
    progress.finish_and_clear();
    let answer = answer?;
    let refused = answer.summary.delistings_refused;
    let is_refused = refused > 0;
    let is_rejected = args.fail_on_rejected && answer.summary.rejected > 0;
    let ids = answer.markets.iter().filter(|market| !market.market_id.is_empty());
    if !client.format().print_named(&answer, ids.map(|market| format!("market/{}", market.market_id)))? {
        report::print(answer, validate_only, args.details)?;
    }
    if is_refused {
        eprintln!("{refused} delistings were refused, since they are too many at once: see --force");
    }
    Ok(if is_refused || is_rejected { Exit::Failed } else { Exit::Done })
}

impl From<RebindHow> for Rebind {
    fn from(how: RebindHow) -> Self {
        match how {
            RebindHow::Mistake => Self::Mistake,
            RebindHow::Relisted => Self::Relisted,
        }
    }
}

/// Everything that an import answers, its progress left out.
#[derive(Default, Serialize)]
pub struct ImportAnswer {
    pub summary: ImportSummary,
    pub markets: Vec<ImportedMarket>,
    pub bindings: Vec<Binding>,
    pub warnings: Vec<Finding>,
    pub more: Vec<ListingSource>,
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
            Some(Step::Progress(at)) => {
                progress.set_position(STEP * (1 + step_of(at.phase())));
                progress.set_message(described(&at));
            }
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

/// How much of the bar each step has: sending, and the phases that the server tells.
const STEP: u64 = 100;
const STEPS: u64 = 5;

const fn step_of(phase: Phase) -> u64 {
    match phase {
        Phase::Unspecified | Phase::Reading => 0,
        Phase::Comparing => 1,
        Phase::Validating => 2,
        Phase::Committing => 3,
    }
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
        let until = end.min(start + CHUNK_BYTES);
        progress.set_position(STEP * until as u64 / end as u64);
        Part::Chunk(payload.slice(start..until))
    });
    std::iter::once(Part::Options(options)).chain(chunks).map(|part| ImportListingRequest { part: Some(part) })
}

/// A bar on a terminal, and a plain line elsewhere.
fn progress(bytes: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        eprintln!("sending {bytes} bytes");
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(STEP * STEPS).with_message(format!("sending {bytes} bytes"));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
