//! Markets.

use std::time::Duration;

use cqar_domain::{
    decimal::Decimal,
    entity::Meta,
    id::{MarketId, Segment},
    market::{ContractSize, ContractUnit, Market, MarketStatus},
};

use super::{Reader, decimal_text, etag, same_variants};
use crate::v1;

same_variants!(v1::MarketStatus, MarketStatus: Announced, PreLaunch, Active, Halted, Delisting, Delisted, Expired,
    Settled);
same_variants!(v1::ContractUnit, ContractUnit: Base, Quote);

impl From<&Market> for v1::Market {
    fn from(market: &Market) -> Self {
        let contract = market.contract_size.as_ref();
        Self {
            id: market.id.to_string(),
            venue: market.venue.to_string(),
            segment: market.segment.to_string(),
            venue_symbol: market.venue_symbol.clone(),
            instrument: market.instrument.to_string(),
            aliases: market.aliases.clone(),
            unit_multiplier: market.unit_multiplier.to_string(),
            contract_size: decimal_text(contract.map(|c| &c.size)),
            contract_unit: contract.map_or(0, |c| v1::ContractUnit::from(c.unit).into()),
            tick_size: decimal_text(market.tick_size.as_ref()),
            lot_size: decimal_text(market.lot_size.as_ref()),
            min_quantity: decimal_text(market.min_quantity.as_ref()),
            max_quantity: decimal_text(market.max_quantity.as_ref()),
            min_notional: decimal_text(market.min_notional.as_ref()),
            maker_fee: decimal_text(market.maker_fee.as_ref()),
            taker_fee: decimal_text(market.taker_fee.as_ref()),
            funding_interval: market.funding_interval.map(Into::into),
            status: v1::MarketStatus::from(market.status).into(),
            listed_time: market.listed.map(Into::into),
            delisted_time: market.delisted.map(Into::into),
            expiry_time: market.expiry_time.map(Into::into),
            revision: market.meta.revision,
            etag: etag(&market.meta),
            create_time: market.meta.create_time.map(Into::into),
            update_time: market.meta.update_time.map(Into::into),
        }
    }
}

impl Reader<'_> {
    /// Reads a market. Output-only fields are left out.
    pub fn market(&mut self, message: v1::Market) -> Option<Market> {
        let id = self.id(&message.id, MarketId::new);
        let venue = self.required("venue", &message.venue);
        let segment = self.found.take("segment", message.segment.parse::<Segment>());
        let instrument = self.required("instrument", &message.instrument);
        let unit_multiplier = self.optional("unit_multiplier", &message.unit_multiplier);
        let contract_size = self.contract_size(&message);
        let tick_size = self.optional("tick_size", &message.tick_size);
        let lot_size = self.optional("lot_size", &message.lot_size);
        let min_quantity = self.optional("min_quantity", &message.min_quantity);
        let max_quantity = self.optional("max_quantity", &message.max_quantity);
        let min_notional = self.optional("min_notional", &message.min_notional);
        let maker_fee = self.optional("maker_fee", &message.maker_fee);
        let taker_fee = self.optional("taker_fee", &message.taker_fee);
        let funding_interval = message.funding_interval.map(Duration::try_from).transpose();
        let funding_interval = self.found.take("funding_interval", funding_interval);
        // To the microsecond, as all times are.
        let funding_interval = funding_interval
            .map(|it| it.map(|it| Duration::new(it.as_secs(), it.subsec_micros().saturating_mul(1000))));
        let status = self.enumeration::<v1::MarketStatus, _>("status", message.status);
        let listed = self.time("listed_time", message.listed_time);
        let delisted = self.time("delisted_time", message.delisted_time);
        let expiry_time = self.time("expiry_time", message.expiry_time);
        Some(Market {
            id: id?,
            venue: venue?,
            segment: segment?,
            venue_symbol: message.venue_symbol,
            instrument: instrument?,
            aliases: message.aliases,
            unit_multiplier: unit_multiplier?.unwrap_or_else(Decimal::one),
            contract_size: contract_size?,
            tick_size: tick_size?,
            lot_size: lot_size?,
            min_quantity: min_quantity?,
            max_quantity: max_quantity?,
            min_notional: min_notional?,
            maker_fee: maker_fee?,
            taker_fee: taker_fee?,
            funding_interval: funding_interval?,
            status: status?,
            listed: listed?,
            delisted: delisted?,
            expiry_time: expiry_time?,
            meta: Meta::default(),
        })
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
