//! What a symbol that is not registered can mean, by the venue's symbology plugin.

use std::collections::HashMap;

use bytes::Bytes;
use cqar_domain::{
    asset::Asset,
    entity::{Entity, EntityKey},
    id::VenueId,
    instrument::Instrument,
    time::Timestamp,
};
use cqar_plugins::{Parsed, Query, Reading};
use cqar_proto::v1;
use prost::Message;

use crate::{
    Registry, ResolveQuery,
    error::Error,
    reading::{codes, terms},
};

/// What the registry knows of what was read.
struct Registered {
    base: Option<Asset>,
    quote: Option<Asset>,
    settle: Option<Asset>,
    instrument: Option<Instrument>,
}

impl Registry {
    /// What the venue's plugin makes of a symbol that is not registered: an encoded [`v1::ResolveMarketResponse`]. It is
    /// marked so, has no market, and is not kept. What can be read in several ways, or in none, stays unknown.
    pub(crate) async fn infer(&self, query: &ResolveQuery<'_>, venue: VenueId, at: Timestamp) -> Result<Bytes, Error> {
        let segment = query.segment.map(str::parse).transpose().unwrap_or_default();
        let unknown = Error::SymbolUnknown { venue: venue.clone(), symbol: query.symbol.to_owned(), segment };
        let stored = self.get(EntityKey::Venue(venue), 0).await?.value;
        let Entity::Venue(stored) = stored.as_ref() else { return Err(unknown) };
        if stored.symbology.is_empty() {
            return Err(unknown);
        }
        let asked = Query { symbol: query.symbol.to_owned(), segment: query.segment.map(str::to_owned) };
        let plugin = self.symbology(&stored.symbology)?;
        let parsed = plugin.parse(at, vec![asked]).await.map_err(|error| failed(&stored.symbology, &error))?;
        let Some(Parsed::One(reading)) = parsed.into_iter().next() else { return Err(unknown) };
        let registered = self.registered(&stored.id, &reading).await?;
        let answer = v1::ResolveMarketResponse {
            venue: Some(stored.into()),
            market: None,
            instrument: registered.instrument.as_ref().map(Into::into),
            base_asset: registered.base.as_ref().map(Into::into),
            quote_asset: registered.quote.as_ref().map(Into::into),
            settle_asset: registered.settle.as_ref().map(Into::into),
            inferred: true,
            reading: Some(message(&reading)),
        };
        Ok(answer.encode_to_vec().into())
    }

    /// The assets to which the venue's codes are bound, and the instrument that they make. A code that is not bound is
    /// not guessed by its symbol.
    async fn registered(&self, venue: &VenueId, reading: &Reading) -> Result<Registered, Error> {
        let mut snapshot = self.inner.store.snapshot().await?;
        let codes: Vec<String> = codes(reading).into_iter().map(str::to_owned).collect();
        let bindings = snapshot.venue_assets_with_codes(venue, &codes).await?;
        let bindings: HashMap<&str, EntityKey> =
            bindings.iter().map(|it| (it.code.as_str(), EntityKey::Asset(it.asset))).collect();
        let keys: Vec<EntityKey> = bindings.values().cloned().collect();
        let found = snapshot.entities(&keys).await?;
        let assets: HashMap<EntityKey, Asset> = found
            .into_iter()
            .filter_map(|entity| match entity {
                Some(Entity::Asset(asset)) if asset.meta.delete_time.is_none() => {
                    Some((EntityKey::Asset(asset.id), asset))
                }
                _ => None,
            })
            .collect();
        let bound = |code: &String| bindings.get(code.as_str()).and_then(|key| assets.get(key)).cloned();
        let assets: Vec<Option<Asset>> = codes.iter().map(bound).collect();
        let ids: Option<Vec<_>> = assets.iter().map(|asset| asset.as_ref().map(|it| it.id)).collect();
        let terms = ids.and_then(|ids| terms(reading, reading.expiry, &ids).ok());
        let instrument = match terms {
            Some(terms) => snapshot.instruments_with_terms(&[terms.unique_key()]).await?.pop(),
            None => None,
        };
        let mut assets = assets.into_iter();
        let mut next = || assets.next().flatten();
        Ok(Registered {
            base: next(),
            quote: next(),
            settle: next(),
            instrument: instrument.filter(|it| it.meta.delete_time.is_none()),
        })
    }

    /// The symbology plugin of that name.
    pub(crate) fn symbology(&self, name: &str) -> Result<cqar_plugins::Symbology, Error> {
        let served = self.inner.plugins.snapshot().symbology(name);
        served.map_err(|missing| Error::PluginNotServing { plugin: missing.plugin, reason: missing.reason })
    }
}

pub(crate) fn failed(plugin: &str, error: &cqar_plugins::CallError) -> Error {
    Error::PluginFailed { plugin: plugin.to_owned(), reason: error.to_string() }
}

fn message(reading: &Reading) -> v1::Reading {
    let text = |decimal: &Option<_>| decimal.as_ref().map(ToString::to_string).unwrap_or_default();
    v1::Reading {
        segment: reading.segment.to_string(),
        kind: v1::InstrumentKind::from(reading.kind).into(),
        base: reading.base.clone(),
        quote: reading.quote.clone(),
        settle: reading.settle.clone().unwrap_or_default(),
        expiry_time: reading.expiry.map(Into::into),
        strike: text(&reading.strike),
        option_type: reading.option_type.map(|it| v1::OptionType::from(it).into()).unwrap_or_default(),
        unit_multiplier: text(&reading.unit_multiplier),
    }
}
