//! Table `chains`.

use cqar_domain::{
    entities::chain::{Chain, ChainStatus},
    id::{AssetId, ChainId, EntityType},
};
use cqar_proto::v1;

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
    /// The status.
    pub status: Option<ChainStatus>,
    /// The chain that they settle on.
    pub parent_chain_id: Option<ChainId>,
}

impl From<ChainFilter> for Filter {
    fn from(filter: ChainFilter) -> Self {
        Self::of(Chain::SCHEMA)
            .and_text("caip2", filter.caip2)
            .and_text("parent_chain_id", filter.parent_chain_id)
            .and_text("status", filter.status.map(|of| v1::ChainStatus::from(of).as_str_name()))
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
        "status",
        "parent_chain_id",
        "native_addresses",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("native_asset_id", EntityType::Asset, "chains_native_asset"),
        Reference::by("parent_chain_id", EntityType::Chain, "chains_parent"),
    ];
    const FILTERS: &'static [IndexedFilter] =
        &[IndexedFilter::by(&["caip2"], "chains_caip2"), IndexedFilter::by(&["parent_chain_id"], "chains_parent")];

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
            Value::Text(v1::ChainStatus::from(self.status).as_str_name().to_owned()),
            Value::OptText(self.parent_chain_id.as_ref().map(ToString::to_string)),
            json_value(&self.native_addresses),
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
            status: row.named(v1::ChainStatus::from_str_name)?,
            parent_chain_id: row.parsed_optional()?,
            native_addresses: row.json()?,
            meta: row.meta()?,
        })
    }
}
