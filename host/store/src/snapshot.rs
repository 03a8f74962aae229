//! Reads: everything that one snapshot answers is of one revision.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use cqar_domain::{
    entities::{Entity, asset::Asset, instrument::Instrument, market::Market, venue_asset::VenueAsset},
    entity::{Revision, TypedEntity},
    id::{AssetId, EntityKey, InstrumentId, MarketId, Segment, VenueId},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    database::Tx,
    error::Error,
    filter::Condition,
    footprint::{Dependence, Footprint},
    metrics::Metrics,
    recent::RecentCommits,
    schema::{Reference, TableSchema},
    tables::{TABLES, Table, read_all},
    value::{MAX_KEYS, Value, one_of},
};

/// A state of the registry, and the revision that it is of.
///
/// Dropping it ends the transaction.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) tx: Tx,
    pub(crate) metrics: Metrics,
    pub(crate) state: StateId,
    pub(crate) recent: Arc<RecentCommits>,
    /// What was read, where somebody keeps it.
    pub(crate) footprint: Option<Footprint>,
}

/// A state of the registry. A revision alone does not tell: a failover may lose one, and another commit have it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateId {
    pub(crate) revision: Revision,
    /// When it was committed; none of the first, which is empty.
    pub(crate) commit_us: Option<i64>,
}

impl Snapshot {
    /// The revision that all of it is of.
    pub fn revision(&self) -> Revision {
        self.state.revision
    }

    /// Which state it is.
    pub fn state(&self) -> StateId {
        self.state
    }

    /// The entities, in the order of their keys.
    pub async fn entities(&mut self, keys: &[EntityKey]) -> Result<Vec<Option<Entity>>, Error> {
        self.note(keys.iter().map(Dependence::Entity));
        let mut found: HashMap<EntityKey, Entity> = HashMap::with_capacity(keys.len());
        for table in TABLES {
            let ids: Vec<Value> =
                keys.iter().filter(|key| key.entity_type() == table.entity_type).map(id_value).collect();
            for ids in ids.chunks(MAX_KEYS) {
                let (has_id, ids) = one_of(self.tx.dialect(), "e.id", 1, ids.to_vec())?;
                let sql = format!("{} WHERE {has_id}", table.select());
                let entities = self.read(table, format!("get_{}", table.name), sql, ids).await?;
                found.extend(entities.into_iter().map(|entity| (entity.key(), entity)));
            }
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// The assets with one of the symbols, deleted ones included.
    pub async fn assets_with_symbols(&mut self, symbols: &[String]) -> Result<Vec<Asset>, Error> {
        self.note(symbols.iter().map(|symbol| Dependence::AssetSymbol(symbol)));
        self.by("assets_by_symbol", "e.symbol", texts(symbols.iter().map(String::as_str))).await
    }

    /// The instruments that have one of the canonical codes, deleted ones left out.
    pub async fn instruments_with_codes(&mut self, codes: &[String]) -> Result<Vec<Instrument>, Error> {
        self.note(codes.iter().map(|code| Dependence::Code(code)));
        let found = self.by("instruments_by_code", "e.code", texts(codes.iter().map(String::as_str))).await?;
        Ok(found.into_iter().filter(|it: &Instrument| it.meta.delete_time.is_none()).collect())
    }

    /// Up to `limit` instruments whose terms name the asset, deleted ones included.
    pub async fn instruments_of_asset(&mut self, asset: AssetId, limit: u32) -> Result<Vec<Instrument>, Error> {
        self.note([Dependence::Referrers(&asset.into())]);
        // Each by its own index, and no more of each than are wanted: an asset may be the quote of a million.
        let by = |reference: &Reference| {
            let (column, of_index) = (reference.column, reference.of_index());
            format!(
                "SELECT id FROM (SELECT e.id FROM instruments e WHERE e.{column} = $1{of_index} ORDER BY e.id LIMIT $2) \
                 AS {column}"
            )
        };
        let found = Instrument::REFERENCES.iter().map(by).collect::<Vec<_>>().join(" UNION ");
        let first = format!("SELECT id FROM ({found}) AS found ORDER BY id LIMIT $2");
        let sql = format!("{} WHERE e.id IN ({first})", Instrument::SCHEMA.select());
        let values = vec![Value::Uuid(asset.uuid()), Value::Int(limit.into())];
        let mut found: Vec<Instrument> = self.select("instruments_by_asset", sql, values).await?;
        found.sort_by_key(|instrument| instrument.id);
        Ok(found)
    }

    /// The venue's codes for the assets.
    pub async fn venue_assets_of(&mut self, venue: &VenueId, assets: &[AssetId]) -> Result<Vec<VenueAsset>, Error> {
        for asset in assets {
            self.note([Dependence::Referrers(&(*asset).into())]);
        }
        let ids = assets.iter().map(|id| Value::Uuid(id.uuid())).collect();
        // A few dozen venues know an asset at most. Asked for the venue too, SQLite, which keeps no statistics, may take the
        // index of the venue and read all of its codes.
        let found: Vec<VenueAsset> = self.by("venue_assets_by_asset", "e.asset_id", ids).await?;
        Ok(found.into_iter().filter(|it| it.venue_id == *venue).collect())
    }

    /// For each instrument, in order, every venue's markets of it, past ones included, at most `limit`.
    pub async fn markets_of_instruments(
        &mut self,
        instruments: &[InstrumentId],
        limit: u32,
    ) -> Result<Vec<Vec<Market>>, Error> {
        for instrument in instruments {
            self.note([Dependence::Referrers(&(*instrument).into())]);
        }
        let mut found: HashMap<InstrumentId, Vec<Market>> = HashMap::new();
        for instruments in instruments.chunks(MAX_KEYS) {
            let ids: Vec<Value> = instruments.iter().map(|id| Value::Uuid(id.uuid())).collect();
            // So few instruments have many markets that asking for several together hardly ever meets the limit.
            let together = self.markets_of(ids.clone(), limit).await?;
            if instruments.len() == 1 || together.len() < limit as usize {
                for market in together {
                    found.entry(market.instrument_id).or_default().push(market);
                }
            } else {
                for (instrument, id) in instruments.iter().zip(ids) {
                    found.insert(*instrument, self.markets_of(vec![id], limit).await?);
                }
            }
        }
        Ok(instruments.iter().map(|id| found.remove(id).unwrap_or_default()).collect())
    }

    async fn markets_of(&mut self, instruments: Vec<Value>, limit: u32) -> Result<Vec<Market>, Error> {
        let dialect = self.tx.dialect();
        let limit = Value::Int(limit.into());
        // Those of one are in order in their index. Of several all are wanted, or none.
        let (of_one, order, mut values) = if instruments.len() == 1 {
            (format!("e.instrument_id = {}", dialect.placeholder(1)), " ORDER BY e.id", instruments)
        } else {
            let (of_one, values) = one_of(dialect, "e.instrument_id", 1, instruments)?;
            (of_one, "", values)
        };
        values.push(limit);
        let n = dialect.placeholder(values.len());
        let sql = format!("{} WHERE {of_one}{order} LIMIT {n}", Market::SCHEMA.select());
        let mut found: Vec<Market> = self.select("markets_by_instrument", sql, values).await?;
        found.sort_by_key(|market| market.id);
        Ok(found)
    }

    /// The venue's markets in a segment that are live at the instant, by id: at most `limit`, after the one with the id.
    pub async fn live_markets(
        &mut self,
        (venue, segment): (&VenueId, &Segment),
        at: Timestamp,
        after: Option<MarketId>,
        limit: usize,
    ) -> Result<Vec<Market>, Error> {
        self.note([Dependence::Segment(venue, segment)]);
        let live = Condition::LiveAt.clause(self.tx.dialect(), 3);
        let filter = format!("e.venue_id = $1 AND e.segment = $2 AND {live} AND e.id > $4");
        let sql = format!("{} WHERE {filter} ORDER BY e.id LIMIT $5", Market::SCHEMA.select());
        let values = vec![
            Value::Text(venue.to_string()),
            Value::Text(segment.to_string()),
            Value::Int(at.micros()),
            Value::Uuid(after.map_or(Uuid::nil(), MarketId::uuid)),
            Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)),
        ];
        self.select("live_markets", sql, values).await
    }

