//! Import of a venue's own listing: read by the venue's plugin, then written as any other change.
//!
//! Invariants: nothing is guessed (see `assets`); a row that the core or a validator refuses is rejected, and the rest
//! commits, in one transaction; a second run changes nothing; and what a listing says is of its moment, so that an older
//! one never overrules a newer.

mod assets;
mod coverage;
mod draft;
mod envelope;
mod hints;
mod report;
mod row;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use cqar_domain::{
    entities::Entity,
    finding::Finding,
    id::{EntityKey, Segment, VenueId},
    text::REASON,
    time::Timestamp,
    violation::Violations,
};
use cqar_plugins::{CallContext, CallError, Code, Coverage, Page, PluginSet, RejectedItem, RowProblem, Source};
use cqar_proto::{
    convert,
    v1::{self, import_progress::Phase},
};
use cqar_store::Snapshot;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;

use self::{
    assets::{AssetMatchOptions, SegmentCode, VenueCodes},
    draft::ImportDraft,
    hints::CodeHints,
    row::{Rejection, Row},
};
use crate::{
    Registry, Revisioned,
    caller::Caller,
    error::Error,
    infer::{failed, symbology},
    reading::codes,
    write::{WriteCommand, WriteContext, WriteOutcome, WritePhase},
};

pub use report::ImportReport;

/// The largest payload.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// The most rows of one import, which is one transaction: about ten seconds on a slow disk, during which no other write
/// gets its turn.
pub const MAX_ROWS: usize = 20_000;

/// The most segments of one import: each has a watermark that is compared and moved. Venues have a handful.
const MAX_SEGMENTS: usize = 64;

/// A listing, read and ready to be written.
struct Listing {
    venue: VenueId,
    /// The plugin that read it.
    plugin: String,
    observed: Timestamp,
    asset_match: AssetMatchOptions,
    backfill: bool,
    delist_absent: bool,
    rows: Vec<Row>,
    codes: VenueCodes,
    hints: CodeHints,
    rejected: Vec<RejectedItem>,
    covered: Vec<Coverage>,
    ignored: u32,
    more: Vec<v1::ListingSource>,
    /// What of the page could not be read, beside rows and codes.
    problems: Vec<RowProblem>,
    reason: String,
    progress: ProgressSender,
}

impl Listing {
    /// The segments that it speaks of.
    fn segments(&self) -> BTreeSet<&Segment> {
        let covered = self.covered.iter().map(|covered| &covered.segment);
        self.rows.iter().map(|row| &row.listed.reading.segment).chain(covered).collect()
    }
}

/// An import that runs.
pub struct RunningImport {
    /// Where it is; ends when the import does.
    pub progress: mpsc::Receiver<v1::ImportProgress>,
    /// What it did.
    pub outcome: BoxFuture<'static, Result<ImportReport, Error>>,
}

/// Tells where an import is. Nobody has to listen.
#[derive(Clone)]
struct ProgressSender(mpsc::Sender<v1::ImportProgress>);

impl ProgressSender {
    fn send(&self, phase: Phase, rows: usize, changes: i32) {
        let progress =
            v1::ImportProgress { phase: phase.into(), row_count: draft::number(rows), change_count: changes };
        // Who does not keep up hears of the later ones.
        let _ = self.0.try_send(progress);
    }
}

/// Progress that waits to be heard: a few attempts of a few phases each.
const MAX_PROGRESS: usize = 64;

/// What the validators refused: rows by their index, delistings by market.
#[derive(Default)]
struct Rejections {
    rows: HashMap<usize, Rejection>,
    delistings: HashMap<EntityKey, Rejection>,
}

