//! Reads: everything that one snapshot answers is of one revision.

use std::collections::{HashMap, HashSet};

use cqar_domain::{code::parse_code, entities::{asset::Asset, chain::Chain, instrument::Instrument, market::Market, venue::Venue, venue_asset::VenueAsset, Entity}, entity::Revision, id::{AssetId, EntityKey, EntityType, InstrumentId, Segment, VenueId}, time::Timestamp};

use crate::{
    database::{MAX_KEYS, Tx, Value, key_list, placeholders},
    error::Error,
    metrics::Metrics,
    tables::Table,
};

/// A state of the registry, and the revision that it is of.
///
/// Dropping it ends the transaction.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) tx: Tx,
    pub(crate) metrics: Metrics,
    pub(crate) revision: Revision,
}

const REFERRERS_OF_ASSET: &str = "SELECT 'chain' AS entity_type, id AS slug, NULL AS uuid FROM chains WHERE native_asset = $1 \
    UNION ALL SELECT 'venue_asset', NULL, id FROM venue_assets WHERE asset = $1 \
    UNION ALL SELECT 'instrument', NULL, id FROM instruments WHERE delete_us IS NULL AND (base = $1 OR quote = $1 OR settle = $1) \
    LIMIT $2";
const REFERRERS_OF_CHAIN: &str =
    "SELECT 'venue' AS entity_type, id AS slug, NULL AS uuid FROM venues WHERE chain = $1 LIMIT $2";
const REFERRERS_OF_VENUE: &str = "SELECT 'venue_asset' AS entity_type, NULL AS slug, id AS uuid FROM venue_assets WHERE venue = $1 \
    UNION ALL SELECT 'market', NULL, id FROM markets WHERE venue = $1 LIMIT $2";
const REFERRERS_OF_INSTRUMENT: &str =
    "SELECT 'market' AS entity_type, NULL AS slug, id AS uuid FROM markets WHERE instrument = $1 LIMIT $2";

#[derive(sqlx::FromRow)]
struct Referrer {
    entity_type: String,
    slug: Option<String>,
    uuid: Option<uuid::Uuid>,
}

