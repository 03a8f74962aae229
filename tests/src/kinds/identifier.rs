//! What others call entities.

use cqar_domain::{
    entities::{
        Entity, asset::Asset, deployment::Deployment, identifier::Identifier, instrument::Instrument, market::Market,
        venue::Venue,
    },
    entity::TypedEntity,
    id::{AssetId, EntityKey, SystemIds},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::IdentifierFilter};
use serde_json::json;

use super::{
    Examples, Sample,
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
        let asset = v1::entity_key::Key::AssetId(registry.btc.clone());
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
    let of = |key: EntityKey, source: &str, id: &str| Entity::from(entities::identifier(key, source, id));
    let verified = Identifier {
        is_primary: true,
        verified_time: "2026-01-01T00:00:00Z".parse().ok(),
        ..entities::identifier(asset.key(), "dti", "4H95J0R2X")
    };
    vec![
        verified.into(),
        of(deployment.key(), "internal", "btc on bitcoin"),
        of(instrument.key(), "figi", "KKG000000M81"),
        of(market.key(), "tradingview", "BINANCE:BTCUSDT"),
        of(venue.key(), "mic", "XNAS"),
    ]
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    let keys = [
        EntityKey::Asset(AssetId::new(&SystemIds)),
        EntityKey::Deployment(cqar_domain::id::DeploymentId::new(&SystemIds)),
        EntityKey::Instrument(cqar_domain::id::InstrumentId::new(&SystemIds)),
        EntityKey::Market(cqar_domain::id::MarketId::new(&SystemIds)),
        EntityKey::Venue("v1".parse().unwrap()),
        EntityKey::Chain("c1".parse().unwrap()),
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
