//! Metadata of the tables: the columns that refer to other tables, and the indexes that serve lists. The statements about any
//! table are made from it, and tests compare it with the database's own schema and with its plans.

use cqar_domain::{entities::Entity, id::EntityType};
use futures::future::BoxFuture;

use crate::{
    database::{Tx, Value},
    error::Error,
    filter::{Condition, FilterShape},
};

/// A table of entities.
#[derive(Debug)]
pub struct TableSchema {
    /// Whose table it is.
    pub entity_type: EntityType,
    /// Its name.
    pub name: &'static str,
    /// Whether rows are marked as deleted, by `delete_us`, and kept.
    pub soft_delete: bool,
    /// The columns that refer to other entities.
    pub references: &'static [Reference],
    /// What lists may look for by an index.
    pub filters: &'static [IndexedFilter],
    pub(crate) columns: &'static [&'static str],
    /// The column in whose order many rows are written, which is of text.
    pub(crate) written_by: Option<&'static str>,
    pub(crate) select: &'static str,
    /// The values of the columns; none of an entity of another type.
    pub(crate) values: fn(&Entity) -> Option<Vec<Value>>,
    /// The entities of a statement that begins with `select`.
    pub(crate) read: for<'a> fn(&'a mut Tx, String, Vec<Value>) -> EntitiesFuture<'a>,
}

/// The entities that a statement reads.
pub(crate) type EntitiesFuture<'a> = BoxFuture<'a, Result<Vec<Entity>, Error>>;

/// A column that refers to entities of another type, by a foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The column.
    pub column: &'static str,
    /// Their type.
    pub target: EntityType,
    /// The index by which referrers are found.
    pub index: &'static str,
}

/// Columns by which a list is found. Of those that a filter names the first in order leads: its index gives the rows in the order
/// of their ids, and whatever else the filter asks for is checked along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedFilter {
    /// The columns that are compared.
    pub columns: &'static [&'static str],
    /// The index, which has these columns and then the id.
    pub index: &'static str,
    /// Where another table has the ids: what selects them, given the values of the columns as `{column}`. There are so few that
    /// they may be sorted.
    pub ids: Option<&'static str>,
}

impl IndexedFilter {
    /// One by an index of the table itself.
    pub(crate) const fn by(columns: &'static [&'static str], index: &'static str) -> Self {
        Self { columns, index, ids: None }
    }

    pub(crate) fn has(&self, condition: Condition) -> bool {
        matches!(condition, Condition::Equal(column) if self.columns.contains(&column))
    }
}

/// The most rows that a page looks at.
pub const MAX_EXAMINED: usize = 10_000;

impl TableSchema {
    /// The filter that leads: the first in order all of whose columns are compared.
    pub(crate) fn leading(&self, shape: &FilterShape) -> Option<&'static IndexedFilter> {
        let is_compared = |column: &&'static str| shape.conditions.contains(&Condition::Equal(column));
        self.filters.iter().find(|filter| filter.columns.iter().all(is_compared))
    }

    /// Lists the rows that pass the conditions and stand after an id, and not after another, in the order of the ids. The values
    /// are those of the conditions, the one id, the other, and how many at most.
    pub(crate) fn list(&self, shape: &FilterShape, after: bool, until: bool) -> String {
        let mut clauses: Vec<String> =
            shape.conditions.iter().zip(1..).map(|(condition, n)| condition.clause(n)).collect();
        let mut n = clauses.len();
        if let Some(ids) = self.leading(shape).and_then(|leading| leading.ids) {
            let with_values =
                shape.conditions.iter().zip(1..).fold(ids.to_owned(), |ids, (condition, n)| match condition {
                    Condition::Equal(column) => ids.replace(&format!("{{{column}}}"), &format!("${n}")),
                    Condition::LiveAt => ids,
                });
            clauses.push(format!("e.id IN ({with_values})"));
        }
        for (is_given, comparison) in [(after, ">"), (until, "<=")] {
            if is_given {
                n += 1;
                clauses.push(format!("e.id {comparison} ${n}"));
            }
        }
        if shape.hide_deleted && self.soft_delete {
            clauses.push("e.delete_us IS NULL".to_owned());
        }
        let filter = if clauses.is_empty() { String::new() } else { format!(" WHERE {}", clauses.join(" AND ")) };
        format!("{}{filter} ORDER BY e.id LIMIT ${}", self.select, n + 1)
    }

    /// Finds the last row that a page of the list may look at, where the list leaves out rows that it looks at. The values are
    /// those of the leading conditions, and the id that the list begins after.
    pub(crate) fn examined_end(&self, shape: &FilterShape, after: bool) -> Option<String> {
        let leading = self.leading(shape);
        if leading.is_some_and(|leading| leading.ids.is_some()) {
            return None;
        }
        let is_leading = |condition: &&Condition| leading.is_some_and(|it| it.has(**condition));
        let mut clauses: Vec<String> =
            shape.conditions.iter().filter(is_leading).zip(1..).map(|(condition, n)| condition.clause(n)).collect();
        let leaves_out = clauses.len() < shape.conditions.len() || (shape.hide_deleted && self.soft_delete);
        if !leaves_out {
            return None;
        }
        if after {
            clauses.push(format!("e.id > ${}", clauses.len() + 1));
        }
        let filter = if clauses.is_empty() { String::new() } else { format!(" WHERE {}", clauses.join(" AND ")) };
        let (select, name, offset) = (self.select, self.name, MAX_EXAMINED - 1);
        // The ids alone, which the index has.
        let id = format!("SELECT e.id FROM {name} e{filter} ORDER BY e.id LIMIT 1 OFFSET {offset}");
        Some(format!("{select} WHERE e.id = ({id})"))
    }

    /// The columns that refer to entities of the type.
    pub(crate) fn references_to(&self, target: EntityType) -> impl Iterator<Item = &'static Reference> {
        self.references.iter().filter(move |it| it.target == target)
    }
}
