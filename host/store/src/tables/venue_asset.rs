//! Table `venue_assets`.

use cqar_domain::{
    entities::venue_asset::VenueAsset,
    id::{AssetId, EntityType, VenueAssetId, VenueId},
};

use super::{Table, meta_values};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
};

/// Which venue assets to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct VenueAssetFilter {
    /// Of one venue.
    pub venue_id: Option<VenueId>,
    /// Of one asset.
    pub asset_id: Option<AssetId>,
}

impl From<VenueAssetFilter> for Filter {
    fn from(filter: VenueAssetFilter) -> Self {
        Self::of(VenueAsset::SCHEMA)
            .and_text("venue_id", filter.venue_id)
            .and("asset_id", filter.asset_id.map(|id| Value::Uuid(id.uuid())))
    }
}

impl Table for VenueAsset {
    const NAME: &'static str = "venue_assets";
    const COLUMNS: &'static [&'static str] =
        &["id", "venue_id", "segment", "code", "asset_id", "revision", "create_us", "update_us"];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("venue_id", EntityType::Venue, "venue_assets_venue"),
        Reference::by("asset_id", EntityType::Asset, "venue_assets_asset"),
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["asset_id"], "venue_assets_asset"),
        IndexedFilter::by(&["venue_id"], "venue_assets_venue"),
    ];

    fn write_order(&self) -> &str {
        &self.code
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.venue_id.to_string()),
            Value::Text(self.segment.to_string()),
            Value::Text(self.code.clone()),
            Value::Uuid(self.asset_id.uuid()),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(VenueAssetId::from_uuid)?,
            venue_id: row.parsed()?,
            segment: row.parsed()?,
            code: row.value()?,
            asset_id: row.id(AssetId::from_uuid)?,
            meta: row.meta()?,
        })
    }
}
