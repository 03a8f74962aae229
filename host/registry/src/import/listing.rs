//! A listing, read by the venue's plugin and ready to be compared with what is stored.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cqar_domain::{
    entities::Entity,
    id::{EntityKey, Segment, VenueId},
    text::REASON,
    time::Timestamp,
    violation::Violations,
};
use cqar_plugins::{
    CallContext, CallError, Code, Coverage, Listed, Page, PluginSet, RejectedItem, RowProblem, Source, Symbology,
};
use cqar_proto::{convert, v1};

use super::{
    ProgressSender,
    assets::{AssetMatchOptions, SegmentCode, VenueCodes},
    envelope,
    hints::CodeHints,
    row::Row,
};
use crate::{
    Registry,
    error::Error,
    infer::{failed, symbology},
    reading::codes,
    write::WriteContext,
};

/// The largest payload.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// The most rows of one import, which is one transaction: about ten seconds on a slow disk, during which no other write
/// gets its turn.
pub const MAX_ROWS: usize = 20_000;

/// The most segments of one import: each has a watermark that is compared and moved. Venues have a handful.
const MAX_SEGMENTS: usize = 64;

/// How far the clock of who took a listing may be ahead of this server's.
const CLOCK_TOLERANCE_SECONDS: i64 = 5;

/// A listing.
pub(super) struct Listing {
    pub(super) venue: VenueId,
    /// The plugin that read it.
    pub(super) plugin: String,
    pub(super) observed: Timestamp,
    pub(super) asset_match: AssetMatchOptions,
    pub(super) backfill: bool,
    pub(super) absence: Absence,
    pub(super) rebind: Option<Rebind>,
    pub(super) rows: Vec<Row>,
    pub(super) codes: VenueCodes,
    pub(super) hints: CodeHints,
    pub(super) rejected: Vec<RejectedItem>,
    /// What is known to be covered completely.
    pub(super) covered: Vec<Coverage>,
    pub(super) ignored: u32,
    pub(super) more: Vec<v1::ListingSource>,
    /// What of the page could not be read, beside rows and codes.
    pub(super) problems: Vec<RowProblem>,
    pub(super) reason: String,
    /// Nothing of it is to be committed.
    pub(super) is_preview: bool,
    pub(super) progress: ProgressSender,
}

/// What becomes of markets that are covered and absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// They stay.
    SaysNothing,
    /// They are delisted, unless they are too many at once.
    Delists,
    /// They are delisted, however many they are.
    DelistsAll,
}

/// What becomes of a market whose symbol means something else than what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rebind {
    /// It is replaced.
    Mistake,
    /// It ends, and another begins.
    Relisted,
}

impl Listing {
    /// The segments that it speaks of.
    pub(super) fn segments(&self) -> BTreeSet<&Segment> {
        let covered = self.covered.iter().map(|covered| &covered.segment);
        self.rows.iter().map(|row| &row.listed.reading.segment).chain(covered).collect()
    }
}

/// The options, checked.
struct ImportOptions {
    venue: VenueId,
    segment: Segment,
    complete: BTreeSet<Segment>,
    observed: Option<Timestamp>,
    absence: Absence,
    rebind: Option<Rebind>,
}

