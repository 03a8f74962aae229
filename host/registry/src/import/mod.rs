//! Import of a venue's own listing: read by the venue's plugin, then written as any other change.
//!
//! Invariants: nothing is guessed (see `assets`); a row that the core or a validator refuses is rejected, and the rest
//! commits, in one transaction; a second run changes nothing; and what a listing says is of its moment, so that an older
//! one never overrules a newer.

mod assets;
mod draft;
mod envelope;
mod row;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use cqar_domain::{
    entities::Entity,
    finding::Finding,
    id::{EntityKey, Segment, VenueId},
    time::Timestamp,
    violation::Violations,
};
use cqar_plugins::{CallError, Page, PluginSet, RejectedItem, Source};
use cqar_proto::{convert, v1};
use cqar_store::Snapshot;

use self::{
    assets::{AssetMatchOptions, VenueCodes},
    draft::ImportDraft,
    row::{Rejection, Row},
};
use crate::{
    Registry, Revisioned,
    error::Error,
    infer::{failed, symbology},
    reading::codes,
    write::{WriteCommand, WriteContext, WriteOutcome},
};

/// The largest payload.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// The most rows of one import, which is one transaction: about ten seconds on a slow disk, during which no other write
/// gets its turn.
pub const MAX_ROWS: usize = 20_000;

/// A listing, read and ready to be written.
struct Listing {
    venue: VenueId,
    observed: Timestamp,
    asset_match: AssetMatchOptions,
    backfill: bool,
    delist_absent: bool,
    rows: Vec<Row>,
    codes: VenueCodes,
    rejected: Vec<RejectedItem>,
    complete: Vec<Segment>,
}

/// What the validators refused: rows by their index, delistings by market.
#[derive(Default)]
struct Rejections {
    rows: HashMap<usize, Rejection>,
    delistings: HashMap<EntityKey, Rejection>,
}

impl Registry {
    /// Imports a listing of a venue. The payload is the venue's own JSON, raw or wrapped. It runs to its end, whether or
    /// not the caller waits for it, and drops `permit` only then.
    pub async fn import_listing<P: Send + 'static>(
        &self,
        request: WriteContext,
        options: v1::ImportListingOptions,
        payload: Bytes,
        permit: P,
    ) -> Result<Revisioned<v1::ImportListingResponse>, Error> {
        let this = self.clone();
        let importing = async move {
            let _permit = permit;
            this.import(request, options, payload).await
        };
        self.detached(importing).await
    }

    async fn import(
        &self,
        request: WriteContext,
        options: v1::ImportListingOptions,
        payload: Bytes,
    ) -> Result<Revisioned<v1::ImportListingResponse>, Error> {
        if let Some(answer) = self.replay(&request).await? {
            return Ok(answer);
        }
        let plugins = self.inner.plugins.snapshot();
        let listing = self.read_listing(&plugins, &options, &payload).await?;
        self.write(request, plugins, listing).await
    }

    async fn read_listing(
        &self,
        plugins: &PluginSet,
        options: &v1::ImportListingOptions,
        payload: &Bytes,
    ) -> Result<Listing, Error> {
        let mut found = Violations::default();
        let venue = found.take::<VenueId, _>("options.venue", options.venue.parse());
        let segment = found.take::<Segment, _>("options.segment", options.segment.parse());
        found.into_result().map_err(Error::Invalid)?;
        let observed = convert::time("options.observed_at", options.observed_at).map_err(Error::Invalid)?;
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
            (observed, _) => ("options.observed_at", observed.unwrap_or(now)),
        };
        // It would make every honest listing after it a stale one.
        if observed > now {
            return Err(Error::invalid(field, "IN_THE_FUTURE", format_args!("{observed} is in the future")));
        }
        let page = read(&plugin_name, &plugin, sources).await?;
        if page.markets.len() > MAX_ROWS {
            let message = format!(
                "has {} markets and must have at most {MAX_ROWS}; import its segments one by one",
                page.markets.len()
            );
            return Err(Error::invalid("payload", "TOO_MANY_ROWS", message));
        }
        let ids = self.ids();
        let rows: Vec<Row> = page.markets.into_iter().map(|listed| Row::new(listed, ids)).collect();
        let codes: BTreeSet<&str> = rows.iter().flat_map(|row| codes(&row.listed.reading)).collect();
        let codes: Vec<String> = codes.into_iter().map(str::to_owned).collect();
        let symbols = plugin.normalize_assets(codes.clone()).await.map_err(|error| failed(&plugin_name, &error))?;
        Ok(Listing {
            codes: VenueCodes::new(codes, symbols, ids),
            venue,
            observed,
            asset_match: AssetMatchOptions {
                create_missing: options.create_missing_assets,
                symbols: options.trust_symbols,
            },
            backfill: options.backfill,
            delist_absent: options.delist_absent,
            rows,
            rejected: page.rejected,
            complete: page.complete_segments,
        })
    }

    async fn plugin_of(&self, venue: &VenueId) -> Result<String, Error> {
        let key = EntityKey::Venue(venue.clone());
        let found = self.entities(std::slice::from_ref(&key), self.inner.tailer.applied()).await?;
        match found.first().and_then(Option::as_deref) {
            Some(Entity::Venue(it)) if it.meta.delete_time.is_none() => match it.symbology.as_str() {
                "" => Err(Error::invalid("options.venue", "NO_SYMBOLOGY", "must be a venue with a symbology plugin")),
                name => Ok(name.to_owned()),
            },
            _ => Err(Error::NotFound { field: "options.venue".to_owned(), key }),
        }
    }
}

async fn read(name: &str, plugin: &cqar_plugins::Symbology, sources: Vec<Source>) -> Result<Page, Error> {
    plugin.read_listing(sources).await.map_err(|error| match error {
        // The plugin's verdict on the payload, not a failure of the plugin.
        CallError::Failure { code, message, retryable: false } => Error::invalid("payload", &code, message),
        error => failed(name, &error),
    })
}

#[async_trait]
impl WriteCommand for Listing {
    type Prepared = ImportDraft;
    type Response = v1::ImportListingResponse;
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

    fn respond(&self, draft: &ImportDraft, outcome: &WriteOutcome) -> v1::ImportListingResponse {
        draft.answer(self, outcome)
    }
}
