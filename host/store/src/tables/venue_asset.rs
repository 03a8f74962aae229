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
    pub venue: Option<VenueId>,
    /// Of one asset.
    pub asset: Option<AssetId>,
}

impl From<VenueAssetFilter> for Filter {
    fn from(filter: VenueAssetFilter) -> Self {
        Self::of(VenueAsset::SCHEMA)
            .and_text("venue", filter.venue)
            .and("asset", filter.asset.map(|id| Value::Uuid(id.uuid())))
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct VenueAssetRow {
    id: Uuid,
    venue: String,
    asset: Uuid,
    code: String,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for VenueAsset {
    type Row = VenueAssetRow;
    const NAME: &'static str = "venue_assets";
    const COLUMNS: &'static [&'static str] = &["id", "venue", "asset", "code", "revision", "create_us", "update_us"];
    const SELECT: &'static str =
        "SELECT e.id, e.venue, e.asset, e.code, e.revision, e.create_us, e.update_us FROM venue_assets e";
    const REFERENCES: &'static [Reference] = &[
        Reference { column: "venue", target: EntityType::Venue, index: "venue_assets_venue" },
        Reference { column: "asset", target: EntityType::Asset, index: "venue_assets_asset" },
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter { columns: &["asset"], index: "venue_assets_asset" },
        IndexedFilter { columns: &["venue"], index: "venue_assets_venue" },
    ];

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.venue.to_string()),
            Value::Uuid(self.asset.uuid()),
            Value::Text(self.code.clone()),
            revision,
            create,
            update,
        ]
    }

    fn read(row: VenueAssetRow) -> Result<Self, String> {
        Ok(Self {
            id: super::id("id", VenueAssetId::from_uuid(row.id))?,
            venue: parse("venue", &row.venue)?,
            asset: super::id("asset", AssetId::from_uuid(row.asset))?,
            code: row.code,
            meta: row.meta.read()?,
        })
    }
}
