//! Instruments and their terms.

use cqar_domain::{
    entities::instrument::{DerivativeAssets, ExerciseStyle, Instrument, InstrumentKind, OptionType, Terms},
    id::InstrumentId,
    time::Date,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{NO_DATE, Reader, etag, mask::Masked, read_date, same_variants},
    v1::{self, instrument::Terms as Message},
};

same_variants!(v1::OptionType, OptionType: Call, Put);
same_variants!(v1::ExerciseStyle, ExerciseStyle: European, American);
same_variants!(v1::InstrumentKind, InstrumentKind: Spot, Perpetual, Future, Option, LendingDeposit, LendingBorrow);

impl From<&Terms> for Message {
    fn from(terms: &Terms) -> Self {
        match terms {
            Terms::Spot { base, quote } => {
                Self::Spot(v1::SpotTerms { base_asset_id: base.to_string(), quote_asset_id: quote.to_string() })
            }
            Terms::Perpetual(c) => Self::Perpetual(v1::PerpetualTerms {
                base_asset_id: c.base.to_string(),
                quote_asset_id: c.quote.to_string(),
                settle_asset_id: c.settle.to_string(),
            }),
            Terms::Future { contract: c, expiry } => Self::Future(v1::FutureTerms {
                base_asset_id: c.base.to_string(),
                quote_asset_id: c.quote.to_string(),
                settle_asset_id: c.settle.to_string(),
                expiry_date: expiry.to_string(),
            }),
            Terms::Option { contract: c, expiry, strike, option_type, style } => Self::Option(v1::OptionTerms {
                base_asset_id: c.base.to_string(),
                quote_asset_id: c.quote.to_string(),
                settle_asset_id: c.settle.to_string(),
                expiry_date: expiry.to_string(),
                strike: strike.to_string(),
                option_type: v1::OptionType::from(*option_type).into(),
                exercise_style: v1::ExerciseStyle::from(*style).into(),
            }),
            Terms::LendingDeposit { underlying, protocol } => Self::LendingDeposit(v1::LendingTerms {
                underlying_asset_id: underlying.to_string(),
                protocol: protocol.to_string(),
            }),
            Terms::LendingBorrow { underlying, protocol } => Self::LendingBorrow(v1::LendingTerms {
                underlying_asset_id: underlying.to_string(),
                protocol: protocol.to_string(),
            }),
        }
    }
}

