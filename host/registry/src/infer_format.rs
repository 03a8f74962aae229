//! What a venue's plugin would write for an instrument that is not registered there.

use std::collections::{BTreeSet, HashMap};

use cqar_domain::{
    entities::{
        Entity,
        instrument::{Instrument, Terms},
        venue_asset::VenueAsset,
    },
    id::{AssetId, EntityKey, Segment, VenueId},
    time::Timestamp,
};
use cqar_plugins::{Expiry, Parsed, PluginSet, Query, Reading};
use cqar_proto::v1;

use crate::{
    Registry,
    error::Error,
    infer::{failed, symbology},
};

/// What is to be written.
pub(crate) struct InferredFormat<'a> {
    pub(crate) instrument: &'a Instrument,
    /// Where it is to be listed; none for anywhere.
    pub(crate) segment: Option<Segment>,
}

impl Registry {
    /// The symbols that the venue's plugin writes, in order; none where an asset has not one code there, where the plugin
    /// has no symbol for it, or where it does not read the symbol back as what was written.
    pub(crate) async fn infer_symbols(
        &self,
        plugins: &PluginSet,
        venue: &VenueId,
        at: Timestamp,
        asked: &[InferredFormat<'_>],
    ) -> Vec<Result<Option<v1::FormatSymbolResponse>, Error>> {
        match self.write_symbols(plugins, venue, at, asked).await {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn write_symbols(
        &self,
        plugins: &PluginSet,
        venue: &VenueId,
        at: Timestamp,
        asked: &[InferredFormat<'_>],
    ) -> Result<Vec<Option<v1::FormatSymbolResponse>>, Error> {
        let nothing = || asked.iter().map(|_| None).collect();
        let stored = self.get(EntityKey::Venue(venue.clone()), 0).await?.value;
        let Entity::Venue(stored) = stored.as_ref() else { return Ok(nothing()) };
        if stored.symbology.is_empty() {
            return Ok(nothing());
        }
        let assets = asked.iter().flat_map(|it| it.instrument.terms.assets()).map(|(_, id)| id);
        let assets: Vec<AssetId> = assets.collect::<BTreeSet<_>>().into_iter().collect();
        let bindings = self.inner.store.snapshot().await?.venue_assets_of(venue, &assets).await?;
        let codes = AssetCodes::new(bindings);
        let readings: Vec<Option<Reading>> = asked.iter().map(|it| codes.reading(it)).collect();
        let plugin = symbology(plugins, &stored.symbology)?;
        let plugin_failed = |error| failed(&stored.symbology, &error);
        let to_write: Vec<Reading> = readings.iter().flatten().cloned().collect();
        let context = self.read_context(venue, at);
        let written = plugin.format(&context, to_write.clone()).await.map_err(plugin_failed)?;
        let queries = to_write.iter().zip(&written).filter_map(|(reading, written)| {
            let segment = Some(reading.segment.to_string()).filter(|segment| !segment.is_empty());
            Some(Query { symbol: written.as_ref().ok()?.clone(), segment })
        });
        let queries: Vec<Query> = queries.collect();
        let mut read_back = plugin.parse(&context, queries).await.into_iter();
        let places = asked.iter().zip(&readings).filter(|(_, reading)| reading.is_some()).map(|(it, _)| &it.segment);
        let mut symbols = to_write.iter().zip(written).zip(places).map(|((reading, written), place)| {
            let symbol = written.ok()?;
            let Some(Ok(Parsed::One(read))) = read_back.next() else { return None };
            let is_there = place.as_ref().is_none_or(|place| *place == read.segment);
            (is_there && means_the_same(reading, &read)).then(|| response(&read, symbol))
        });
        Ok(readings.iter().map(|reading| reading.as_ref().and_then(|_| symbols.next().flatten())).collect())
    }
}

/// Whether both readings are of one instrument, and in the same units. Most symbols do not say when an option may be
/// exercised: then it is what was written.
fn means_the_same(written: &Reading, read: &Reading) -> bool {
    let terms = |it: &Reading| {
        (it.kind, it.base.clone(), it.quote.clone(), it.settle.clone(), it.expiry.map(Expiry::date), it.strike.clone())
    };
    terms(written) == terms(read)
        && written.option_type == read.option_type
        && read.exercise_style.is_none_or(|style| written.exercise_style == Some(style))
        && read.unit_multiplier.is_none()
}

fn response(read: &Reading, symbol: String) -> v1::FormatSymbolResponse {
    v1::FormatSymbolResponse {
        venue_symbol: symbol,
        segment: read.segment.to_string(),
        market_id: String::new(),
        unit_multiplier: "1".to_owned(),
        inferred: true,
        revision: 0,
    }
}

/// The codes by which a venue knows assets.
struct AssetCodes(HashMap<AssetId, Vec<VenueAsset>>);

impl AssetCodes {
    fn new(bindings: Vec<VenueAsset>) -> Self {
        let mut codes: HashMap<AssetId, Vec<VenueAsset>> = HashMap::new();
        for binding in bindings {
            codes.entry(binding.asset_id).or_default().push(binding);
        }
        Self(codes)
    }

    /// The one code of the asset in the segment, or else in all of them. Which of several is meant is not guessed.
    fn code(&self, segment: &Segment, asset: AssetId) -> Option<String> {
        let of = |segment: &Segment| {
            let mut found = self.0.get(&asset)?.iter().filter(|it| it.segment == *segment);
            let first = found.next()?;
            Some(found.next().is_none().then(|| first.code.clone()))
        };
        of(segment).or_else(|| of(&Segment::default()))?
    }

    /// The instrument in the venue's codes; none where one is missing, or where no symbol is of the kind.
    fn reading(&self, asked: &InferredFormat<'_>) -> Option<Reading> {
        let terms = &asked.instrument.terms;
        let segment = asked.segment.clone().unwrap_or_default();
        let code = |asset| self.code(&segment, asset);
        let (strike, option_type, exercise_style) = match terms {
            Terms::Option { strike, option_type, style, .. } => {
                (Some(strike.clone()), Some(*option_type), Some(*style))
            }
            Terms::LendingDeposit { .. } | Terms::LendingBorrow { .. } => return None,
            Terms::Spot { .. } | Terms::Perpetual(_) | Terms::Future { .. } => (None, None, None),
        };
        Some(Reading {
            segment: segment.clone(),
            kind: terms.kind(),
            base: code(terms.base())?,
            quote: Some(code(terms.quote()?)?),
            settle: terms.settle().map(|asset| code(asset).ok_or(())).transpose().ok()?,
            expiry: terms.expiry().map(Expiry::Date),
            strike,
            option_type,
            exercise_style,
            unit_multiplier: None,
            extra: Vec::new(),
        })
    }
}
