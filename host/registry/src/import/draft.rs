//! From a listing to mutations and their plan, row by row; and from what was written to the report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cqar_domain::{
    entities::{Entity, instrument::Terms, market::Market},
    finding::Finding,
    id::{AssetId, EntityKey, InstrumentId, MarketId, Segment},
    mutation::{Mutation, RequestedMutation},
    time::Timestamp,
};
use cqar_plugins::RowProblem;
use cqar_proto::v1;
use cqar_store::Snapshot;

use super::{
    Listing, Rejections,
    assets::{CodeBinding, CodeMappings, SegmentCode},
    coverage,
    report::ImportReport,
    row::{Rejection, Row},
};
use crate::{
    error::Error,
    plan::{self, Plan, PlannedChange},
    reading,
    write::{ImportWatermark, PreparedWrite, WriteOutcome},
};

/// A listing's plan, and what is reported of it.
pub(super) struct ImportDraft {
    plan: Plan,
    /// Whose each mutation is.
    origins: Vec<Origin>,
    rejected: BTreeMap<usize, Rejection>,
    /// Rows whose market is there, and stays as it is or is updated.
    present: BTreeSet<usize>,
    bindings: Vec<CodeBinding>,
    watermarks: Vec<ImportWatermark>,
    refused_delistings: Vec<(Market, Rejection)>,
}

/// What a mutation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Row(usize),
    Delisting(EntityKey),
}

impl PreparedWrite for ImportDraft {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    fn watermarks(&self) -> &[ImportWatermark] {
        &self.watermarks
    }
}

/// The stored state that a listing is compared with.
struct StoredState<'a> {
    mappings: CodeMappings<'a>,
    /// The markets that have, or had, each symbol, in any segment.
    markets: HashMap<String, Vec<Market>>,
    instruments: HashMap<InstrumentId, Terms>,
    absent: Vec<Market>,
    watermarks: Vec<ImportWatermark>,
}

/// Plans all rows; those that cannot be are rejected, and the rest planned again until all of it can.
pub(super) async fn draft(
    listing: &Listing,
    reads: &mut Snapshot,
    rejections: &Rejections,
    now: Timestamp,
) -> Result<ImportDraft, Error> {
    let stored = read(listing, reads).await?;
    let mut rejected: BTreeMap<usize, Rejection> = rejections.rows.iter().map(|(n, why)| (*n, why.clone())).collect();
    let mut refused_delistings: HashMap<EntityKey, Rejection> =
        rejections.delistings.iter().map(|(key, why)| (key.clone(), why.clone())).collect();
    loop {
        let mut proposed = ProposedMutations { reason: listing.reason.clone(), ..ProposedMutations::default() };
        for (n, row) in listing.rows.iter().enumerate().filter(|(n, _)| !rejected.contains_key(n)).collect::<Vec<_>>() {
            if let Err(why) = proposed.row(listing, &stored, n, row, now) {
                rejected.insert(n, why);
            }
        }
        proposed.delist(&stored.absent, &refused_delistings, listing.observed);
        match plan::plan(reads, &proposed.mutations, now).await? {
            Ok(mut plan) => {
                // What a listing says holds from the moment that it speaks of.
                plan.changes.iter_mut().for_each(|change| change.effective_time = Some(listing.observed));
                let refused_delistings = stored.absent.iter().filter_map(|market| {
                    refused_delistings.get(&EntityKey::Market(market.id)).map(|why| (market.clone(), why.clone()))
                });
                return Ok(ImportDraft {
                    refused_delistings: refused_delistings.collect(),
                    plan,
                    origins: proposed.origins,
                    rejected,
                    present: proposed.present,
                    bindings: proposed.bindings.into_values().collect(),
                    watermarks: stored.watermarks,
                });
            }
            Err(failures) => {
                for failure in failures {
                    let why = rejection(&failure.error);
                    match proposed.origins.get(failure.mutation) {
                        Some(Origin::Row(n)) => drop(rejected.entry(*n).or_insert(why)),
                        Some(Origin::Delisting(key)) => drop(refused_delistings.insert(key.clone(), why)),
                        None => return Err(failure.error),
                    }
                }
            }
        }
    }
}

