//! The tables of the entities: how each entity becomes a row and back.

mod asset;
mod chain;
mod instrument;
mod market;
mod venue;
mod venue_asset;

use std::{fmt::Display, str::FromStr};

use cqar_domain::{
    decimal::Decimal,
    entities::{
        EntityVariant, asset::Asset, chain::Chain, instrument::Instrument, market::Market, venue::Venue,
        venue_asset::VenueAsset,
    },
    entity::Meta,
    id::EntityType,
    text::Labels,
    time::Timestamp,
};

use crate::{
    database::{Row, Tx, Value},
    error::Error,
    schema::{IndexedFilter, Reference, TableSchema},
};

/// What each type of entity can be listed by.
pub mod filters {
    pub use super::{
        asset::AssetFilter, chain::ChainFilter, instrument::InstrumentFilter, market::MarketFilter, venue::VenueFilter,
        venue_asset::VenueAssetFilter,
    };
}

/// The tables, in the order of the types: what is referred to stands before what refers to it.
pub(crate) const TABLES: [&TableSchema; EntityType::ALL.len()] =
    [Asset::SCHEMA, Chain::SCHEMA, Venue::SCHEMA, VenueAsset::SCHEMA, Instrument::SCHEMA, Market::SCHEMA];

/// An entity that has a table.
pub(crate) trait Table: EntityVariant {
    /// A row as it is selected.
    type Row: Row;
    /// The table.
    const NAME: &'static str;
    /// The columns that are written, the id first.
    const COLUMNS: &'static [&'static str];
    /// Selects what `Row` reads; the table is `e`.
    const SELECT: &'static str;
    /// The columns that refer to other entities.
    const REFERENCES: &'static [Reference] = &[];
    /// What a list may look for by an index. Whatever else it asks for is checked along that.
    const FILTERS: &'static [IndexedFilter] = &[];
    /// The column in whose order many rows are written: of the largest indexes that are not in the order of ids anyway.
    const WRITTEN_BY: Option<&'static str> = None;
    /// All of this, for code that knows the type at run time alone.
    const SCHEMA: &'static TableSchema = &schema_of::<Self>();

    /// The values of the columns, in their order.
    fn values(&self) -> Vec<Value>;
    /// The entity of a row, or what is wrong with it.
    fn read(row: Self::Row) -> Result<Self, String>;
}

const fn schema_of<T: Table>() -> TableSchema {
    TableSchema {
        entity_type: T::TYPE,
        name: T::NAME,
        soft_delete: T::SOFT_DELETE,
        references: T::REFERENCES,
        filters: T::FILTERS,
        columns: T::COLUMNS,
        written_by: T::WRITTEN_BY,
        select: T::SELECT,
        values: |entity| T::of(entity).map(Table::values),
        read: |tx, sql, values| {
            Box::pin(async move { Ok(read_all::<T>(tx, sql, values).await?.into_iter().map(Into::into).collect()) })
        },
    }
}

/// The entities of a statement that begins with [`Table::SELECT`].
pub(crate) async fn read_all<T: Table>(tx: &mut Tx, sql: String, values: Vec<Value>) -> Result<Vec<T>, Error> {
    let rows = tx.all::<T::Row>(sql, values).await?;
    rows.into_iter().map(|row| T::read(row).map_err(|reason| Error::Corrupt { table: T::NAME, reason })).collect()
}

/// The tables of the entities, for tests and tools.
pub fn table_schemas() -> [&'static TableSchema; EntityType::ALL.len()] {
    TABLES
}

/// The system's columns, of entities that are deleted for good.
#[derive(sqlx::FromRow)]
pub(crate) struct MetaRow {
    revision: i64,
    create_us: i64,
    update_us: i64,
    #[sqlx(default)]
    delete_us: Option<i64>,
}

impl MetaRow {
    fn read(&self) -> Result<Meta, String> {
        Ok(Meta {
            revision: self.revision,
            create_time: Some(time("create_us", self.create_us)?),
            update_time: Some(time("update_us", self.update_us)?),
            delete_time: optional_time("delete_us", self.delete_us)?,
        })
    }
}

/// `revision`, `create_us`, `update_us`. An entity without times was not stored yet; the store sets them before it writes.
fn meta_values(meta: &Meta) -> [Value; 3] {
    let micros = |time: Option<Timestamp>| Value::Int(time.map_or(0, Timestamp::micros));
    [Value::Int(meta.revision), micros(meta.create_time), micros(meta.update_time)]
}

fn time_value(time: Option<Timestamp>) -> Value {
    Value::OptInt(time.map(Timestamp::micros))
}

fn decimal_value(decimal: Option<&Decimal>) -> Value {
    Value::OptText(decimal.map(ToString::to_string))
}

fn time(column: &str, micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_micros(micros).map_err(|error| format!("{column}: {error}"))
}

fn optional_time(column: &str, micros: Option<i64>) -> Result<Option<Timestamp>, String> {
    micros.map(|micros| time(column, micros)).transpose()
}

fn parse<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{column}: {error}"))
}

fn optional<T: FromStr<Err: Display>>(column: &str, text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| parse(column, text)).transpose()
}

fn id<T, E: Display>(column: &str, id: Result<T, E>) -> Result<T, String> {
    id.map_err(|error| format!("{column}: {error}"))
}

/// The value of an enumeration by its name in the contract.
fn named<M, T>(column: &str, name: &str, from_name: impl Fn(&str) -> Option<M>) -> Result<T, String>
where
    M: TryInto<T>,
{
    from_name(name)
        .and_then(|message| message.try_into().ok())
        .ok_or_else(|| format!("{column}: no value named {name}"))
}

fn json_value(value: &impl JsonText) -> Value {
    Value::Text(value.to_json())
}

/// Lists and maps that are stored as JSON text: they are read and written whole.
trait JsonText: Sized {
    fn to_json(&self) -> String;
    fn from_json(column: &str, text: &str) -> Result<Self, String>;
}

impl JsonText for Labels {
    fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    fn from_json(column: &str, text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("{column}: {error}"))
    }
}

impl JsonText for Vec<String> {
    fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    fn from_json(column: &str, text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("{column}: {error}"))
    }
}
