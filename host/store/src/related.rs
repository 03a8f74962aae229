//! Relationships by the assets at either end.

use cqar_domain::{
    entities::relationship::Relationship,
    id::{AssetId, EntityKey},
};

use crate::{
    error::Error,
    footprint::Dependence,
    snapshot::Snapshot,
    tables::{Table, read_all},
    value::{MAX_KEYS, Value, one_of},
};

/// An end of a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The derivative.
    From,
    /// The underlying.
    To,
}

impl Snapshot {
    /// The relationships that have one of the assets at that end; of each statement's assets up to `limit`.
    pub async fn relationships(
        &mut self,
        end: End,
        assets: &[AssetId],
        limit: u32,
    ) -> Result<Vec<Relationship>, Error> {
        for asset in assets {
            self.note([Dependence::Referrers(&EntityKey::Asset(*asset))]);
        }
        let (operation, column) = match end {
            End::From => ("relationships_from", "e.from_asset_id"),
            End::To => ("relationships_to", "e.to_asset_id"),
        };
        let ids: Vec<Value> = assets.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let mut found = Vec::new();
        for ids in ids.chunks(MAX_KEYS) {
            let _timer = self.metrics.time(operation);
            let (is_there, mut values) = one_of(self.tx.dialect(), column, 1, ids.to_vec())?;
            values.push(Value::Int(limit.into()));
            let most = self.tx.dialect().placeholder(values.len());
            let sql = format!("{} WHERE {is_there} LIMIT {most}", Relationship::SCHEMA.select());
            found.extend(read_all::<Relationship>(&mut self.tx, sql, values).await?);
        }
        Ok(found)
    }
}
