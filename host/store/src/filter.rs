//! What to list: conditions on the columns of one table.

use cqar_domain::{id::EntityType, time::Timestamp};

use crate::{dialect::Dialect, schema::TableSchema, value::Value};

/// What to list. Made from the filter of one type of entity, such as [`crate::filters::AssetFilter`].
#[derive(Debug, Clone)]
pub struct Filter {
    pub(crate) table: &'static TableSchema,
    pub(crate) conditions: Vec<(Condition, Value)>,
    pub(crate) hide_deleted: bool,
}

/// What is to be listed, without values: what the statement depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterShape {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) hide_deleted: bool,
}

/// What a row must fulfil, given one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The column has the value.
    Equal(&'static str),
    /// The column has the value, or one after it: dates, which are compared as they are written.
    AtLeast(&'static str),
    /// The column has the value, or one before it.
    AtMost(&'static str),
    /// The column has the decimal, or a larger one.
    DecimalAtLeast(&'static str),
    /// The column has the decimal, or a smaller one.
    DecimalAtMost(&'static str),
    /// The text of the column has the value within.
    Contains(&'static str),
    /// The market is live at the instant: listed by then, and neither delisted nor expired.
    LiveAt,
}

impl Condition {
    /// The same where another condition's index leads to the rows: no index may be found for this one.
    pub(crate) fn checked_along(self, dialect: Dialect, n: usize) -> String {
        match self {
            Self::Equal(column) => dialect.checked_along(&format!("e.{column}"), &format!("${n}")),
            _ => self.clause(dialect, n),
        }
    }

    /// The condition in SQL, on the `n`th value.
    pub(crate) fn clause(self, dialect: Dialect, n: usize) -> String {
        match self {
            Self::Equal(column) => format!("e.{column} = ${n}"),
            Self::AtLeast(column) => format!("e.{column} >= ${n}"),
            Self::AtMost(column) => format!("e.{column} <= ${n}"),
            Self::DecimalAtLeast(column) => dialect.compare_decimals(column, ">=", n),
            Self::DecimalAtMost(column) => dialect.compare_decimals(column, "<=", n),
            // In words that both have: nothing is left out where it is not there.
            Self::Contains(column) => format!("REPLACE(e.{column}, ${n}, '') <> e.{column}"),
            Self::LiveAt => format!(
                "(e.listed_us IS NULL OR e.listed_us <= ${n}) AND (e.delisted_us IS NULL OR e.delisted_us > ${n}) \
                 AND (e.expiry_us IS NULL OR e.expiry_us > ${n})"
            ),
        }
    }
}

impl Filter {
    /// Everything of a table that is not deleted.
    pub(crate) fn of(table: &'static TableSchema) -> Self {
        Self { table, conditions: Vec::new(), hide_deleted: true }
    }

    /// Only where the column has the value; no condition without one.
    #[must_use]
    pub(crate) fn and(mut self, column: &'static str, value: Option<Value>) -> Self {
        self.conditions.extend(value.map(|value| (Condition::Equal(column), value)));
        self
    }

    /// The same for a text.
    #[must_use]
    pub(crate) fn and_text(self, column: &'static str, text: Option<impl ToString>) -> Self {
        self.and(column, text.map(|text| Value::Text(text.to_string())))
    }

    /// Only what meets the condition on a text; no condition without one.
    #[must_use]
    pub(crate) fn and_that(mut self, condition: Condition, text: Option<impl ToString>) -> Self {
        self.conditions.extend(text.map(|text| (condition, Value::Text(text.to_string()))));
        self
    }

    /// Only what has the label: its key, and its value if that is given.
    #[must_use]
    pub(crate) fn and_label(self, label: Option<(String, Option<String>)>) -> Self {
        // As the column has it, where no quotation mark within a text stands without a backslash.
        let text = |it: &str| serde_json::json!(it).to_string();
        let written =
            label.map(|(key, value)| format!("{}:{}", text(&key), value.as_deref().map(text).unwrap_or_default()));
        self.and_that(Condition::Contains("labels"), written)
    }

    /// Only what is live at the instant.
    #[must_use]
    pub(crate) fn and_live_at(mut self, at: Option<Timestamp>) -> Self {
        self.conditions.extend(at.map(|at| (Condition::LiveAt, Value::Int(at.micros()))));
        self
    }

    /// What is deleted too.
    #[must_use]
    pub(crate) fn show_deleted(self, show_deleted: bool) -> Self {
        Self { hide_deleted: !show_deleted, ..self }
    }

    /// What it is but for its values.
    pub(crate) fn shape(&self) -> FilterShape {
        FilterShape {
            conditions: self.conditions.iter().map(|(condition, _)| *condition).collect(),
            hide_deleted: self.hide_deleted,
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = Value> {
        self.conditions.iter().map(|(_, value)| value.clone())
    }

    /// The values of the leading conditions.
    pub(crate) fn leading_values(&self) -> impl Iterator<Item = Value> {
        let leading = self.table.leading(&self.shape());
        let is_leading = move |condition: &Condition| leading.is_some_and(|it| it.has(*condition));
        self.conditions.iter().filter(move |(condition, _)| is_leading(condition)).map(|(_, value)| value.clone())
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
