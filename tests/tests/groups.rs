//! Groups: assets that belong together, and how their members change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use cqar_proto::v1::{
    ChangeGroupMembersRequest, DeleteAssetRequest, GetGroupRequest, Group, GroupMember, Mutation,
    get_group_request::Key,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, asset, create, ids, mutation, named, preconditions, reason, says, wrong_fields},
    kinds::{Kind, Write},
};
use tonic::{Code, Status};

cqar_tests::in_both_environments! {
    a_group_is_found_by_its_name
    members_are_added_changed_removed_and_replaced
    members_are_checked_one_by_one
    a_member_is_not_deleted
    members_stand_in_one_order_whatever_names_them
    writers_of_several_members_lose_none
}

/// A group of assets and weights.
fn group(name: &str, members: &[(&str, &str)]) -> Group {
    let members = members.iter().map(|(asset, weight)| member(asset, weight)).collect();
    Group { name: name.into(), members, ..Group::default() }
}

fn member(asset: &str, weight: &str) -> GroupMember {
    GroupMember { asset_id: asset.into(), weight: weight.into() }
}

async fn assets(clients: &mut Clients, count: usize) -> Vec<String> {
    let made = clients.apply((0..count).map(|n| mutation(create(asset(&format!("A{n}"))))).collect()).await;
    ids(&made.unwrap())
}

async fn made(clients: &mut Clients, new: Group) -> Result<Group, Status> {
    Group::create(clients, new, Write::default()).await.map(|made| made.value)
}

async fn changed(
    clients: &mut Clients,
    group: &Group,
    put: &[(&str, &str)],
    removed: &[&str],
) -> Result<Vec<(String, String)>, Status> {
    let request = ChangeGroupMembersRequest {
        group_id: group.id.clone(),
        members: put.iter().map(|(asset, weight)| member(asset, weight)).collect(),
        removed_asset_ids: removed.iter().map(ToString::to_string).collect(),
        ..ChangeGroupMembersRequest::default()
    };
    let group = clients.assets.change_group_members(request).await?.into_inner().group.unwrap();
    Ok(group.members.into_iter().map(|it| (it.asset_id, it.weight)).collect())
}

async fn a_group_is_found_by_its_name(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let by_name = async |clients: &mut Clients, name: &str| {
        let key = Some(Key::Name(name.into()));
        clients.assets.get_group(GetGroupRequest { key, ..Default::default() }).await.map(tonic::Response::into_inner)
    };
    let unknown = by_name(&mut clients, "defi").await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
    let defi = made(&mut clients, group("defi", &[])).await.unwrap();
    assert_eq!(by_name(&mut clients, "defi").await.unwrap(), defi);
    let again = made(&mut clients, group("defi", &[])).await.unwrap_err();
    assert_eq!((again.code(), says(&again, "field").as_deref()), (Code::AlreadyExists, Some("group.name")));
    let renamed = Group { name: "blue-chips".into(), ..defi.clone() };
    let renamed = Group::update(&mut clients, renamed, &["name"], Write::default()).await.unwrap().value;
    assert_eq!(by_name(&mut clients, "blue-chips").await.unwrap(), renamed);
    assert_eq!(by_name(&mut clients, "defi").await.unwrap_err().code(), Code::NotFound);
    let neither = clients.assets.get_group(GetGroupRequest::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&neither), [("group_id".into(), "REQUIRED".into())]);
    for name in ["", "DeFi", "-a", &"a".repeat(65)] {
        let refused = made(&mut clients, group(name, &[])).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [("group.name".into(), "INVALID_NAME".into())]);
    }
}

async fn members_are_added_changed_removed_and_replaced(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, 3).await;
    let [a, b, c] = [of[0].as_str(), of[1].as_str(), of[2].as_str()];
    let pairs = |members: &[(&str, &str)]| -> Vec<(String, String)> {
        members.iter().map(|(asset, weight)| ((*asset).into(), (*weight).into())).collect()
    };
    let basket = made(&mut clients, group("basket", &[(b, "0.50"), (a, "0.5")])).await.unwrap();
    let listed: Vec<_> = basket.members.iter().map(|it| (it.asset_id.as_str(), it.weight.as_str())).collect();
    assert_eq!(listed, [(a, "0.5"), (b, "0.5")], "in the order of the assets' ids");
    let exact = "0.33333333333333333333333333333333333333";
    assert_eq!(
        changed(&mut clients, &basket, &[(c, exact)], &[]).await.unwrap(),
        pairs(&[(a, "0.5"), (b, "0.5"), (c, exact)])
    );
    assert_eq!(changed(&mut clients, &basket, &[(a, "2")], &[b]).await.unwrap(), pairs(&[(a, "2"), (c, exact)]));
    let before = clients.revision().await;
    assert_eq!(changed(&mut clients, &basket, &[(a, "2.0")], &[]).await.unwrap(), pairs(&[(a, "2"), (c, exact)]));
    assert_eq!(clients.revision().await, before, "what changes nothing makes no revision");
    let replaced = Group { id: basket.id.clone(), members: vec![member(b, "1")], ..Group::default() };
    let replaced = Group::update(&mut clients, replaced, &["members"], Write::default()).await.unwrap().value;
    assert_eq!(replaced.members, [member(b, "1")]);
    let stale =
        ChangeGroupMembersRequest { group_id: basket.id.clone(), etag: basket.etag.clone(), ..Default::default() };
    let stale = clients.assets.change_group_members(stale).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
    let tried = ChangeGroupMembersRequest {
        group_id: basket.id.clone(),
        members: vec![member(a, "9")],
        validate_only: true,
        ..Default::default()
    };
    let tried = clients.assets.change_group_members(tried).await.unwrap().into_inner().group.unwrap();
    assert_eq!(tried.members.len(), 2);
    assert_eq!(Group::get(&mut clients, &basket.id, 0).await.unwrap().value.members.len(), 1, "only tried");
}

