//! Lists, in pages by key: the order is that of the ids, total and stable.

use std::fmt::Write;

use cqar_domain::{entities::{asset::{Asset, AssetType}, chain::Chain, instrument::{Instrument, InstrumentKind}, market::{Market, MarketStatus}, venue::{Venue, VenueType}, venue_asset::VenueAsset, Entity}, id::{AssetId, EntityKey, InstrumentId, Segment, VenueId}};
use cqar_proto::v1;

use crate::{
    database::Value,
    error::Error,
    snapshot::{Snapshot, id_value},
    tables::Table,
};

/// What to list; an absent field is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Assets.
    Assets {
        /// The exact symbol.
        symbol: Option<String>,
        /// The type.
        asset_type: Option<AssetType>,
        /// Deleted ones too.
        show_deleted: bool,
    },
    /// Chains.
    Chains {
        /// The CAIP-2 id.
        caip2: Option<String>,
    },
    /// Venues.
    Venues {
        /// The type.
        venue_type: Option<VenueType>,
        /// Deleted ones too.
        show_deleted: bool,
    },
    /// Venue assets.
    VenueAssets {
        /// Of one venue.
        venue: Option<VenueId>,
        /// Of one asset.
        asset: Option<AssetId>,
    },
    /// Instruments.
    Instruments {
        /// The kind.
        kind: Option<InstrumentKind>,
        /// The base or underlying.
        base: Option<AssetId>,
        /// The quote.
        quote: Option<AssetId>,
        /// Deleted ones too.
        show_deleted: bool,
    },
    /// Markets.
    Markets {
        /// Of one venue.
        venue: Option<VenueId>,
        /// Of one segment; the empty one is that of venues without segments.
        segment: Option<Segment>,
        /// Of one instrument.
        instrument: Option<InstrumentId>,
        /// In one status.
        status: Option<MarketStatus>,
        /// With this very symbol (aliases do not count).
        venue_symbol: Option<String>,
    },
}

impl Snapshot {
    /// The entities after the key, by id, at most `limit`. Fewer means that there are no more.
    pub async fn list(&mut self, filter: &Filter, after: Option<&EntityKey>, limit: u32) -> Result<Vec<Entity>, Error> {
        let conditions = Conditions::of(filter);
        match filter {
            Filter::Assets { .. } => self.page::<Asset>("list_assets", conditions, after, limit).await,
            Filter::Chains { .. } => self.page::<Chain>("list_chains", conditions, after, limit).await,
            Filter::Venues { .. } => self.page::<Venue>("list_venues", conditions, after, limit).await,
            Filter::VenueAssets { .. } => self.page::<VenueAsset>("list_venue_assets", conditions, after, limit).await,
            Filter::Instruments { .. } => self.page::<Instrument>("list_instruments", conditions, after, limit).await,
            Filter::Markets { .. } => self.page::<Market>("list_markets", conditions, after, limit).await,
        }
    }

    async fn page<T: Table>(
        &mut self,
        operation: &'static str,
        mut conditions: Conditions,
        after: Option<&EntityKey>,
        limit: u32,
    ) -> Result<Vec<Entity>, Error> {
        if let Some(after) = after {
            conditions.add("e.id >", id_value(after));
        }
        let mut sql = T::SELECT.to_owned();
        for (n, condition) in conditions.sql.iter().enumerate() {
            sql.push_str(if n == 0 { " WHERE " } else { " AND " });
            sql.push_str(condition);
        }
        // Writing to a String cannot fail.
        let _ = write!(sql, " ORDER BY e.id LIMIT ${}", conditions.values.len() + 1);
        conditions.values.push(Value::Int(limit.into()));
        Ok(self.select::<T>(operation, sql, conditions.values).await?.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn of(filter: &Filter) -> Self {
        let mut it = Self::default();
        let shows_deleted = match filter {
            Filter::Assets { symbol, asset_type, show_deleted } => {
                it.text("e.symbol =", symbol.clone());
                it.text("e.type =", asset_type.map(|of| v1::AssetType::from(of).as_str_name()));
                *show_deleted
            }
            Filter::Chains { caip2 } => {
                it.text("e.caip2 =", caip2.clone());
                true
            }
            Filter::Venues { venue_type, show_deleted } => {
                it.text("e.type =", venue_type.map(|of| v1::VenueType::from(of).as_str_name()));
                *show_deleted
            }
            Filter::VenueAssets { venue, asset } => {
                it.text("e.venue =", venue.as_ref());
                it.some("e.asset =", asset.map(|id| Value::Uuid(id.uuid())));
                true
            }
            Filter::Instruments { kind, base, quote, show_deleted } => {
                it.text("e.kind =", kind.map(InstrumentKind::name));
                it.some("e.base =", base.map(|id| Value::Uuid(id.uuid())));
                it.some("e.quote =", quote.map(|id| Value::Uuid(id.uuid())));
                *show_deleted
            }
            Filter::Markets { venue, segment, instrument, status, venue_symbol } => {
                it.text("e.venue =", venue.as_ref());
                it.text("e.segment =", segment.as_ref());
                it.some("e.instrument =", instrument.map(|id| Value::Uuid(id.uuid())));
                it.text("e.status =", status.map(|of| v1::MarketStatus::from(of).as_str_name()));
                it.text("e.venue_symbol =", venue_symbol.clone());
                true
            }
        };
        if !shows_deleted {
            it.sql.push("e.delete_us IS NULL".to_owned());
        }
        it
    }

    fn add(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        self.sql.push(format!("{condition} ${}", self.values.len()));
    }

    fn some(&mut self, condition: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.add(condition, value);
        }
    }

    fn text(&mut self, condition: &str, text: Option<impl ToString>) {
        self.some(condition, text.map(|text| Value::Text(text.to_string())));
    }
}
