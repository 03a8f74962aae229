//! Lists, in pages by key: the order is that of the ids, total and stable.

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, EntityType},
};

use crate::{
    database::Value,
    error::Error,
    schema::TableSchema,
    snapshot::{Snapshot, id_value},
    tables::Table,
};

/// What to list. Made from the filter of one type of entity, such as [`crate::filters::AssetFilter`].
#[derive(Debug, Clone)]
pub struct Filter {
    table: &'static TableSchema,
    conditions: Vec<(&'static str, Value)>,
    hide_deleted: bool,
}

impl Filter {
    /// Everything of a type that is not deleted.
    pub(crate) fn of<T: Table>() -> Self {
        Self { table: T::SCHEMA, conditions: Vec::new(), hide_deleted: true }
    }

    /// Only where the column has the value; no condition without one.
    #[must_use]
    pub(crate) fn and(mut self, column: &'static str, value: Option<Value>) -> Self {
        self.conditions.extend(value.map(|value| (column, value)));
        self
    }

    /// The same for a text.
    #[must_use]
    pub(crate) fn and_text(self, column: &'static str, text: Option<impl ToString>) -> Self {
        self.and(column, text.map(|text| Value::Text(text.to_string())))
    }

    /// What is deleted too.
    #[must_use]
    pub(crate) fn show_deleted(self, show_deleted: bool) -> Self {
        Self { hide_deleted: !show_deleted, ..self }
    }

    /// Of which type the entities are.
    pub fn entity_type(&self) -> EntityType {
        self.table.entity_type
    }

    /// A text that two filters share only if they list the same.
    pub fn fingerprint(&self) -> String {
        format!("{} {:?} {}", self.table.name, self.conditions, self.hide_deleted)
    }
}

impl Snapshot {
    /// The entities after the key, by id, at most `limit`. Fewer means that there are no more.
    pub async fn list(&mut self, filter: &Filter, after: Option<&EntityKey>, limit: u32) -> Result<Vec<Entity>, Error> {
        let Filter { table, conditions, hide_deleted } = filter;
        let columns: Vec<&str> = conditions.iter().map(|(column, _)| *column).collect();
        let sql = table.list(&columns, after.is_some(), *hide_deleted);
        let values = conditions.iter().map(|(_, value)| value.clone()).chain(after.map(id_value));
        let values = values.chain([Value::Int(limit.into())]).collect();
        (table.read)(self, format!("list_{}", table.name), sql, values).await
    }
}
