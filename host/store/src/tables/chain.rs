//! Table `chains`.

use cqar_domain::{
    entities::chain::Chain,
    id::{AssetId, EntityType},
};

use super::{Table, json_value, meta_values};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
};

/// Which chains to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct ChainFilter {
    /// The CAIP-2 id.
    pub caip2: Option<String>,
}

impl From<ChainFilter> for Filter {
    fn from(filter: ChainFilter) -> Self {
        Self::of(Chain::SCHEMA).and_text("caip2", filter.caip2)
    }
}

impl Table for Chain {
    const NAME: &'static str = "chains";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "caip2",
        "native_asset_id",
        "explorer_url",
        "rpc_urls",
        "is_testnet",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] =
        &[Reference::by("native_asset_id", EntityType::Asset, "chains_native_asset")];
    const FILTERS: &'static [IndexedFilter] = &[IndexedFilter::by(&["caip2"], "chains_caip2")];

    fn write_order(&self) -> &str {
        self.id.as_str()
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Text(self.id.to_string()),
            Value::Text(self.name.clone()),
            Value::Text(self.caip2.clone()),
            Value::OptUuid(self.native_asset_id.map(AssetId::uuid)),
            Value::Text(self.explorer_url.clone()),
            json_value(&self.rpc_urls),
            Value::Bool(self.is_testnet),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.parsed()?,
            name: row.value()?,
            caip2: row.value()?,
            native_asset_id: row.id_optional(AssetId::from_uuid)?,
            explorer_url: row.value()?,
            rpc_urls: row.json()?,
            is_testnet: row.value()?,
            meta: row.meta()?,
        })
    }
}
