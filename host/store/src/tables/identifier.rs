//! Table `identifiers`. What is called so stands in one of as many columns as there are types of it.

use cqar_domain::{
    entities::identifier::{Identified, Identifier},
    id::{AssetId, DeploymentId, EntityType, IdentifierId, InstrumentId, MarketId, Source, VenueId},
};

use super::{Table, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
};

/// Which identifiers to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct IdentifierFilter {
    /// Of one entity.
    pub entity: Option<Identified>,
    /// Of one source.
    pub source: Option<Source>,
}

impl From<IdentifierFilter> for Filter {
    fn from(filter: IdentifierFilter) -> Self {
        let (column, value) = match filter.entity {
            None => return Self::of(Identifier::SCHEMA).and_text("source", filter.source),
            Some(Identified::Asset(id)) => ("asset_id", Value::Uuid(id.uuid())),
            Some(Identified::Deployment(id)) => ("deployment_id", Value::Uuid(id.uuid())),
            Some(Identified::Instrument(id)) => ("instrument_id", Value::Uuid(id.uuid())),
            Some(Identified::Market(id)) => ("market_id", Value::Uuid(id.uuid())),
            Some(Identified::Venue(id)) => ("venue_id", Value::Text(id.to_string())),
        };
        Self::of(Identifier::SCHEMA).and(column, Some(value)).and_text("source", filter.source)
    }
}

impl Table for Identifier {
    const NAME: &'static str = "identifiers";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "asset_id",
        "deployment_id",
        "instrument_id",
        "market_id",
        "venue_id",
        "source",
        "external_id",
        "is_primary",
        "verified_us",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("asset_id", EntityType::Asset, "identifiers_asset"),
        Reference::by("deployment_id", EntityType::Deployment, "identifiers_deployment"),
        Reference::by("instrument_id", EntityType::Instrument, "identifiers_instrument"),
        Reference::by("market_id", EntityType::Market, "identifiers_market"),
        Reference::by("venue_id", EntityType::Venue, "identifiers_venue"),
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["asset_id"], "identifiers_asset"),
        IndexedFilter::by(&["deployment_id"], "identifiers_deployment"),
        IndexedFilter::by(&["instrument_id"], "identifiers_instrument"),
        IndexedFilter::by(&["market_id"], "identifiers_market"),
        IndexedFilter::by(&["venue_id"], "identifiers_venue"),
        IndexedFilter::by(&["source"], "identifiers_source"),
    ];

    fn write_order(&self) -> &str {
        &self.external_id
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        let (mut asset, mut deployment, mut instrument, mut market, mut venue) = (None, None, None, None, None);
        match &self.entity {
            Identified::Asset(id) => asset = Some(id.uuid()),
            Identified::Deployment(id) => deployment = Some(id.uuid()),
            Identified::Instrument(id) => instrument = Some(id.uuid()),
            Identified::Market(id) => market = Some(id.uuid()),
            Identified::Venue(id) => venue = Some(id.to_string()),
        }
        vec![
            Value::Uuid(self.id.uuid()),
            Value::OptUuid(asset),
            Value::OptUuid(deployment),
            Value::OptUuid(instrument),
            Value::OptUuid(market),
            Value::OptText(venue),
            Value::Text(self.source.to_string()),
            Value::Text(self.external_id.clone()),
            Value::Bool(self.is_primary),
            time_value(self.verified_time),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        let id = row.id(IdentifierId::from_uuid)?;
        let named = [
            row.id_optional(AssetId::from_uuid)?.map(Identified::Asset),
            row.id_optional(DeploymentId::from_uuid)?.map(Identified::Deployment),
            row.id_optional(InstrumentId::from_uuid)?.map(Identified::Instrument),
            row.id_optional(MarketId::from_uuid)?.map(Identified::Market),
            row.parsed_optional::<VenueId>()?.map(Identified::Venue),
        ];
        Ok(Self {
            id,
            entity: named.into_iter().flatten().next().ok_or("names nothing")?,
            source: row.parsed()?,
            external_id: row.value()?,
            is_primary: row.value()?,
            verified_time: row.time()?,
            meta: row.meta()?,
        })
    }
}
