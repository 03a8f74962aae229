//! What is at a place on a chain.

use std::collections::HashMap;

use cqar_cache::Key;
use cqar_domain::{
    address::{MAX_BYTES, NATIVE},
    caip10, caip19,
    entities::{
        Entity,
        chain::{Chain, is_caip2},
        deployment::Deployment,
    },
    id::{ChainId, EntityKey},
    unique_key::UniqueKey,
    violation::Violations,
};
use cqar_proto::v1;
use prost::Message;

use super::{Joined, Missing, by_key};
use crate::{
    error::{Error, Unresolved},
    loader::{EntityLoadError, EntitySource},
    request_path::RequestPath,
};

/// A place on a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeploymentQuery {
    /// An address, in any spelling, of the chain with the id.
    OfChain {
        /// The chain's slug.
        chain: String,
        /// The address.
        address: String,
    },
    /// An address, in any spelling, of the chain with the CAIP-2 id.
    OfCaip2 {
        /// The chain's CAIP-2 id.
        caip2: String,
        /// The address.
        address: String,
    },
    /// What has the CAIP-19 id, in any spelling of its address.
    Caip19(String),
    /// What has the CAIP-10 id, in any spelling of its address.
    Caip10(String),
}

impl DeploymentQuery {
    /// Where it stands in a request for it alone.
    pub const ALONE: RequestPath = RequestPath::Within("place");

    /// Refuses what names no place on any chain.
    pub(super) fn check(&self, path: RequestPath) -> Result<(), Error> {
        let mut found = Violations::default();
        match self {
            Self::OfChain { chain, address } => {
                found.take(&path.field("address.chain_id"), chain.parse::<ChainId>());
                check_address(path, address, &mut found);
            }
            Self::OfCaip2 { caip2, address } => {
                if !is_caip2(caip2) {
                    let message = "must be a CAIP-2 id, namespace:reference, such as eip155:1";
                    found.add(path.field("address.caip2"), "INVALID_CAIP2", message);
                }
                check_address(path, address, &mut found);
            }
            Self::Caip10(text) => {
                if let Err(error) = caip10::Account::parse(text) {
                    found.add(path.field("caip10"), "INVALID_CAIP10", error);
                }
            }
            Self::Caip19(text) => {
                if let Err(error) = caip19::AssetType::parse(text) {
                    found.add(path.field("caip19"), "INVALID_CAIP19", error);
                }
            }
        }
        found.into_result().map_err(Error::Invalid)
    }

    pub(super) const fn text_bytes(&self) -> usize {
        match self {
            Self::OfChain { chain: place, address } | Self::OfCaip2 { caip2: place, address } => {
                place.len() + address.len()
            }
            Self::Caip19(text) | Self::Caip10(text) => text.len(),
        }
    }

    /// The chain, and the text of the address.
    fn place(&self) -> Option<(ChainName, String)> {
        Some(match self {
            Self::OfChain { chain, address } => (ChainName::Id(chain.parse().ok()?), address.clone()),
            Self::OfCaip2 { caip2, address } => (ChainName::Caip2(caip2.clone()), address.clone()),
            Self::Caip10(text) => {
                let account = caip10::Account::parse(text).ok()?;
                (ChainName::Caip2(account.caip2.to_owned()), account.address)
            }
            Self::Caip19(text) => {
                let id = caip19::AssetType::parse(text).ok()?;
                let address = if id.is_native() { NATIVE.to_owned() } else { id.reference.clone() };
                (ChainName::Caip2(id.caip2.to_owned()), address)
            }
        })
    }

    /// Whether it is this deployment that is meant, which is at the place.
    fn means(&self, deployment: &Deployment) -> bool {
        let Self::Caip19(text) = self else { return true };
        let Ok(id) = caip19::AssetType::parse(text) else { return false };
        let is_coin = || deployment.slip44.is_some_and(|coin| coin.to_string() == id.reference);
        id.namespace == caip19::namespace(deployment.standard) && (!id.is_native() || is_coin())
    }

    fn unresolved(&self, chain: &Chain, address: String) -> Missing {
        Missing::Unresolved(match self {
            Self::Caip19(text) => Unresolved::Caip19(text.clone()),
            Self::OfChain { .. } | Self::OfCaip2 { .. } | Self::Caip10(_) => {
                Unresolved::Deployment { chain: chain.id.clone(), address }
            }
        })
    }

    /// The field that has the address.
    const fn address_field(&self) -> &'static str {
        match self {
            Self::OfChain { .. } | Self::OfCaip2 { .. } => "address.address",
            Self::Caip19(_) => "caip19",
            Self::Caip10(_) => "caip10",
        }
    }
}

fn check_address(path: RequestPath, address: &str, found: &mut Violations) {
    if address.is_empty() || address.len() > MAX_BYTES {
        let message = format_args!("must have 1 to {MAX_BYTES} bytes");
        found.add(path.field("address.address"), "INVALID_ADDRESS", message);
    }
}

enum ChainName {
    Id(ChainId),
    Caip2(String),
}

