//! Chains.

use cqar_domain::{chain::Chain, entity::Meta};

use super::{Reader, etag, id_text};
use crate::v1;

impl From<&Chain> for v1::Chain {
    fn from(chain: &Chain) -> Self {
        Self {
            id: chain.id.to_string(),
            name: chain.name.clone(),
            caip2: chain.caip2.clone(),
            native_asset: id_text(chain.native_asset.as_ref()),
            explorer_url: chain.explorer_url.clone(),
            rpc_urls: chain.rpc_urls.clone(),
            is_testnet: chain.is_testnet,
            revision: chain.meta.revision,
            etag: etag(&chain.meta),
            create_time: chain.meta.create_time.map(Into::into),
            update_time: chain.meta.update_time.map(Into::into),
        }
    }
}

impl Reader<'_> {
    /// Reads a chain. Output-only fields are left out.
    pub fn chain(&mut self, message: v1::Chain) -> Option<Chain> {
        let id = self.required("id", &message.id);
        let native_asset = self.optional("native_asset", &message.native_asset);
        Some(Chain {
            id: id?,
            name: message.name,
            caip2: message.caip2,
            native_asset: native_asset?,
            explorer_url: message.explorer_url,
            rpc_urls: message.rpc_urls,
            is_testnet: message.is_testnet,
            meta: Meta::default(),
        })
    }
}
