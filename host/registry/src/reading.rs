//! What a symbology plugin read, as the terms of an instrument.

use cqar_domain::{
    entities::instrument::{DerivativeAssets, ExerciseStyle, InstrumentKind, Terms},
    id::AssetId,
    time::Timestamp,
};
use cqar_plugins::Reading;

/// Why a reading is no instrument's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstrumentTermsError {
    /// The kind has something that was not read.
    Missing(&'static str),
    /// No venue's symbol is of the kind.
    Kind,
}

/// The venue's codes of the assets: base, quote and settle, as far as the kind has them.
pub(crate) fn codes(reading: &Reading) -> Vec<&str> {
    let settle = reading.settle.as_deref().filter(|_| reading.kind != InstrumentKind::Spot);
    [Some(reading.base.as_str()), Some(reading.quote.as_str()), settle].into_iter().flatten().collect()
}

/// The terms, given the assets that the codes mean, and the instant at which the contract ends.
pub(crate) fn terms(
    reading: &Reading,
    expiry: Option<Timestamp>,
    assets: &[AssetId],
) -> Result<Terms, InstrumentTermsError> {
    let [base, quote, settle @ ..] = assets else { return Err(InstrumentTermsError::Missing("base and a quote")) };
    let contract = || match settle {
        [settle] => Ok(DerivativeAssets { base: *base, quote: *quote, settle: *settle }),
        _ => Err(InstrumentTermsError::Missing("settle asset")),
    };
    let expiry = || expiry.map(Timestamp::date).ok_or(InstrumentTermsError::Missing("time of expiry"));
    match reading.kind {
        InstrumentKind::Spot => Ok(Terms::Spot { base: *base, quote: *quote }),
        InstrumentKind::Perpetual => Ok(Terms::Perpetual(contract()?)),
        InstrumentKind::Future => Ok(Terms::Future { contract: contract()?, expiry: expiry()? }),
        InstrumentKind::Option => Ok(Terms::Option {
            contract: contract()?,
            expiry: expiry()?,
            strike: reading.strike.clone().ok_or(InstrumentTermsError::Missing("strike"))?,
            option_type: reading.option_type.ok_or(InstrumentTermsError::Missing("type, call or put"))?,
            style: style(reading).ok_or(InstrumentTermsError::Missing("exercise_style, european or american"))?,
        }),
        InstrumentKind::LendingDeposit | InstrumentKind::LendingBorrow => Err(InstrumentTermsError::Kind),
    }
}

/// Symbols do not say it of themselves: the plugin does, knowing the venue.
fn style(reading: &Reading) -> Option<ExerciseStyle> {
    let (_, style) = reading.extra.iter().find(|(key, _)| key == "exercise_style")?;
    [ExerciseStyle::European, ExerciseStyle::American].into_iter().find(|it| it.name() == style)
}