impl Snapshot {
    /// The revision that all of it is of.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The entities, in the order of their keys.
    pub async fn entities(&mut self, keys: &[EntityKey]) -> Result<Vec<Option<Entity>>, Error> {
        let mut found: HashMap<EntityKey, Entity> = HashMap::with_capacity(keys.len());
        for entity_type in EntityType::ALL {
            let ids: Vec<Value> = keys.iter().filter(|key| key.entity_type() == entity_type).map(id_value).collect();
            if ids.is_empty() {
                continue;
            }
            let entities = match entity_type {
                EntityType::Asset => self.any_by::<Asset>("get_assets", "e.id", ids).await?,
                EntityType::Chain => self.any_by::<Chain>("get_chains", "e.id", ids).await?,
                EntityType::Venue => self.any_by::<Venue>("get_venues", "e.id", ids).await?,
                EntityType::VenueAsset => self.any_by::<VenueAsset>("get_venue_assets", "e.id", ids).await?,
                EntityType::Instrument => self.any_by::<Instrument>("get_instruments", "e.id", ids).await?,
                EntityType::Market => self.any_by::<Market>("get_markets", "e.id", ids).await?,
            };
            found.extend(entities.into_iter().map(|entity| (entity.key(), entity)));
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// The assets with one of the symbols, deleted ones included.
    pub async fn assets_with_symbols(&mut self, symbols: &[String]) -> Result<Vec<Asset>, Error> {
        self.by("assets_by_symbol", "e.symbol", texts(symbols)).await
    }

    /// The chains with one of the CAIP-2 ids.
    pub async fn chains_with_caip2(&mut self, caip2: &[String]) -> Result<Vec<Chain>, Error> {
        self.by("chains_by_caip2", "e.caip2", texts(caip2)).await
    }

    /// The instruments with one of the terms, by [`cqar_domain::entities::instrument::Terms::unique_key`]; deleted ones included.
    pub async fn instruments_with_terms(&mut self, terms: &[String]) -> Result<Vec<Instrument>, Error> {
        self.by("instruments_by_terms", "e.terms_key", texts(terms)).await
    }

    /// The venue's bindings of the codes.
    pub async fn venue_assets_with_codes(
        &mut self,
        venue: &VenueId,
        codes: &[String],
    ) -> Result<Vec<VenueAsset>, Error> {
        self.by_both("venue_assets_by_code", ("e.venue", Value::Text(venue.to_string())), "e.code", texts(codes)).await
    }

    /// The instruments whose canonical code it is, deleted ones left out.
    pub async fn instruments_with_code(&mut self, code: &str) -> Result<Vec<Instrument>, Error> {
        let Some(parsed) = parse_code(code) else { return Ok(Vec::new()) };
        let bases = self.assets_with_symbols(std::slice::from_ref(&parsed.base)).await?;
        let bases = bases.into_iter().map(|asset| Value::Uuid(asset.id.uuid())).collect();
        let found: Vec<Instrument> = self.by("instruments_by_base", "e.base", bases).await?;
        Ok(found.into_iter().filter(|it| it.code == code && it.meta.delete_time.is_none()).collect())
    }

    /// Up to `limit` instruments whose terms name the asset, deleted ones included.
    pub async fn instruments_of_asset(&mut self, asset: AssetId, limit: u32) -> Result<Vec<Instrument>, Error> {
        let sql =
            format!("{} WHERE e.base = $1 OR e.quote = $1 OR e.settle = $1 ORDER BY e.id LIMIT $2", Instrument::SELECT);
        self.select("instruments_by_asset", sql, vec![Value::Uuid(asset.uuid()), Value::Int(limit.into())]).await
    }

    /// The venue's markets that have, or had, one of the symbols or aliases.
    pub async fn markets_with_symbols(&mut self, venue: &VenueId, symbols: &[String]) -> Result<Vec<Market>, Error> {
        let (mut markets, mut seen) = (Vec::new(), HashSet::new());
        for symbols in texts(symbols).chunks(MAX_KEYS) {
            let dialect = self.tx.dialect();
            let (of, (list, symbols)) = (placeholders(dialect, 1, 1), key_list(dialect, 2, symbols.to_vec()));
            let sql = format!(
                "{} WHERE e.id IN (SELECT market FROM market_symbols WHERE venue = {of} AND symbol IN {list}) ORDER BY e.id",
                Market::SELECT
            );
            let values = [vec![Value::Text(venue.to_string())], symbols].concat();
            let found = self.select::<Market>("markets_by_symbol", sql, values).await?;
            // One with several symbols may be found by each of them.
            markets.extend(found.into_iter().filter(|market| seen.insert(market.id)));
        }
        Ok(markets)
    }

    /// The venue's markets of the instruments.
    pub async fn markets_of_instruments(
        &mut self,
        venue: &VenueId,
        instruments: &[InstrumentId],
    ) -> Result<Vec<Market>, Error> {
        let ids = instruments.iter().map(|id| Value::Uuid(id.uuid())).collect();
        self.by_both("markets_by_instrument", ("e.venue", Value::Text(venue.to_string())), "e.instrument", ids).await
    }

    /// The venue's markets in a segment that are live at the instant.
    pub async fn live_markets(
        &mut self,
        venue: &VenueId,
        segment: &Segment,
        at: Timestamp,
    ) -> Result<Vec<Market>, Error> {
        let sql = format!(
            "{} WHERE e.venue = $1 AND e.segment = $2 AND (e.listed_us IS NULL OR e.listed_us <= $3) \
             AND (e.delisted_us IS NULL OR e.delisted_us > $3) AND (e.expiry_us IS NULL OR e.expiry_us > $3) ORDER BY e.id",
            Market::SELECT
        );
        let values = vec![Value::Text(venue.to_string()), Value::Text(segment.to_string()), Value::Int(at.micros())];
        self.select("live_markets", sql, values).await
    }

    /// Up to `limit` undeleted entities that refer to it.
    pub async fn referrers(&mut self, key: &EntityKey, limit: u32) -> Result<Vec<EntityKey>, Error> {
        let sql = match key {
            EntityKey::Asset(_) => REFERRERS_OF_ASSET,
            EntityKey::Chain(_) => REFERRERS_OF_CHAIN,
            EntityKey::Venue(_) => REFERRERS_OF_VENUE,
            EntityKey::Instrument(_) => REFERRERS_OF_INSTRUMENT,
            EntityKey::VenueAsset(_) | EntityKey::Market(_) => return Ok(Vec::new()),
        };
        let _timer = self.metrics.time("referrers");
        let values = vec![id_value(key), Value::Int(limit.into())];
        let rows = self.tx.all::<Referrer>(sql, values).await?;
        rows.into_iter().map(Referrer::read).collect()
    }

    async fn any_by<T: Table>(
        &mut self,
        operation: &'static str,
        column: &str,
        keys: Vec<Value>,
    ) -> Result<Vec<Entity>, Error> {
        Ok(self.by::<T>(operation, column, keys).await?.into_iter().map(Into::into).collect())
    }

    /// Rows whose column has one of the values, by id.
    async fn by<T: Table>(&mut self, operation: &'static str, column: &str, keys: Vec<Value>) -> Result<Vec<T>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            let (list, keys) = key_list(self.tx.dialect(), 1, keys.to_vec());
            let sql = format!("{} WHERE {column} IN {list} ORDER BY e.id", T::SELECT);
            found.extend(self.select::<T>(operation, sql, keys).await?);
        }
        Ok(found)
    }

    /// The same, of those whose other column has the one value.
    async fn by_both<T: Table>(
        &mut self,
        operation: &'static str,
        (only, value): (&str, Value),
        column: &str,
        keys: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_KEYS) {
            let dialect = self.tx.dialect();
            let (of, (list, keys)) = (placeholders(dialect, 1, 1), key_list(dialect, 2, keys.to_vec()));
            let sql = format!("{} WHERE {only} = {of} AND {column} IN {list} ORDER BY e.id", T::SELECT);
            found.extend(self.select::<T>(operation, sql, [vec![value.clone()], keys].concat()).await?);
        }
        Ok(found)
    }

