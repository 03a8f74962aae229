//! What else is resolved from the cache, against `ResolveMarket` of the same server; and the variants of an asset that has a thousand.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use cqar_proto::{
    v1::{
        self, ApplyRequest, Asset, AssetType, ChainAddress, Deployment, DeploymentPlace, Entity, ExternalId,
        IdentifiedEntity, Identifier, ListVariantsRequest, Mutation, RateKind, Relationship, RelationshipType,
        ResolveDeploymentRequest, ResolveIdentifierRequest, ResolveVenueAssetRequest, TokenStandard, VenueAsset,
        VenueAssetNetwork, asset_service_client::AssetServiceClient, chain_address, deployment_place::Place,
        entity::Entity as Kind, identified_entity, mutation::Operation, registry_service_client::RegistryServiceClient,
    },
    well_known::FieldMask,
};
use prost::Message;

use super::RunConfig;
use crate::{
    load::Load,
    registry_process::{Database, RESOLVE, RegistryProcess},
    report::{Report, Row, Threshold, Unit, median},
};

/// As many connections, and calls at a time on each, as for markets.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;
/// As many of each as there are markets.
const ENTITIES: usize = 500;
/// Where each of them is deployed, and the venue moves it.
const CHAINS: [&str; 3] = ["ethereum", "arbitrum", "base"];
/// The variants of one asset, and how many relationships lead to the farthest.
const VARIANTS: usize = 1000;
const DEPTH: usize = 6;

const METHODS: [(&str, &str); 3] = [
    ("ResolveDeployment", "/cqar.v1.AssetService/ResolveDeployment"),
    ("ResolveIdentifier", "/cqar.v1.IdentifierService/ResolveIdentifier"),
    ("ResolveVenueAsset", "/cqar.v1.VenueService/ResolveVenueAsset"),
];

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let registry = RegistryProcess::start(Database::Sqlite, ENTITIES - 1).await?;
    fill(&registry).await?;
    resolves(&registry, config, report).await?;
    variants(&registry, config, report).await
}

/// The methods take turns within a repeat, so that all see the same machine.
async fn resolves(registry: &RegistryProcess, config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let markets = registry.requests().iter().map(|request| request.encode_to_vec().into()).collect::<Vec<Bytes>>();
    let load = |path, requests: Vec<Bytes>| Load {
        path,
        requests: requests.into(),
        connections: CONNECTIONS,
        streams: STREAMS,
    };
    let floor = load(RESOLVE, markets);
    let others =
        METHODS.map(|(_, path)| path).into_iter().zip(requests()).map(|(path, it)| load(path, it)).collect::<Vec<_>>();
    let (mut ratios, mut rates) = (vec![Vec::new(); others.len()], vec![Vec::new(); others.len()]);
    let mut of_markets = Vec::new();
    for _ in 0..config.repeats {
        let market = floor.run(registry.target(), config.time).await?.calls_per_second;
        of_markets.push(market);
        for ((load, ratios), rates) in others.iter().zip(&mut ratios).zip(&mut rates) {
            let rate = load.run(registry.target(), config.time).await?.calls_per_second;
            rates.push(rate);
            ratios.push(rate / market);
        }
    }
    for (((name, _), ratios), rates) in METHODS.into_iter().zip(ratios).zip(rates) {
        let detail = format!("{:.0} /s against {:.0} /s of ResolveMarket", median(&rates), median(&of_markets));
        let row = Row::new(format!("{name}, cached: throughput to ResolveMarket's"), Unit::Ratio, ratios);
        report.row(row.target(Threshold::AtLeast(0.9)).detail(detail));
    }
    Ok(())
}

