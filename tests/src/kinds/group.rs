//! Groups of assets.

use cqar_domain::{
    entities::{
        Entity,
        asset::Asset,
        group::{Group, GroupMember},
    },
    entity::Meta,
    id::{GroupId, SystemIds},
};
use cqar_proto::v1::{self, get_group_request::Key};
use cqar_store::{Filter, filters::GroupFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, case, create, none},
    choices, kind,
};

kind! { Group (assets, group, groups, group_id, group_ids, "description") {
        create_group CreateGroupRequest,
        get_group |id, min_revision| v1::GetGroupRequest { key: Some(Key::GroupId(id)), min_revision, at_revision: 0 },
        batch_get_groups BatchGetGroupsRequest batch_get_groups_response,
        update_group UpdateGroupRequest,
        delete_group DeleteGroupRequest,
        list_groups ListGroupsRequest,
    }
    sample |registry| Sample::new(group("majors", &[(&registry.btc, "0.5")]), "The largest")
}

/// A group of assets and weights.
pub fn group(name: &str, members: &[(&str, &str)]) -> v1::Group {
    let member =
        |(asset, weight): &(&str, &str)| v1::GroupMember { asset_id: (*asset).into(), weight: (*weight).into() };
    v1::Group { name: name.into(), members: members.iter().map(member).collect(), ..v1::Group::default() }
}

fn of(name: &str, members: Vec<GroupMember>) -> Group {
    Group {
        id: GroupId::new(&SystemIds),
        name: name.into(),
        description: String::new(),
        members,
        meta: Meta::default(),
    }
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let assets = known.first::<Asset, 2>();
    let member = |asset: Asset| GroupMember { asset_id: asset.id, weight: "0.333333333333333333".parse().unwrap() };
    let full = Group { description: "Both\nof them".into(), ..of("both", assets.map(member).into()) };
    vec![full.into(), of("empty", Vec::new()).into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    let assets = many.all::<Asset>();
    let member = |n: usize| GroupMember { asset_id: assets[n].id, weight: "1".parse().unwrap() };
    (0..many.rows)
        .map(|n| of(&format!("g{n}"), vec![member(n), member((n + many.rows / 2) % many.rows)]).into())
        .collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(1, |has| GroupFilter { name: has(0).then(|| "both".to_owned()) }.into())
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let group =
        |first: &str| json!({"name": format!("{first}-{{n}}"), "members": [{"asset_id": "{btc}", "weight": "1"}]});
    let with_group = || create("group", &group("a"));
    vec![
        case("AssetService/CreateGroup", none(), json!({"group": group("a")})),
        case("AssetService/GetGroup", with_group(), json!({"group_id": "{0}"})),
        case("AssetService/BatchGetGroups", with_group(), json!({"group_ids": ["{0}"]})),
        case("AssetService/UpdateGroup", with_group(), json!({"group": {"id": "{0}", "description": "More"}})),
        case("AssetService/DeleteGroup", with_group(), json!({"group_id": "{0}"})),
        case(
            "AssetService/ListGroups",
            json!([{"create": {"group": group("a")}}, {"create": {"group": group("b")}}]),
            json!({}),
        ),
        case(
            "AssetService/ChangeGroupMembers",
            with_group(),
            json!({"group_id": "{0}", "members": [{"asset_id": "{usdt}", "weight": "2"}]}),
        ),
    ]
}
