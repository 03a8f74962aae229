//! Metadata of the tables: the columns that refer to other tables, and the indexes that serve lists. The statements about any
//! table are made from it, and tests compare it with the database's own schema and with its plans.

use cqar_domain::{entities::Entity, id::EntityType};

use crate::{
    dialect::Dialect,
    error::Error,
    filter::{Condition, FilterShape},
    row::EntityRow,
    value::Value,
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
    /// The fields that hold many references, which stand in a table of their own.
    pub list_references: &'static [ListReference],
    /// Whether foreign keys of the database check them, or the writer does.
    pub foreign_keys: bool,
    /// What lists may look for by an index.
    pub filters: &'static [IndexedFilter],
    pub(crate) columns: &'static [&'static str],
    /// In the order of what many rows are written.
    pub(crate) write_order: fn(&Entity) -> &str,
    /// The values of the columns; none of an entity of another type.
    pub(crate) values: fn(&Entity) -> Option<Vec<Value>>,
    /// The entity whose columns begin at a place of a row.
    pub(crate) read: fn(&EntityRow, usize) -> Result<Entity, Error>,
}

/// A column that refers to entities of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The column.
    pub column: &'static str,
    /// Their type.
    pub target: EntityType,
    /// The index by which referrers are found.
    pub index: &'static str,
    /// Which rows the index has, where it has not all of them: the others are found by another column. The table is `e`.
    pub only: Option<&'static str>,
}

impl Reference {
    /// One whose index has all rows.
    pub(crate) const fn by(column: &'static str, target: EntityType, index: &'static str) -> Self {
        Self { column, target, index, only: None }
    }

    /// What is to be asked of a row besides its column, after all else.
    pub(crate) fn of_index(&self) -> String {
        self.only.map(|only| format!(" AND {only}")).unwrap_or_default()
    }
}

/// A field that refers to many entities of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListReference {
    /// The field, as [`cqar_domain::entity::TypedEntity::visit_references`] names it.
    pub field: &'static str,
    /// Their type.
    pub target: EntityType,
}

/// Columns by which a list is found. Of those that a filter names the first in order leads: its index gives the rows in the order
/// of their ids, and whatever else the filter asks for is checked along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedFilter {
    /// The columns that are compared.
    pub columns: &'static [&'static str],
    /// The index, which has these columns and then the id.
    pub index: &'static str,
}

impl IndexedFilter {
    /// One of columns and their index.
    pub(crate) const fn by(columns: &'static [&'static str], index: &'static str) -> Self {
        Self { columns, index }
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

    /// Selects all columns of the table, which is `e`.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM {} e", self.columns_of("e"), self.name)
    }

    /// All columns, of the table under a name.
    pub(crate) fn columns_of(&self, alias: &str) -> String {
        self.columns.iter().map(|column| format!("{alias}.{column}")).collect::<Vec<_>>().join(", ")
    }

    /// Lists the rows that pass the conditions and stand after an id, and not after another, in the order of the ids. The values
    /// are those of the conditions, the one id, the other, and how many at most.
    pub(crate) fn list(&self, dialect: Dialect, shape: &FilterShape, after: bool, until: bool) -> String {
        let leading = self.leading(shape);
        let clause = |(condition, n): (&Condition, usize)| {
            if leading.is_none_or(|leading| leading.has(*condition)) {
                condition.clause(dialect, n)
            } else {
                condition.checked_along(dialect, n)
            }
        };
        let mut clauses: Vec<String> = shape.conditions.iter().zip(1..).map(clause).collect();
        let mut n = clauses.len();
        for (is_given, comparison) in [(after, ">"), (until, "<=")] {
            if is_given {
                n += 1;
                clauses.push(format!("e.id {comparison} ${n}"));
            }
        }
        if shape.hide_deleted && self.soft_delete {
            clauses.push("e.delete_us IS NULL".to_owned());
        }
        format!("{}{} ORDER BY e.id LIMIT ${}", self.select(), filter_of(&clauses), n + 1)
    }

    /// Finds the last row that a page of the list may look at, where the list leaves out rows that it looks at. The values are
    /// those of the leading conditions, and the id that the list begins after.
    pub(crate) fn examined_end(&self, dialect: Dialect, shape: &FilterShape, after: bool) -> Option<String> {
        let leading = self.leading(shape);
        let is_leading = |condition: &&Condition| leading.is_some_and(|it| it.has(**condition));
        let mut clauses: Vec<String> = shape
            .conditions
            .iter()
            .filter(is_leading)
            .zip(1..)
            .map(|(condition, n)| condition.clause(dialect, n))
            .collect();
        let leaves_out = clauses.len() < shape.conditions.len() || (shape.hide_deleted && self.soft_delete);
        if !leaves_out {
            return None;
        }
        if after {
            clauses.push(format!("e.id > ${}", clauses.len() + 1));
        }
        let (name, filter, offset) = (self.name, filter_of(&clauses), MAX_EXAMINED - 1);
        // The ids alone, which the index has.
        let id = format!("SELECT e.id FROM {name} e{filter} ORDER BY e.id LIMIT 1 OFFSET {offset}");
        Some(format!("{} WHERE e.id = ({id})", self.select()))
    }

    /// Whether rows may refer to entities of the type, in a column or in a list.
    pub(crate) fn refers_to(&self, target: EntityType) -> bool {
        self.references_to(target).next().is_some() || self.list_references.iter().any(|it| it.target == target)
    }

    /// The columns that refer to entities of the type.
    pub(crate) fn references_to(&self, target: EntityType) -> impl Iterator<Item = &'static Reference> {
        self.references.iter().filter(move |it| it.target == target)
    }
}

fn filter_of(clauses: &[String]) -> String {
    if clauses.is_empty() { String::new() } else { format!(" WHERE {}", clauses.join(" AND ")) }
}
