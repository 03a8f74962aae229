//! Relationships by the assets at either end, and the assets that venues know by a code.

use std::collections::BTreeSet;

use cqar_domain::{
    entities::{
        relationship::{Relationship, RelationshipType},
        venue_asset::VenueAsset,
    },
    id::{AssetId, EntityKey, VenueId},
};
use cqar_proto::v1;

use crate::{
    error::Error,
    footprint::Dependence,
    snapshot::{Snapshot, texts},
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
    /// Up to `limit` of the relationships that have one of the assets at that end, of all types or of some.
    pub async fn relationships(
        &mut self,
        end: End,
        assets: &[AssetId],
        types: Option<&[RelationshipType]>,
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
        // The names are the contract's, and in one order: a statement for each set of them.
        let names = types.map(|types| {
            let names = types.iter().map(|of| format!("'{}'", v1::RelationshipType::from(*of).as_str_name()));
            names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        });
        let of_type = names.map(|names| format!(" AND e.type IN ({names})"));
        let of_type = of_type.unwrap_or_default();
        let mut found = Vec::new();
        for ids in ids.chunks(MAX_KEYS) {
            let left = i64::from(limit).saturating_sub(i64::try_from(found.len()).unwrap_or(i64::MAX));
            if left == 0 {
                break;
            }
            let _timer = self.metrics.time(operation);
            let (is_there, mut values) = one_of(self.tx.dialect(), column, 1, ids.to_vec())?;
            values.push(Value::Int(left));
            let most = self.tx.dialect().placeholder(values.len());
            let sql = format!("{} WHERE {is_there}{of_type} LIMIT {most}", Relationship::SCHEMA.select());
            found.extend(read_all::<Relationship>(&mut self.tx, sql, values).await?);
        }
        Ok(found)
    }

    /// What the venue knows by one of the codes, in whichever segment.
    pub async fn venue_assets_with_codes(
        &mut self,
        venue: &VenueId,
        codes: &[String],
    ) -> Result<Vec<VenueAsset>, Error> {
        self.note(codes.iter().map(|code| Dependence::VenueCode(venue, code)));
        let mut found = Vec::new();
        for codes in texts(codes.iter().map(String::as_str)).chunks(MAX_KEYS) {
            let _timer = self.metrics.time("venue_assets_by_code");
            let (has_code, mut values) = one_of(self.tx.dialect(), "e.code", 1, codes.to_vec())?;
            values.push(Value::Text(venue.to_string()));
            // A few dozen venues know something by a code at most.
            let dialect = self.tx.dialect();
            let of_venue = dialect.checked_along("e.venue_id", &dialect.placeholder(values.len()));
            let sql = format!("{} WHERE {has_code} AND {of_venue}", VenueAsset::SCHEMA.select());
            found.extend(read_all::<VenueAsset>(&mut self.tx, sql, values).await?);
        }
        Ok(found)
    }
}
