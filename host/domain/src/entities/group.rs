//! Groups: assets that belong together.

use std::cmp::Ordering;

use crate::{
    decimal::Decimal,
    entity::{Meta, ReferenceField, TypedEntity, changed_fields},
    id::{AssetId, EntityKey, EntityType, GroupId, is_slug},
    text::DESCRIPTION,
    unique_key::UniqueKey,
    violation::Violations,
};

/// Assets with weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The name, a slug; unique.
    pub name: String,
    /// Plain text, or empty.
    pub description: String,
    /// In the order of the assets' ids.
    pub members: Vec<GroupMember>,
    /// Revision and times.
    pub meta: Meta,
}

/// An asset of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Which.
    pub asset_id: AssetId,
    /// What it counts.
    pub weight: Decimal,
}

/// The most members of a group.
pub const MAX_MEMBERS: usize = 1000;

impl Group {
    /// The unique key of the group of that name.
    pub fn name_key(name: &str) -> UniqueKey {
        UniqueKey::new("group.name", &[name])
    }

    /// Puts the members into their order.
    pub fn sort(&mut self) {
        self.members.sort_by_key(|member| member.asset_id);
    }

    /// Puts members in, in the place of those of the same assets.
    pub fn put(&mut self, members: &[GroupMember]) {
        self.members.retain(|old| members.iter().all(|new| new.asset_id != old.asset_id));
        self.members.extend_from_slice(members);
        self.sort();
    }

    /// Takes the member of an asset out. False if it has none.
    #[must_use]
    pub fn remove(&mut self, asset: AssetId) -> bool {
        let count = self.members.len();
        self.members.retain(|member| member.asset_id != asset);
        self.members.len() < count
    }
}

impl TypedEntity for Group {
    const TYPE: EntityType = EntityType::Group;
    const SOFT_DELETE: bool = false;

    fn key(&self) -> EntityKey {
        EntityKey::Group(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        if !is_slug(&self.name) {
            let message = "must be a slug: 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit";
            found.add("name", "INVALID_NAME", message);
        }
        DESCRIPTION.check("description", &self.description, found);
        if self.members.len() > MAX_MEMBERS {
            found.add("members", "TOO_MANY", format_args!("must be at most {MAX_MEMBERS}"));
        }
        for (n, member) in self.members.iter().take(MAX_MEMBERS).enumerate() {
            if member.weight.sign() != Ordering::Greater {
                let message = format_args!("the weight of asset {} must be above 0", member.asset_id);
                found.add("members", "NOT_POSITIVE", message);
            }
            if self.members.iter().skip(n + 1).any(|other| other.asset_id == member.asset_id) {
                found.add("members", "DUPLICATE", format_args!("asset {} is given twice", member.asset_id));
            }
        }
    }

    changed_fields!(name, description, members);

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        vec![("name", Self::name_key(&self.name))]
    }

    fn visit_references(&self, visit: &mut dyn FnMut(&'static str, EntityKey)) {
        self.members.visit(&mut |target| visit("members", target));
    }

    fn replace_references(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        self.members.replace(replace);
        self.sort();
    }
}

impl ReferenceField for GroupMember {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        self.asset_id.visit(visit);
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        self.asset_id.replace(replace);
    }
}
