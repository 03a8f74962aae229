//! Table `markets`. Its aliases stand in `market_aliases` as well, which the writer keeps in step.

use std::{collections::BTreeMap, time::Duration};

use cqar_domain::{
    entities::market::{ContractSize, ContractUnit, Market, MarketStatus},
    id::{EntityType, InstrumentId, MarketId, Segment, VenueId},
    time::Timestamp,
};
use cqar_proto::v1;

use super::{JsonText, Table, decimal_value, json_value, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, Reference},
    value::Value,
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

impl Table for Market {
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
        "delisted_inferred",
        "override_times",
        "revision",
        "create_us",
        "update_us",
    ];
    const REFERENCES: &'static [Reference] = &[
        Reference::by("venue_id", EntityType::Venue, "markets_venue"),
        Reference::by("instrument_id", EntityType::Instrument, "markets_instrument"),
    ];
    const FOREIGN_KEYS: bool = false;
    const FILTERS: &'static [IndexedFilter] = &[
        IndexedFilter::by(&["instrument_id"], "markets_instrument"),
        IndexedFilter::by(&["venue_symbol"], "markets_symbol"),
        IndexedFilter::by(&["venue_id", "segment"], "markets_segment"),
        IndexedFilter::by(&["venue_id"], "markets_venue"),
    ];

    fn write_order(&self) -> &str {
        &self.venue_symbol
    }

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
            Value::Bool(self.delisted_inferred),
            // Of hardly any market is there one.
            Value::OptText((!self.override_times.is_empty()).then(|| self.override_times.to_json())),
            revision,
            create,
            update,
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.id(MarketId::from_uuid)?,
            venue_id: row.parsed()?,
            segment: row.parsed()?,
            venue_symbol: row.value()?,
            instrument_id: row.id(InstrumentId::from_uuid)?,
            aliases: row.json()?,
            unit_multiplier: row.parsed()?,
            contract_size: contract_size(row)?,
            quantity_unit: row.named_optional(v1::QuantityUnit::from_str_name)?,
            tick_size: row.parsed_optional()?,
            lot_size: row.parsed_optional()?,
            min_quantity: row.parsed_optional()?,
            max_quantity: row.parsed_optional()?,
            min_notional: row.parsed_optional()?,
            maker_fee: row.parsed_optional()?,
            taker_fee: row.parsed_optional()?,
            funding_interval: funding_interval(row)?,
            status: row.named(v1::MarketStatus::from_str_name)?,
            listed_time: row.time()?,
            delisted_time: row.time()?,
            expiry_time: row.time()?,
            labels: row.json()?,
            delisted_inferred: row.value()?,
            override_times: row.optional(BTreeMap::from_json)?.unwrap_or_default(),
            meta: row.meta()?,
        })
    }
}

fn contract_size(row: &mut RowReader<'_>) -> Result<Option<ContractSize>, String> {
    let size = row.parsed_optional()?;
    let unit = row.named_optional::<_, ContractUnit>(v1::ContractUnit::from_str_name)?;
    Ok(size.zip(unit).map(|(size, unit)| ContractSize { size, unit }))
}

fn funding_interval(row: &mut RowReader<'_>) -> Result<Option<Duration>, String> {
    let micros: Option<i64> = row.value()?;
    let micros = micros.map(u64::try_from).transpose().map_err(|error| row.says(error))?;
    Ok(micros.map(Duration::from_micros))
}
