//! Table `venue_assets`.

use cqar_domain::{
    entities::venue_asset::VenueAsset,
    id::{AssetId, EntityType, VenueAssetId, VenueId},
};
use uuid::Uuid;

use super::{MetaRow, Table, meta_values, parse};
use crate::{
    database::Value,
    filter::Filter,
    schema::{IndexedFilter, Reference},
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

#[derive(sqlx::FromRow)]
pub(crate) struct VenueAssetRow {
    id: Uuid,
    venue_id: String,
    segment: String,
    code: String,
    asset_id: Uuid,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for VenueAsset {
    type Row = VenueAssetRow;
    const NAME: &'static str = "venue_assets";
    const COLUMNS: &'static [&'static str] =
        &["id", "venue_id", "segment", "code", "asset_id", "revision", "create_us", "update_us"];
    const SELECT: &'static str = "SELECT e.id, e.venue_id, e.segment, e.code, e.asset_id, e.revision, e.create_us, e.update_us FROM venue_assets e";
    const REFERENCES: &'static [Reference] = &[
        Reference { column: "venue_id", target: EntityType::Venue, index: "venue_assets_venue" },
        Reference { column: "asset_id", target: EntityType::Asset, index: "venue_assets_asset" },
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["asset_id"], "venue_assets_asset"),
        IndexedFilter::by(&["venue_id"], "venue_assets_venue"),
    ];

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

    fn read(row: VenueAssetRow) -> Result<Self, String> {
        Ok(Self {
            id: super::id("id", VenueAssetId::from_uuid(row.id))?,
            venue_id: parse("venue_id", &row.venue_id)?,
            segment: parse("segment", &row.segment)?,
            code: row.code,
            asset_id: super::id("asset_id", AssetId::from_uuid(row.asset_id))?,
            meta: row.meta.read()?,
        })
    }
}