async fn read<'a>(listing: &'a Listing, reads: &mut Snapshot) -> Result<StoredState<'a>, Error> {
    let watermarks = watermarks(listing, reads).await?;
    let mappings = listing.codes.mappings(reads, &listing.venue, listing.asset_match).await?;
    let symbols: BTreeSet<String> = listing.rows.iter().map(|row| row.listed.symbol.clone()).collect();
    let found = reads.markets_with_symbols(&listing.venue, &symbols.into_iter().collect::<Vec<_>>()).await?;
    let ids: BTreeSet<EntityKey> = found.iter().map(|market| EntityKey::Instrument(market.instrument_id)).collect();
    let instruments = reads.entities(&ids.into_iter().collect::<Vec<_>>()).await?.into_iter().flatten();
    let instruments = instruments.filter_map(|entity| match entity {
        Entity::Instrument(it) => Some((it.id, it.terms.clone())),
        _ => None,
    });
    let instruments = instruments.collect();
    let mut markets: HashMap<String, Vec<Market>> = HashMap::new();
    for market in found {
        for symbol in market.symbols() {
            markets.entry(symbol.to_owned()).or_default().push(market.clone());
        }
    }
    let absent = if listing.delist_absent { coverage::absent(listing, &mappings, reads).await? } else { Vec::new() };
    Ok(StoredState { mappings, markets, instruments, absent, watermarks })
}

/// The watermarks of the segments that the listing speaks of. An older listing is refused.
async fn watermarks(listing: &Listing, reads: &mut Snapshot) -> Result<Vec<ImportWatermark>, Error> {
    let mut watermarks = Vec::new();
    for segment in listing.segments() {
        let newest = reads.import_watermark(&listing.venue, segment).await?;
        let (venue, segment, observed) = (listing.venue.clone(), segment.clone(), listing.observed);
        if let Some(newest) = newest.filter(|newest| *newest > observed && !listing.backfill) {
            return Err(Error::StaleListing { venue, segment, newest, observed });
        }
        watermarks.push(ImportWatermark { venue, segment, newest, observed });
    }
    Ok(watermarks)
}

/// The mutations so far.
#[derive(Default)]
struct ProposedMutations {
    /// Why they are made.
    reason: String,
    mutations: Vec<RequestedMutation>,
    origins: Vec<Origin>,
    present: BTreeSet<usize>,
    bindings: BTreeMap<SegmentCode, CodeBinding>,
}

impl ProposedMutations {
    fn row(
        &mut self,
        listing: &Listing,
        stored: &StoredState<'_>,
        n: usize,
        row: &Row,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let markets = stored.markets.get(&row.listed.symbol).map_or(&[][..], Vec::as_slice);
        if let Some(market) = row.matching(markets, listing.observed) {
            let terms = stored.instruments.get(&market.instrument_id);
            let assets = self.assets(stored, row, terms, &mut Vec::new());
            let listed = assets.and_then(|assets| row.terms(&assets))?;
            if terms.is_some_and(|terms| *terms != listed) {
                let message = "the symbol means another instrument than before; delist the market that has it";
                return Err(Rejection::new("INSTRUMENT_CHANGED", message));
            }
            // Whose market it is, and in which units it counts, changes together or not at all.
            if let Some(is) = row.listed.reading.unit_multiplier.as_ref().filter(|it| **it != market.unit_multiplier) {
                let was = &market.unit_multiplier;
                let message = format_args!(
                    "the symbol counts in units of {is}, and in units of {was} before; delist the market that has it"
                );
                return Err(Rejection::new("MULTIPLIER_CHANGED", message));
            }
            self.present.insert(n);
            if !listing.backfill {
                self.push(Origin::Row(n), row.update(market, markets, now));
            }
            return Ok(());
        }
        let mut bound = Vec::new();
        let assets = self.assets(stored, row, None, &mut bound)?;
        let terms = row.terms(&assets)?;
        for bound in bound {
            for mutation in stored.mappings.mutations(&bound) {
                self.push(Origin::Row(n), mutation);
            }
            self.bindings.insert(bound.key(), bound);
        }
        for mutation in row.creations(&listing.venue, terms, markets, (listing.observed, now))? {
            self.push(Origin::Row(n), mutation);
        }
        Ok(())
    }

