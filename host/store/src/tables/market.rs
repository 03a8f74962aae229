//! Table `markets`. Its symbols stand in `market_symbols` as well, which the writer keeps in step.

use std::time::Duration;

use cqar_domain::{
    entities::market::{ContractSize, ContractUnit, Market, MarketStatus, QuantityUnit},
    id::{EntityType, InstrumentId, MarketId, Segment, VenueId},
    time::Timestamp,
};
use cqar_proto::v1;
use uuid::Uuid;

use super::{
    JsonText, MetaRow, Table, decimal_value, json_value, meta_values, named, optional, optional_time, parse, time_value,
};
use crate::{
    database::Value,
    filter::Filter,
    schema::{IndexedFilter, Reference},
};

/// Which markets to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct MarketFilter {
    /// Of one venue.
    pub venue_id: Option<VenueId>,
    /// Of one segment; the empty one is that of venues without segments.
    pub segment: Option<Segment>,
    /// Of one instrument.
    pub instrument_id: Option<InstrumentId>,
    /// In one status.
    pub status: Option<MarketStatus>,
    /// With this very symbol (aliases do not count).
    pub venue_symbol: Option<String>,
    /// Live at this instant.
    pub live_at: Option<Timestamp>,
}

impl From<MarketFilter> for Filter {
    fn from(filter: MarketFilter) -> Self {
        Self::of(Market::SCHEMA)
            .and_text("venue_id", filter.venue_id)
            .and_text("segment", filter.segment)
            .and("instrument_id", filter.instrument_id.map(|id| Value::Uuid(id.uuid())))
            .and_text("status", filter.status.map(|of| v1::MarketStatus::from(of).as_str_name()))
            .and_text("venue_symbol", filter.venue_symbol)
            .and_live_at(filter.live_at)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct MarketRow {
    id: Uuid,
    venue_id: String,
    segment: String,
    venue_symbol: String,
    instrument_id: Uuid,
    aliases: String,
    unit_multiplier: String,
    contract_size: Option<String>,
    contract_unit: Option<String>,
    quantity_unit: Option<String>,
    tick_size: Option<String>,
    lot_size: Option<String>,
    min_quantity: Option<String>,
    max_quantity: Option<String>,
    min_notional: Option<String>,
    maker_fee: Option<String>,
    taker_fee: Option<String>,
    funding_interval_us: Option<i64>,
    status: String,
    listed_us: Option<i64>,
    delisted_us: Option<i64>,
    expiry_us: Option<i64>,
    labels: String,
    #[sqlx(flatten)]
    meta: MetaRow,
}

impl Table for Market {
    type Row = MarketRow;
    const NAME: &'static str = "markets";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "venue_id",
        "segment",
        "venue_symbol",
        "instrument_id",
        "aliases",
        "unit_multiplier",
        "contract_size",
        "contract_unit",
        "quantity_unit",
        "tick_size",
        "lot_size",
        "min_quantity",
        "max_quantity",
        "min_notional",
        "maker_fee",
        "taker_fee",
        "funding_interval_us",
        "status",
        "listed_us",
        "delisted_us",
        "expiry_us",
        "labels",
        "revision",
        "create_us",
        "update_us",
    ];
    const SELECT: &'static str = "SELECT e.id, e.venue_id, e.segment, e.venue_symbol, e.instrument_id, e.aliases, \
        e.unit_multiplier, e.contract_size, e.contract_unit, e.quantity_unit, e.tick_size, e.lot_size, e.min_quantity, \
        e.max_quantity, e.min_notional, e.maker_fee, e.taker_fee, e.funding_interval_us, e.status, e.listed_us, \
        e.delisted_us, e.expiry_us, e.labels, e.revision, e.create_us, e.update_us FROM markets e";
    const REFERENCES: &'static [Reference] = &[
        Reference { column: "venue_id", target: EntityType::Venue, index: "markets_venue" },
        Reference { column: "instrument_id", target: EntityType::Instrument, index: "markets_instrument" },
    ];
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["instrument_id"], "markets_instrument"),
        IndexedFilter {
            columns: &["venue_id", "venue_symbol"],
            index: "market_symbols",
            ids: Some("SELECT market_id FROM market_symbols WHERE symbol = {venue_symbol} AND venue_id = {venue_id}"),
        },
        IndexedFilter {
            columns: &["venue_symbol"],
            index: "market_symbols",
            ids: Some("SELECT market_id FROM market_symbols WHERE symbol = {venue_symbol}"),
        },
        IndexedFilter::by(&["venue_id", "segment"], "markets_segment"),
        IndexedFilter::by(&["venue_id"], "markets_venue"),
    ];

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        let contract = self.contract_size.as_ref();
        let unit = contract.map(|contract| v1::ContractUnit::from(contract.unit).as_str_name().to_owned());
        // Bounded to days by the domain, so the microseconds fit.
        let funding = self.funding_interval.and_then(|interval| i64::try_from(interval.as_micros()).ok());
        vec![
            Value::Uuid(self.id.uuid()),
            Value::Text(self.venue_id.to_string()),
            Value::Text(self.segment.to_string()),
            Value::Text(self.venue_symbol.clone()),
            Value::Uuid(self.instrument_id.uuid()),
            json_value(&self.aliases),
            Value::Text(self.unit_multiplier.to_string()),
            decimal_value(contract.map(|contract| &contract.size)),
            Value::OptText(unit),
            Value::OptText(self.quantity_unit.map(|unit| v1::QuantityUnit::from(unit).as_str_name().to_owned())),
            decimal_value(self.tick_size.as_ref()),
            decimal_value(self.lot_size.as_ref()),
            decimal_value(self.min_quantity.as_ref()),
            decimal_value(self.max_quantity.as_ref()),
            decimal_value(self.min_notional.as_ref()),
            decimal_value(self.maker_fee.as_ref()),
            decimal_value(self.taker_fee.as_ref()),
            Value::OptInt(funding),
            Value::Text(v1::MarketStatus::from(self.status).as_str_name().to_owned()),
            time_value(self.listed_time),
            time_value(self.delisted_time),
            time_value(self.expiry_time),
            json_value(&self.labels),
            revision,
            create,
            update,
        ]
    }

    fn read(row: MarketRow) -> Result<Self, String> {
        let size = optional("contract_size", row.contract_size.as_deref())?;
        let unit = row
            .contract_unit
            .as_deref()
            .map(|unit| named::<_, ContractUnit>("contract_unit", unit, v1::ContractUnit::from_str_name));
        let quantity_unit = row
            .quantity_unit
            .as_deref()
            .map(|unit| named::<_, QuantityUnit>("quantity_unit", unit, v1::QuantityUnit::from_str_name));
        let funding = row.funding_interval_us.map(u64::try_from).transpose();
        Ok(Self {
            id: super::id("id", MarketId::from_uuid(row.id))?,
            venue_id: parse("venue_id", &row.venue_id)?,
            segment: parse("segment", &row.segment)?,
            venue_symbol: row.venue_symbol,
            instrument_id: super::id("instrument_id", InstrumentId::from_uuid(row.instrument_id))?,
            aliases: JsonText::from_json("aliases", &row.aliases)?,
            unit_multiplier: parse("unit_multiplier", &row.unit_multiplier)?,
            contract_size: size.zip(unit.transpose()?).map(|(size, unit)| ContractSize { size, unit }),
            quantity_unit: quantity_unit.transpose()?,
            tick_size: optional("tick_size", row.tick_size.as_deref())?,
            lot_size: optional("lot_size", row.lot_size.as_deref())?,
            min_quantity: optional("min_quantity", row.min_quantity.as_deref())?,
            max_quantity: optional("max_quantity", row.max_quantity.as_deref())?,
            min_notional: optional("min_notional", row.min_notional.as_deref())?,
            maker_fee: optional("maker_fee", row.maker_fee.as_deref())?,
            taker_fee: optional("taker_fee", row.taker_fee.as_deref())?,
            funding_interval: super::id("funding_interval_us", funding)?.map(Duration::from_micros),
            status: named("status", &row.status, v1::MarketStatus::from_str_name)?,
            listed_time: optional_time("listed_us", row.listed_us)?,
            delisted_time: optional_time("delisted_us", row.delisted_us)?,
            expiry_time: optional_time("expiry_us", row.expiry_us)?,
            labels: JsonText::from_json("labels", &row.labels)?,
            meta: row.meta.read()?,
        })
    }
}
