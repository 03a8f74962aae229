//! Deployments: what an asset is on a chain.

use crate::{
    address::{MAX_BYTES, NATIVE},
    caip19,
    entities::{
        chain::Chain,
        identifier::{CAIP19, Identifier},
    },
    entity::{Meta, TypedEntity, changed_fields, references},
    id::{AssetId, ChainId, DeploymentId, EntityKey, EntityType, Source},
    time::Timestamp,
    unique_key::UniqueKey,
    violation::Violations,
};

/// An asset at an address of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The asset; immutable.
    pub asset_id: AssetId,
    /// The chain; immutable.
    pub chain_id: ChainId,
    /// The address, in the one spelling that is kept, or `native`; immutable.
    pub address: String,
    /// How many decimal places an amount has; immutable.
    pub decimals: u8,
    /// The interface of the token.
    pub standard: TokenStandard,
    /// Whether it is the asset's own on that chain.
    pub is_canonical: bool,
    /// When it was deployed.
    pub deployed_time: Option<Timestamp>,
    /// The coin type of SLIP-44, of a chain's own coin.
    pub slip44: Option<u32>,
    /// The CAIP-19 id, derived; empty until it is read from the registry, and where there is none.
    pub caip19: String,
    /// Revision and times.
    pub meta: Meta,
}

/// The interfaces of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the contract's deployment.proto says what each is")]
pub enum TokenStandard {
    Native,
    Erc20,
    Erc721,
    Erc1155,
    Bep20,
    Spl,
    Trc20,
    Cw20,
    Denom,
    MoveCoin,
    Other,
}

/// Coin types have 31 bits (SLIP-44).
const MAX_SLIP44: u32 = (1 << 31) - 1;

impl Deployment {
    /// The unique key of whatever is at that address, which is in the spelling that is kept.
    pub fn address_key(chain: &ChainId, address: &str) -> UniqueKey {
        UniqueKey::new("deployment.address", &[chain.as_str(), address])
    }

    /// The unique key of whatever has that CAIP-19 id.
    pub fn caip19_key(caip19: &str) -> UniqueKey {
        UniqueKey::new("deployment.caip19", &[caip19])
    }

    /// Reads the address as its chain does, and makes the CAIP-19 id. What is no address there is a violation.
    pub fn place(&mut self, chain: &Chain, found: &mut Violations) {
        match chain.address(&self.address) {
            Ok(address) => self.address = address,
            Err(error) => found.add("address", "INVALID_ADDRESS", error),
        }
        self.caip19 = caip19::of(&chain.caip2, self.standard, &self.address, self.slip44).unwrap_or_default();
    }
}

impl TypedEntity for Deployment {
    const TYPE: EntityType = EntityType::Deployment;
    const SOFT_DELETE: bool = false;
    const FIRST_OF_SEVERAL: &'static [&'static str] = &["is_canonical"];

    fn key(&self) -> EntityKey {
        EntityKey::Deployment(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        if self.address.is_empty() || self.address.len() > MAX_BYTES {
            found.add("address", "INVALID_ADDRESS", format_args!("must have 1 to {MAX_BYTES} bytes"));
        }
        if (self.standard == TokenStandard::Native) != (self.address == NATIVE) {
            found.add("standard", "NATIVE_MISMATCH", "must be NATIVE of the address `native`, and of no other");
        }
        match self.slip44 {
            Some(_) if self.address != NATIVE => {
                found.add("slip44", "NOT_NATIVE", "must be given of the address `native` alone");
            }
            Some(coin) if coin > MAX_SLIP44 => {
                found.add("slip44", "TOO_LARGE", format_args!("must be at most {MAX_SLIP44}"));
            }
            _ => {}
        }
    }

    changed_fields!(asset_id, chain_id, address, decimals, standard, is_canonical, deployed_time, slip44, caip19);

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        let mut keys = vec![("address", Self::address_key(&self.chain_id, &self.address))];
        if self.is_canonical {
            let parts = [self.asset_id.to_string(), self.chain_id.to_string()];
            keys.push(("is_canonical", UniqueKey::new("deployment.canonical", &parts.each_ref().map(String::as_str))));
        }
        if !self.caip19.is_empty() {
            keys.push(("caip19", Self::caip19_key(&self.caip19)));
        }
        keys
    }

    fn contradictions(&self, existing: &Self, found: &mut Violations) {
        if self.asset_id != existing.asset_id {
            let message = format_args!("contradicts deployment {}, which is asset {}", existing.id, existing.asset_id);
            found.add("asset_id", "CONTRADICTION", message);
        }
        if self.decimals != existing.decimals {
            let message = format_args!("contradicts deployment {}, which has {}", existing.id, existing.decimals);
            found.add("decimals", "CONTRADICTION", message);
        }
    }

    /// Whatever else is called by its CAIP-19 id.
    fn excluded_keys(&self) -> Vec<(String, UniqueKey)> {
        let source: Option<Source> = CAIP19.parse().ok().filter(|_| !self.caip19.is_empty());
        let key = source.map(|source| Identifier::external_key(&source, &self.caip19));
        key.into_iter().map(|key| ("caip19".to_owned(), key)).collect()
    }

    references!(asset_id, chain_id);
}