impl ImportOptions {
    fn read(options: &v1::ImportListingOptions) -> Result<Self, Error> {
        let mut found = Violations::default();
        REASON.check("options.reason", &options.reason, &mut found);
        let venue = found.take::<VenueId, _>("options.venue_id", options.venue_id.parse());
        let segment = found.take::<Segment, _>("options.segment", options.segment.parse());
        let complete = options.complete_segments.iter().enumerate();
        let complete: BTreeSet<Segment> = complete
            .filter_map(|(n, segment)| found.take(&format!("options.complete_segments[{n}]"), segment.parse()))
            .collect();
        if complete.len() > MAX_SEGMENTS {
            found.add("options.complete_segments", "TOO_MANY", format_args!("must be at most {MAX_SEGMENTS}"));
        }
        let rebind = match v1::Rebind::try_from(options.rebind) {
            Ok(v1::Rebind::Unspecified) => None,
            Ok(v1::Rebind::Mistake) => Some(Rebind::Mistake),
            Ok(v1::Rebind::Relisted) => Some(Rebind::Relisted),
            Err(_) => {
                found.add("options.rebind", "UNKNOWN_VALUE", "is no value of this enumeration");
                None
            }
        };
        let conflicts = [
            ("options.delist_absent", options.delist_absent && options.backfill),
            ("options.rebind", rebind.is_some() && options.backfill),
        ];
        for (field, _) in conflicts.into_iter().filter(|(_, conflicts)| *conflicts) {
            found.add(field, "CONFLICT", "must not be given with backfill, which only adds");
        }
        if options.force && !options.delist_absent {
            found.add("options.force", "CONFLICT", "goes with delist_absent only");
        }
        found.into_result().map_err(Error::Invalid)?;
        let observed = convert::time("options.observed_time", options.observed_time).map_err(Error::Invalid)?;
        let (Some(venue), Some(segment)) = (venue, segment) else { return Err(Error::Invalid(Vec::new())) };
        let absence = match (options.delist_absent, options.force) {
            (false, _) => Absence::SaysNothing,
            (true, false) => Absence::Delists,
            (true, true) => Absence::DelistsAll,
        };
        Ok(Self { venue, segment, complete, observed, absence, rebind })
    }

    /// The moment that the listing speaks of.
    fn observed(&self, sources: &[Source], now: Timestamp) -> Result<Timestamp, Error> {
        let received = sources.iter().filter_map(|source| source.received_at).max();
        let (field, observed) = match (self.observed, received) {
            (None, Some(received)) => ("payload.responses.received_at", received),
            (observed, _) => ("options.observed_time", observed.unwrap_or(now)),
        };
        // It would make every honest listing after it a stale one.
        if observed > now.plus_seconds(CLOCK_TOLERANCE_SECONDS) {
            return Err(Error::invalid(field, "IN_THE_FUTURE", format_args!("{observed} is in the future")));
        }
        Ok(observed.min(now))
    }
}