/// What each is about, loaded together.
pub(super) async fn answers<L: EntitySource>(
    loader: &mut L,
    queries: &[&DeploymentQuery],
) -> Result<Vec<Joined>, EntityLoadError> {
    let mut answers: Vec<Joining<'_>> = queries.iter().map(|query| Joining::new(query)).collect();
    let chains: Vec<EntityKey> = answers.iter().filter_map(Joining::chain_key).collect();
    let chains = by_key(chains.clone(), loader.entities(&chains).await?);
    let caip2: Vec<UniqueKey> = answers.iter().filter_map(Joining::caip2_key).collect();
    let of_caip2 = by_key(caip2.clone(), loader.with_unique_keys(&caip2).await?);
    for answer in &mut answers {
        answer.find_chain(&chains, &of_caip2);
    }
    let places: Vec<UniqueKey> = answers.iter().filter_map(|it| it.place.clone()).collect();
    let deployments = by_key(places.clone(), loader.with_unique_keys(&places).await?);
    let assets: Vec<EntityKey> =
        deployments.values().flat_map(Entity::references).map(|(_, key)| key).filter(is_asset).collect();
    let assets = by_key(assets.clone(), loader.entities(&assets).await?);
    answers.into_iter().map(|answer| answer.finish(&deployments, &assets)).collect()
}

fn is_asset(key: &EntityKey) -> bool {
    matches!(key, EntityKey::Asset(_))
}

/// An answer that is being joined.
struct Joining<'a> {
    query: &'a DeploymentQuery,
    asked: Option<(ChainName, String)>,
    chain: Option<Chain>,
    /// The unique key of what is at the place, and its address as the chain spells it.
    place: Option<UniqueKey>,
    address: String,
    missing: Option<Missing>,
    dependencies: Vec<Key>,
}

impl<'a> Joining<'a> {
    fn new(query: &'a DeploymentQuery) -> Self {
        Self {
            query,
            asked: query.place(),
            chain: None,
            place: None,
            address: String::new(),
            missing: None,
            dependencies: Vec::new(),
        }
    }

    fn chain_key(&self) -> Option<EntityKey> {
        if let Some((ChainName::Id(id), _)) = &self.asked { Some(EntityKey::Chain(id.clone())) } else { None }
    }

    fn caip2_key(&self) -> Option<UniqueKey> {
        if let Some((ChainName::Caip2(caip2), _)) = &self.asked { Some(Chain::caip2_key(caip2)) } else { None }
    }

    fn find_chain(&mut self, chains: &HashMap<EntityKey, Entity>, of_caip2: &HashMap<UniqueKey, Entity>) {
        let Some((name, address)) = &self.asked else { return };
        let (entity, missing) = match name {
            ChainName::Id(id) => {
                let key = EntityKey::Chain(id.clone());
                self.dependencies.push(Key::Entity(key.clone()));
                (chains.get(&key), Missing::NotFound { field: "address.chain_id", key })
            }
            ChainName::Caip2(caip2) => {
                let key = Chain::caip2_key(caip2);
                self.dependencies.push(Key::Unique(key.clone()));
                (of_caip2.get(&key), Missing::Unresolved(Unresolved::Caip2(caip2.clone())))
            }
        };
        let Some(Entity::Chain(chain)) = entity else {
            self.missing = Some(missing);
            return;
        };
        self.dependencies.push(Key::Entity(EntityKey::Chain(chain.id.clone())));
        match chain.address(address) {
            Ok(address) => {
                let place = Deployment::address_key(&chain.id, &address);
                self.dependencies.push(Key::Unique(place.clone()));
                (self.place, self.address) = (Some(place), address);
            }
            Err(error) => {
                let (field, message) = (self.query.address_field(), error.to_string());
                self.missing = Some(Missing::Invalid { field, code: "INVALID_ADDRESS", message });
            }
        }
        self.chain = Some(Chain::clone(chain));
    }

    fn finish(
        self,
        deployments: &HashMap<UniqueKey, Entity>,
        assets: &HashMap<EntityKey, Entity>,
    ) -> Result<Joined, EntityLoadError> {
        let Self { query, chain, place, address, missing, mut dependencies, .. } = self;
        let (Some(chain), Some(place), None) = (chain, place, &missing) else {
            let answer = Err(missing.ok_or(EntityLoadError::Incomplete)?);
            return Ok(Joined { answer, dependencies });
        };
        let deployment = match deployments.get(&place) {
            Some(Entity::Deployment(deployment)) if query.means(deployment) => deployment,
            other => {
                dependencies.extend(other.map(|other| Key::Entity(other.key())));
                return Ok(Joined { answer: Err(query.unresolved(&chain, address)), dependencies });
            }
        };
        let asset = EntityKey::Asset(deployment.asset_id);
        dependencies.extend([Key::Entity(EntityKey::Deployment(deployment.id)), Key::Entity(asset.clone())]);
        let Some(Entity::Asset(asset)) = assets.get(&asset) else { return Err(EntityLoadError::Incomplete) };
        let answer = v1::ResolveDeploymentResponse {
            deployment: Some(deployment.as_ref().into()),
            asset: Some(asset.as_ref().into()),
            chain: Some((&chain).into()),
            revision: 0,
        };
        Ok(Joined { answer: Ok(answer.encode_to_vec().into()), dependencies })
    }
}
