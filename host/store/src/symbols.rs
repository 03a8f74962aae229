//! Table `market_symbols`: every symbol and alias of every market, the past ones too. A symbol means one market at a time,
//! which no unique key can say; so it is where resolving starts, and nothing more.

use std::collections::HashSet;

use cqar_domain::{
    entities::{Entity, market::Market},
    id::VenueId,
};

use crate::{
    database::{MAX_KEYS, Value, key_list, placeholders},
    error::Error,
    footprint::Dependence,
    insert::in_order,
    snapshot::{Snapshot, texts},
    tables::Table,
    write::{Change, WriteTransaction},
};

const TABLE: &str = "market_symbols";
const COLUMNS: [&str; 3] = ["symbol", "venue_id", "market_id"];

impl Snapshot {
    /// The venue's markets that have, or had, one of the symbols or aliases.
    pub async fn markets_with_symbols(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Market>, Error> {
        self.note(symbols.iter().map(|symbol| Dependence::Symbol(venue, symbol)));
        let (mut markets, mut seen) = (Vec::new(), HashSet::new());
        for symbols in texts(symbols.iter().map(String::as_str)).chunks(MAX_KEYS) {
            let dialect = self.tx.dialect();
            let (of, (list, symbols)) = (placeholders(dialect, 1, 1), key_list(dialect, 2, symbols.to_vec()));
            let sql = format!(
                "{} WHERE e.id IN (SELECT market_id FROM {TABLE} WHERE venue_id = {of} AND symbol IN {list}) ORDER BY e.id",
                Market::SELECT
            );
            let values = [vec![Value::Text(venue.to_string())], symbols].concat();
            let found = self.select::<Market>("markets_by_symbol", sql, values).await?;
            // One with several symbols may be found by each of them.
            markets.extend(found.into_iter().filter(|market| seen.insert(market.id)));
        }
        Ok(markets)
    }
}

impl WriteTransaction {
    /// Takes out the symbols that markets no longer have.
    pub(crate) async fn delete_symbols(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut stale = Vec::new();
        for change in changes {
            let Some(Entity::Market(before)) = &change.before else { continue };
            if !has_same_symbols(before, change.after.as_ref()) {
                let market = Value::Uuid(before.id.uuid());
                stale.extend(before.symbols().map(|symbol| (Value::Text(symbol.to_owned()), market.clone())));
            }
        }
        for stale in stale.chunks(MAX_KEYS) {
            let _timer = self.snapshot.metrics.time("delete_symbols");
            // By the primary key. All symbols of all of these markets go, so either list may stand for each of the other.
            let (symbols, markets): (Vec<Value>, Vec<Value>) = stale.iter().cloned().unzip();
            let dialect = self.snapshot.tx.dialect();
            let (symbol_list, symbols) = key_list(dialect, 1, symbols);
            let (market_list, markets) = key_list(dialect, symbols.len() + 1, markets);
            let sql = format!("DELETE FROM {TABLE} WHERE symbol IN {symbol_list} AND market_id IN {market_list}");
            self.snapshot.tx.execute(sql, [symbols, markets].concat()).await?;
        }
        Ok(())
    }

    /// Puts in the symbols that markets got.
    pub(crate) async fn insert_symbols(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut rows = Vec::new();
        for change in changes {
            let Some(Entity::Market(after)) = &change.after else { continue };
            if matches!(&change.before, Some(Entity::Market(before)) if has_same_symbols(before, change.after.as_ref()))
            {
                continue;
            }
            for symbol in after.symbols() {
                let market = Value::Uuid(after.id.uuid());
                rows.push(vec![Value::Text(symbol.to_owned()), Value::Text(after.venue_id.to_string()), market]);
            }
        }
        in_order(&mut rows, 0);
        self.insert("insert_symbols", TABLE, &COLUMNS, rows, "").await
    }
}

fn has_same_symbols(before: &Market, after: Option<&Entity>) -> bool {
    match after {
        Some(Entity::Market(after)) => before.venue_symbol == after.venue_symbol && before.aliases == after.aliases,
        _ => false,
    }
}
