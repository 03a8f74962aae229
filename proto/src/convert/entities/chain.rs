//! Chains.

use cqar_domain::{
    address,
    entities::chain::{Chain, ChainStatus},
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, id_text, mask::masked, same_variants},
    v1,
};

same_variants!(v1::ChainStatus, ChainStatus: Active, Deprecated);

impl From<&Chain> for v1::Chain {
    fn from(chain: &Chain) -> Self {
        Self {
            id: chain.id.to_string(),
            name: chain.name.clone(),
            caip2: chain.caip2.clone(),
            native_asset_id: id_text(chain.native_asset_id.as_ref()),
            explorer_url: chain.explorer_url.clone(),
            rpc_urls: chain.rpc_urls.clone(),
            is_testnet: Some(chain.is_testnet),
            status: v1::ChainStatus::from(chain.status).into(),
            parent_chain_id: id_text(chain.parent_chain_id.as_ref()),
            native_addresses: chain.native_addresses.clone(),
            revision: chain.meta.revision,
            etag: etag(&chain.meta),
            create_time: chain.meta.create_time.map(Into::into),
            update_time: chain.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Chain {
    type Entity = Chain;

    const SAMPLE: &'static str = r#"{"id": "sample", "name": "Sample", "caip2": "eip155:999999"}"#;

    arm!(Chain);

    fn label(&self) -> &str {
        &self.name
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Chain> {
        let id = reader.required("id", &self.id);
        let native_asset_id = reader.optional_reference("native_asset_id", &mut self.native_asset_id);
        let status = reader.optional_enumeration::<v1::ChainStatus, _>("status", self.status);
        let parent_chain_id = reader.optional_reference("parent_chain_id", &mut self.parent_chain_id);
        // What is no address is kept as it is, and refused by the chain's own check.
        let kept = |text: &String| address::normalized(&self.caip2, text).unwrap_or_else(|_| text.clone());
        let native_addresses = self.native_addresses.iter().map(kept).collect();
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(Chain {
            id: id?,
            name: self.name.clone(),
            caip2: self.caip2.clone(),
            native_asset_id: native_asset_id?,
            explorer_url: self.explorer_url.clone(),
            rpc_urls: self.rpc_urls.clone(),
            is_testnet: self.is_testnet.unwrap_or_default(),
            status: status?.unwrap_or(ChainStatus::Active),
            parent_chain_id: parent_chain_id?,
            native_addresses,
            meta: meta?,
        })
    }
}

masked!(
    v1::Chain: [
        name, caip2, native_asset_id, explorer_url, rpc_urls, is_testnet, status, parent_chain_id, native_addresses
    ],
    []
);
