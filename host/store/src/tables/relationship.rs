//! Table `relationships`.

use cqar_domain::{
    entities::relationship::{Rate, Relationship, RelationshipType},
    id::{AssetId, EntityType, RelationshipId},
};
use cqar_proto::v1;

use super::{Table, decimal_value, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
};

/// Which relationships to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct RelationshipFilter {
    /// Of one derivative.
    pub from_asset_id: Option<AssetId>,
    /// To one underlying.
    pub to_asset_id: Option<AssetId>,
    /// Of one type.
    pub relationship_type: Option<RelationshipType>,
}

impl From<RelationshipFilter> for Filter {
    fn from(filter: RelationshipFilter) -> Self {
        Self::of(Relationship::SCHEMA)
            .and("from_asset_id", filter.from_asset_id.map(|id| Value::Uuid(id.uuid())))
            .and("to_asset_id", filter.to_asset_id.map(|id| Value::Uuid(id.uuid())))
            .and_text("type", filter.relationship_type.map(|of| v1::RelationshipType::from(of).as_str_name()))
    }
}

impl Table for Relationship {
    const NAME: &'static str = "relationships";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "from_asset_id",
        "to_asset_id",
        "type",
        "rate_kind",
        "conversion_rate",
        "effective_us",
        "protocol",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("from_asset_id", EntityType::Asset, "relationships_from"),
        Reference::by("to_asset_id", EntityType::Asset, "relationships_to"),
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["from_asset_id"], "relationships_from"),
        IndexedFilter::by(&["to_asset_id", "type"], "relationships_to_type"),
        IndexedFilter::by(&["to_asset_id"], "relationships_to"),
    ];

    fn write_order(&self) -> &str {
        &self.protocol
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Uuid(self.from_asset_id.uuid()),
            Value::Uuid(self.to_asset_id.uuid()),
            Value::Text(v1::RelationshipType::from(self.relationship_type).as_str_name().to_owned()),
            Value::Text(v1::RateKind::from(&self.rate).as_str_name().to_owned()),
            decimal_value(self.rate.number()),
            time_value(self.effective_time),
            Value::Text(self.protocol.clone()),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(RelationshipId::from_uuid)?,
            from_asset_id: row.id(AssetId::from_uuid)?,
            to_asset_id: row.id(AssetId::from_uuid)?,
            relationship_type: row.named(v1::RelationshipType::from_str_name)?,
            rate: rate(row)?,
            effective_time: row.time()?,
            protocol: row.value()?,
            meta: row.meta()?,
        })
    }
}

fn rate(row: &mut RowReader<'_>) -> Result<Rate, String> {
    let kind: String = row.value()?;
    let number = row.parsed_optional()?;
    match (v1::RateKind::from_str_name(&kind), number) {
        (Some(v1::RateKind::Fixed), Some(rate)) => Ok(Rate::Fixed(rate)),
        (Some(v1::RateKind::Rebasing), Some(rate)) => Ok(Rate::Rebasing(rate)),
        (Some(v1::RateKind::Oracle), None) => Ok(Rate::Oracle),
        (Some(v1::RateKind::None), None) => Ok(Rate::None),
        _ => Err(row.says(format!("is none of a rate that is {kind}"))),
    }
}
