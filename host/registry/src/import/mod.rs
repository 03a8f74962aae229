//! Import of a venue's own listing: read by the venue's plugin, then written as any other change.
//!
//! Invariants: nothing is guessed (see `assets`), and nothing assumed (`comparison`); the venue is the authority on its own markets
//! (`identity`, `overlay`), and a part of them is never taken for the whole (`coverage`); a row that the core or a validator refuses is
//! rejected, and the rest commits, in one transaction; a second run changes nothing; and what a listing says is of its moment, so that
//! an older one never overrules a newer.

mod assets;
mod comparison;
mod coverage;
mod draft;
mod envelope;
mod hints;
mod identity;
mod listing;
mod overlay;
mod report;
mod row;
mod summary;

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use cqar_domain::{finding::Finding, id::EntityKey, time::Timestamp};
use cqar_proto::v1::{self, import_progress::Phase};
use cqar_store::Snapshot;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;

use self::{draft::ImportDraft, listing::Listing, row::Rejection};
use crate::{
    Registry, Revisioned,
    caller::Caller,
    error::Error,
    write::{WriteCommand, WriteContext, WriteOutcome, WritePhase},
};

pub use listing::{MAX_PAYLOAD_BYTES, MAX_ROWS};
pub use report::ImportReport;

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
            v1::ImportProgress { phase: phase.into(), row_count: summary::number(rows), change_count: changes };
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
