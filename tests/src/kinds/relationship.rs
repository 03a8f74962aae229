//! What assets are of one another.

use cqar_domain::{
    entities::{
        Entity,
        asset::Asset,
        relationship::{Rate, Relationship, RelationshipType},
    },
    id::{AssetId, SystemIds},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::RelationshipFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, asset, case},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Relationship (assets, relationship, relationships, relationship_id, relationship_ids, "conversion_rate") {
        create_relationship CreateRelationshipRequest,
        get_relationship |id, min_revision| v1::GetRelationshipRequest { relationship_id: id, min_revision, at_revision: 0 },
        batch_get_relationships BatchGetRelationshipsRequest batch_get_relationships_response,
        update_relationship UpdateRelationshipRequest,
        delete_relationship DeleteRelationshipRequest,
        list_relationships ListRelationshipsRequest,
    }
    sample |registry| {
        let of_type = v1::RelationshipType::SyntheticOf;
        Sample::new(fixtures::relationship(&registry.usdt, &registry.btc, of_type, "0.5"), "0.25")
    }
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [btc, usd] = known.first::<Asset, _>();
    let with = |relationship_type, rate| Relationship {
        rate,
        effective_time: "2026-01-01T00:00:00Z".parse().ok(),
        protocol: "lido".into(),
        ..entities::relationship(usd.id, btc.id, relationship_type)
    };
    vec![
        entities::relationship(usd.id, btc.id, RelationshipType::Wraps).into(),
        with(RelationshipType::Rebases, Rate::Rebasing("1.000000000000000000000000000001".parse().unwrap())).into(),
        with(RelationshipType::Stakes, Rate::Oracle).into(),
        with(RelationshipType::ForksFrom, Rate::None).into(),
    ]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    let assets = many.all::<Asset>();
    let relationship = |n: usize| entities::relationship(assets[n].id, assets[n / 2].id, RelationshipType::Wraps);
    (1..many.rows).map(|n| relationship(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(3, |has| {
        RelationshipFilter {
            from_asset_id: has(0).then(|| AssetId::new(&SystemIds)),
            to_asset_id: has(1).then(|| AssetId::new(&SystemIds)),
            relationship_type: has(2).then_some(RelationshipType::Wraps),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let relationship = |from: &str, to: &str| {
        json!({"from_asset_id": from, "to_asset_id": to, "type": "RELATIONSHIP_TYPE_WRAPS",
            "rate_kind": "RATE_KIND_FIXED", "conversion_rate": "1"})
    };
    let assets =
        || json!([{"ref": "a{n}", "create": {"asset": asset()}}, {"ref": "b{n}", "create": {"asset": asset()}}]);
    let related = || {
        json!([{"ref": "a{n}", "create": {"asset": asset()}}, {"ref": "b{n}", "create": {"asset": asset()}},
            {"create": {"relationship": relationship("$a{n}", "$b{n}")}}])
    };
    let twice = || {
        json!([{"ref": "a{n}", "create": {"asset": asset()}}, {"ref": "b{n}", "create": {"asset": asset()}},
            {"create": {"relationship": relationship("$a{n}", "$b{n}")}},
            {"create": {"relationship": relationship("$b{n}", "{btc}")}}])
    };
    vec![
        case("AssetService/CreateRelationship", assets(), json!({"relationship": relationship("{0}", "{1}")})),
        case("AssetService/GetRelationship", related(), json!({"relationship_id": "{2}"})),
        case("AssetService/BatchGetRelationships", related(), json!({"relationship_ids": ["{2}"]})),
        case(
            "AssetService/UpdateRelationship",
            related(),
            json!({"relationship": {"id": "{2}", "conversion_rate": "1.5"}}),
        ),
        case("AssetService/DeleteRelationship", related(), json!({"relationship_id": "{2}"})),
        case("AssetService/ListRelationships", twice(), json!({})),
        case("AssetService/ListVariants", twice(), json!({"asset_id": "{0}"})),
    ]
}
