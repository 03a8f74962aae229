//! Chains, by CAIP-2.

use crate::{
    address::{self, AddressError, NATIVE},
    entities::deployment::Deployment,
    entity::{Meta, TypedEntity, changed_fields, references},
    id::{AssetId, ChainId, EntityKey, EntityType},
    text::{NAME, RPC, WEB, check_url},
    unique_key::UniqueKey,
    violation::Violations,
};

/// A blockchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its id.
    pub id: ChainId,
    /// The full name.
    pub name: String,
    /// The CAIP-2 id, unique; immutable once anything referred to the chain.
    pub caip2: String,
    /// The asset that pays for transactions.
    pub native_asset_id: Option<AssetId>,
    /// A URL, or empty.
    pub explorer_url: String,
    /// JSON-RPC endpoints.
    pub rpc_urls: Vec<String>,
    /// Whether its assets have no value.
    pub is_testnet: bool,
    /// Whether it is in use.
    pub status: ChainStatus,
    /// The chain that it settles on, of a layer 2.
    pub parent_chain_id: Option<ChainId>,
    /// Addresses of the chain's own coin, beside `native`, as they are kept.
    pub native_addresses: Vec<String>,
    /// Revision and times.
    pub meta: Meta,
}

/// Whether a chain is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the contract's chain.proto says what each is")]
pub enum ChainStatus {
    Active,
    Deprecated,
}

/// The most endpoints of one chain.
pub const MAX_RPC_URLS: usize = 32;
/// The most addresses of a chain's own coin.
pub const MAX_NATIVE_ADDRESSES: usize = 16;
/// The most chains that settle on one another: a layer 3 settles on a layer 2.
pub const MAX_LAYERS: usize = 8;

impl Chain {
    /// The unique key of the chain with that CAIP-2 id.
    pub fn caip2_key(caip2: &str) -> UniqueKey {
        UniqueKey::new("chain.caip2", &[caip2])
    }

    /// An address on this chain, in the one spelling that is kept; `native` for every spelling of the chain's own coin.
    pub fn address(&self, text: &str) -> Result<String, AddressError> {
        let address = address::normalized(&self.caip2, text)?;
        Ok(if self.native_addresses.contains(&address) { NATIVE.to_owned() } else { address })
    }
}

impl TypedEntity for Chain {
    const TYPE: EntityType = EntityType::Chain;
    const SOFT_DELETE: bool = false;
    const KEPT_ONCE_REFERRED_TO: bool = true;

    fn key(&self) -> EntityKey {
        EntityKey::Chain(self.id.clone())
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        NAME.check("name", &self.name, found);
        if !is_caip2(&self.caip2) {
            found.add("caip2", "INVALID_CAIP2", "must be a CAIP-2 id, namespace:reference, such as eip155:1");
        }
        check_url("explorer_url", &self.explorer_url, WEB, found);
        if self.rpc_urls.len() > MAX_RPC_URLS {
            found.add("rpc_urls", "TOO_MANY", format_args!("must be at most {MAX_RPC_URLS}"));
        }
        for (i, url) in self.rpc_urls.iter().take(MAX_RPC_URLS).enumerate() {
            check_url(&format!("rpc_urls[{i}]"), url, RPC, found);
        }
        if self.parent_chain_id.as_ref() == Some(&self.id) {
            found.add("parent_chain_id", "CYCLE", "must be another chain");
        }
        self.check_native_addresses(found);
    }

    changed_fields!(
        name,
        caip2,
        native_asset_id,
        explorer_url,
        rpc_urls,
        is_testnet,
        status,
        parent_chain_id,
        native_addresses,
    );

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        vec![("caip2", Self::caip2_key(&self.caip2))]
    }

    /// What is at an address of its own coin is that coin, and no other asset.
    fn excluded_keys(&self) -> Vec<(String, UniqueKey)> {
        let at = |address: &String| Deployment::address_key(&self.id, address);
        self.native_addresses.iter().enumerate().map(|(n, it)| (format!("native_addresses[{n}]"), at(it))).collect()
    }

    references!(native_asset_id, parent_chain_id);
}

impl Chain {
    fn check_native_addresses(&self, found: &mut Violations) {
        if self.native_addresses.len() > MAX_NATIVE_ADDRESSES {
            found.add("native_addresses", "TOO_MANY", format_args!("must be at most {MAX_NATIVE_ADDRESSES}"));
        }
        for (i, text) in self.native_addresses.iter().take(MAX_NATIVE_ADDRESSES).enumerate() {
            let field = format!("native_addresses[{i}]");
            match address::normalized(&self.caip2, text) {
                Err(error) => found.add(field, "INVALID_ADDRESS", error),
                Ok(address) if address == NATIVE => found.add(field, "REDUNDANT", "`native` is one in any case"),
                Ok(_) if self.native_addresses.iter().take(i).any(|other| other == text) => {
                    found.add(field, "DUPLICATE", "is given twice");
                }
                Ok(_) => {}
            }
        }
    }
}

/// Whether it is a CAIP-2 id: `[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}`.
pub fn is_caip2(s: &str) -> bool {
    let Some((namespace, reference)) = s.split_once(':') else { return false };
    (3..=8).contains(&namespace.len())
        && namespace.bytes().all(|b| matches!(b, b'-' | b'a'..=b'z' | b'0'..=b'9'))
        && (1..=32).contains(&reference.len())
        && reference.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn caip2_is_a_namespace_and_a_reference() {
        // The test cases of CAIP-2, and a chain of the solana namespace.
        for good in [
            "eip155:1",
            "bip122:000000000019d6689c085ae165831e93",
            "bip122:12a765e31ffd4059bada1e25190f6e98",
            "bip122:fdbe99b90c90bae7505796461471d89a",
            "cosmos:cosmoshub-2",
            "cosmos:cosmoshub-3",
            "cosmos:Binance-Chain-Tigris",
            "cosmos:iov-mainnet",
            "starknet:SN_GOERLI",
            "lip9:9ee11e9df416b18b",
            "chainstd:8c3444cf8970a9e41a706fab93e7a6c4",
            "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        ] {
            assert!(is_caip2(good), "{good}");
        }
        for bad in [
            "",
            "eip155",
            "ei:1",
            "EIP155:1",
            "eip155:",
            "eip155:1:2",
            "eip155:1 ",
            "chainstd9:1",
            &format!("eip155:{}", "1".repeat(33)),
        ] {
            assert!(!is_caip2(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_has_the_form_of_the_standard_is_caip2(id in "[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}") {
            prop_assert!(is_caip2(&id));
        }

        #[test]
        fn what_has_another_character_is_not(id in "[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,15}[^-_a-zA-Z0-9][-_a-zA-Z0-9]{0,15}") {
            prop_assert!(!is_caip2(&id));
        }
    }
}
