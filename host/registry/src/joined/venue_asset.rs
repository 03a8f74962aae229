//! What a venue knows by a code, and by which networks it moves.

use std::collections::{BTreeMap, HashMap, HashSet};

use cqar_cache::Key;
use cqar_domain::{
    address::AddressError,
    entities::{
        Entity,
        chain::Chain,
        deployment::Deployment,
        venue::Venue,
        venue_asset::{VenueAsset, VenueAssetNetwork},
    },
    finding::{Finding, Severity},
    id::{ChainId, EntityKey, Segment, VenueId},
    text::VENUE_CODE,
    unique_key::UniqueKey,
    violation::Violations,
};
use cqar_proto::v1;
use prost::Message;

use super::{Joined, Missing, by_key};
use crate::{
    error::{Error, Unresolved, VenueAssetCandidate},
    loader::{EntityLoadError, EntitySource},
    request_path::RequestPath,
};

/// A venue's code for an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueAssetQuery {
    /// The venue's slug.
    pub venue: String,
    /// The code, exactly as the venue writes it.
    pub code: String,
    /// The segment; none for any, empty for what is meant in all of them.
    pub segment: Option<String>,
    /// The venue's code for a network; none for all of them.
    pub network: Option<String>,
}

/// The same, read.
struct Asked<'a> {
    venue: VenueId,
    code: &'a str,
    segment: Option<Segment>,
    network: Option<&'a str>,
}

impl VenueAssetQuery {
    /// Refuses what no venue asset can be.
    pub(super) fn check(&self, path: RequestPath) -> Result<(), Error> {
        let mut found = Violations::default();
        found.take(&path.field("venue_id"), self.venue.parse::<VenueId>());
        VENUE_CODE.check(&path.field("code"), &self.code, &mut found);
        found.take(&path.field("segment"), self.segment.as_deref().map(str::parse::<Segment>).transpose());
        if let Some(network) = &self.network {
            VENUE_CODE.check(&path.field("network"), network, &mut found);
        }
        found.into_result().map_err(Error::Invalid)
    }

    pub(super) fn text_bytes(&self) -> usize {
        let others = [&self.segment, &self.network].into_iter().flatten().map(String::len).sum::<usize>();
        self.venue.len() + self.code.len() + others
    }

    fn asked(&self) -> Option<Asked<'_>> {
        Some(Asked {
            venue: self.venue.parse().ok()?,
            code: &self.code,
            segment: self.segment.as_deref().map(str::parse).transpose().ok()?,
            network: self.network.as_deref(),
        })
    }
}

/// What each is about, loaded together.
pub(super) async fn answers<L: EntitySource>(
    loader: &mut L,
    queries: &[&VenueAssetQuery],
) -> Result<Vec<Joined>, EntityLoadError> {
    // Those that are none were refused before.
    let asked: Vec<Asked<'_>> = queries.iter().filter_map(|query| query.asked()).collect();
    let mut codes: BTreeMap<&VenueId, Vec<String>> = BTreeMap::new();
    for Asked { venue, code, .. } in &asked {
        codes.entry(venue).or_default().push((*code).to_owned());
    }
    let venues: Vec<EntityKey> = codes.keys().map(|venue| EntityKey::Venue((*venue).clone())).collect();
    let mut entities = by_key(venues.clone(), loader.entities(&venues).await?);
    let mut bound: HashMap<(&VenueId, String), Vec<VenueAsset>> = HashMap::new();
    for (venue, codes) in codes {
        let found = loader.venue_assets(venue, &codes).await?;
        bound.extend(codes.into_iter().map(|code| (venue, code)).zip(found));
    }
    let named: HashSet<EntityKey> =
        bound.values().flatten().flat_map(|it| Entity::from(it.clone()).references()).map(|(_, key)| key).collect();
    let mapped = entities.values().flat_map(Entity::references).map(|(_, key)| key);
    let named: Vec<EntityKey> = named.into_iter().chain(mapped).collect();
    entities.extend(by_key(named.clone(), loader.entities(&named).await?));
    let mut joining: Vec<Joining<'_>> =
        asked.iter().map(|asked| Joining { asked, entities: &entities, dependencies: Vec::new() }).collect();
    let found: Vec<Result<Found<'_>, Missing>> = joining
        .iter_mut()
        .map(|it| it.find(bound.get(&(&it.asked.venue, it.asked.code.to_owned())).map_or(&[], Vec::as_slice)))
        .collect();
    let places: Vec<UniqueKey> = found.iter().flatten().flat_map(Found::places).collect();
    let there = by_key(places.clone(), loader.with_unique_keys(&places).await?);
    joining.into_iter().zip(found).map(|(joining, found)| joining.finish(found, &there)).collect()
}

