//! Markets by symbol. The symbol is a column of theirs; table `market_aliases` has the aliases of every market, the past ones too. A
//! symbol means one market at a time, which no unique key can say; so it is where resolving starts, and nothing more.

use std::collections::HashMap;

use cqar_domain::{
    entities::{Entity, asset::Asset, instrument::Instrument, market::Market, venue::Venue},
    id::{EntityKey, MarketId, VenueId},
};

use crate::{
    dialect::Dialect,
    error::Error,
    footprint::Dependence,
    insert::in_order,
    row::EntityRow,
    schema::TableSchema,
    snapshot::{Snapshot, texts},
    tables::{Table, read_at},
    value::{MAX_KEYS, Value, one_of},
    write::{Change, WriteTransaction},
};

const TABLE: &str = "market_aliases";
const COLUMNS: [&str; 3] = ["symbol", "venue_id", "market_id"];

/// Markets in the order of their ids, and what they refer to: venues, instruments and their assets.
pub type MarketsAndRelated = (Vec<Market>, HashMap<EntityKey, Entity>);

impl Snapshot {
    /// The venue's markets that have, or had, one of the symbols or aliases, by id.
    pub async fn markets_with_symbols(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Market>, Error> {
        let columns = Market::SCHEMA.columns_of("e");
        let rows = self.with_symbols("markets_by_symbol", venue, symbols, &columns, "").await?;
        let found = rows.iter().map(|row| read_at::<Market>(row, 0)).collect::<Result<Vec<_>, _>>()?;
        Ok(in_order_of_ids(found))
    }

    /// The same, and what an answer shows of them: in one statement, since each takes as long as a look-up.
    pub async fn markets_with_related(
        &mut self,
        venue: &VenueId,
        symbols: &[String],
    ) -> Result<MarketsAndRelated, Error> {
        let columns = [Market::SCHEMA.columns_of("e")].into_iter();
        let columns =
            columns.chain(RELATED.map(|(alias, table)| table.columns_of(alias))).collect::<Vec<_>>().join(", ");
        let rows = self.with_symbols("markets_with_related", venue, symbols, &columns, JOINED).await?;
        let (mut markets, mut related) = (Vec::with_capacity(rows.len()), HashMap::new());
        for row in &rows {
            markets.push(read_at::<Market>(row, 0)?);
            let mut begin = Market::COLUMNS.len();
            for (_, table) in RELATED {
                if !row.is_null(begin) {
                    let entity = (table.read)(row, begin)?;
                    related.insert(entity.key(), entity);
                }
                begin += table.columns.len();
            }
        }
        let markets = in_order_of_ids(markets);
        self.note(related.keys().map(Dependence::Entity));
        Ok((markets, related))
    }

    /// Rows of the venue's markets of the symbols or aliases: each market `e` with what is joined to it. One with several of them may
    /// be found by each.
    async fn with_symbols(
        &mut self,
        operation: &'static str,
        venue: &VenueId,
        symbols: &[String],
        columns: &str,
        joined: &str,
    ) -> Result<Vec<EntityRow>, Error> {
        self.note(symbols.iter().map(|symbol| Dependence::Symbol(venue, symbol)));
        let mut rows = Vec::new();
        for symbols in texts(symbols.iter().map(String::as_str)).chunks(MAX_KEYS) {
            let (found, values) = found_by(self.tx.dialect(), venue, symbols)?;
            // SQLite joins in this order, and in no other.
            let sql = format!("SELECT {columns} FROM ({found}) AS f CROSS JOIN markets e{joined} WHERE e.id = f.id");
            let _timer = self.metrics.time(operation);
            rows.extend(self.tx.rows(sql, values).await?);
        }
        Ok(rows)
    }
}

/// What [`JOINED`] joins to a market, and under which names.
const RELATED: [(&str, &TableSchema); 5] = [
    ("v", Venue::SCHEMA),
    ("i", Instrument::SCHEMA),
    ("base", Asset::SCHEMA),
    ("quote", Asset::SCHEMA),
    ("settle", Asset::SCHEMA),
];
const JOINED: &str = " LEFT JOIN venues v ON v.id = e.venue_id LEFT JOIN instruments i ON i.id = e.instrument_id \
    LEFT JOIN assets base ON base.id = i.base_asset_id LEFT JOIN assets quote ON quote.id = i.quote_asset_id \
    LEFT JOIN assets settle ON settle.id = i.settle_asset_id AND settle.id <> quote.id";

/// Selects the ids of the venue's markets that have, or had, one of the symbols or aliases.
fn found_by(dialect: Dialect, venue: &VenueId, symbols: &[Value]) -> Result<(String, Vec<Value>), Error> {
    let venue = Value::Text(venue.to_string());
    let (has_symbol, mut values) = one_of(dialect, "m.venue_symbol", 1, symbols.to_vec())?;
    values.push(venue.clone());
    let of_venue = dialect.checked_along("m.venue_id", &dialect.placeholder(values.len()));
    let (has_alias, aliases) = one_of(dialect, "a.symbol", values.len() + 1, symbols.to_vec())?;
    values.extend(aliases);
    values.push(venue);
    let n = dialect.placeholder(values.len());
    let sql = format!(
        "SELECT m.id FROM markets m WHERE {has_symbol} AND {of_venue} \
         UNION ALL SELECT a.market_id FROM {TABLE} a WHERE {has_alias} AND a.venue_id = {n}"
    );
    Ok((sql, values))
}

fn in_order_of_ids(mut markets: Vec<Market>) -> Vec<Market> {
    markets.sort_by_key(|market| market.id);
    markets.dedup_by_key(|market| market.id);
    markets
}

impl WriteTransaction {
    /// Takes out the aliases of markets that have others now.
    pub(crate) async fn delete_aliases(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut stale = Vec::new();
        for change in changes {
            let (before, after) = (aliases_of(change.before.as_ref()), aliases_of(change.after.as_ref()));
            if let Some((market, _, aliases)) = before.filter(|_| before != after) {
                let market = Value::Uuid(market.uuid());
                stale.extend(aliases.iter().map(|alias| (Value::Text(alias.clone()), market.clone())));
            }
        }
        for stale in stale.chunks(MAX_KEYS) {
            let _timer = self.snapshot.metrics.time("delete_aliases");
            // By the primary key. All aliases of all of these markets go, so either list may stand for each of the other.
            let (aliases, markets): (Vec<Value>, Vec<Value>) = stale.iter().cloned().unzip();
            let dialect = self.snapshot.tx.dialect();
            let (has_alias, mut values) = one_of(dialect, "symbol", 1, aliases)?;
            let (of_market, markets) = one_of(dialect, "market_id", values.len() + 1, markets)?;
            values.extend(markets);
            let sql = format!("DELETE FROM {TABLE} WHERE {has_alias} AND {of_market}");
            self.snapshot.tx.execute(sql, values).await?;
        }
        Ok(())
    }

    /// Puts in the aliases of markets that have others now.
    pub(crate) async fn insert_aliases(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut rows = Vec::new();
        for change in changes {
            let (before, after) = (aliases_of(change.before.as_ref()), aliases_of(change.after.as_ref()));
            if let Some((market, venue, aliases)) = after.filter(|_| before != after) {
                rows.extend(aliases.iter().map(|alias| {
                    vec![Value::Text(alias.clone()), Value::Text(venue.to_string()), Value::Uuid(market.uuid())]
                }));
            }
        }
        in_order(&mut rows, 0);
        self.insert("insert_aliases", TABLE, &COLUMNS, rows.into_iter(), "").await
    }
}

/// A market, and its aliases.
fn aliases_of(entity: Option<&Entity>) -> Option<(MarketId, &VenueId, &[String])> {
    match entity {
        Some(Entity::Market(market)) => Some((market.id, &market.venue_id, &market.aliases)),
        _ => None,
    }
}
