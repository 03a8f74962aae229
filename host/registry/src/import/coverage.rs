//! What a listing covers completely: the live markets that it does not name, and would have to.

use std::collections::{BTreeMap, HashMap, HashSet};

use cqar_domain::{
    entities::{
        Entity,
        instrument::{InstrumentKind, Terms},
        market::Market,
    },
    id::{AssetId, EntityKey, InstrumentId, MarketId, Segment},
};
use cqar_plugins::Coverage;
use cqar_proto::v1;
use cqar_store::Snapshot;

use super::{Listing, MAX_ROWS, assets::CodeMappings};
use crate::error::Error;

/// Which markets of a segment are covered.
struct CoveredTerms {
    kind: Option<InstrumentKind>,
    base: Option<AssetId>,
    quote: Option<AssetId>,
    settle: Option<AssetId>,
}

/// The live markets of a segment that the listing does not name.
struct Unnamed {
    markets: Vec<Market>,
    /// What their instruments are, once a coverage asks for it.
    terms: Option<HashMap<InstrumentId, Terms>>,
}

/// The markets that are live at the observed moment, that the listing covers and that it does not name.
pub(super) async fn absent(
    listing: &Listing,
    mappings: &CodeMappings<'_>,
    reads: &mut Snapshot,
) -> Result<Vec<Market>, Error> {
    let rows = listing.rows.iter().map(|row| (Some(&row.listed.reading.segment), row.listed.symbol.as_str()));
    // Where the segment of a rejected item is not known, its symbol counts as named in every one.
    let rejected = listing.rejected.iter().map(|item| (item.segment.as_ref(), item.symbol.as_str()));
    let named: HashSet<(Option<&Segment>, &str)> = rows.chain(rejected).collect();
    let mut unnamed: HashMap<&Segment, Unnamed> = HashMap::new();
    let mut absent: BTreeMap<MarketId, Market> = BTreeMap::new();
    for covered in &listing.covered {
        let segment = &covered.segment;
        let Some(terms) = CoveredTerms::of(covered, mappings) else { continue };
        if !unnamed.contains_key(segment) {
            // Counted first: of so many that they could not all be delisted, none need be loaded.
            let most = named.len() + MAX_ROWS + 1;
            let count = reads.live_market_count(&listing.venue, segment, listing.observed, most).await?;
            if count == most {
                let message = format!(
                    "names {} markets, and segment {segment} has at least {count}: more would be delisted than {MAX_ROWS}, \
                     the most that one import changes",
                    named.len()
                );
                return Err(Error::invalid("options.delist_absent", "TOO_MANY_ROWS", message));
            }
            let mut live = reads.live_markets(&listing.venue, segment, listing.observed).await?;
            live.retain(|market| {
                let is_named = |it| named.contains(&(Some(segment), it)) || named.contains(&(None, it));
                !market.status.is_terminal() && !market.symbols().any(is_named)
            });
            unnamed.insert(segment, Unnamed { markets: live, terms: None });
        }
        let Some(unnamed) = unnamed.get_mut(segment) else { continue };
        if unnamed.terms.is_none() && !terms.is_all() {
            unnamed.terms = Some(instruments(&unnamed.markets, reads).await?);
        }
        let of_instrument = |market: &Market| unnamed.terms.as_ref()?.get(&market.instrument_id);
        let is_covered = |market: &&Market| terms.is_all() || of_instrument(market).is_some_and(|it| terms.include(it));
        absent.extend(unnamed.markets.iter().filter(is_covered).map(|market| (market.id, market.clone())));
    }
    Ok(absent.into_values().collect())
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
