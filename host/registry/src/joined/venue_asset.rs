//! What a venue knows by a code, and by which networks it moves.

use std::collections::{BTreeMap, HashMap, HashSet};

use cqar_cache::Key;
use cqar_domain::{
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
    /// The unique key of what is at the address that the venue says, where it names no deployment.
    place: Option<UniqueKey>,
}

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
        let address = Some(said.contract_address.as_str()).filter(|it| !it.is_empty() && deployment.is_none());
        let place = chain
            .zip(address)
            .and_then(|(chain, address)| Some(Deployment::address_key(&chain.id, &chain.address(address).ok()?)));
        self.dependencies.extend(place.clone().map(Key::Unique));
        FoundNetwork { said, chain, deployment, place }
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
            let mut warn = |code: &str, message: String| {
                let (path, code) = (format!("networks[{n}]"), code.to_owned());
                let (severity, plugin) = (Severity::Warning, String::new());
                warnings.push(v1::Finding::from(&Finding { severity, path, code, message, plugin }));
            };
            let FoundNetwork { said, chain, deployment, place } = network;
            if chain.is_none() {
                let message = format!("{:?} of {} stands for no chain that is known here", said.network, venue.id);
                warn("NETWORK_NOT_MAPPED", message);
            }
            let at_place = match place.and_then(|place| there.get(&place)) {
                Some(Entity::Deployment(it)) if it.asset_id == bound.asset_id => Some(it.as_ref()),
                Some(Entity::Deployment(it)) => {
                    warn("OTHER_ASSET", format!("at {} is asset {}", said.contract_address, it.asset_id));
                    None
                }
                _ => None,
            };
            self.dependencies.extend(at_place.map(|it| Key::Entity(EntityKey::Deployment(it.id))));
            // The venue's chain for the network may have been changed since the deployment was named.
            let elsewhere = deployment.zip(chain).filter(|(deployment, chain)| deployment.chain_id != chain.id);
            if let Some((deployment, chain)) = elsewhere {
                let (id, of) = (deployment.id, &deployment.chain_id);
                warn("OTHER_CHAIN", format!("{:?} is on {}, but deployment {id} is on {of}", said.network, chain.id));
            }
            let deployment = deployment.or(at_place).filter(|_| elsewhere.is_none());
            if deployment.is_none() && elsewhere.is_none() && chain.is_some() && !said.contract_address.is_empty() {
                warn("DEPLOYMENT_UNKNOWN", format!("nothing of the asset is registered at {}", said.contract_address));
            }
            resolved.push(v1::ResolvedNetwork {
                network: Some(said.into()),
                chain_id: chain.map(|it| it.id.to_string()).unwrap_or_default(),
                caip2: chain.map(|it| it.caip2.clone()).unwrap_or_default(),
                deployment: deployment.map(Into::into),
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
        self.networks.iter().filter_map(|network| network.place.clone())
    }
}
