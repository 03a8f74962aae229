//! Table `venue_assets`.

use cqar_domain::{entities::venue_asset::VenueAsset, id::{AssetId, VenueAssetId}};
use uuid::Uuid;

use super::{MetaRow, Table, meta_values, parse};
use crate::database::Value;

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
