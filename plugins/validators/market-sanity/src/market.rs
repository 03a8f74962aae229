//! The amounts of a market, as its document says them.

use cqar_plugin_validator::decimal::{self, BigDecimal};
use serde::{Deserialize, Deserializer, de::Error};

/// What is judged of a market; None is not given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Market {
    /// The price step.
    #[serde(deserialize_with = "amount")]
    pub tick_size: Option<BigDecimal>,
    /// The quantity step.
    #[serde(deserialize_with = "amount")]
    pub lot_size: Option<BigDecimal>,
    /// The smallest quantity.
    #[serde(deserialize_with = "amount")]
    pub min_quantity: Option<BigDecimal>,
    /// The largest quantity.
    #[serde(deserialize_with = "amount")]
    pub max_quantity: Option<BigDecimal>,
    /// The smallest value, in quote.
    #[serde(deserialize_with = "amount")]
    pub min_notional: Option<BigDecimal>,
    /// A fraction of the notional; negative is a rebate.
    #[serde(deserialize_with = "amount")]
    pub maker_fee: Option<BigDecimal>,
    /// A fraction of the notional.
    #[serde(deserialize_with = "amount")]
    pub taker_fee: Option<BigDecimal>,
}

/// A decimal string, which is empty where proto3 writes out what is not set.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BigDecimal>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => decimal::parse(text).map(Some).ok_or_else(|| D::Error::custom("must be a decimal string")),
    }
}