async fn members_are_checked_one_by_one(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, 2).await;
    let (a, b) = (of[0].as_str(), of[1].as_str());
    let gone = "0192f0c1-2345-7abc-8def-0123456789ab";
    let basket = made(&mut clients, group("basket", &[(a, "1")])).await.unwrap();
    for (put, removed, field, code) in [
        (vec![(b, "0")], vec![], "members", "NOT_POSITIVE"),
        (vec![(b, "-1")], vec![], "members", "NOT_POSITIVE"),
        (vec![(b, "x")], vec![], "members[0].weight", "INVALID"),
        (vec![(b, "1"), (b, "2")], vec![], "members", "DUPLICATE"),
        (vec![("x", "1")], vec![], "members[0].asset_id", "INVALID"),
        (vec![(b, "")], vec![], "members[0].weight", "REQUIRED"),
        (vec![(gone, "1")], vec![], "members", "UNKNOWN_REFERENCE"),
        (vec![], vec![b], "removed_asset_ids[0]", "NOT_A_MEMBER"),
        (vec![], vec!["x"], "removed_asset_ids[0]", "INVALID"),
        (vec![(a, "2")], vec![a], "removed_asset_ids[0]", "DUPLICATE"),
    ] {
        let refused = changed(&mut clients, &basket, &put, &removed).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(field.into(), code.into())], "{put:?} {removed:?}");
    }
    let nobody = ChangeGroupMembersRequest { group_id: gone.into(), ..Default::default() };
    let nobody = clients.assets.change_group_members(nobody).await.unwrap_err();
    assert_eq!((nobody.code(), reason(&nobody).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
    let many = assets(&mut clients, 1001).await;
    let members: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "1")).collect();
    let refused = made(&mut clients, group("many", &members)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("group.members".into(), "TOO_MANY".into())]);
    let removed: Vec<&str> = members.iter().map(|(id, _)| *id).collect();
    for (put, removed, field) in [(members.as_slice(), &[][..], "members"), (&[], &removed, "removed_asset_ids")] {
        let refused = changed(&mut clients, &basket, put, removed).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(field.into(), "TOO_MANY".into())]);
    }
    let refused = changed(&mut clients, &basket, &members[1..], &[]).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("members".into(), "TOO_MANY".into())], "with the one that is there");
    made(&mut clients, group("many", &members[1..])).await.unwrap();
}

async fn a_member_is_not_deleted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, 2).await;
    let basket = made(&mut clients, group("basket", &[(&of[0], "1"), (&of[1], "1")])).await.unwrap();
    let delete = |asset: &str| DeleteAssetRequest { asset_id: asset.into(), ..Default::default() };
    let refused = clients.assets.delete_asset(delete(&of[0])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REFERRED_TO"));
    assert_eq!(preconditions(&refused)[0].0, format!("group {}", basket.id));
    changed(&mut clients, &basket, &[], &[&of[0]]).await.unwrap();
    clients.assets.delete_asset(delete(&of[0])).await.unwrap();
    let refused = changed(&mut clients, &basket, &[(&of[0], "1")], &[]).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("members".into(), "DELETED_REFERENCE".into())]);
    Group::delete(&mut clients, &basket.id, "", Write::default()).await.unwrap();
    clients.assets.delete_asset(delete(&of[1])).await.unwrap();
}

async fn writers_of_several_members_lose_none(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let of = assets(&mut clients, 40).await;
    let basket = made(&mut clients, group("basket", &[])).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for part in of.chunks(10).map(<[String]>::to_vec) {
        let (mut clients, basket) = (clients.clone(), basket.clone());
        writers.spawn(async move {
            for asset in part {
                // Who is overtaken too often is told so, and tries again.
                while let Err(refused) = changed(&mut clients, &basket, &[(&asset, "1")], &[]).await {
                    assert_eq!(reason(&refused), "CONTENDED");
                }
            }
        });
    }
    writers.join_all().await;
    let members = Group::get(&mut clients, &basket.id, 0).await.unwrap().value.members;
    assert_eq!(members.into_iter().map(|it| it.asset_id).collect::<Vec<_>>(), of);
}

/// Those of a creation may be named by references to what exists already.
async fn members_stand_in_one_order_whatever_names_them(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    // Names in the other order than ids.
    let made = assets(&mut clients, 8).await;
    let again = (0..8)
        .rev()
        .map(|n| Mutation { allow_existing: true, ..named(&format!("a{n}"), create(asset(&format!("A{n}")))) });
    let names: Vec<String> = (0..8).map(|n| format!("$a{n}")).collect();
    let members: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let all = again.chain([mutation(create(group("all", &members)))]).collect();
    let id = ids(&clients.apply(all).await.unwrap()).pop().unwrap();
    let mut sorted = made;
    sorted.sort();
    let stored = Group::get(&mut clients, &id, 0).await.unwrap().value;
    assert_eq!(stored.members.iter().map(|it| it.asset_id.clone()).collect::<Vec<_>>(), sorted);
    let revision = clients.revision().await;
    Group::update(&mut clients, stored.clone(), &["members"], Write::default()).await.unwrap();
    assert_eq!(clients.revision().await, revision, "what is sent back as it was read changes nothing");
}