/// The whole list in one page: kept, and made anew after a change of one of its relationships.
async fn variants(registry: &RegistryProcess, config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    let mut assets = AssetServiceClient::new(registry.target().connect().await?).max_decoding_message_size(64 << 20);
    let request = ListVariantsRequest { asset_id: id(0), page_size: 1000, ..ListVariantsRequest::default() };
    let (mut kept, mut anew) = (Vec::new(), Vec::new());
    let repeats = config.repeats * 20;
    for n in 0..repeats {
        let changed = Relationship { id: relationship_id(1), conversion_rate: format!("1.{n}1"), ..Default::default() };
        let update_mask = Some(FieldMask { paths: vec!["conversion_rate".to_owned()] });
        let change = v1::UpdateRelationshipRequest { relationship: Some(changed), update_mask, ..Default::default() };
        assets.update_relationship(registry.target().request(change)).await?;
        for times in [&mut anew, &mut kept] {
            let begin = Instant::now();
            let page = assets.list_variants(registry.target().request(request.clone())).await?.into_inner();
            times.push(in_ms(begin.elapsed()));
            ensure!(page.variants.len() == VARIANTS - 1 && !page.has_deeper, "{} variants", page.variants.len());
        }
    }
    for (what, times) in [("cached", kept), ("after a change", anew)] {
        let row =
            Row::new(format!("ListVariants of {VARIANTS} assets, depth {DEPTH}, {what}"), Unit::Milliseconds, times);
        report.row(row.target(Threshold::AtMost(5.0)).detail("one client, one page, SQLite".to_owned()));
    }
    Ok(())
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Encoded requests of each method.
fn requests() -> [Vec<Bytes>; 3] {
    let deployments = (0..ENTITIES).map(|n| {
        let chain = Some(chain_address::Chain::ChainId("ethereum".to_owned()));
        let place = Some(Place::Address(ChainAddress { chain, address: address(n) }));
        let place = Some(DeploymentPlace { place });
        ResolveDeploymentRequest { place, ..ResolveDeploymentRequest::default() }.encode_to_vec().into()
    });
    let identifiers = (0..ENTITIES).map(|n| {
        let external = Some(ExternalId { source: "internal".to_owned(), external_id: format!("bench-{n}") });
        ResolveIdentifierRequest { external, ..ResolveIdentifierRequest::default() }.encode_to_vec().into()
    });
    let venue_assets = (0..ENTITIES).map(|n| {
        let (venue_id, code) = ("kraken".to_owned(), format!("BENCH{n}"));
        ResolveVenueAssetRequest { venue_id, code, ..ResolveVenueAssetRequest::default() }.encode_to_vec().into()
    });
    [deployments.collect(), identifiers.collect(), venue_assets.collect()]
}

fn address(n: usize) -> String {
    format!("0x{:040x}", n + 1)
}

/// UUIDs of version 7 of their own kind.
fn uuid(kind: u8, n: usize) -> String {
    format!("019b76da-a800-7{kind:03x}-8000-{n:012x}")
}

fn id(asset: usize) -> String {
    uuid(0xa, asset)
}

fn relationship_id(n: usize) -> String {
    uuid(0xb, n)
}

/// Assets, each with three deployments, an identifier, and a code of a venue with a network for each of them; and each made of another one, so that the
/// farthest is six steps from the first.
async fn fill(registry: &RegistryProcess) -> anyhow::Result<()> {
    let mut kinds = Vec::new();
    for n in 0..VARIANTS {
        kinds.push(Kind::Asset(Asset {
            id: id(n),
            symbol: format!("V{n}"),
            name: format!("Variant {n}"),
            r#type: AssetType::Token.into(),
            ..Asset::default()
        }));
    }
    for n in 1..VARIANTS {
        kinds.push(Kind::Relationship(Relationship {
            id: relationship_id(n),
            from_asset_id: id(n),
            to_asset_id: id(underlying(n)),
            r#type: RelationshipType::Wraps.into(),
            rate_kind: RateKind::Fixed.into(),
            conversion_rate: format!("1.{n}"),
            ..Relationship::default()
        }));
    }
    for n in 0..ENTITIES {
        let deployments = CHAINS.into_iter().zip(n * CHAINS.len()..).map(|(chain, of)| Deployment {
            id: uuid(0xc, of),
            asset_id: id(n),
            chain_id: chain.to_owned(),
            address: address(n),
            decimals: Some(18),
            standard: TokenStandard::Erc20.into(),
            ..Deployment::default()
        });
        let networks = deployments.clone().map(|deployment| VenueAssetNetwork {
            network: deployment.chain_id.to_ascii_uppercase(),
            chain_id: deployment.chain_id,
            deployment_id: deployment.id,
            is_deposit_enabled: Some(true),
            is_withdraw_enabled: Some(true),
            withdraw_fee: "0.5".to_owned(),
            ..VenueAssetNetwork::default()
        });
        let networks = networks.collect();
        kinds.extend(deployments.map(Kind::Deployment));
        let entity = Some(IdentifiedEntity { entity: Some(identified_entity::Entity::AssetId(id(n))) });
        let (source, external_id) = ("internal".to_owned(), format!("bench-{n}"));
        kinds.push(Kind::Identifier(Identifier { entity, source, external_id, ..Identifier::default() }));
        kinds.push(Kind::VenueAsset(VenueAsset {
            venue_id: "kraken".to_owned(),
            code: format!("BENCH{n}"),
            asset_id: id(n),
            networks,
            ..VenueAsset::default()
        }));
    }
    let create =
        |kind| Mutation { operation: Some(Operation::Create(Entity { entity: Some(kind) })), ..Mutation::default() };
    let mutations = kinds.into_iter().map(create).collect();
    let request = ApplyRequest { mutations, ..ApplyRequest::default() };
    let client = RegistryServiceClient::new(registry.target().connect().await?).max_decoding_message_size(64 << 20);
    client.clone().apply(registry.target().request(request)).await.context("the entities")?;
    Ok(())
}

/// What the `n`th asset is made of: of a chain as long as the depth the one before, and of all others one of the chain's.
fn underlying(n: usize) -> usize {
    if n <= DEPTH { n - 1 } else { n % DEPTH }
}