impl Registry {
    pub(super) async fn read_listing(
        &self,
        plugins: &PluginSet,
        request: &WriteContext,
        options: &v1::ImportListingOptions,
        payload: &Bytes,
        progress: ProgressSender,
    ) -> Result<Listing, Error> {
        let checked = ImportOptions::read(options)?;
        let now = self.inner.clock.now();
        let plugin_name = self.plugin_of(&checked.venue).await?;
        let plugin = symbology(plugins, &plugin_name)?;
        let segment = Some(checked.segment.as_str()).filter(|segment| !segment.is_empty());
        let sources = envelope::sources(payload, segment)?;
        let observed = checked.observed(&sources, now)?;
        let context = CallContext {
            venue: Some(checked.venue.clone()),
            as_of: Some(observed),
            ..request.plugin_context(now, self.inner.tailer.applied())
        };
        let has_address: Vec<bool> =
            sources.iter().map(|source| source.url.as_deref().is_some_and(|url| !url.is_empty())).collect();
        let mut page = read(&plugin_name, &plugin, &context, sources).await?;
        check_size(&page)?;
        prove_coverage(&mut page, &has_address, &checked);
        reject_doubled(&mut page);
        check_complete(&page, &checked)?;
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
            venue: checked.venue,
            plugin: plugin_name,
            observed,
            asset_match: AssetMatchOptions {
                create_missing: options.create_missing_assets,
                symbols: options.trust_symbols,
            },
            backfill: options.backfill,
            absence: checked.absence,
            rebind: checked.rebind,
            rows,
            hints,
            rejected: page.rejected,
            covered: page.covered,
            ignored: page.ignored,
            more: page.more,
            problems: page.problems,
            reason: options.reason.clone(),
            is_preview: options.validate_only,
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

async fn read(name: &str, plugin: &Symbology, context: &CallContext, sources: Vec<Source>) -> Result<Page, Error> {
    plugin.read_listing(context, sources).await.map_err(|error| match error {
        // The plugin's verdict on the payload, not a failure of the plugin.
        CallError::Failure { code, message, retryable: false } => Error::invalid("payload", &code, message),
        error => failed(name, &error),
    })
}

fn check_size(page: &Page) -> Result<(), Error> {
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
    Ok(())
}

/// A response without its address may be a part of what was asked for, whatever the plugin makes of it: it proves nothing absent,
/// unless whoever imports it says so.
fn prove_coverage(page: &mut Page, has_address: &[bool], options: &ImportOptions) {
    let is_proven = |index: &usize| has_address.get(*index).copied().unwrap_or_default();
    let (proven, unproven): (Vec<Coverage>, Vec<Coverage>) =
        std::mem::take(&mut page.covered).into_iter().partition(|it| it.sources.iter().all(is_proven));
    let said = options.complete.iter().map(|segment| Coverage {
        sources: Vec::new(),
        segment: segment.clone(),
        kind: None,
        base: None,
        quote: None,
        settle: None,
    });
    page.covered = proven.into_iter().filter(|it| !options.complete.contains(&it.segment)).chain(said).collect();
    if options.absence == Absence::SaysNothing {
        return;
    }
    let unproven = unproven.into_iter().map(|it| it.segment).filter(|it| !options.complete.contains(it));
    for segment in unproven.collect::<BTreeSet<Segment>>() {
        page.problems.push(RowProblem {
            path: format!("segment {}", segment.quoted()),
            code: "NOT_PROVEN_WHOLE".to_owned(),
            message: format!(
                "a response without its address may be a part, so that nothing is absent from it; --complete {} says that it is whole",
                segment.quoted()
            ),
        });
    }
}

/// A segment of which nothing was read, or something that nobody can name, is not whole, whoever says so.
fn check_complete(page: &Page, options: &ImportOptions) -> Result<(), Error> {
    for segment in &options.complete {
        let is_read = page.markets.iter().any(|listed| listed.reading.segment == *segment);
        let is_nameless =
            |it: &RejectedItem| it.symbol.is_empty() && it.segment.as_ref().is_none_or(|other| other == segment);
        let why = if !is_read {
            "names no market of"
        } else if page.rejected.iter().any(is_nameless) {
            "has an item without a symbol, which may be of"
        } else {
            continue;
        };
        let message = format!("the listing {why} segment {}, so that it cannot be whole", segment.quoted());
        return Err(Error::invalid("options.complete_segments", "NOT_WHOLE", message));
    }
    Ok(())
}

/// Which of two rows of one symbol is right is not guessed.
fn reject_doubled(page: &mut Page) {
    let mut counts: BTreeMap<(&Segment, &str), usize> = BTreeMap::new();
    let symbols = |listed: &Listed| -> BTreeSet<String> {
        let aliases = listed.market.aliases.value().cloned().unwrap_or_default();
        aliases.into_iter().chain([listed.symbol.clone()]).collect()
    };
    let of_rows: Vec<BTreeSet<String>> = page.markets.iter().map(symbols).collect();
    for (listed, symbols) in page.markets.iter().zip(&of_rows) {
        for symbol in symbols {
            *counts.entry((&listed.reading.segment, symbol)).or_default() += 1;
        }
    }
    let is_doubled = |listed: &Listed, symbols: &BTreeSet<String>| {
        symbols.iter().any(|symbol| counts.get(&(&listed.reading.segment, symbol.as_str())).is_some_and(|it| *it > 1))
    };
    let doubled: Vec<bool> = page.markets.iter().zip(&of_rows).map(|(it, symbols)| is_doubled(it, symbols)).collect();
    let mut doubled = doubled.into_iter();
    let is_doubled = |_: &Listed| doubled.next().unwrap_or_default();
    let (doubled, single): (Vec<Listed>, Vec<Listed>) =
        std::mem::take(&mut page.markets).into_iter().partition(is_doubled);
    page.markets = single;
    page.rejected.extend(doubled.into_iter().map(|listed| RejectedItem {
        source: listed.source,
        segment: Some(listed.reading.segment),
        symbol: listed.symbol,
        code: "DOUBLED_SYMBOL".to_owned(),
        message: "is listed twice; which of the rows is right is not known".to_owned(),
    }));
}
