//! From a listing to mutations and their plan, row by row.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cqar_domain::{
    entities::{
        Entity, EntityVariant,
        asset::Asset,
        instrument::{Instrument, Terms},
        market::Market,
    },
    id::{AssetId, EntityKey, InstrumentId, MarketId, Segment},
    mutation::{Mutation, RequestedMutation},
    time::Timestamp,
};
use cqar_plugins::RowProblem;
use cqar_store::Snapshot;

use super::{
    Rejections,
    assets::{CodeBinding, CodeMappings, Meaning, SegmentCode},
    comparison::{self, MarketMeaning},
    coverage::{self, Absent},
    listing::{Absence, Listing, Rebind},
    row::{Before, Rejection, Row, delisted},
};
use crate::{
    error::Error,
    plan::{self, Plan},
    reading,
    write::{ImportWatermark, PreparedWrite},
};

/// A listing's plan, and what is reported of it.
pub(super) struct ImportDraft {
    pub(super) plan: Plan,
    /// Whose each mutation is.
    pub(super) origins: Vec<Origin>,
    pub(super) rejected: BTreeMap<usize, Rejection>,
    /// Rows whose market is there, and stays as it is or is updated.
    pub(super) present: BTreeSet<usize>,
    /// What was unusual about rows.
    pub(super) warnings: Vec<(usize, RowProblem)>,
    pub(super) bindings: Vec<CodeBinding>,
    pub(super) refused_delistings: Vec<(Market, Rejection)>,
    watermarks: Vec<ImportWatermark>,
}

/// What a mutation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
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
    /// The markets that have, or had, each symbol in its segment.
    markets: HashMap<SegmentCode, Vec<Market>>,
    instruments: HashMap<InstrumentId, Terms>,
    /// The assets of the instruments.
    assets: HashMap<AssetId, Asset>,
    absent: Absent,
    watermarks: Vec<ImportWatermark>,
}

