//! Entities of the domain, and writes of them, for tests of what lies below the services.

use std::time::Duration;

use cqar_domain::{
    decimal::Decimal,
    entities::{
        Entity,
        asset::{Asset, AssetType},
        chain::{Chain, ChainStatus},
        deployment::{Deployment, TokenStandard},
        identifier::{Identified, Identifier},
        instrument::{Instrument, Terms},
        market::{ContractSize, ContractUnit, Market, MarketStatus, QuantityUnit},
        relationship::{Rate, Relationship, RelationshipType},
        venue::{Venue, VenueType},
        venue_asset::VenueAsset,
    },
    entity::Meta,
    id::{
        AssetId, DeploymentId, IdentifierId, InstrumentId, MarketId, RelationshipId, Segment, SystemIds, VenueAssetId,
    },
    time::{Clock, SystemClock},
};
use cqar_store::{Change, Store, WriteAttribution};
use uuid::Uuid;

/// A tester, with a request id.
pub fn attribution() -> WriteAttribution {
    WriteAttribution { actor: "tester".into(), request_id: Some(Uuid::now_v7()), time: SystemClock.now() }
}

/// A change that a validator judged.
pub fn change(before: Option<Entity>, after: Option<Entity>) -> Change {
    Change {
        before,
        after,
        effective_time: None,
        reason: "a test".into(),
        judged_by: vec!["sanity@1".into()],
        warnings: Vec::new(),
    }
}

/// Commits the changes, and returns the revision.
pub async fn write(store: &Store, changes: Vec<Change>) -> i64 {
    let mut tx = store.begin_write().await.unwrap();
    tx.write(changes, &attribution()).await.unwrap();
    tx.commit().await.unwrap().revision
}

/// Creates the entities, and returns the revision.
pub async fn create(store: &Store, entities: &[Entity]) -> i64 {
    write(store, entities.iter().map(|it| change(None, Some(it.clone()))).collect()).await
}

/// An asset.
pub fn asset(symbol: &str) -> Asset {
    Asset {
        id: AssetId::new(&SystemIds),
        symbol: symbol.into(),
        name: format!("The {symbol}"),
        asset_type: AssetType::Coin,
        category: "currency".into(),
        description: "two\nlines".into(),
        logo_url: String::new(),
        website_url: "https://example.org".into(),
        labels: [("desk".to_owned(), "spot \"1\"".to_owned())].into(),
        meta: Meta::default(),
    }
}

/// A chain with that CAIP-2 id.
pub fn chain(id: &str, caip2: &str, native_asset: Option<AssetId>) -> Chain {
    Chain {
        id: id.parse().unwrap(),
        name: id.into(),
        caip2: caip2.into(),
        native_asset_id: native_asset,
        explorer_url: String::new(),
        rpc_urls: vec!["https://a.example".into(), "wss://b.example".into()],
        is_testnet: false,
        status: ChainStatus::Active,
        parent_chain_id: None,
        native_addresses: Vec::new(),
        meta: Meta::default(),
    }
}

/// A token at an address of a chain, in the spelling that the chain keeps.
pub fn deployment(chain: &str, address: &str, asset: AssetId) -> Deployment {
    Deployment {
        id: DeploymentId::new(&SystemIds),
        asset_id: asset,
        chain_id: chain.parse().unwrap(),
        address: address.into(),
        decimals: 6,
        standard: TokenStandard::Erc20,
        is_canonical: false,
        deployed_time: None,
        slip44: None,
        caip19: String::new(),
        meta: Meta::default(),
    }
}

/// What a source calls an entity.
pub fn identifier(of: Identified, source: &str, external_id: &str) -> Identifier {
    Identifier {
        id: IdentifierId::new(&SystemIds),
        entity: of,
        source: source.parse().unwrap(),
        external_id: external_id.into(),
        is_primary: false,
        verified_time: None,
        meta: Meta::default(),
    }
}

/// What an asset is of another, one to one.
pub fn relationship(from: AssetId, to: AssetId, relationship_type: RelationshipType) -> Relationship {
    Relationship {
        id: RelationshipId::new(&SystemIds),
        from_asset_id: from,
        to_asset_id: to,
        relationship_type,
        rate: Rate::Fixed(Decimal::one()),
        effective_time: None,
        protocol: String::new(),
        meta: Meta::default(),
    }
}

/// A venue without anything.
pub fn venue(id: &str) -> Venue {
    Venue {
        id: id.parse().unwrap(),
        name: id.into(),
        venue_type: VenueType::Cex,
        chain_id: None,
        protocol_address: String::new(),
        website_url: String::new(),
        api_endpoint: String::new(),
        mic: String::new(),
        symbology: String::new(),
        is_active: true,
        network_chain_ids: [].into(),
        meta: Meta::default(),
    }
}

/// The venue's code for an asset.
pub fn venue_asset(venue: &str, code: &str, asset: AssetId) -> VenueAsset {
    let id = VenueAssetId::new(&SystemIds);
    VenueAsset::new(id, venue.parse().unwrap(), Segment::default(), code.into(), asset)
}

/// An instrument of these terms.
pub fn instrument(terms: Terms) -> Instrument {
    let id = InstrumentId::new(&SystemIds);
    Instrument { id, terms, code: String::new(), labels: [].into(), meta: Meta::default() }
}

/// The terms of a deposit.
pub fn deposit(underlying: AssetId) -> Terms {
    Terms::LendingDeposit { underlying, protocol: "aave-v3".parse().unwrap() }
}

/// A market with as many digits as there may be.
pub fn market(venue: &str, symbol: &str, instrument: InstrumentId) -> Market {
    Market {
        id: MarketId::new(&SystemIds),
        venue_id: venue.parse().unwrap(),
        segment: "spot".parse().unwrap(),
        venue_symbol: symbol.into(),
        instrument_id: instrument,
        aliases: vec![format!("{symbol}-alias")],
        unit_multiplier: "1000".parse().unwrap(),
        contract_size: Some(ContractSize { size: "0.001".parse().unwrap(), unit: ContractUnit::Settle }),
        quantity_unit: Some(QuantityUnit::Contracts),
        tick_size: Some("0.00000000000000000000000000000000000001".parse().unwrap()),
        lot_size: Some("99999999999999999999999999999999999999".parse().unwrap()),
        min_quantity: None,
        max_quantity: None,
        min_notional: Some("5".parse().unwrap()),
        maker_fee: Some("-0.0001".parse().unwrap()),
        taker_fee: Some("0.001".parse().unwrap()),
        funding_interval: Some(Duration::from_hours(8)),
        status: MarketStatus::Active,
        listed_time: Some("2020-01-01T00:00:00.000001Z".parse().unwrap()),
        delisted_time: None,
        delisted_inferred: false,
        expiry_time: None,
        override_times: [].into(),
        labels: [].into(),
        meta: Meta::default(),
    }
}