    /// The assets of a row: those of the market that has the symbol, else what the codes mean.
    fn assets(
        &self,
        stored: &StoredState<'_>,
        row: &Row,
        of_market: Option<&Terms>,
        bound: &mut Vec<CodeBinding>,
    ) -> Result<Vec<AssetId>, Rejection> {
        let codes = reading::codes(&row.listed.reading);
        let known: Vec<AssetId> =
            of_market.map(|terms| terms.assets().into_iter().map(|(_, id)| id).collect()).unwrap_or_default();
        if known.len() == codes.len() {
            return Ok(known);
        }
        codes
            .into_iter()
            .map(|code| {
                let (asset, new) =
                    stored.mappings.of(&row.listed.reading.segment, code).map_err(|unknown| Rejection {
                        code: unknown.code.to_owned(),
                        message: unknown.message.clone(),
                        candidates: unknown.candidates(),
                    })?;
                let is_new = |new: &CodeBinding| {
                    !self.bindings.contains_key(&new.key()) && !bound.iter().any(|it| it.key() == new.key())
                };
                if let Some(new) = new.filter(is_new) {
                    bound.push(new);
                }
                Ok(asset)
            })
            .collect()
    }

    fn delist(&mut self, absent: &[Market], rejections: &HashMap<EntityKey, Rejection>, at: Timestamp) {
        for market in absent {
            let key = EntityKey::Market(market.id);
            if !rejections.contains_key(&key) {
                self.push(Origin::Delisting(key), Mutation::Delist { market: market.id, at: Some(at), etag: None });
            }
        }
    }

    fn push(&mut self, origin: Origin, mutation: Mutation) {
        self.mutations.push(RequestedMutation { field: String::new(), reason: self.reason.clone(), mutation });
        self.origins.push(origin);
    }
}

/// Why the core refused a row.
fn rejection(error: &Error) -> Rejection {
    match error {
        Error::Invalid(found) => {
            let code = found.first().map_or("INVALID", |violation| violation.code.as_str());
            let all: Vec<String> = found.iter().map(ToString::to_string).collect();
            Rejection::new(code, all.join("; "))
        }
        Error::AlreadyExists { existing, .. } => {
            let why = Rejection::new("ALREADY_EXISTS", error);
            Rejection { candidates: vec![existing.id()], ..why }
        }
        Error::Deleted { .. } => Rejection::new("DELETED", error),
        other => Rejection::new("REFUSED", other),
    }
}

impl ImportDraft {
    /// Excludes every row that depends on the rejected change from the next draft.
    pub(super) fn reject(&self, listing: &Listing, change: usize, why: &Rejection, rejections: &mut Rejections) {
        let Some(change) = self.plan.changes.get(change) else { return };
        match self.origins.get(change.mutation) {
            Some(Origin::Row(n)) => {
                let shared = self.bindings.iter().find(|bound| match change.entity() {
                    Some(Entity::Asset(asset)) => asset.id == bound.asset,
                    Some(Entity::VenueAsset(it)) => (&it.segment, &it.code) == (&bound.segment, &bound.code),
                    _ => false,
                });
                let depends_on_change_needed = |row: &Row| {
                    let reading = &row.listed.reading;
                    shared.is_some_and(|it| reading::codes(reading).into_iter().any(|c| it.covers(&reading.segment, c)))
                };
                for (other, row) in listing.rows.iter().enumerate() {
                    // A market that is there has its assets already.
                    if other == *n || (depends_on_change_needed(row) && !self.present.contains(&other)) {
                        rejections.rows.entry(other).or_insert_with(|| why.clone());
                    }
                }
            }
            Some(Origin::Delisting(key)) => drop(rejections.delistings.insert(key.clone(), why.clone())),
            None => {}
        }
    }

    /// The report.
    pub(super) fn report(&self, listing: &Listing, written: &WriteOutcome) -> ImportReport {
        use v1::imported_market::Outcome;
        let markets = self.markets(listing, written);
        let count = |outcome: Outcome| markets.iter().filter(|it| it.outcome == i32::from(outcome)).count();
        let updated = count(Outcome::Updated);
        let summary = v1::ImportSummary {
            revision: written.revision,
            observed_time: Some(listing.observed.into()),
            created: number(count(Outcome::Created)),
            updated: number(updated),
            unchanged: number(self.present.len().saturating_sub(updated)),
            delisted: number(count(Outcome::Delisted)),
            rejected: number(count(Outcome::Rejected)),
            covered: listing.covered.iter().map(coverage::message).collect(),
            replayed: false,
            ignored: i32::try_from(listing.ignored).unwrap_or(i32::MAX),
            more: number(listing.more.len()),
            rows_omitted: false,
        };
        let rows = v1::ImportRows {
            markets,
            bindings: self.bindings.iter().map(binding).collect(),
            warnings: self.warnings(listing, written),
            more: listing.more.clone(),
        };
        ImportReport::new(summary, rows)
    }