/// An answer that is being joined.
struct Joining<'a> {
    asked: &'a Asked<'a>,
    entities: &'a HashMap<EntityKey, Entity>,
    dependencies: Vec<Key>,
}

/// What was found for a query.
struct Found<'a> {
    venue: &'a Venue,
    bound: &'a VenueAsset,
    networks: Vec<FoundNetwork<'a>>,
}

/// A network, as far as it is known here.
struct FoundNetwork<'a> {
    said: &'a VenueAssetNetwork,
    chain: Option<&'a Chain>,
    deployment: Option<&'a Deployment>,
    /// The address that the venue says, as the chain spells it; none where it says none, or the chain is not known.
    address: Option<Result<String, AddressError>>,
}

/// Why no deployment is answered: a code, and what there is to say.
type Doubt = (&'static str, String);

impl<'a> Joining<'a> {
    fn find(&mut self, bound: &'a [VenueAsset]) -> Result<Found<'a>, Missing> {
        let Asked { venue, code, segment, network } = self.asked;
        let key = EntityKey::Venue(venue.clone());
        self.dependencies.push(Key::Entity(key.clone()));
        self.dependencies.push(Key::VenueCode(venue.clone(), (*code).to_owned()));
        self.dependencies.extend(bound.iter().map(|it| Key::Entity(EntityKey::VenueAsset(it.id))));
        let venue = match self.entities.get(&key) {
            Some(Entity::Venue(it)) if it.meta.delete_time.is_none() => it.as_ref(),
            _ => return Err(Missing::NotFound { field: "venue_id", key }),
        };
        let bound = self.meant(bound, segment.as_ref())?;
        let networks: Vec<&VenueAssetNetwork> =
            bound.networks.iter().filter(|it| network.is_none_or(|network| it.network == network)).collect();
        if let (Some(network), []) = (network, networks.as_slice()) {
            return Err(Missing::Unresolved(Unresolved::Network {
                venue: venue.id.clone(),
                code: (*code).to_owned(),
                network: (*network).to_owned(),
                known: bound.networks.iter().map(|it| it.network.clone()).collect(),
            }));
        }
        let networks = networks.into_iter().map(|said| self.network(venue, said)).collect();
        Ok(Found { venue, bound, networks })
    }

    /// The one binding that is meant: of the segment, else of all; of any segment the only one.
    fn meant(&self, bound: &'a [VenueAsset], segment: Option<&Segment>) -> Result<&'a VenueAsset, Missing> {
        let Asked { venue, code, .. } = self.asked;
        let (venue, code) = (venue.clone(), (*code).to_owned());
        let of = |segment: &Segment| bound.iter().find(|it| it.segment == *segment);
        let meant = match (segment, bound) {
            (Some(segment), _) => of(segment).or_else(|| of(&Segment::default())),
            (None, [] | [_]) => bound.first(),
            (None, several) => {
                let candidate = |it: &VenueAsset| VenueAssetCandidate {
                    venue_asset: it.id,
                    segment: it.segment.clone(),
                    asset: it.asset_id,
                };
                let candidates = several.iter().map(candidate).collect();
                return Err(Missing::Unresolved(Unresolved::AmbiguousVenueAsset { venue, code, candidates }));
            }
        };
        let segment = segment.cloned();
        meant.ok_or(Missing::Unresolved(Unresolved::VenueAsset { venue, code, segment }))
    }

    fn network(&mut self, venue: &'a Venue, said: &'a VenueAssetNetwork) -> FoundNetwork<'a> {
        let deployment = said.deployment_id.and_then(|id| match self.get(EntityKey::Deployment(id)) {
            Some(Entity::Deployment(deployment)) => Some(deployment.as_ref()),
            _ => None,
        });
        let mapped = || venue.network_chain_ids.get(&said.network).cloned();
        let of_deployment = || deployment.map(|it| it.chain_id.clone());
        let chain: Option<ChainId> = said.chain_id.clone().or_else(mapped).or_else(of_deployment);
        let chain = chain.and_then(|id| match self.get(EntityKey::Chain(id)) {
            Some(Entity::Chain(chain)) => Some(chain.as_ref()),
            _ => None,
        });
        let address = Some(said.contract_address.as_str()).filter(|it| !it.is_empty());
        let address = chain.zip(address).map(|(chain, address)| chain.address(address));
        let network = FoundNetwork { said, chain, deployment, address };
        self.dependencies.extend(network.place().map(Key::Unique));
        network
    }

    fn get(&mut self, key: EntityKey) -> Option<&'a Entity> {
        let found = self.entities.get(&key);
        self.dependencies.push(Key::Entity(key));
        found
    }

    fn finish(
        mut self,
        found: Result<Found<'_>, Missing>,
        there: &HashMap<UniqueKey, Entity>,
    ) -> Result<Joined, EntityLoadError> {
        let Found { venue, bound, networks } = match found {
            Ok(found) => found,
            Err(missing) => return Ok(Joined { answer: Err(missing), dependencies: self.dependencies }),
        };
        let asset = EntityKey::Asset(bound.asset_id);
        let Some(Entity::Asset(asset)) = self.get(asset) else { return Err(EntityLoadError::Incomplete) };
        let mut warnings = Vec::new();
        let mut resolved = Vec::with_capacity(networks.len());
        for (n, network) in networks.into_iter().enumerate() {
            let at_place = match network.place().and_then(|place| there.get(&place)) {
                Some(Entity::Deployment(it)) => Some(it.as_ref()),
                _ => None,
            };
            self.dependencies.extend(at_place.map(|it| Key::Entity(EntityKey::Deployment(it.id))));
            let deployment = network.deployment(venue, bound, at_place);
            if let Err((code, message)) = &deployment {
                let (path, code, message) = (format!("networks[{n}]"), (*code).to_owned(), message.clone());
                let (severity, plugin) = (Severity::Warning, String::new());
                warnings.push(v1::Finding::from(&Finding { severity, path, code, message, plugin }));
            }
            let FoundNetwork { said, chain, .. } = network;
            resolved.push(v1::ResolvedNetwork {
                network: Some(said.into()),
                chain_id: chain.map(|it| it.id.to_string()).unwrap_or_default(),
                caip2: chain.map(|it| it.caip2.clone()).unwrap_or_default(),
                deployment: deployment.ok().map(Into::into),
            });
        }
        let answer = v1::ResolveVenueAssetResponse {
            venue: Some(venue.into()),
            venue_asset: Some(bound.into()),
            asset: Some(asset.as_ref().into()),
            networks: resolved,
            warnings,
            revision: 0,
        };
        Ok(Joined { answer: Ok(answer.encode_to_vec().into()), dependencies: self.dependencies })
    }
}

impl Found<'_> {
    fn places(&self) -> impl Iterator<Item = UniqueKey> {
        self.networks.iter().filter_map(FoundNetwork::place)
    }
}

