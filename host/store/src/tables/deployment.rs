//! Table `deployments`.

use cqar_domain::{
    entities::deployment::Deployment,
    id::{AssetId, ChainId, DeploymentId, EntityType},
};
use cqar_proto::v1;

use super::{Table, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
};

/// Which deployments to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct DeploymentFilter {
    /// Of one asset.
    pub asset_id: Option<AssetId>,
    /// On one chain.
    pub chain_id: Option<ChainId>,
}

impl From<DeploymentFilter> for Filter {
    fn from(filter: DeploymentFilter) -> Self {
        Self::of(Deployment::SCHEMA)
            .and("asset_id", filter.asset_id.map(|id| Value::Uuid(id.uuid())))
            .and_text("chain_id", filter.chain_id)
    }
}

impl Table for Deployment {
    const NAME: &'static str = "deployments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "asset_id",
        "chain_id",
        "address",
        "decimals",
        "standard",
        "is_canonical",
        "deployed_us",
        "slip44",
        "caip19",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("asset_id", EntityType::Asset, "deployments_asset"),
        Reference::by("chain_id", EntityType::Chain, "deployments_chain"),
    ];
    const FILTERS: &'static [IndexedFilter] =
        &[IndexedFilter::by(&["asset_id"], "deployments_asset"), IndexedFilter::by(&["chain_id"], "deployments_chain")];

    fn write_order(&self) -> &str {
        &self.address
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Uuid(self.asset_id.uuid()),
            Value::Text(self.chain_id.to_string()),
            Value::Text(self.address.clone()),
            Value::Int(self.decimals.into()),
            Value::Text(v1::TokenStandard::from(self.standard).as_str_name().to_owned()),
            Value::Bool(self.is_canonical),
            time_value(self.deployed_time),
            Value::OptInt(self.slip44.map(Into::into)),
            Value::Text(self.caip19.clone()),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(DeploymentId::from_uuid)?,
            asset_id: row.id(AssetId::from_uuid)?,
            chain_id: row.parsed()?,
            address: row.value()?,
            decimals: row.number()?,
            standard: row.named(v1::TokenStandard::from_str_name)?,
            is_canonical: row.value()?,
            deployed_time: row.time()?,
            slip44: row.number_optional()?,
            caip19: row.value()?,
            meta: row.meta()?,
        })
    }
}
