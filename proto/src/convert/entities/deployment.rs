//! Deployments.

use cqar_domain::{
    entities::deployment::{Deployment, TokenStandard},
    id::DeploymentId,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, mask::masked, same_variants},
    v1,
};

same_variants!(v1::TokenStandard, TokenStandard: Native, Erc20, Erc721, Erc1155, Bep20, Spl, Trc20, Cw20, Denom, MoveCoin,
    Other);

impl From<&Deployment> for v1::Deployment {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.to_string(),
            asset_id: deployment.asset_id.to_string(),
            chain_id: deployment.chain_id.to_string(),
            address: deployment.address.clone(),
            decimals: Some(deployment.decimals.into()),
            standard: v1::TokenStandard::from(deployment.standard).into(),
            is_canonical: Some(deployment.is_canonical),
            deployed_time: deployment.deployed_time.map(Into::into),
            // At most 31 bits.
            slip44: deployment.slip44.and_then(|coin| coin.try_into().ok()),
            caip19: deployment.caip19.clone(),
            revision: deployment.meta.revision,
            etag: etag(&deployment.meta),
            create_time: deployment.meta.create_time.map(Into::into),
            update_time: deployment.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Deployment {
    type Entity = Deployment;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "asset_id": "01890a5d-ac96-774b-bcce-b302099a8058", "chain_id":
        "sample", "address": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "decimals": 6, "standard":
        "TOKEN_STANDARD_ERC20", "caip19": "eip155:999999/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"}"#;

    arm!(Deployment);

    fn label(&self) -> &str {
        &self.address
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Deployment> {
        let id = reader.id(&self.id, DeploymentId::new);
        let asset_id = reader.reference("asset_id", &mut self.asset_id);
        let chain_id = reader.reference("chain_id", &mut self.chain_id);
        let address = reader.required::<String>("address", &self.address);
        let decimals = reader.decimals(self.decimals);
        let standard = reader.enumeration::<v1::TokenStandard, _>("standard", self.standard);
        let deployed_time = reader.time("deployed_time", self.deployed_time);
        let slip44 = reader.natural("slip44", self.slip44);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(Deployment {
            id: id?,
            asset_id: asset_id?,
            chain_id: chain_id?,
            address: address?,
            decimals: decimals?,
            standard: standard?,
            is_canonical: self.is_canonical.unwrap_or_default(),
            deployed_time: deployed_time?,
            slip44: slip44?,
            caip19: reader.output_only(&self.caip19),
            meta: meta?,
        })
    }
}

impl Reader<'_> {
    fn decimals(&mut self, decimals: Option<i32>) -> Option<u8> {
        let Some(decimals) = decimals else { return self.missing("decimals") };
        let read = u8::try_from(decimals).ok();
        if read.is_none() {
            self.found.add("decimals", "OUT_OF_RANGE", "must be 0 to 255");
        }
        read
    }
}

masked!(
    v1::Deployment: [standard, is_canonical, deployed_time, slip44],
    [asset_id, chain_id, address, decimals]
);
