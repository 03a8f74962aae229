//! Groups.

use cqar_domain::{
    entities::group::{Group, GroupMember},
    id::{GroupId, SystemIds},
    violation::Violation,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, mask::masked},
    v1,
};

impl From<&Group> for v1::Group {
    fn from(group: &Group) -> Self {
        let member =
            |it: &GroupMember| v1::GroupMember { asset_id: it.asset_id.to_string(), weight: it.weight.to_string() };
        Self {
            id: group.id.to_string(),
            name: group.name.clone(),
            description: group.description.clone(),
            members: group.members.iter().map(member).collect(),
            revision: group.meta.revision,
            etag: etag(&group.meta),
            create_time: group.meta.create_time.map(Into::into),
            update_time: group.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Group {
    type Entity = Group;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "sample",
        "members": [{"asset_id": "01890a5d-ac96-774b-bcce-b302099a8058", "weight": "1"}]}"#;

    arm!(Group);

    fn label(&self) -> &str {
        &self.name
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Group> {
        let id = reader.id(&self.id, GroupId::new);
        let members = read_members(reader, &mut self.members);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        let (name, description) = (self.name.clone(), self.description.clone());
        let mut group = Group { id: id?, name, description, members: members?, meta: meta? };
        group.sort();
        Some(group)
    }
}

fn read_members(reader: &mut Reader<'_>, members: &mut [v1::GroupMember]) -> Option<Vec<GroupMember>> {
    reader.all(members.iter_mut().enumerate(), |reader, (n, member)| {
        reader.within(&format!("members[{n}]"), |reader| {
            let asset_id = reader.reference("asset_id", &mut member.asset_id);
            let weight = reader.required("weight", &member.weight);
            Some(GroupMember { asset_id: asset_id?, weight: weight? })
        })
    })
}

impl v1::ChangeGroupMembersRequest {
    /// The members that it puts in; violations stand under `members`.
    pub fn read_members(&mut self) -> Result<Vec<GroupMember>, Vec<Violation>> {
        let mut reader = Reader::new(&SystemIds, None);
        let read = read_members(&mut reader, &mut self.members);
        reader.finish(read)
    }
}

masked!(v1::Group: [name, description, members], []);
