//! The limits, and how the operator sets them.

use cqar_plugin_validator::{
    decimal::{self, BigDecimal, Sign},
    plugin::{Problem, problem},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The highest fee of any venue known is a few per cent, on fiat on-ramps.
const MAX_FEE: &str = "0.05";
/// Market makers' rebates stay below 0.05 %; twice that is a misplaced decimal point.
const MAX_REBATE: &str = "0.001";
/// The largest of Binance's, 30,000 dong and 20,000 rupiah, stay far below.
const MAX_MIN_NOTIONAL: &str = "1000000";

/// The settings as the operator writes them, decimals as strings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The highest plausible fee, as a fraction of the notional.
    pub max_fee: String,
    /// The highest plausible rebate to a maker, as a fraction of the notional.
    pub max_rebate: String,
    /// The highest plausible smallest value of an order, in quote.
    pub max_min_notional: String,
}

/// The settings, read.
pub struct Limits {
    /// As in [`Settings`].
    pub max_fee: BigDecimal,
    /// As in [`Settings`].
    pub max_rebate: BigDecimal,
    /// As in [`Settings`].
    pub max_min_notional: BigDecimal,
}

/// The settings' JSON Schema.
pub fn schema() -> Value {
    let decimal =
        |default: &str, description: &str| json!({ "type": "string", "default": default, "description": description });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "max_fee": decimal(MAX_FEE, "The highest plausible fee, as a fraction of the notional."),
            "max_rebate": decimal(MAX_REBATE, "The highest plausible rebate to a maker, as a fraction of the notional."),
            "max_min_notional": decimal(MAX_MIN_NOTIONAL, "The highest plausible smallest value of an order, in quote."),
        },
    })
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_fee: MAX_FEE.to_owned(),
            max_rebate: MAX_REBATE.to_owned(),
            max_min_notional: MAX_MIN_NOTIONAL.to_owned(),
        }
    }
}

impl TryFrom<Settings> for Limits {
    type Error = Vec<Problem>;

    fn try_from(settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut limit = |path: &str, text: &str| {
            let value = decimal::parse(text);
            match &value {
                None => problems.push(problem(path, "INVALID_DECIMAL", "must be a decimal such as \"0.05\"")),
                Some(value) if value.sign() == Sign::Minus => {
                    problems.push(problem(path, "NEGATIVE", "must not be negative"));
                }
                Some(_) => {}
            }
            value.unwrap_or_default()
        };
        let limits = Self {
            max_fee: limit("max_fee", &settings.max_fee),
            max_rebate: limit("max_rebate", &settings.max_rebate),
            max_min_notional: limit("max_min_notional", &settings.max_min_notional),
        };
        if problems.is_empty() { Ok(limits) } else { Err(problems) }
    }
}