    /// Every market that was created, updated, delisted or rejected.
    fn markets(&self, listing: &Listing, written: &WriteOutcome) -> Vec<v1::ImportedMarket> {
        use v1::imported_market::Outcome;
        let mut markets: Vec<v1::ImportedMarket> = Vec::new();
        for change in &self.plan.changes {
            let Some(Entity::Market(market)) = &change.after else { continue };
            let outcome = match (self.origins.get(change.mutation), &change.before) {
                (Some(Origin::Delisting(_)), _) => Outcome::Delisted,
                (_, None) => Outcome::Created,
                (_, Some(_)) => Outcome::Updated,
            };
            markets.push(v1::ImportedMarket {
                changed_fields: changed_fields(change),
                market_id: if change.before.is_none() && written.revision == self.plan.revision {
                    String::new()
                } else {
                    id(market.id)
                },
                ..imported(&market.segment, &market.venue_symbol, outcome)
            });
        }
        for (n, why) in &self.rejected {
            let Some(row) = listing.rows.get(*n) else { continue };
            markets.push(rejected(Some(&row.listed.reading.segment), &row.listed.symbol, why));
        }
        for (market, why) in &self.refused_delistings {
            markets.push(rejected(Some(&market.segment), &market.venue_symbol, why));
        }
        for item in &listing.rejected {
            markets.push(rejected(item.segment.as_ref(), &item.symbol, &Rejection::new(&item.code, &item.message)));
        }
        markets
    }

    /// What validators warned of, and the fields that could not be read, of codes and of rows that count.
    fn warnings(&self, listing: &Listing, written: &WriteOutcome) -> Vec<v1::Finding> {
        let unread = |name: String, problem: &RowProblem| v1::Finding {
            severity: v1::finding::Severity::Warning.into(),
            path: format!("{name}: {}", problem.path),
            code: problem.code.clone(),
            message: problem.message.clone(),
            plugin: listing.plugin.clone(),
        };
        let judged = written.warnings.iter().map(|(n, finding)| self.warning(*n, finding));
        let of_page = listing.problems.iter().map(|problem| unread("listing".to_owned(), problem));
        let of_codes = listing.hints.problems().iter().map(|(code, problem)| unread(format!("code {code}"), problem));
        let rows = listing.rows.iter().enumerate().filter(|(n, _)| !self.rejected.contains_key(n));
        let of_rows = rows.flat_map(|(_, row)| {
            let name = format!("{}/{}", row.listed.reading.segment, row.listed.symbol);
            row.listed.problems.iter().map(move |problem| unread(name.clone(), problem))
        });
        judged.chain(of_page).chain(of_codes).chain(of_rows).collect()
    }

    /// How many entities change.
    pub(super) fn changes(&self) -> i32 {
        number(self.plan.changes.len())
    }

    fn warning(&self, change: usize, finding: &Finding) -> v1::Finding {
        let entity = self.plan.changes.get(change).and_then(PlannedChange::entity);
        let name = match entity {
            Some(Entity::Market(market)) => format!("{}/{}", market.segment, market.venue_symbol),
            Some(other) => other.key().to_string(),
            None => String::new(),
        };
        v1::Finding { path: format!("{name}: {}", finding.path), ..finding.into() }
    }
}

fn changed_fields(change: &PlannedChange) -> Vec<String> {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => before.changed_fields(after).into_iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn imported(segment: &Segment, symbol: &str, outcome: v1::imported_market::Outcome) -> v1::ImportedMarket {
    v1::ImportedMarket {
        segment: segment.to_string(),
        venue_symbol: symbol.to_owned(),
        outcome: outcome.into(),
        ..Default::default()
    }
}

fn rejected(segment: Option<&Segment>, symbol: &str, why: &Rejection) -> v1::ImportedMarket {
    v1::ImportedMarket {
        code: why.code.clone(),
        message: why.message.clone(),
        candidate_asset_ids: why.candidates.clone(),
        ..imported(segment.unwrap_or(&Segment::default()), symbol, v1::imported_market::Outcome::Rejected)
    }
}

fn binding(bound: &CodeBinding) -> v1::Binding {
    v1::Binding {
        code: bound.code.clone(),
        asset_id: EntityKey::Asset(bound.asset).id(),
        symbol: bound.symbol.clone(),
        created: bound.created,
        segment: bound.segment.to_string(),
    }
}

fn id(market: MarketId) -> String {
    market.to_string()
}

/// Bounded by the rows of an import.
pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