impl Registry {
    /// Imports a listing of a venue. The payload is the venue's own JSON, raw or wrapped. Once it begins to write it
    /// runs to its end, whether or not the caller waits for it. It drops `permit` when it ends.
    pub fn import_listing<P: Send + 'static>(
        &self,
        request: WriteContext,
        options: v1::ImportListingOptions,
        payload: Bytes,
        permit: P,
    ) -> RunningImport {
        let (sender, progress) = mpsc::channel(MAX_PROGRESS);
        let this = self.clone();
        let importing = |caller: Caller| async move {
            let _permit = permit;
            let importing = Box::pin(this.import(caller, request, options, payload, ProgressSender(sender)));
            importing.await.map(|report| report.value)
        };
        RunningImport { progress, outcome: self.detached(importing).boxed() }
    }

    async fn import(
        &self,
        caller: Caller,
        request: WriteContext,
        options: v1::ImportListingOptions,
        payload: Bytes,
        progress: ProgressSender,
    ) -> Result<Revisioned<ImportReport>, Error> {
        if let Some(answer) = self.replay::<Listing>(&request).await? {
            return Ok(answer);
        }
        progress.send(Phase::Reading, 0, 0);
        let plugins = self.inner.plugins.snapshot();
        let listing = self.read_listing(&plugins, &request, &options, &payload, progress).await?;
        Box::pin(self.write_for(caller, request, plugins, listing)).await
    }

    async fn read_listing(
        &self,
        plugins: &PluginSet,
        request: &WriteContext,
        options: &v1::ImportListingOptions,
        payload: &Bytes,
        progress: ProgressSender,
    ) -> Result<Listing, Error> {
        let mut found = Violations::default();
        REASON.check("options.reason", &options.reason, &mut found);
        let venue = found.take::<VenueId, _>("options.venue_id", options.venue_id.parse());
        let segment = found.take::<Segment, _>("options.segment", options.segment.parse());
        found.into_result().map_err(Error::Invalid)?;
        let observed = convert::time("options.observed_time", options.observed_time).map_err(Error::Invalid)?;
        let (Some(venue), Some(segment)) = (venue, segment) else { return Err(Error::Invalid(Vec::new())) };
        let now = self.inner.clock.now();
        if options.backfill && options.delist_absent {
            return Err(Error::invalid(
                "options.delist_absent",
                "CONFLICT",
                "must not be given with backfill, which only adds",
            ));
        }
        let plugin_name = self.plugin_of(&venue).await?;
        let plugin = symbology(plugins, &plugin_name)?;
        let segment = Some(segment.as_str()).filter(|segment| !segment.is_empty());
        let sources = envelope::sources(payload, segment)?;
        let received = sources.iter().filter_map(|source| source.received_at).max();
        let (field, observed) = match (observed, received) {
            (None, Some(received)) => ("payload.responses.received_at", received),
            (observed, _) => ("options.observed_time", observed.unwrap_or(now)),
        };
        // It would make every honest listing after it a stale one.
        if observed > now {
            return Err(Error::invalid(field, "IN_THE_FUTURE", format_args!("{observed} is in the future")));
        }
        let context = CallContext {
            venue: Some(venue.clone()),
            as_of: Some(observed),
            ..request.plugin_context(now, self.inner.tailer.applied())
        };
        let page = read(&plugin_name, &plugin, &context, sources).await?;
        if page.markets.len() > MAX_ROWS {
            let message = format!(
                "has {} markets and must have at most {MAX_ROWS}; import its segments one by one",
                page.markets.len()
            );
            return Err(Error::invalid("payload", "TOO_MANY_ROWS", message));
        }
        let read = page.markets.iter().map(|listed| &listed.reading.segment);
        let segments = read.chain(page.covered.iter().map(|covered| &covered.segment)).collect::<BTreeSet<_>>().len();
        if segments > MAX_SEGMENTS {
            let message = format!("has {segments} segments and must have at most {MAX_SEGMENTS}; import them apart");
            return Err(Error::invalid("payload", "TOO_MANY_SEGMENTS", message));
        }
        let ids = self.ids();
        let rows: Vec<Row> = page.markets.into_iter().map(|listed| Row::new(listed, ids)).collect();
        let of_row = |row: &Row| -> Vec<SegmentCode> {
            let reading = &row.listed.reading;
            codes(reading).into_iter().map(|code| (reading.segment.clone(), code.to_owned())).collect()
        };
        let codes: BTreeSet<SegmentCode> = rows.iter().flat_map(of_row).collect();
        let codes: Vec<SegmentCode> = codes.into_iter().collect();
        let asked = codes.iter().map(|(segment, code)| Code { code: code.clone(), segment: named(segment) }).collect();
        let symbols = plugin.normalize_assets(&context, asked).await;
        let symbols = symbols.map_err(|error| failed(&plugin_name, &error))?;
        let hints = CodeHints::new(page.assets);
        let of_coverage = |it: &Coverage| {
            let codes = [it.base.clone(), it.quote.clone(), it.settle.clone()].into_iter().flatten();
            codes.map(|code| (it.segment.clone(), code)).collect::<Vec<SegmentCode>>()
        };
        let of_coverage = page.covered.iter().flat_map(of_coverage);
        Ok(Listing {
            codes: VenueCodes::new(codes, symbols, &hints, of_coverage.collect(), ids),
            venue,
            plugin: plugin_name,
            observed,
            asset_match: AssetMatchOptions {
                create_missing: options.create_missing_assets,
                symbols: options.trust_symbols,
            },
            backfill: options.backfill,
            delist_absent: options.delist_absent,
            rows,
            hints,
            rejected: page.rejected,
            covered: page.covered,
            ignored: page.ignored,
            more: page.more,
            problems: page.problems,
            reason: options.reason.clone(),
            progress,
        })
    }

    async fn plugin_of(&self, venue: &VenueId) -> Result<String, Error> {
        let key = EntityKey::Venue(venue.clone());
        let found = self.entities(std::slice::from_ref(&key), self.inner.tailer.applied()).await?;
        match found.first().and_then(Option::as_deref) {
            Some(Entity::Venue(it)) if it.meta.delete_time.is_none() => match it.symbology.as_str() {
                "" => {
                    Err(Error::invalid("options.venue_id", "NO_SYMBOLOGY", "must be a venue with a symbology plugin"))
                }
                name => Ok(name.to_owned()),
            },
            _ => Err(Error::NotFound { field: "options.venue_id".to_owned(), key }),
        }
    }
}