/// Plans all rows; those that cannot be are rejected, and the rest planned again until all of it can.
pub(super) async fn draft(
    listing: &Listing,
    reads: &mut Snapshot,
    rejections: &Rejections,
    now: Timestamp,
) -> Result<ImportDraft, Error> {
    let stored = StoredState::read(listing, reads).await?;
    let mut rejected: BTreeMap<usize, Rejection> = rejections.rows.iter().map(|(n, why)| (*n, why.clone())).collect();
    let mut refused_delistings: HashMap<EntityKey, Rejection> =
        rejections.delistings.iter().map(|(key, why)| (key.clone(), why.clone())).collect();
    loop {
        let mut proposed = ProposedMutations::new(listing, &stored);
        for (n, row) in listing.rows.iter().enumerate().filter(|(n, _)| !rejected.contains_key(n)).collect::<Vec<_>>() {
            if let Err(why) = proposed.row(n, row) {
                rejected.insert(n, why);
            }
        }
        if !proposed.doubled.is_empty() {
            for (n, market) in proposed.doubled {
                rejected.entry(n).or_insert_with(|| doubled_market(market));
            }
            continue;
        }
        proposed.delist(&refused_delistings);
        match plan::plan(reads, &proposed.mutations, now).await? {
            Ok(mut plan) => {
                // What a listing says holds from the moment that it speaks of.
                plan.changes.iter_mut().for_each(|change| change.effective_time = Some(listing.observed));
                let ProposedMutations { origins, present, warnings, bindings, .. } = proposed;
                let bindings = bindings.into_values().collect();
                let refused_later = stored.absent.markets.iter().filter_map(|market| {
                    refused_delistings.get(&EntityKey::Market(market.id)).map(|why| (market.clone(), why.clone()))
                });
                let refused_delistings = refused_later.chain(stored.absent.refused.iter().cloned()).collect();
                let watermarks = moved_watermarks(listing, stored.watermarks, &rejected);
                return Ok(ImportDraft {
                    plan,
                    origins,
                    rejected,
                    present,
                    warnings,
                    bindings,
                    refused_delistings,
                    watermarks,
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

impl<'a> StoredState<'a> {
    async fn read(listing: &'a Listing, reads: &mut Snapshot) -> Result<Self, Error> {
        let watermarks = watermarks(listing, reads).await?;
        let mappings = listing.codes.mappings(reads, &listing.venue, listing.asset_match).await?;
        let symbols: BTreeSet<String> = listing.rows.iter().map(|row| row.listed.symbol.clone()).collect();
        let found = reads.markets_with_symbols(&listing.venue, &symbols.into_iter().collect::<Vec<_>>()).await?;
        let instruments = found.iter().map(|market| EntityKey::Instrument(market.instrument_id));
        let instruments: HashMap<InstrumentId, Terms> =
            entities::<Instrument>(reads, instruments).await?.map(|it| (it.id, it.terms.clone())).collect();
        let assets = instruments.values().flat_map(Terms::assets).map(|(_, id)| EntityKey::Asset(id));
        let assets = entities::<Asset>(reads, assets).await?.map(|it| (it.id, it)).collect();
        let mut markets: HashMap<SegmentCode, Vec<Market>> = HashMap::new();
        for market in found {
            for symbol in market.symbols() {
                markets.entry((market.segment.clone(), symbol.to_owned())).or_default().push(market.clone());
            }
        }
        let absent = match listing.absence {
            Absence::SaysNothing => Absent::default(),
            Absence::Delists | Absence::DelistsAll => coverage::absent(listing, &mappings, reads).await?,
        };
        Ok(Self { mappings, markets, instruments, assets, absent, watermarks })
    }

    /// The markets that have, or had, the row's symbol.
    fn markets(&self, row: &Row) -> &[Market] {
        let place = (row.listed.reading.segment.clone(), row.listed.symbol.clone());
        self.markets.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The symbols of the assets that rows mean, and of those that markets had.
    fn symbols(&self) -> HashMap<AssetId, &str> {
        let of_markets = self.assets.values().map(|asset| (asset.id, asset.symbol.as_str()));
        self.mappings.symbols().chain(of_markets).collect()
    }
}

/// The entities of one type that are there.
async fn entities<T: EntityVariant>(
    reads: &mut Snapshot,
    keys: impl Iterator<Item = EntityKey>,
) -> Result<impl Iterator<Item = T>, cqar_store::Error> {
    let keys: BTreeSet<EntityKey> = keys.collect();
    let found = reads.entities(&keys.into_iter().collect::<Vec<_>>()).await?;
    Ok(found.into_iter().flatten().filter_map(|entity| T::try_from(entity).ok()))
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
        watermarks.push(ImportWatermark { venue, segment, newest, observed, is_seen: false });
    }
    Ok(watermarks)
}

/// A segment was seen if a row of it was accepted: one that was refused whole says nothing of how things are there.
fn moved_watermarks(
    listing: &Listing,
    watermarks: Vec<ImportWatermark>,
    rejected: &BTreeMap<usize, Rejection>,
) -> Vec<ImportWatermark> {
    let accepted = listing.rows.iter().enumerate().filter(|(n, _)| !rejected.contains_key(n));
    let seen: BTreeSet<&Segment> = accepted.map(|(_, row)| &row.listed.reading.segment).collect();
    let mark = |it: ImportWatermark| ImportWatermark { is_seen: !listing.backfill && seen.contains(&it.segment), ..it };
    watermarks.into_iter().map(mark).collect()
}

/// The mutations so far.
struct ProposedMutations<'a> {
    listing: &'a Listing,
    stored: &'a StoredState<'a>,
    symbols: HashMap<AssetId, &'a str>,
    mutations: Vec<RequestedMutation>,
    origins: Vec<Origin>,
    present: BTreeSet<usize>,
    warnings: Vec<(usize, RowProblem)>,
    bindings: BTreeMap<SegmentCode, CodeBinding>,
    /// The assets that are created.
    created: HashSet<AssetId>,
    /// The markets that rows are about, each with the row.
    claimed: HashMap<MarketId, usize>,
    /// Rows whose market a later row is about, too: which of the two is right is not known.
    doubled: Vec<(usize, MarketId)>,
}

impl<'a> ProposedMutations<'a> {
    fn new(listing: &'a Listing, stored: &'a StoredState<'a>) -> Self {
        Self {
            listing,
            stored,
            symbols: stored.symbols(),
            mutations: Vec::new(),
            origins: Vec::new(),
            present: BTreeSet::new(),
            warnings: Vec::new(),
            bindings: BTreeMap::new(),
            created: HashSet::new(),
            claimed: HashMap::new(),
            doubled: Vec::new(),
        }
    }

    fn row(&mut self, n: usize, row: &Row) -> Result<(), Rejection> {
        let (markets, observed) = (self.stored.markets(row), self.listing.observed);
        let has_same_terms = |market: &Market| {
            let terms = self.terms(row, Some(market), &mut Vec::new());
            terms.is_ok_and(|terms| self.contradictions(row, market, &terms).is_empty())
        };
        let Some(market) = row.identify(markets, observed, self.listing.backfill, has_same_terms) else {
            let mut bound = Vec::new();
            let terms = self.terms(row, None, &mut bound)?;
            return self.create(n, row, terms, bound, Before { others: markets, replaced: None });
        };
        let mut bound = Vec::new();
        let terms = self.terms(row, Some(market), &mut bound)?;
        if let Some(other) = self.claimed.insert(market.id, n) {
            self.doubled.push((other, market.id));
            return Err(doubled_market(market.id));
        }
        let others: Vec<&Market> = markets.iter().filter(|other| other.id != market.id).collect();
        let found = self.contradictions(row, market, &terms);
        if !found.is_empty() {
            let changed = Rejection::new("INSTRUMENT_CHANGED", comparison::described(&found)).of_market(market.id);
            let rebind = self.listing.rebind.ok_or(changed)?;
            let others: Vec<Market> = others.into_iter().cloned().collect();
            return self.rebind(n, row, terms, bound, (market, others), rebind);
        }
        self.present.insert(n);
        if !self.listing.backfill {
            let (update, warnings) = row.update(market, &others, observed);
            self.push(Origin::Row(n), update);
            self.warn(n, warnings);
        }
        Ok(())
    }

    /// Puts a market with the row's terms in the place of one whose terms are others.
    fn rebind(
        &mut self,
        n: usize,
        row: &Row,
        terms: Terms,
        bound: Vec<CodeBinding>,
        (market, mut others): (&Market, Vec<Market>),
        rebind: Rebind,
    ) -> Result<(), Rejection> {
        let observed = self.listing.observed;
        let has_begun = market.listed_time.is_none_or(|listed| listed < observed);
        if rebind == Rebind::Mistake || !has_begun {
            let key = EntityKey::Market(market.id);
            self.create(n, row, terms, bound, Before { others: &others, replaced: Some(market) })?;
            self.push(Origin::Row(n), Mutation::Delete { key, etag: None });
            return Ok(());
        }
        // One that had ended before keeps its end.
        let ends_now = market.interval().until.is_none_or(|until| until > observed);
        let end = if ends_now { Some(observed) } else { market.delisted_time };
        others.push(Market { delisted_time: end, ..market.clone() });
        self.create(n, row, terms, bound, Before { others: &others, replaced: None })?;
        if ends_now {
            self.push(Origin::Row(n), delisted(market, observed, false));
        }
        Ok(())
    }

    fn create(
        &mut self,
        n: usize,
        row: &Row,
        terms: Terms,
        bound: Vec<CodeBinding>,
        before: Before<'_>,
    ) -> Result<(), Rejection> {
        let (creations, warnings) = row.creations(&self.listing.venue, terms, before, self.listing.observed)?;
        for bound in bound {
            let creates = bound.created && self.created.insert(bound.asset);
            for mutation in self.stored.mappings.mutations(&bound, creates) {
                self.push(Origin::Row(n), mutation);
            }
            self.bindings.insert(bound.key(), bound);
        }
        for mutation in creations {
            self.push(Origin::Row(n), mutation);
        }
        self.warn(n, warnings);
        Ok(())
    }

    /// What the row means, read anew: to a market that is there a code that is bound to nothing means its asset, if that has the
    /// symbol. `bound` gets what must be bound for it.
    fn terms(&self, row: &Row, of: Option<&Market>, bound: &mut Vec<CodeBinding>) -> Result<Terms, Rejection> {
        let (reading, stored) = (&row.listed.reading, self.stored);
        let terms = of.and_then(|market| stored.instruments.get(&market.instrument_id));
        let known: Vec<AssetId> =
            terms.map(|terms| terms.assets().into_iter().map(|(_, id)| id).collect()).unwrap_or_default();
        let codes = reading::codes(reading).into_iter().enumerate();
        let assets: Result<Vec<AssetId>, Rejection> = codes
            .map(|(n, code)| {
                let known = known.get(n).and_then(|id| stored.assets.get(id));
                if let (Some(asset), Meaning::Symbol(symbol, hints)) =
                    (known, stored.mappings.meaning(&reading.segment, code)?)
                    && asset.symbol == symbol
                    && hints.contradiction(asset.asset_type).is_none()
                {
                    return Ok(asset.id);
                }
                let (asset, new) = stored.mappings.of(&reading.segment, code)?;
                let is_new = |new: &CodeBinding| {
                    !self.bindings.contains_key(&new.key()) && !bound.iter().any(|it| it.key() == new.key())
                };
                bound.extend(new.filter(is_new));
                Ok(asset)
            })
            .collect();
        row.terms(&assets?)
    }

    fn contradictions(&self, row: &Row, market: &Market, listed: &Terms) -> Vec<comparison::Contradiction> {
        let Some(terms) = self.stored.instruments.get(&market.instrument_id) else { return Vec::new() };
        let stored = MarketMeaning { terms, unit_multiplier: &market.unit_multiplier };
        let unit_multiplier = &row.unit_multiplier();
        let listed = MarketMeaning { terms: listed, unit_multiplier };
        let symbol = |asset| self.symbols.get(&asset).map_or_else(|| asset.to_string(), |symbol| (*symbol).to_owned());
        comparison::contradictions(&stored, &listed, symbol)
    }

    fn delist(&mut self, rejections: &HashMap<EntityKey, Rejection>) {
        for market in &self.stored.absent.markets {
            let key = EntityKey::Market(market.id);
            if !rejections.contains_key(&key) {
                self.push(Origin::Delisting(key), delisted(market, self.listing.observed, true));
            }
        }
    }

    fn warn(&mut self, n: usize, warnings: Vec<RowProblem>) {
        self.warnings.extend(warnings.into_iter().map(|warning| (n, warning)));
    }

    fn push(&mut self, origin: Origin, mutation: Mutation) {
        let reason = self.listing.reason.clone();
        self.mutations.push(RequestedMutation { field: String::new(), reason, mutation });
        self.origins.push(origin);
    }
}

fn doubled_market(market: MarketId) -> Rejection {
    let message = "two rows are about the same market, by two of its symbols; which of them is right is not known";
    Rejection::new("DOUBLED_MARKET", message).of_market(market)
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
            match existing {
                EntityKey::Market(market) => why.of_market(*market),
                other => Rejection { candidates: vec![other.id()], ..why },
            }
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
                let is_shared = |bound: &&CodeBinding| match change.entity() {
                    Some(Entity::Asset(asset)) => asset.id == bound.asset,
                    Some(Entity::VenueAsset(it)) => (&it.segment, &it.code) == (&bound.segment, &bound.code),
                    _ => false,
                };
                let shared: Vec<&CodeBinding> = self.bindings.iter().filter(is_shared).collect();
                let depends_on_change_needed = |row: &Row| {
                    let reading = &row.listed.reading;
                    let covers = |code: &str| shared.iter().any(|bound| bound.covers(&reading.segment, code));
                    reading::codes(reading).into_iter().any(covers)
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
}
