//! Markets.

use std::{collections::BTreeMap, time::Duration};

use cqar_domain::{
    decimal::Decimal,
    entities::market::{ContractSize, ContractUnit, Market, MarketStatus, QuantityUnit},
    id::{MarketId, Segment},
    time::Timestamp,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, decimal_text, etag, mask::masked, same_variants},
    v1, well_known,
};

same_variants!(v1::MarketStatus, MarketStatus: Announced, PreLaunch, Active, Halted, Delisting, Delisted, Expired,
    Settled);
same_variants!(v1::ContractUnit, ContractUnit: Base, Quote, Settle);
same_variants!(v1::QuantityUnit, QuantityUnit: Base, Contracts);

impl From<&Market> for v1::Market {
    fn from(market: &Market) -> Self {
        let contract = market.contract_size.as_ref();
        Self {
            id: market.id.to_string(),
            venue_id: market.venue_id.to_string(),
            segment: market.segment.to_string(),
            venue_symbol: market.venue_symbol.clone(),
            instrument_id: market.instrument_id.to_string(),
            aliases: market.aliases.clone(),
            unit_multiplier: market.unit_multiplier.to_string(),
            contract_size: decimal_text(contract.map(|c| &c.size)),
            contract_unit: contract.map_or(0, |c| v1::ContractUnit::from(c.unit).into()),
            quantity_unit: market.quantity_unit.map_or(0, |unit| v1::QuantityUnit::from(unit).into()),
            tick_size: decimal_text(market.tick_size.as_ref()),
            lot_size: decimal_text(market.lot_size.as_ref()),
            min_quantity: decimal_text(market.min_quantity.as_ref()),
            max_quantity: decimal_text(market.max_quantity.as_ref()),
            min_notional: decimal_text(market.min_notional.as_ref()),
            maker_fee: decimal_text(market.maker_fee.as_ref()),
            taker_fee: decimal_text(market.taker_fee.as_ref()),
            funding_interval: market.funding_interval.map(Into::into),
            status: v1::MarketStatus::from(market.status).into(),
            listed_time: market.listed_time.map(Into::into),
            delisted_time: market.delisted_time.map(Into::into),
            expiry_time: market.expiry_time.map(Into::into),
            labels: market.labels.clone(),
            delisted_inferred: market.delisted_inferred,
            override_times: market.override_times.iter().map(|(field, time)| (field.clone(), (*time).into())).collect(),
            revision: market.meta.revision,
            etag: etag(&market.meta),
            create_time: market.meta.create_time.map(Into::into),
            update_time: market.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Market {
    type Entity = Market;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "venue_id": "sample", "segment": "spot", "venue_symbol":
        "BTCUSDT", "instrument_id": "01890a5d-ac96-774b-bcce-b302099a8058", "unit_multiplier": "1", "tick_size": "0.01",
        "lot_size": "0.00001", "min_quantity": "0.00001", "max_quantity": "9000", "min_notional": "5", "maker_fee":
        "0.001", "taker_fee": "0.001", "status": "MARKET_STATUS_ACTIVE"}"#;

    arm!(Market);

    fn label(&self) -> &str {
        &self.venue_symbol
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Market> {
        let id = reader.id(&self.id, MarketId::new);
        let venue_id = reader.reference("venue_id", &mut self.venue_id);
        let segment = reader.found.take("segment", self.segment.parse::<Segment>());
        let instrument_id = reader.reference("instrument_id", &mut self.instrument_id);
        let unit_multiplier = reader.optional("unit_multiplier", &self.unit_multiplier);
        let contract_size = reader.contract_size(self);
        let quantity_unit = reader.optional_enumeration::<v1::QuantityUnit, _>("quantity_unit", self.quantity_unit);
        let tick_size = reader.optional("tick_size", &self.tick_size);
        let lot_size = reader.optional("lot_size", &self.lot_size);
        let min_quantity = reader.optional("min_quantity", &self.min_quantity);
        let max_quantity = reader.optional("max_quantity", &self.max_quantity);
        let min_notional = reader.optional("min_notional", &self.min_notional);
        let maker_fee = reader.optional("maker_fee", &self.maker_fee);
        let taker_fee = reader.optional("taker_fee", &self.taker_fee);
        let funding_interval = self.funding_interval.map(Duration::try_from).transpose();
        let funding_interval = reader.found.take("funding_interval", funding_interval);
        // To the microsecond, as all times are.
        let funding_interval = funding_interval
            .map(|it| it.map(|it| Duration::new(it.as_secs(), it.subsec_micros().saturating_mul(1000))));
        let status = reader.enumeration::<v1::MarketStatus, _>("status", self.status);
        let listed_time = reader.time("listed_time", self.listed_time);
        let delisted_time = reader.time("delisted_time", self.delisted_time);
        let expiry_time = reader.time("expiry_time", self.expiry_time);
        let override_times = reader.override_times(self);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(Market {
            id: id?,
            venue_id: venue_id?,
            segment: segment?,
            venue_symbol: self.venue_symbol.clone(),
            instrument_id: instrument_id?,
            aliases: self.aliases.clone(),
            unit_multiplier: unit_multiplier?.unwrap_or_else(Decimal::one),
            contract_size: contract_size?,
            quantity_unit: quantity_unit?,
            tick_size: tick_size?,
            lot_size: lot_size?,
            min_quantity: min_quantity?,
            max_quantity: max_quantity?,
            min_notional: min_notional?,
            maker_fee: maker_fee?,
            taker_fee: taker_fee?,
            funding_interval: funding_interval?,
            status: status?,
            listed_time: listed_time?,
            delisted_time: delisted_time?,
            delisted_inferred: reader.is_stored && self.delisted_inferred,
            expiry_time: expiry_time?,
            labels: self.labels.clone(),
            override_times: override_times?,
            meta: meta?,
        })
    }
}

impl Reader<'_> {
    fn override_times(&mut self, message: &v1::Market) -> Option<BTreeMap<String, Timestamp>> {
        if !self.is_stored {
            return Some(BTreeMap::new());
        }
        let read = |(field, time): (&String, &well_known::Timestamp)| {
            let time = self.time("override_times", Some(*time))??;
            Some((field.clone(), time))
        };
        message.override_times.iter().map(read).collect()
    }

    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn contract_size(&mut self, message: &v1::Market) -> Option<Option<ContractSize>> {
        let size: Option<Decimal> = self.optional("contract_size", &message.contract_size)?;
        match size {
            Some(size) => {
                let unit = self.enumeration::<v1::ContractUnit, _>("contract_unit", message.contract_unit)?;
                Some(Some(ContractSize { size, unit }))
            }
            None if message.contract_unit != 0 => {
                self.found.add("contract_size", "REQUIRED", "must be given with contract_unit");
                None
            }
            None => Some(None),
        }
    }
}

masked!(v1::Market: [aliases, unit_multiplier, contract_size, contract_unit, quantity_unit, tick_size, lot_size,
    min_quantity, max_quantity, min_notional, maker_fee, taker_fee, funding_interval, status, listed_time, delisted_time,
    expiry_time, labels], [venue_id, segment, venue_symbol, instrument_id]);
