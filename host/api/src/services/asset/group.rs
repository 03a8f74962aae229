//! Groups: their writes, what their list asks for, and one by its name.

use cqar_domain::{
    entities::{
        Entity,
        group::{Group, MAX_MEMBERS},
    },
    id::{AssetId, EntityType, IdSource},
    mutation::{Mutation, Patch},
    violation::{Violation, Violations},
};
use cqar_proto::v1::{self, get_group_request::Key};
use cqar_registry::{Error, PageRequest, Revisioned, Unresolved, filters::GroupFilter};

use crate::{
    reads::{batch_result, given, message, read_revision},
    services::{Api, Reply, answered},
    status::{invalid, status},
    writes::{EntityWrite, WriteOptions, entity_writes, etag, key},
};

/// What a list asks for.
pub(super) fn listed(request: v1::ListGroupsRequest) -> Result<(GroupFilter, PageRequest, i64), Error> {
    let v1::ListGroupsRequest { page_size: size, page_token: token, min_revision, name } = request;
    let filter = GroupFilter { name: given("name", name)? };
    Ok((filter, PageRequest { size, token }, min_revision))
}

/// One by its id, or its name.
pub(super) async fn get(api: &Api, request: v1::GetGroupRequest) -> Reply<v1::Group> {
    let v1::GetGroupRequest { key, min_revision, at_revision } = request;
    match key {
        Some(Key::GroupId(id)) => api.get(&id, min_revision, at_revision).await,
        Some(Key::Name(name)) => {
            let min_revision = read_revision(min_revision, at_revision)?;
            let found = api.registry.with_unique_key(Group::name_key(&name), min_revision).await.map_err(status)?;
            let unknown = || status(Error::Unresolved(Box::new(Unresolved::Name(EntityType::Group, name.clone()))));
            let value = message(&found.value.ok_or_else(unknown)?)?;
            Ok(answered(Revisioned { revision: found.revision, value }))
        }
        None => Err(status(invalid("group_id", "REQUIRED", "either group_id or name must be given"))),
    }
}

/// A change of members is an update whose patch puts some in and takes others out.
impl EntityWrite for v1::ChangeGroupMembersRequest {
    type Entity = v1::Group;
    type Response = v1::ChangeGroupMembersResponse;
    const METHOD: &'static str = "/cqar.v1.AssetService/ChangeGroupMembers";
    const PATH: &'static str = "";

    fn take_options(&mut self) -> WriteOptions {
        WriteOptions {
            request_id: std::mem::take(&mut self.request_id),
            validate_only: std::mem::take(&mut self.validate_only),
            reason: self.reason.clone(),
            effective_time: self.effective_time,
        }
    }

    fn mutation(mut self, _: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
        let key = key::<v1::Group>("group_id", &self.group_id)?;
        let mut found = Violations::default();
        for (field, count) in [("members", self.members.len()), ("removed_asset_ids", self.removed_asset_ids.len())] {
            if count > MAX_MEMBERS {
                found.add(field, "TOO_MANY", format_args!("must be at most {MAX_MEMBERS}"));
            }
        }
        std::mem::take(&mut found).into_result()?;
        let members = self.read_members()?;
        let removed: Vec<Option<AssetId>> = self
            .removed_asset_ids
            .iter()
            .enumerate()
            .map(|(n, id)| found.take(&format!("removed_asset_ids[{n}]"), id.parse()))
            .collect();
        std::mem::take(&mut found).into_result()?;
        for (n, asset) in removed.iter().flatten().enumerate() {
            if members.iter().any(|member| member.asset_id == *asset) {
                found.add(format!("removed_asset_ids[{n}]"), "DUPLICATE", "is among the members that are put in");
            }
        }
        found.into_result()?;
        let patch = Patch::new(move |before: &Entity| {
            let Entity::Group(group) = before else { return Ok(before.clone()) };
            let (mut group, mut found) = (Group::clone(group), Violations::default());
            for (n, asset) in removed.iter().flatten().enumerate() {
                if !group.remove(*asset) {
                    found.add(format!("removed_asset_ids[{n}]"), "NOT_A_MEMBER", "is no member of the group");
                }
            }
            group.put(&members);
            found.into_result().map(|()| group.into())
        });
        Ok(Mutation::Update { key, etag: etag(self.etag), patch })
    }

    fn response(group: Option<v1::Group>, warnings: Vec<v1::Finding>) -> v1::ChangeGroupMembersResponse {
        v1::ChangeGroupMembersResponse { group, warnings }
    }
}

batch_result!(Group in batch_get_groups_response);
entity_writes! { "AssetService" Group in group, group_id:
    create as "CreateGroup" in CreateGroupRequest => CreateGroupResponse,
    update as "UpdateGroup" in UpdateGroupRequest => UpdateGroupResponse,
    delete as "DeleteGroup" in DeleteGroupRequest => DeleteGroupResponse,
}
