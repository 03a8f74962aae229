//! Table `identifiers`. What is called so stands in one of as many columns as there are types of it.

use cqar_domain::{
    entities::identifier::Identifier,
    id::{AssetId, DeploymentId, EntityKey, EntityType, IdentifierId, InstrumentId, MarketId, Source, VenueId},
};

use uuid::Uuid;

use super::{Table, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    snapshot::id_value,
    value::Value,
};

/// Which identifiers to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct IdentifierFilter {
    /// Of one entity.
    pub entity: Option<EntityKey>,
    /// Of one source.
    pub source: Option<Source>,
}

impl From<IdentifierFilter> for Filter {
    fn from(filter: IdentifierFilter) -> Self {
        let column = |entity: &EntityKey| {
            Identifier::REFERENCES.iter().find(|it| it.target == entity.entity_type()).map(|it| it.column)
        };
        let filtered = match filter.entity.map(|entity| (column(&entity), entity)) {
            None => Self::of(Identifier::SCHEMA),
            Some((Some(column), entity)) => Self::of(Identifier::SCHEMA).and(column, Some(id_value(&entity))),
            // What can have no identifiers has none: no row has this id.
            Some((None, _)) => Self::of(Identifier::SCHEMA).and("id", Some(Value::Uuid(Uuid::nil()))),
        };
        filtered.and_text("source", filter.source)
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
    ];

    fn write_order(&self) -> &str {
        &self.external_id
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        let uuid_of = |of: EntityType| Value::OptUuid(self.entity.uuid().filter(|_| self.entity.entity_type() == of));
        let venue = if let EntityKey::Venue(id) = &self.entity { Some(id.to_string()) } else { None };
        vec![
            Value::Uuid(self.id.uuid()),
            uuid_of(EntityType::Asset),
            uuid_of(EntityType::Deployment),
            uuid_of(EntityType::Instrument),
            uuid_of(EntityType::Market),
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
            row.id_optional(AssetId::from_uuid)?.map(EntityKey::Asset),
            row.id_optional(DeploymentId::from_uuid)?.map(EntityKey::Deployment),
            row.id_optional(InstrumentId::from_uuid)?.map(EntityKey::Instrument),
            row.id_optional(MarketId::from_uuid)?.map(EntityKey::Market),
            row.parsed_optional::<VenueId>()?.map(EntityKey::Venue),
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