impl<'a> FoundNetwork<'a> {
    /// The unique key of what is at the address that the venue says, where it names no deployment.
    fn place(&self) -> Option<UniqueKey> {
        let address = self.address.as_ref().filter(|_| self.deployment.is_none())?.as_ref().ok()?;
        Some(Deployment::address_key(&self.chain?.id, address))
    }

    /// What the asset is on the network: the deployment that is named, or the one at the address that the venue says; where nothing
    /// contradicts it, and never a guess.
    fn deployment(
        &self,
        venue: &Venue,
        bound: &VenueAsset,
        at_place: Option<&'a Deployment>,
    ) -> Result<&'a Deployment, Doubt> {
        let VenueAssetNetwork { network, contract_address: said, .. } = self.said;
        let Some(chain) = self.chain else {
            let message = format!("{network:?} of {} stands for no chain that is known here", venue.id);
            return Err(("NETWORK_NOT_MAPPED", message));
        };
        // The venue's chain for the network may have been changed since the deployment was named.
        if let Some(it) = self.deployment.filter(|it| it.chain_id != chain.id) {
            let message = format!("{network:?} is on {}, but deployment {} is on {}", chain.id, it.id, it.chain_id);
            return Err(("OTHER_CHAIN", message));
        }
        let address = match &self.address {
            Some(Err(error)) => return Err(("INVALID_ADDRESS", format!("{said:?} is none of {}: {error}", chain.id))),
            Some(Ok(address)) => Some(address),
            None => None,
        };
        match (self.deployment, at_place) {
            (Some(it), _) if address.is_some_and(|address| *address != it.address) => {
                Err(("OTHER_ADDRESS", format!("the venue says {said}, but deployment {} is at {}", it.id, it.address)))
            }
            (None, Some(it)) if it.asset_id != bound.asset_id => {
                Err(("OTHER_ASSET", format!("at {said} is asset {}", it.asset_id)))
            }
            (Some(it), _) | (None, Some(it)) => Ok(it),
            (None, None) if address.is_some() => {
                Err(("DEPLOYMENT_UNKNOWN", format!("nothing of the asset is registered at {said}")))
            }
            (None, None) => {
                let message = format!("neither a deployment nor an address is said for {network:?}");
                Err(("DEPLOYMENT_NOT_SAID", message))
            }
        }
    }
}
