//! The tables of the entities: how each entity becomes a row and back.

mod asset;
mod chain;
mod deployment;
mod group;
mod identifier;
mod instrument;
mod market;
mod relationship;
mod venue;
mod venue_asset;

use std::collections::BTreeMap;

use cqar_domain::{
    decimal::Decimal,
    entities::{
        EntityVariant, asset::Asset, chain::Chain, deployment::Deployment, group::Group, identifier::Identifier,
        instrument::Instrument, market::Market, relationship::Relationship, venue::Venue, venue_asset::VenueAsset,
    },
    entity::Meta,
    id::EntityType,
    text::Labels,
    time::Timestamp,
};

use crate::{
    database::Tx,
    error::Error,
    row::{EntityRow, RowReader},
    schema::{IndexedFilter, ListReference, Reference, TableSchema},
    value::Value,
};

/// What each type of entity can be listed by.
pub mod filters {
    pub use super::{
        asset::AssetFilter, chain::ChainFilter, deployment::DeploymentFilter, group::GroupFilter,
        identifier::IdentifierFilter, instrument::InstrumentFilter, market::MarketFilter,
        relationship::RelationshipFilter, venue::VenueFilter, venue_asset::VenueAssetFilter,
    };
}

/// The tables, in the order of the types: what is referred to stands before what refers to it.
pub(crate) const TABLES: [&TableSchema; EntityType::ALL.len()] = [
    Asset::SCHEMA,
    Chain::SCHEMA,
    Deployment::SCHEMA,
    Venue::SCHEMA,
    VenueAsset::SCHEMA,
    Instrument::SCHEMA,
    Market::SCHEMA,
    Identifier::SCHEMA,
    Relationship::SCHEMA,
    Group::SCHEMA,
];

/// An entity that has a table.
pub(crate) trait Table: EntityVariant + 'static {
    /// The table.
    const NAME: &'static str;
    /// The columns in the order in which they are written and read: the id first, the system's last.
    const COLUMNS: &'static [&'static str];
    /// The columns that refer to other entities.
    const REFERENCES: &'static [Reference] = &[];
    /// The fields that hold many references.
    const LIST_REFERENCES: &'static [ListReference] = &[];
    /// Whether the database checks those of the columns. It does so row by row, so that of large tables the writer does.
    const FOREIGN_KEYS: bool = true;
    /// What a list may look for by an index. Whatever else it asks for is checked along that.
    const FILTERS: &'static [IndexedFilter] = &[];
    /// All of this, for code that knows the type at run time alone.
    const SCHEMA: &'static TableSchema = &schema_of::<Self>();

    /// In the order of what many rows are written: of a large index, so that neighbours in it are written together.
    fn write_order(&self) -> &str;
    /// The values of the columns, in their order.
    fn values(&self) -> Vec<Value>;
    /// The entity of a row, or what is wrong with it. The columns are read in their order.
    fn read(row: &mut RowReader<'_>) -> Result<Self, String>;
}

const fn schema_of<T: Table>() -> TableSchema {
    TableSchema {
        entity_type: T::TYPE,
        name: T::NAME,
        soft_delete: T::SOFT_DELETE,
        references: T::REFERENCES,
        list_references: T::LIST_REFERENCES,
        foreign_keys: T::FOREIGN_KEYS,
        filters: T::FILTERS,
        columns: T::COLUMNS,
        write_order: |entity| T::of(entity).map_or("", Table::write_order),
        values: |entity| T::of(entity).map(Table::values),
        read: |row, begin| read_at::<T>(row, begin).map(Into::into),
    }
}

/// The entities of a statement that begins with [`TableSchema::select`].
pub(crate) async fn read_all<T: Table>(tx: &mut Tx, sql: String, values: Vec<Value>) -> Result<Vec<T>, Error> {
    let rows = tx.rows(sql, values).await?;
    rows.iter().map(|row| read_at(row, 0)).collect()
}

/// The entity whose columns begin at a place of a row.
pub(crate) fn read_at<T: Table>(row: &EntityRow, begin: usize) -> Result<T, Error> {
    T::read(&mut row.reader(begin, T::SCHEMA)).map_err(|reason| Error::Corrupt { table: T::NAME, reason })
}

/// The tables of the entities, for tests and tools.
pub fn table_schemas() -> [&'static TableSchema; EntityType::ALL.len()] {
    TABLES
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

fn json_value(value: &impl JsonText) -> Value {
    Value::Text(value.to_json())
}

/// Lists and maps that are stored as JSON text: they are read and written whole.
pub(crate) trait JsonText: Sized {
    fn to_json(&self) -> String;
    fn from_json(text: &str) -> Result<Self, String>;
}

impl JsonText for Labels {
    fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

impl JsonText for BTreeMap<String, Timestamp> {
    fn to_json(&self) -> String {
        let micros: BTreeMap<&str, i64> = self.iter().map(|(key, time)| (key.as_str(), time.micros())).collect();
        serde_json::json!(micros).to_string()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let micros: BTreeMap<String, i64> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let time = |(key, micros)| Ok((key, Timestamp::from_micros(micros).map_err(|error| error.to_string())?));
        micros.into_iter().map(time).collect()
    }
}

impl JsonText for Vec<String> {
    fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}