    /// Rows whose column has one of the values, by id.
    async fn by<T: Table>(&mut self, operation: &'static str, column: &str, keys: Vec<Value>) -> Result<Vec<T>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            let (has_one, keys) = one_of(self.tx.dialect(), column, 1, keys.to_vec())?;
            let sql = format!("{} WHERE {has_one}", T::SCHEMA.select());
            found.extend(self.select::<T>(operation, sql, keys).await?);
        }
        found.sort_by_key(TypedEntity::key);
        Ok(found)
    }

    pub(crate) async fn select<T: Table>(
        &mut self,
        operation: impl Into<Cow<'static, str>>,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let _timer = self.metrics.time(operation);
        read_all(&mut self.tx, sql, values).await
    }

    /// The same for a table that is known at run time alone.
    pub(crate) async fn read(
        &mut self,
        table: &TableSchema,
        operation: impl Into<Cow<'static, str>>,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Entity>, Error> {
        let _timer = self.metrics.time(operation);
        let rows = self.tx.rows(sql, values).await?;
        rows.iter().map(|row| (table.read)(row, 0)).collect()
    }
}

/// An id as its column has it.
pub(crate) fn id_value(key: &EntityKey) -> Value {
    key.uuid().map_or_else(|| Value::Text(key.id()), Value::Uuid)
}

/// No stored text holds a zero byte, and PostgreSQL refuses the whole statement that asks for one.
pub(crate) fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Value> {
    texts.filter(|text| !text.contains('\0')).map(|text| Value::Text(text.to_owned())).collect()
}
