//! Table `assets`.

use cqar_domain::{
    entities::asset::{Asset, AssetType},
    id::AssetId,
};
use cqar_proto::v1;

use super::{Table, json_value, meta_values, time_value};
use crate::{filter::Filter, row::RowReader, schema::IndexedFilter, value::Value};

/// Which assets to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct AssetFilter {
    /// The exact symbol.
    pub symbol: Option<String>,
    /// The exact name.
    pub name: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// A label, with its value or with any.
    pub label: Option<(String, Option<String>)>,
    /// The type.
    pub asset_type: Option<AssetType>,
    /// Deleted ones too.
    pub show_deleted: bool,
}

impl From<AssetFilter> for Filter {
    fn from(filter: AssetFilter) -> Self {
        Self::of(Asset::SCHEMA)
            .and_text("symbol", filter.symbol)
            .and_text("name", filter.name)
            .and_text("category", filter.category)
            .and_label(filter.label)
            .and_text("type", filter.asset_type.map(|of| v1::AssetType::from(of).as_str_name()))
            .show_deleted(filter.show_deleted)
    }
}

impl Table for Asset {
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
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["symbol"], "assets_symbol"),
        IndexedFilter::by(&["name"], "assets_name"),
        IndexedFilter::by(&["category"], "assets_category"),
    ];

    fn write_order(&self) -> &str {
        &self.symbol
    }

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

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(AssetId::from_uuid)?,
            symbol: row.value()?,
            name: row.value()?,
            asset_type: row.named(v1::AssetType::from_str_name)?,
            category: row.value()?,
            description: row.value()?,
            logo_url: row.value()?,
            website_url: row.value()?,
            labels: row.json()?,
            meta: row.meta()?,
        })
    }
}