/// A segment as plugins are told of it.
fn named(segment: &Segment) -> Option<String> {
    Some(segment.to_string()).filter(|segment| !segment.is_empty())
}

async fn read(
    name: &str,
    plugin: &cqar_plugins::Symbology,
    context: &CallContext,
    sources: Vec<Source>,
) -> Result<Page, Error> {
    plugin.read_listing(context, sources).await.map_err(|error| match error {
        // The plugin's verdict on the payload, not a failure of the plugin.
        CallError::Failure { code, message, retryable: false } => Error::invalid("payload", &code, message),
        error => failed(name, &error),
    })
}

#[async_trait]
impl WriteCommand for Listing {
    type Prepared = ImportDraft;
    type Response = ImportReport;
    type Rejections = Rejections;

    async fn prepare(
        &self,
        reads: &mut Snapshot,
        rejections: &Rejections,
        now: Timestamp,
    ) -> Result<ImportDraft, Error> {
        draft::draft(self, reads, rejections, now).await
    }

    fn exclude_rejected(
        &self,
        draft: &ImportDraft,
        errors: Vec<(usize, Finding)>,
        rejections: &mut Rejections,
    ) -> Result<(), Error> {
        for (change, finding) in errors {
            let message = format!("{}: {} ({})", finding.path, finding.message, finding.plugin);
            draft.reject(self, change, &Rejection::new(&finding.code, message), rejections);
        }
        Ok(())
    }

    fn respond(&self, draft: &ImportDraft, outcome: &WriteOutcome) -> ImportReport {
        draft.report(self, outcome)
    }

    /// The summary: the rows are in the log, and in the registry.
    fn condensed(report: &ImportReport) -> Option<ImportReport> {
        let summary = report.summary.clone().map(|summary| v1::ImportSummary { rows_omitted: true, ..summary });
        Some(ImportReport { summary, rows: Vec::new() })
    }

    fn mark_replayed(report: &mut ImportReport) {
        if let Some(summary) = &mut report.summary {
            summary.replayed = true;
        }
    }

    fn entered(&self, phase: WritePhase<'_, ImportDraft>) {
        let (phase, changes) = match phase {
            WritePhase::Preparing => (Phase::Comparing, 0),
            WritePhase::Judging(draft) => (Phase::Validating, draft.changes()),
            WritePhase::Committing(draft) => (Phase::Committing, draft.changes()),
        };
        self.progress.send(phase, self.rows.len(), changes);
    }
}
