//! Table `assets`.

use cqar_domain::{
    entities::asset::{Asset, AssetType},
    id::AssetId,
};
use cqar_proto::v1;
use uuid::Uuid;

use super::{JsonText, MetaRow, Table, json_value, meta_values, named, time_value};
use crate::{database::Value, filter::Filter, schema::IndexedFilter};

/// Which assets to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct AssetFilter {
    /// The exact symbol.
    pub symbol: Option<String>,
    /// The type.
    pub asset_type: Option<AssetType>,
    /// Deleted ones too.
    pub show_deleted: bool,
}

impl From<AssetFilter> for Filter {
    fn from(filter: AssetFilter) -> Self {
        Self::of(Asset::SCHEMA)
            .and_text("symbol", filter.symbol)
            .and_text("type", filter.asset_type.map(|of| v1::AssetType::from(of).as_str_name()))
            .show_deleted(filter.show_deleted)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct AssetRow {
    id: Uuid,
    symbol: String,
    name: String,
    r#type: String,
    category: String,
    description: String,
    logo_url: String,
    website_url: String,
    labels: String,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for Asset {
    type Row = AssetRow;
    const NAME: &'static str = "assets";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "symbol",
        "name",
        "type",
        "category",
        "description",
        "logo_url",
        "website_url",
        "labels",
        "revision",
        "create_us",
        "update_us",
        "delete_us",
    ];
    const SELECT: &'static str = "SELECT e.id, e.symbol, e.name, e.type, e.category, e.description, e.logo_url, \
        e.website_url, e.labels, e.revision, e.create_us, e.update_us, e.delete_us FROM assets e";
    const FILTERS: &'static [IndexedFilter] = &[IndexedFilter::by(&["symbol"], "assets_symbol")];

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.symbol.clone()),
            Value::Text(self.name.clone()),
            Value::Text(v1::AssetType::from(self.asset_type).as_str_name().to_owned()),
            Value::Text(self.category.clone()),
            Value::Text(self.description.clone()),
            Value::Text(self.logo_url.clone()),
            Value::Text(self.website_url.clone()),
            json_value(&self.labels),
            revision,
            create,
            update,
            time_value(self.meta.delete_time),
        ]
    }

    fn read(row: AssetRow) -> Result<Self, String> {
        Ok(Self {
            id: super::id("id", AssetId::from_uuid(row.id))?,
            symbol: row.symbol,
            name: row.name,
            asset_type: named("type", &row.r#type, v1::AssetType::from_str_name)?,
            category: row.category,
            description: row.description,
            logo_url: row.logo_url,
            website_url: row.website_url,
            labels: JsonText::from_json("labels", &row.labels)?,
            meta: row.meta.read()?,
        })
    }
}
