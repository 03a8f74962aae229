//! What to list: conditions on the columns of one table.

use cqar_domain::id::EntityType;

use crate::{database::Value, schema::TableSchema};

/// What to list. Made from the filter of one type of entity, such as [`crate::filters::AssetFilter`].
#[derive(Debug, Clone)]
pub struct Filter {
    pub(crate) table: &'static TableSchema,
    pub(crate) conditions: Vec<(&'static str, Value)>,
    pub(crate) hide_deleted: bool,
}

impl Filter {
    /// Everything of a table that is not deleted.
    pub(crate) fn of(table: &'static TableSchema) -> Self {
        Self { table, conditions: Vec::new(), hide_deleted: true }
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
