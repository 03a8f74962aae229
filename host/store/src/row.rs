//! Rows of entities, read column by column in the order in which they were selected: a joined row has several entities, and to look
//! each column up by its name would take as long as the database takes to find the row.

use std::{fmt::Display, str::FromStr};

use cqar_domain::{entity::Meta, time::Timestamp};
use sqlx::{Decode, Postgres, Row, Sqlite, Type, ValueRef, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{schema::TableSchema, tables::JsonText};

/// A row of either database.
pub(crate) enum EntityRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column may hold, on either.
pub(crate) trait ColumnType:
    Type<Sqlite> + for<'r> Decode<'r, Sqlite> + Type<Postgres> + for<'r> Decode<'r, Postgres>
{
}
impl<T> ColumnType for T where
    T: Type<Sqlite> + for<'r> Decode<'r, Sqlite> + Type<Postgres> + for<'r> Decode<'r, Postgres>
{
}

/// Reads the columns of one table after the other.
pub(crate) struct RowReader<'r> {
    row: &'r EntityRow,
    /// Where the table's columns begin, and its next one.
    begin: usize,
    next: usize,
    table: &'static TableSchema,
}

impl EntityRow {
    /// A reader of the table's columns, which begin at a place.
    pub(crate) const fn reader(&self, begin: usize, table: &'static TableSchema) -> RowReader<'_> {
        RowReader { row: self, begin, next: begin, table }
    }

    /// Whether the column is null: the id of what was joined, where nothing was.
    pub(crate) fn is_null(&self, column: usize) -> bool {
        match self {
            Self::Sqlite(row) => row.try_get_raw(column).is_ok_and(|value| value.is_null()),
            Self::Postgres(row) => row.try_get_raw(column).is_ok_and(|value| value.is_null()),
        }
    }
}

impl RowReader<'_> {
    /// The value of the next column.
    pub(crate) fn value<T: ColumnType>(&mut self) -> Result<T, String> {
        let n = self.next;
        self.next += 1;
        let read = match self.row {
            EntityRow::Sqlite(row) => row.try_get(n),
            EntityRow::Postgres(row) => row.try_get(n),
        };
        read.map_err(|error| self.says(error))
    }

    /// The text of the next column, made into something; none where it is null.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        of_text: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, String> {
        let n = self.next;
        self.next += 1;
        let text: Result<Option<&str>, sqlx::Error> = match self.row {
            EntityRow::Sqlite(row) => row.try_get(n),
            EntityRow::Postgres(row) => row.try_get(n),
        };
        let text = text.map_err(|error| self.says(error))?;
        text.map(of_text).transpose().map_err(|error| self.says(error))
    }

    /// The same of a column that is never null.
    fn text<T, E: Display>(&mut self, of_text: impl Fn(&str) -> Result<T, E>) -> Result<T, String> {
        self.optional(of_text)?.ok_or_else(|| self.says("is null"))
    }

    /// The next column, parsed.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self) -> Result<T, String> {
        self.text(str::parse)
    }

    /// The same; none where it is null.
    pub(crate) fn parsed_optional<T: FromStr<Err: Display>>(&mut self) -> Result<Option<T>, String> {
        self.optional(str::parse)
    }

    /// The value of an enumeration, by its name in the contract.
    pub(crate) fn named<M: TryInto<T>, T>(&mut self, from_name: impl Fn(&str) -> Option<M>) -> Result<T, String> {
        self.text(|name| named(name, &from_name))
    }

    /// The same; none where it is null.
    pub(crate) fn named_optional<M: TryInto<T>, T>(
        &mut self,
        from_name: impl Fn(&str) -> Option<M>,
    ) -> Result<Option<T>, String> {
        self.optional(|name| named(name, &from_name))
    }

    /// A list or map that is stored as JSON.
    pub(crate) fn json<T: JsonText>(&mut self) -> Result<T, String> {
        self.text(T::from_json)
    }

    /// An integer.
    pub(crate) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, String> {
        let number: i64 = self.value()?;
        number.try_into().map_err(|error| self.says(error))
    }

    /// The same; none where it is null.
    pub(crate) fn number_optional<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<Option<T>, String> {
        let number: Option<i64> = self.value()?;
        number.map(T::try_from).transpose().map_err(|error| self.says(error))
    }

    /// An id that is a UUID.
    pub(crate) fn id<T, E: Display>(&mut self, of_uuid: impl Fn(Uuid) -> Result<T, E>) -> Result<T, String> {
        let uuid = self.value()?;
        of_uuid(uuid).map_err(|error| self.says(error))
    }

    /// The same; none where it is null.
    pub(crate) fn id_optional<T, E: Display>(
        &mut self,
        of_uuid: impl Fn(Uuid) -> Result<T, E>,
    ) -> Result<Option<T>, String> {
        let uuid: Option<Uuid> = self.value()?;
        uuid.map(of_uuid).transpose().map_err(|error| self.says(error))
    }

    /// An instant; none where it is null.
    pub(crate) fn time(&mut self) -> Result<Option<Timestamp>, String> {
        let micros: Option<i64> = self.value()?;
        micros.map(Timestamp::from_micros).transpose().map_err(|error| self.says(error))
    }

    /// The system's columns, which stand last.
    pub(crate) fn meta(&mut self) -> Result<Meta, String> {
        Ok(Meta {
            revision: self.value()?,
            create_time: self.time()?,
            update_time: self.time()?,
            delete_time: if self.table.soft_delete { self.time()? } else { None },
        })
    }

    /// What is wrong with the column that was read last.
    pub(crate) fn says(&self, what: impl Display) -> String {
        let column = (self.next - self.begin).checked_sub(1).and_then(|n| self.table.columns.get(n));
        format!("{}: {what}", column.unwrap_or(&""))
    }
}

fn named<M: TryInto<T>, T>(name: &str, from_name: &impl Fn(&str) -> Option<M>) -> Result<T, String> {
    let value = from_name(name).and_then(|message| message.try_into().ok());
    value.ok_or_else(|| format!("no value named {name}"))
}
