//! What a symbol that is not registered can mean, by the venue's symbology plugin.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use cqar_domain::{
    entities::{Entity, asset::Asset, instrument::Instrument, venue_asset::VenueAsset},
    id::{AssetId, EntityKey, Segment, VenueId},
    time::Timestamp,
    unique_key::UniqueKey,
};
use cqar_plugins::{CallContext, Expiry, Parsed, PluginSet, Query, Reading, Symbology};
use cqar_proto::v1;
use prost::Message;

use crate::{
    Registry, ResolveQuery,
    error::Error,
    reading::{codes, terms},
};

/// What the registry knows of what was read.
#[derive(Default)]
struct RegisteredEntities {
    /// By the segment and the code that are bound to them.
    assets: HashMap<(Segment, String), Arc<Asset>>,
    instruments: HashMap<UniqueKey, Instrument>,
}

impl Registry {
    /// What the venue's plugin makes of symbols that are not registered, in their order: each an encoded
    /// [`v1::ResolveMarketResponse`] with `inferred` set and no market, which is not cached. What can be read in several
    /// ways, or in none, stays unknown.
    pub(crate) async fn infer(
        &self,
        plugins: &PluginSet,
        venue: &VenueId,
        at: Timestamp,
        queries: &[&ResolveQuery<'_>],
    ) -> Vec<Result<Bytes, Error>> {
        let unknown = |query: &ResolveQuery<'_>| {
            let segment = query.segment.map(str::parse).transpose().unwrap_or_default();
            Error::SymbolUnknown {
                venue: venue.clone(),
                symbol: query.symbol.to_owned(),
                segment,
                elsewhere: Vec::new(),
            }
        };
        match self.read_symbols(plugins, venue, at, queries).await {
            Ok(read) => {
                let mut read = read.into_iter();
                let one = |query: &&ResolveQuery<'_>| read.next().unwrap_or(Ok(None))?.ok_or_else(|| unknown(query));
                queries.iter().map(one).collect()
            }
            Err(error) => queries.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Each answer, none where there is no one reading.
    async fn read_symbols(
        &self,
        plugins: &PluginSet,
        venue: &VenueId,
        at: Timestamp,
        queries: &[&ResolveQuery<'_>],
    ) -> Result<Vec<Result<Option<Bytes>, Error>>, Error> {
        let stored = self.get(EntityKey::Venue(venue.clone()), 0).await?.value;
        let Entity::Venue(stored) = stored.as_ref() else { return Ok(Vec::new()) };
        if stored.symbology.is_empty() {
            return Ok(Vec::new());
        }
        let asked = |query: &&ResolveQuery<'_>| Query {
            symbol: query.symbol.to_owned(),
            segment: query.segment.map(str::to_owned),
        };
        let plugin = symbology(plugins, &stored.symbology)?;
        let context = self.read_context(venue, at);
        let parsed = plugin.parse(&context, queries.iter().map(asked).collect()).await;
        let readings: Vec<Result<Option<Reading>, Error>> = parsed
            .into_iter()
            .map(|parsed| match parsed {
                Ok(Parsed::One(reading)) => Ok(Some(reading)),
                Ok(Parsed::Ambiguous(_) | Parsed::Unknown(_)) => Ok(None),
                Err(error) => Err(failed(&stored.symbology, &error)),
            })
            .collect();
        let registered = self.registered(&stored.id, readings.iter().flatten().flatten()).await?;
        let answer = |reading: &Reading| {
            let asset = |n: usize| {
                codes(reading).get(n).and_then(|code| registered.asset(&reading.segment, code)).map(Into::into)
            };
            let instrument = registered.terms_of(reading).and_then(|terms| registered.instruments.get(&terms));
            v1::ResolveMarketResponse {
                venue: Some(stored.as_ref().into()),
                market: None,
                instrument: instrument.map(Into::into),
                base_asset: asset(0),
                quote_asset: asset(1),
                settle_asset: asset(2),
                inferred: true,
                reading: Some(message(reading)),
                revision: 0,
            }
        };
        let encoded = |reading: Option<Reading>| reading.map(|reading| answer(&reading).encode_to_vec().into());
        Ok(readings.iter().cloned().map(|reading| reading.map(encoded)).collect())
    }

    /// What a plugin is told of a read: nobody in particular asks.
    pub(crate) fn read_context(&self, venue: &VenueId, at: Timestamp) -> CallContext {
        CallContext {
            revision: self.inner.tailer.applied(),
            venue: Some(venue.clone()),
            as_of: Some(at),
            ..CallContext::at(self.inner.clock.now())
        }
    }

    /// The assets to which the venue's codes are bound, and the instruments that they make. A code that is not bound is
    /// not guessed by its symbol.
    async fn registered(
        &self,
        venue: &VenueId,
        readings: impl Iterator<Item = &Reading> + Clone + Send,
    ) -> Result<RegisteredEntities, Error> {
        let everywhere = Segment::default();
        let keys_of = |reading: &Reading| -> Vec<UniqueKey> {
            let of_code = |code| [&reading.segment, &everywhere].map(|it| VenueAsset::code_key(venue, it, code));
            codes(reading).into_iter().flat_map(of_code).collect()
        };
        let keys: BTreeSet<UniqueKey> = readings.clone().flat_map(keys_of).collect();
        if keys.is_empty() {
            return Ok(RegisteredEntities::default());
        }
        let mut snapshot = self.inner.store.snapshot().await?;
        let bindings = snapshot.with_unique_keys(&keys.into_iter().collect::<Vec<_>>()).await?.into_values();
        let bindings: Vec<VenueAsset> = bindings.filter_map(|it| it.try_into().ok()).collect();
        let keys: Vec<EntityKey> = bindings.iter().map(|it| EntityKey::Asset(it.asset_id)).collect();
        let found = snapshot.entities(&keys).await?;
        let assets = bindings.into_iter().zip(found).filter_map(|(binding, entity)| match entity {
            Some(Entity::Asset(asset)) if asset.meta.delete_time.is_none() => {
                Some(((binding.segment, binding.code), asset))
            }
            _ => None,
        });
        let mut registered = RegisteredEntities { assets: assets.collect(), ..RegisteredEntities::default() };
        let terms: Vec<UniqueKey> = readings.filter_map(|reading| registered.terms_of(reading)).collect();
        let instruments = snapshot.with_unique_keys(&terms).await?.into_iter();
        let present = instruments.filter(|(_, it)| !it.is_deleted());
        registered.instruments = present.filter_map(|(terms, it)| Some((terms, it.try_into().ok()?))).collect();
        Ok(registered)
    }
}

impl RegisteredEntities {
    /// The asset that a code means in a segment: a binding of the segment goes before one for all of them.
    fn asset(&self, segment: &Segment, code: &str) -> Option<&Asset> {
        let of = |segment: &Segment| self.assets.get(&(segment.clone(), code.to_owned())).map(Arc::as_ref);
        of(segment).or_else(|| of(&Segment::default()))
    }

    /// The unique key of the terms, if all of the assets are known.
    fn terms_of(&self, reading: &Reading) -> Option<UniqueKey> {
        let assets: Option<Vec<AssetId>> =
            codes(reading).into_iter().map(|code| self.asset(&reading.segment, code).map(|asset| asset.id)).collect();
        Some(terms(reading, reading.expiry.map(Expiry::date), &assets?).ok()?.unique_key())
    }
}

/// The symbology plugin of that name.
pub(crate) fn symbology(plugins: &PluginSet, name: &str) -> Result<Symbology, Error> {
    plugins
        .symbology(name)
        .map_err(|missing| Error::PluginNotServing { plugin: missing.plugin, reason: missing.reason })
}

pub(crate) fn failed(plugin: &str, error: &cqar_plugins::CallError) -> Error {
    Error::PluginFailed { plugin: plugin.to_owned(), reason: error.to_string() }
}

fn message(reading: &Reading) -> v1::Reading {
    let text = |decimal: &Option<_>| decimal.as_ref().map(ToString::to_string).unwrap_or_default();
    v1::Reading {
        segment: reading.segment.to_string(),
        kind: v1::InstrumentKind::from(reading.kind).into(),
        base_code: reading.base.clone(),
        quote_code: reading.quote.clone().unwrap_or_default(),
        settle_code: reading.settle.clone().unwrap_or_default(),
        expiry_date: reading.expiry.map(|it| it.date().to_string()).unwrap_or_default(),
        expiry_time: reading.expiry.and_then(Expiry::instant).map(Into::into),
        strike: text(&reading.strike),
        option_type: reading.option_type.map(|it| v1::OptionType::from(it).into()).unwrap_or_default(),
        exercise_style: reading.exercise_style.map(|it| v1::ExerciseStyle::from(it).into()).unwrap_or_default(),
        unit_multiplier: text(&reading.unit_multiplier),
    }
}
