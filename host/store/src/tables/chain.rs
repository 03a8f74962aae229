//! Table `chains`.

use cqar_domain::{
    entities::chain::Chain,
    id::{AssetId, EntityType},
};
use uuid::Uuid;

use super::{JsonText, MetaRow, Table, json_value, meta_values, parse};
use crate::{
    database::Value,
    filter::Filter,
    schema::{IndexedFilter, Reference},
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

#[derive(sqlx::FromRow)]
pub(crate) struct ChainRow {
    id: String,
    name: String,
    caip2: String,
    native_asset_id: Option<Uuid>,
    explorer_url: String,
    rpc_urls: String,
    is_testnet: bool,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for Chain {
    type Row = ChainRow;
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
    const SELECT: &'static str = "SELECT e.id, e.name, e.caip2, e.native_asset_id, e.explorer_url, e.rpc_urls, \
        e.is_testnet, e.revision, e.create_us, e.update_us FROM chains e";
    const REFERENCES: &'static [Reference] =
        &[Reference { column: "native_asset_id", target: EntityType::Asset, index: "chains_native_asset" }];
    const FILTERS: &'static [IndexedFilter] = &[IndexedFilter::by(&["caip2"], "chains_caip2")];

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

    fn read(row: ChainRow) -> Result<Self, String> {
        Ok(Self {
            id: parse("id", &row.id)?,
            name: row.name,
            caip2: row.caip2,
            native_asset_id: super::id("native_asset_id", row.native_asset_id.map(AssetId::from_uuid).transpose())?,
            explorer_url: row.explorer_url,
            rpc_urls: JsonText::from_json("rpc_urls", &row.rpc_urls)?,
            is_testnet: row.is_testnet,
            meta: row.meta.read()?,
        })
    }
}