    pub(crate) async fn select<T: Table>(
        &mut self,
        operation: &'static str,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let _timer = self.metrics.time(operation);
        let rows = self.tx.all::<T::Row>(sql, values).await?;
        rows.into_iter().map(|row| T::read(row).map_err(|reason| Error::Corrupt { table: T::NAME, reason })).collect()
    }
}

pub(crate) fn id_value(key: &EntityKey) -> Value {
    match key {
        EntityKey::Asset(id) => Value::Uuid(id.uuid()),
        EntityKey::Chain(id) => Value::Text(id.to_string()),
        EntityKey::Venue(id) => Value::Text(id.to_string()),
        EntityKey::VenueAsset(id) => Value::Uuid(id.uuid()),
        EntityKey::Instrument(id) => Value::Uuid(id.uuid()),
        EntityKey::Market(id) => Value::Uuid(id.uuid()),
    }
}

/// No stored text holds a zero byte, and PostgreSQL refuses the whole statement that asks for one.
fn texts(texts: &[String]) -> Vec<Value> {
    texts.iter().filter(|text| !text.contains('\0')).cloned().map(Value::Text).collect()
}

impl Referrer {
    fn read(self) -> Result<EntityKey, Error> {
        let id = self.slug.or_else(|| self.uuid.map(|uuid| uuid.to_string())).unwrap_or_default();
        EntityType::from_name(&self.entity_type)
            .and_then(|entity_type| EntityKey::parse(entity_type, &id).ok())
            .ok_or_else(|| Error::Corrupt { table: "referrers", reason: format!("{} {id}", self.entity_type) })
    }
}
