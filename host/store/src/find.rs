//! What the indexes find that plugins look up by: undeleted entities alone, in the order of their ids.

use cqar_domain::{
    entities::{
        Entity, asset::Asset, chain::Chain, deployment::Deployment, identifier::Identifier, instrument::Instrument,
        market::Market, venue_asset::VenueAsset,
    },
    id::{AssetId, EntityKey, InstrumentId, Segment, VenueId},
    lookup::{IndexKey, LookupIndex},
};

use crate::{error::Error, schema::TableSchema, snapshot::Snapshot, tables::Table, value::Value};

impl Snapshot {
    /// Up to `limit` undeleted entities that the key finds. A key that no entity can have finds none.
    pub async fn find(&mut self, key: &IndexKey, limit: usize) -> Result<Vec<Entity>, Error> {
        self.note_all();
        match (key.index(), key.parts()) {
            // Symbols mean markets in time, and codes are unique: each is looked up as everywhere else.
            (LookupIndex::MarketSymbol, [venue, segment, symbol]) => {
                let Some((venue, segment)) = place(venue, segment) else { return Ok(Vec::new()) };
                let found = self.markets_with_symbols(&venue, std::slice::from_ref(symbol)).await?;
                Ok(found.into_iter().filter(|it| it.segment == segment).take(limit).map(Entity::from).collect())
            }
            (LookupIndex::VenueAssetCode, [venue, segment, code]) => {
                let Some((venue, segment)) = place(venue, segment) else { return Ok(Vec::new()) };
                let found = self.with_unique_keys(&[VenueAsset::code_key(&venue, &segment, code)]).await?;
                Ok(found.into_values().collect())
            }
            (LookupIndex::DeploymentAddress, [chain, address]) => {
                let Ok(chain) = chain.parse() else { return Ok(Vec::new()) };
                // In any spelling that the chain takes.
                let found = self.entities(&[EntityKey::Chain(chain)]).await?.into_iter().flatten().next();
                let Some(Entity::Chain(chain)) = found else { return Ok(Vec::new()) };
                let Ok(address) = chain.address(address) else { return Ok(Vec::new()) };
                let found = self.with_unique_keys(&[Deployment::address_key(&chain.id, &address)]).await?;
                Ok(found.into_values().collect())
            }
            (LookupIndex::IdentifierExternalId, [source, external_id]) => {
                let Ok(source) = source.parse() else { return Ok(Vec::new()) };
                let Some(external_id) = Identifier::normalized(&source, external_id) else { return Ok(Vec::new()) };
                let found = self.with_unique_keys(&[Identifier::external_key(&source, &external_id)]).await?;
                Ok(found.into_values().collect())
            }
            (index, [part]) => {
                let (Some(search), Some(value)) = (Search::of(index), value(index, part)) else {
                    return Ok(Vec::new());
                };
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let values = vec![value, Value::Int(limit)];
                self.read(search.table, format!("find_{}_{}", search.table.name, search.column), search.sql(), values)
                    .await
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// A search by one column.
struct Search {
    table: &'static TableSchema,
    column: &'static str,
}

impl Search {
    fn of(index: LookupIndex) -> Option<Self> {
        let (table, column) = match index {
            LookupIndex::AssetSymbol => (Asset::SCHEMA, "symbol"),
            LookupIndex::AssetName => (Asset::SCHEMA, "name"),
            LookupIndex::ChainCaip2 => (Chain::SCHEMA, "caip2"),
            LookupIndex::DeploymentAsset => (Deployment::SCHEMA, "asset_id"),
            LookupIndex::InstrumentCode => (Instrument::SCHEMA, "code"),
            LookupIndex::MarketInstrument => (Market::SCHEMA, "instrument_id"),
            LookupIndex::DeploymentAddress
            | LookupIndex::IdentifierExternalId
            | LookupIndex::MarketSymbol
            | LookupIndex::VenueAssetCode => return None,
        };
        Some(Self { table, column })
    }

    fn sql(&self) -> String {
        let undeleted = if self.table.soft_delete { " AND e.delete_us IS NULL" } else { "" };
        format!("{} WHERE e.{} = $1{undeleted} ORDER BY e.id LIMIT $2", self.table.select(), self.column)
    }
}

fn place(venue: &str, segment: &str) -> Option<(VenueId, Segment)> {
    Some((venue.parse().ok()?, segment.parse().ok()?))
}

/// A part as its column has it. No stored text holds a zero byte, and PostgreSQL refuses the statement that asks for one.
fn value(index: LookupIndex, part: &str) -> Option<Value> {
    match index {
        LookupIndex::DeploymentAsset => part.parse().ok().map(|id: AssetId| Value::Uuid(id.uuid())),
        LookupIndex::MarketInstrument => part.parse().ok().map(|id: InstrumentId| Value::Uuid(id.uuid())),
        _ => (!part.contains('\0')).then(|| Value::Text(part.to_owned())),
    }
}
