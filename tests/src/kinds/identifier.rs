//! What others call entities.

use cqar_domain::{
    entities::{
        Entity,
        asset::Asset,
        deployment::Deployment,
        identifier::{Identified, Identifier},
        instrument::Instrument,
        market::Market,
        venue::Venue,
    },
    entity::TypedEntity,
    id::{AssetId, DeploymentId, EntityKey, InstrumentId, MarketId, SystemIds},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::IdentifierFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, case, create, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Identifier (identifiers, identifier, identifiers, identifier_id, identifier_ids, "is_primary") {
        create_identifier CreateIdentifierRequest,
        get_identifier |id, min_revision| v1::GetIdentifierRequest { identifier_id: id, min_revision, at_revision: 0 },
        batch_get_identifiers BatchGetIdentifiersRequest batch_get_identifiers_response,
        update_identifier UpdateIdentifierRequest,
        delete_identifier DeleteIdentifierRequest,
        list_identifiers ListIdentifiersRequest,
    }
    sample |registry| {
        let asset = v1::identified_entity::Entity::AssetId(registry.btc.clone());
        Sample::new(fixtures::identifier(asset, "coingecko", "bitcoin"), true)
    }
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [asset] = known.first::<Asset, _>();
    let [deployment] = known.first::<Deployment, _>();
    let [instrument] = known.first::<Instrument, _>();
    let [market] = known.first::<Market, _>();
    let [venue] = known.first::<Venue, _>();
    let of = |key: EntityKey, source: &str, id: &str| {
        Entity::from(entities::identifier(Identified::of(key).unwrap(), source, id))
    };
    let verified = Identifier {
        is_primary: true,
        verified_time: "2026-01-01T00:00:00Z".parse().ok(),
        ..entities::identifier(Identified::Asset(asset.id), "dti", "4H95J0R2X")
    };
    vec![
        verified.into(),
        of(deployment.key(), "internal", "btc on bitcoin"),
        of(instrument.key(), "figi", "KKG000000M81"),
        of(market.key(), "tradingview", "BINANCE:BTCUSDT"),
        of(venue.key(), "mic", "XNAS"),
    ]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    let (assets, deployments, instruments) = (many.all::<Asset>(), many.all::<Deployment>(), many.all::<Instrument>());
    let (markets, venues) = (many.all::<Market>(), many.all::<Venue>());
    let identifier = |n: usize| {
        let of = match n % 5 {
            0 => Identified::Asset(assets[n].id),
            1 => Identified::Deployment(deployments[n].id),
            2 => Identified::Instrument(instruments[n].id),
            3 => Identified::Market(markets[n].id),
            _ => Identified::Venue(venues[n].id.clone()),
        };
        entities::identifier(of, ["coingecko", "internal", "messari"][n % 3], &format!("x{n}"))
    };
    (0..many.rows).map(|n| identifier(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    let keys = [
        Identified::Asset(AssetId::new(&SystemIds)),
        Identified::Deployment(DeploymentId::new(&SystemIds)),
        Identified::Instrument(InstrumentId::new(&SystemIds)),
        Identified::Market(MarketId::new(&SystemIds)),
        Identified::Venue("v1".parse().unwrap()),
    ];
    let of_each = keys.map(|key| {
        choices(2, |has| {
            IdentifierFilter {
                entity: has(0).then(|| key.clone()),
                source: has(1).then(|| "coingecko".parse().unwrap()),
            }
            .into()
        })
    });
    of_each.concat()
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let identifier = |id: &str| json!({"entity": {"asset_id": "{btc}"}, "source": "coingecko", "external_id": format!("{id}-{{n}}")});
    let with_identifier = || create("identifier", &identifier("a"));
    let external = || json!({"source": "coingecko", "external_id": "a-{n}"});
    vec![
        case("IdentifierService/CreateIdentifier", none(), json!({"identifier": identifier("a")})),
        case("IdentifierService/GetIdentifier", with_identifier(), json!({"identifier_id": "{0}"})),
        case("IdentifierService/BatchGetIdentifiers", with_identifier(), json!({"identifier_ids": ["{0}"]})),
        case(
            "IdentifierService/UpdateIdentifier",
            with_identifier(),
            json!({"identifier": {"id": "{0}", "verified_time": "2026-01-01T00:00:00Z"}}),
        ),
        case("IdentifierService/DeleteIdentifier", with_identifier(), json!({"identifier_id": "{0}"})),
        case(
            "IdentifierService/ListIdentifiers",
            json!([{"create": {"identifier": identifier("a")}}, {"create": {"identifier": identifier("b")}}]),
            json!({}),
        ),
        case("IdentifierService/ResolveIdentifier", with_identifier(), json!({"external": external()})),
        case("IdentifierService/BatchResolveIdentifiers", with_identifier(), json!({"requests": [external()]})),
    ]
}
