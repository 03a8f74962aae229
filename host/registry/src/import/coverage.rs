//! What a listing covers completely: the live markets that it does not name, and would have to.

use std::collections::{BTreeMap, HashMap, HashSet};

use cqar_domain::{
    entities::{
        Entity,
        instrument::{InstrumentKind, Terms},
        market::Market,
    },
    id::{AssetId, EntityKey, InstrumentId, Segment},
    time::Timestamp,
};
use cqar_plugins::Coverage;
use cqar_proto::v1;
use cqar_store::Snapshot;

use super::{
    assets::CodeMappings,
    listing::{Absence, Listing, MAX_ROWS},
    row::Rejection,
};
use crate::error::Error;

/// Which markets of a segment are covered.
struct CoveredTerms {
    kind: Option<InstrumentKind>,
    base: Option<AssetId>,
    quote: Option<AssetId>,
    settle: Option<AssetId>,
}

/// So many live markets of a segment are read at a time.
const PAGE: usize = 1000;

/// More than so many of a hundred of a segment's live markets, and at least so many, never go at once: a response that lacks them is
/// a partial one, or another venue's.
const MOST_GONE_PERCENT: usize = 20;
const FEWEST_REFUSED: usize = 5;

/// Why those stay.
pub(super) const TOO_MANY_ABSENT: &str = "TOO_MANY_ABSENT";

/// Markets that the listing covers, and does not name.
#[derive(Default)]
pub(super) struct Absent {
    /// Those that end.
    pub(super) markets: Vec<Market>,
    /// Those that are too many at once, and stay.
    pub(super) refused: Vec<(Market, Rejection)>,
}

/// The markets that are live at the observed moment, that the listing covers and that it does not name. Refused as soon as they are
/// more than one import changes.
pub(super) async fn absent(
    listing: &Listing,
    mappings: &CodeMappings<'_>,
    reads: &mut Snapshot,
) -> Result<Absent, Error> {
    let rows = listing.rows.iter().map(|row| (Some(&row.listed.reading.segment), row.listed.symbol.as_str()));
    // Where the segment of a rejected item is not known, its symbol counts as named in every one.
    let rejected = listing.rejected.iter().map(|item| (item.segment.as_ref(), item.symbol.as_str()));
    let named: HashSet<(Option<&Segment>, &str)> = rows.chain(rejected).collect();
    let mut of_segment: BTreeMap<&Segment, Vec<CoveredTerms>> = BTreeMap::new();
    for covered in &listing.covered {
        of_segment.entry(&covered.segment).or_default().extend(CoveredTerms::of(covered, mappings));
    }
    let mut absent = Absent::default();
    for (segment, covered) in of_segment.into_iter().filter(|(_, covered)| !covered.is_empty()) {
        let covers_all = covered.iter().any(CoveredTerms::is_all);
        let (mut after, mut live, mut gone) = (None, 0, Vec::new());
        loop {
            let mut page = reads.live_markets((&listing.venue, segment), listing.observed, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|market| market.id);
            if !covers_all {
                let terms = instruments(&page, reads).await?;
                let is_covered = |it: &Terms| covered.iter().any(|covered| covered.include(it));
                page.retain(|market| terms.get(&market.instrument_id).is_some_and(is_covered));
            }
            live += page.len();
            page.retain(|market| {
                let is_named = |it| named.contains(&(Some(segment), it)) || named.contains(&(None, it));
                !market.symbols().any(is_named)
            });
            let (held, mut unheld): (Vec<Market>, Vec<Market>) =
                page.into_iter().partition(|market| held_by_caller(market, listing.observed).is_some());
            absent.refused.extend(held.into_iter().filter_map(|market| {
                let since = held_by_caller(&market, listing.observed)?;
                let message = format!("a caller changed its end or its status, from {since} on, which a listing of before does not overrule");
                Some((market, Rejection::new("HELD_BY_CALLER", message)))
            }));
            gone.append(&mut unheld);
            let together = absent.markets.len() + absent.refused.len() + gone.len();
            if listing.rows.len() + together > MAX_ROWS {
                let rows = listing.rows.len();
                let message = format!(
                    "has {rows} markets, and at least {together} are absent from it, which is more than {MAX_ROWS} together"
                );
                return Err(Error::invalid("options.delist_absent", "TOO_MANY_ROWS", message));
            }
            if is_last {
                break;
            }
        }
        let are_many = gone.len() >= FEWEST_REFUSED && gone.len() * 100 > live * MOST_GONE_PERCENT;
        if listing.absence == Absence::Delists && are_many {
            let message = format!(
                "{} of the {live} live markets that are covered in segment {} are absent at once; --force delists them",
                gone.len(),
                segment.quoted()
            );
            let why = Rejection::new(TOO_MANY_ABSENT, message);
            absent.refused.extend(gone.into_iter().map(|market| (market, why.clone())));
        } else {
            absent.markets.append(&mut gone);
        }
    }
    Ok(absent)
}

/// From when a caller's word on the market's end holds, where that is later than the listing.
fn held_by_caller(market: &Market, observed: Timestamp) -> Option<Timestamp> {
    let of = |field: &str| market.override_times.get(field).copied();
    [of("delisted_time"), of("status")].into_iter().flatten().max().filter(|since| *since >= observed)
}

async fn instruments(markets: &[Market], reads: &mut Snapshot) -> Result<HashMap<InstrumentId, Terms>, Error> {
    let keys: Vec<EntityKey> = markets.iter().map(|market| EntityKey::Instrument(market.instrument_id)).collect();
    let found = reads.entities(&keys).await?.into_iter().flatten();
    let terms = found.filter_map(|entity| match entity {
        Entity::Instrument(it) => Some((it.id, it.terms.clone())),
        _ => None,
    });
    Ok(terms.collect())
}

impl CoveredTerms {
    /// None where a code is bound to no asset: which markets it would cover is not known, so none is.
    fn of(covered: &Coverage, mappings: &CodeMappings<'_>) -> Option<Self> {
        let asset = |code: &Option<String>| match code {
            Some(code) => mappings.bound(&covered.segment, code).map(Some),
            None => Some(None),
        };
        Some(Self {
            kind: covered.kind,
            base: asset(&covered.base)?,
            quote: asset(&covered.quote)?,
            settle: asset(&covered.settle)?,
        })
    }

    const fn is_all(&self) -> bool {
        self.kind.is_none() && self.base.is_none() && self.quote.is_none() && self.settle.is_none()
    }

    fn include(&self, terms: &Terms) -> bool {
        self.kind.is_none_or(|kind| terms.kind() == kind)
            && self.base.is_none_or(|base| terms.base() == base)
            && self.quote.is_none_or(|quote| terms.quote() == Some(quote))
            && self.settle.is_none_or(|settle| terms.settle() == Some(settle))
    }
}

/// As the summary says it.
pub(super) fn message(covered: &Coverage) -> v1::ImportCoverage {
    let code = |code: &Option<String>| code.clone().unwrap_or_default();
    v1::ImportCoverage {
        segment: covered.segment.to_string(),
        kind: covered.kind.map(|kind| v1::InstrumentKind::from(kind).into()).unwrap_or_default(),
        base_code: code(&covered.base),
        quote_code: code(&covered.quote),
        settle_code: code(&covered.settle),
    }
}
