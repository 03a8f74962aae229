//! Table `groups`.

use cqar_domain::{
    entities::group::{Group, GroupMember},
    id::{EntityType, GroupId, IdError},
};

use super::{JsonText, Table, json_value, meta_values};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, ListReference},
    value::Value,
};

/// Which groups to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct GroupFilter {
    /// The name.
    pub name: Option<String>,
}

impl From<GroupFilter> for Filter {
    fn from(filter: GroupFilter) -> Self {
        Self::of(Group::SCHEMA).and_text("name", filter.name)
    }
}

impl Table for Group {
    // `groups` is a word of SQL.
    const NAME: &'static str = "asset_groups";
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "description", "members", "revision", "create_us", "update_us"];
    const LIST_REFERENCES: &'static [ListReference] = &[ListReference { field: "members", target: EntityType::Asset }];
    const FILTERS: &'static [IndexedFilter] = &[IndexedFilter::by(&["name"], "asset_groups_name")];

    fn write_order(&self) -> &str {
        &self.name
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.name.clone()),
            Value::Text(self.description.clone()),
            json_value(&self.members),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(GroupId::from_uuid)?,
            name: row.value()?,
            description: row.value()?,
            members: row.json()?,
            meta: row.meta()?,
        })
    }
}

/// Pairs of an asset's id and a weight.
impl JsonText for Vec<GroupMember> {
    fn to_json(&self) -> String {
        let pairs: Vec<[String; 2]> = self.iter().map(|it| [it.asset_id.to_string(), it.weight.to_string()]).collect();
        serde_json::json!(pairs).to_string()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let pairs: Vec<[String; 2]> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let member = |[asset, weight]: [String; 2]| {
            let asset_id = asset.parse().map_err(|error: IdError| error.to_string())?;
            let weight = weight.parse().map_err(|error| format!("{weight}: {error}"))?;
            Ok(GroupMember { asset_id, weight })
        };
        pairs.into_iter().map(member).collect()
    }
}
