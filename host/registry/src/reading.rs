//! What a symbology plugin read, as the terms of an instrument.

use cqar_domain::{
    entities::instrument::{DerivativeAssets, InstrumentKind, Terms},
    id::AssetId,
    time::Date,
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
    [Some(reading.base.as_str()), reading.quote.as_deref(), settle].into_iter().flatten().collect()
}

/// The terms, given the assets that the codes mean, and the date on which the contract ends.
pub(crate) fn terms(
    reading: &Reading,
    expiry: Option<Date>,
    assets: &[AssetId],
) -> Result<Terms, InstrumentTermsError> {
    let pair = || match assets {
        [base, quote, ..] => Ok((*base, *quote)),
        _ => Err(InstrumentTermsError::Missing("base and quote")),
    };
    let contract = || match (pair()?, assets.get(2)) {
        ((base, quote), Some(settle)) => Ok(DerivativeAssets { base, quote, settle: *settle }),
        _ => Err(InstrumentTermsError::Missing("settle asset")),
    };
    let expiry = || expiry.ok_or(InstrumentTermsError::Missing("date of expiry"));
    match reading.kind {
        InstrumentKind::Spot => pair().map(|(base, quote)| Terms::Spot { base, quote }),
        InstrumentKind::Perpetual => Ok(Terms::Perpetual(contract()?)),
        InstrumentKind::Future => Ok(Terms::Future { contract: contract()?, expiry: expiry()? }),
        InstrumentKind::Option => Ok(Terms::Option {
            contract: contract()?,
            expiry: expiry()?,
            strike: reading.strike.clone().ok_or(InstrumentTermsError::Missing("strike"))?,
            option_type: reading.option_type.ok_or(InstrumentTermsError::Missing("option type, call or put"))?,
            // Symbols do not say it of themselves: the plugin does, knowing the venue.
            style: reading
                .exercise_style
                .ok_or(InstrumentTermsError::Missing("exercise style, european or american"))?,
        }),
        InstrumentKind::LendingDeposit | InstrumentKind::LendingBorrow => Err(InstrumentTermsError::Kind),
    }
}
