//! Table `venue_assets`.

use cqar_domain::{
    entities::venue_asset::{VenueAsset, VenueAssetNetwork},
    id::{AssetId, EntityType, Segment, VenueAssetId, VenueId},
};

use cqar_proto::{convert, v1};

use super::{JsonText, Table, json_value, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, ListReference, Reference},
    value::Value,
};

/// Which venue assets to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct VenueAssetFilter {
    /// Of one venue.
    pub venue_id: Option<VenueId>,
    /// Of one asset.
    pub asset_id: Option<AssetId>,
    /// In one segment; empty is what means the asset in all of them.
    pub segment: Option<Segment>,
    /// Of one code.
    pub code: Option<String>,
}

impl From<VenueAssetFilter> for Filter {
    fn from(filter: VenueAssetFilter) -> Self {
        Self::of(VenueAsset::SCHEMA)
            .and_text("venue_id", filter.venue_id)
            .and_text("segment", filter.segment)
            .and_text("code", filter.code)
            .and("asset_id", filter.asset_id.map(|id| Value::Uuid(id.uuid())))
    }
}

impl Table for VenueAsset {
    const NAME: &'static str = "venue_assets";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "venue_id",
        "segment",
        "code",
        "asset_id",
        "is_trading_enabled",
        "listed_us",
        "delisted_us",
        "networks",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("venue_id", EntityType::Venue, "venue_assets_venue"),
        Reference::by("asset_id", EntityType::Asset, "venue_assets_asset"),
    ];
    const LIST_REFERENCES: &'static [ListReference] = &[
        ListReference { field: "networks", target: EntityType::Chain },
        ListReference { field: "networks", target: EntityType::Deployment },
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["code"], "venue_assets_code"),
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
            Value::Bool(self.is_trading_enabled),
            time_value(self.listed_time),
            time_value(self.delisted_time),
            json_value(&self.networks),
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
            is_trading_enabled: row.value()?,
            listed_time: row.time()?,
            delisted_time: row.time()?,
            networks: row.json()?,
            meta: row.meta()?,
        })
    }
}

/// As the contract's messages are written.
impl JsonText for Vec<VenueAssetNetwork> {
    fn to_json(&self) -> String {
        let messages: Vec<v1::VenueAssetNetwork> = self.iter().map(Into::into).collect();
        serde_json::json!(messages).to_string()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let messages = serde_json::from_str(text).map_err(|error| error.to_string())?;
        convert::stored_networks(messages).map_err(|found| format!("{found:?}"))
    }
}