impl From<&Instrument> for v1::Instrument {
    fn from(instrument: &Instrument) -> Self {
        Self {
            id: instrument.id.to_string(),
            terms: Some((&instrument.terms).into()),
            code: instrument.code.clone(),
            labels: instrument.labels.clone(),
            revision: instrument.meta.revision,
            etag: etag(&instrument.meta),
            create_time: instrument.meta.create_time.map(Into::into),
            update_time: instrument.meta.update_time.map(Into::into),
            delete_time: instrument.meta.delete_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Instrument {
    type Entity = Instrument;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "code": "SAMPLE/USDT", "spot": {"base_asset_id":
        "01890a5d-ac96-774b-bcce-b302099a8058", "quote_asset_id": "01890a5d-ac96-774b-bcce-b302099a8059"}}"#;

    arm!(Instrument);

    fn label(&self) -> &str {
        &self.code
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Instrument> {
        let id = reader.id(&self.id, InstrumentId::new);
        let terms = if let Some(terms) = &mut self.terms {
            reader.terms(terms)
        } else {
            let kinds = "exactly one of spot, perpetual, future, option, lending_deposit, lending_borrow must be given";
            reader.found.add("terms", "REQUIRED", kinds);
            None
        };
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, self.delete_time]);
        Some(Instrument {
            id: id?,
            terms: terms?,
            code: reader.output_only(&self.code),
            labels: self.labels.clone(),
            meta: meta?,
        })
    }
}

impl Reader<'_> {
    fn terms(&mut self, message: &mut Message) -> Option<Terms> {
        Some(match message {
            Message::Spot(it) => {
                let base = self.reference("spot.base_asset_id", &mut it.base_asset_id);
                let quote = self.reference("spot.quote_asset_id", &mut it.quote_asset_id);
                Terms::Spot { base: base?, quote: quote? }
            }
            Message::Perpetual(it) => Terms::Perpetual(
                self.contract("perpetual", [&mut it.base_asset_id, &mut it.quote_asset_id, &mut it.settle_asset_id])?,
            ),
            Message::Future(it) => {
                let contract =
                    self.contract("future", [&mut it.base_asset_id, &mut it.quote_asset_id, &mut it.settle_asset_id]);
                let expiry = self.date("future.expiry_date", &it.expiry_date);
                Terms::Future { contract: contract?, expiry: expiry? }
            }
            Message::Option(it) => {
                let contract =
                    self.contract("option", [&mut it.base_asset_id, &mut it.quote_asset_id, &mut it.settle_asset_id]);
                let expiry = self.date("option.expiry_date", &it.expiry_date);
                let strike = self.required("option.strike", &it.strike);
                let option_type = self.enumeration::<v1::OptionType, _>("option.option_type", it.option_type);
                let style = self.enumeration::<v1::ExerciseStyle, _>("option.exercise_style", it.exercise_style);
                Terms::Option {
                    contract: contract?,
                    expiry: expiry?,
                    strike: strike?,
                    option_type: option_type?,
                    style: style?,
                }
            }
            Message::LendingDeposit(it) => {
                let underlying = self.reference("lending_deposit.underlying_asset_id", &mut it.underlying_asset_id);
                let protocol = self.required("lending_deposit.protocol", &it.protocol);
                Terms::LendingDeposit { underlying: underlying?, protocol: protocol? }
            }
            Message::LendingBorrow(it) => {
                let underlying = self.reference("lending_borrow.underlying_asset_id", &mut it.underlying_asset_id);
                let protocol = self.required("lending_borrow.protocol", &it.protocol);
                Terms::LendingBorrow { underlying: underlying?, protocol: protocol? }
            }
        })
    }

    fn contract(&mut self, kind: &str, [base, quote, settle]: [&mut String; 3]) -> Option<DerivativeAssets> {
        let base = self.reference(&format!("{kind}.base_asset_id"), base);
        let quote = self.reference(&format!("{kind}.quote_asset_id"), quote);
        let settle = self.reference(&format!("{kind}.settle_asset_id"), settle);
        Some(DerivativeAssets { base: base?, quote: quote?, settle: settle? })
    }

    fn date(&mut self, field: &str, text: &str) -> Option<Date> {
        let date = read_date(text);
        if date.is_none() {
            self.found.add(field, "INVALID", NO_DATE);
        }
        date
    }
}

/// The terms are one of several fields, so a mask names that one, and all of them compare alike.
impl Masked for v1::Instrument {
    const MUTABLE: &'static [&'static str] = &["labels"];
    const IMMUTABLE: &'static [&'static str] =
        &["spot", "perpetual", "future", "option", "lending_deposit", "lending_borrow"];

    fn is_set(&self, field: &str) -> bool {
        match (field, &self.terms) {
            ("labels", _) => !self.labels.is_empty(),
            (_, Some(terms)) => field == terms_field(terms),
            (_, None) => false,
        }
    }

    fn same(&self, other: &Self, field: &str) -> bool {
        if field == "labels" { self.labels == other.labels } else { self.terms == other.terms }
    }

    fn copy(&mut self, from: &Self, field: &str) {
        if field == "labels" {
            self.labels.clone_from(&from.labels);
        } else {
            self.terms.clone_from(&from.terms);
        }
    }
}

/// The field of the message that has the terms.
pub(super) fn terms_field_of(instrument: &Instrument) -> Option<&'static str> {
    v1::Instrument::from(instrument).terms.as_ref().map(terms_field)
}

const fn terms_field(terms: &Message) -> &'static str {
    match terms {
        Message::Spot(_) => "spot",
        Message::Perpetual(_) => "perpetual",
        Message::Future(_) => "future",
        Message::Option(_) => "option",
        Message::LendingDeposit(_) => "lending_deposit",
        Message::LendingBorrow(_) => "lending_borrow",
    }
}
