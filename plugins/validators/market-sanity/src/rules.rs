//! The rules.

use cqar_plugin_validator::{
    Finding,
    decimal::{BigDecimal, Sign, is_multiple},
};

use crate::{market::Market, settings::Limits};

/// What is implausible about a market in the amounts that differ from `before`.
pub fn judge(limits: &Limits, before: Option<&Market>, after: &Market) -> Vec<Finding> {
    let changed =
        |amounts: &[Amount]| before.is_none_or(|before| amounts.iter().any(|amount| amount(before) != amount(after)));
    RULES.iter().filter(|(amounts, _)| changed(amounts)).filter_map(|(_, rule)| rule(limits, after)).collect()
}

/// One amount of a market.
type Amount = fn(&Market) -> &Option<BigDecimal>;
type Rule = fn(&Limits, &Market) -> Option<Finding>;

const TICK_SIZE: Amount = |m| &m.tick_size;
const LOT_SIZE: Amount = |m| &m.lot_size;
const MIN_QUANTITY: Amount = |m| &m.min_quantity;
const MAX_QUANTITY: Amount = |m| &m.max_quantity;
const MIN_NOTIONAL: Amount = |m| &m.min_notional;
const MAKER_FEE: Amount = |m| &m.maker_fee;
const TAKER_FEE: Amount = |m| &m.taker_fee;

/// Each rule with the amounts that it reads.
const RULES: &[(&[Amount], Rule)] = &[
    (&[TICK_SIZE], tick_size),
    (&[LOT_SIZE], lot_size),
    (&[MAX_QUANTITY], max_quantity),
    (&[MIN_QUANTITY, MAX_QUANTITY], quantity_range),
    (&[LOT_SIZE, MIN_QUANTITY], min_quantity_in_lots),
    (&[MIN_NOTIONAL], min_notional),
    (&[MAKER_FEE], maker_fee),
    (&[TAKER_FEE], taker_fee),
    (&[MAKER_FEE, TAKER_FEE], taker_pays_more),
];

fn tick_size(_: &Limits, market: &Market) -> Option<Finding> {
    is_zero(market.tick_size.as_ref()?)
        .then(|| Finding::error("tick_size", "ZERO_TICK_SIZE", "must be above 0, or not given"))
}

fn lot_size(_: &Limits, market: &Market) -> Option<Finding> {
    is_zero(market.lot_size.as_ref()?)
        .then(|| Finding::error("lot_size", "ZERO_LOT_SIZE", "must be above 0, or not given"))
}

fn max_quantity(_: &Limits, market: &Market) -> Option<Finding> {
    is_zero(market.max_quantity.as_ref()?)
        .then(|| Finding::error("max_quantity", "ZERO_MAX_QUANTITY", "must be above 0, or not given"))
}

fn quantity_range(_: &Limits, market: &Market) -> Option<Finding> {
    let (min, max) = (market.min_quantity.as_ref()?, market.max_quantity.as_ref()?);
    (min > max).then(|| {
        let message = format!("must be at most max_quantity {}, is {}", max.to_plain_string(), min.to_plain_string());
        Finding::error("min_quantity", "MIN_ABOVE_MAX", message)
    })
}

fn min_quantity_in_lots(_: &Limits, market: &Market) -> Option<Finding> {
    let (lot, min) = (market.lot_size.as_ref()?, market.min_quantity.as_ref()?);
    (!is_zero(lot) && !is_multiple(min, lot)).then(|| {
        let message = format!("{} is no whole number of lots of {}", min.to_plain_string(), lot.to_plain_string());
        Finding::warning("min_quantity", "MIN_NOT_IN_LOTS", message)
    })
}

fn min_notional(limits: &Limits, market: &Market) -> Option<Finding> {
    let min = market.min_notional.as_ref()?;
    if min.sign() == Sign::Minus {
        return Some(Finding::error("min_notional", "NEGATIVE_MIN_NOTIONAL", "must not be negative"));
    }
    (*min > limits.max_min_notional)
        .then(|| above("min_notional", "MIN_NOTIONAL_TOO_HIGH", min, &limits.max_min_notional))
}

fn maker_fee(limits: &Limits, market: &Market) -> Option<Finding> {
    let fee = market.maker_fee.as_ref()?;
    if -fee > limits.max_rebate {
        let message = format!(
            "must be at least -{}, is {}: a fee is a fraction, 0.001 is 0.1 %",
            limits.max_rebate.to_plain_string(),
            fee.to_plain_string()
        );
        return Some(Finding::error("maker_fee", "REBATE_TOO_HIGH", message));
    }
    (*fee > limits.max_fee).then(|| above("maker_fee", "FEE_TOO_HIGH", fee, &limits.max_fee))
}

fn taker_fee(limits: &Limits, market: &Market) -> Option<Finding> {
    let fee = market.taker_fee.as_ref()?;
    if fee.sign() == Sign::Minus {
        return Some(Finding::error(
            "taker_fee",
            "NEGATIVE_TAKER_FEE",
            "must not be negative: only makers get rebates",
        ));
    }
    (*fee > limits.max_fee).then(|| above("taker_fee", "FEE_TOO_HIGH", fee, &limits.max_fee))
}

fn taker_pays_more(_: &Limits, market: &Market) -> Option<Finding> {
    let (maker, taker) = (market.maker_fee.as_ref()?, market.taker_fee.as_ref()?);
    (taker < maker).then(|| {
        let message = format!("{} is below maker_fee {}", taker.to_plain_string(), maker.to_plain_string());
        Finding::warning("taker_fee", "TAKER_BELOW_MAKER", message)
    })
}

fn above(path: &str, code: &str, value: &BigDecimal, limit: &BigDecimal) -> Finding {
    let message = format!("must be at most {}, is {}", limit.to_plain_string(), value.to_plain_string());
    Finding::error(path, code, message)
}

fn is_zero(value: &BigDecimal) -> bool {
    value.sign() == Sign::NoSign
}

#[cfg(test)]
mod tests {
    use cqar_plugin_validator::Severity;

    use super::*;
    use crate::settings::Settings;

    fn market(document: &str) -> Market {
        serde_json::from_str(document).unwrap()
    }

    fn found(before: Option<&str>, after: &str) -> Vec<(String, String, bool)> {
        let limits = Limits::try_from(Settings::default()).unwrap();
        judge(&limits, before.map(market).as_ref(), &market(after))
            .into_iter()
            .map(|f| (f.path, f.code, f.severity == Severity::Error))
            .collect()
    }

    #[track_caller]
    fn finds(after: &str, path: &str, code: &str, is_error: bool) {
        assert_eq!(found(None, after), [(path.to_owned(), code.to_owned(), is_error)], "{after}");
    }

    #[test]
    fn a_plausible_market_is_accepted() {
        let market = r#"{"tick_size": "0.01", "lot_size": "0.00001", "min_quantity": "0.00001", "max_quantity": "9000",
            "min_notional": "10", "maker_fee": "-0.0001", "taker_fee": "0.001", "status": "MARKET_STATUS_ACTIVE"}"#;
        assert_eq!(found(None, market), []);
        assert_eq!(found(None, "{}"), []);
    }

    #[test]
    fn steps_and_ranges_of_nothing_are_refused() {
        finds(r#"{"tick_size": "0.000"}"#, "tick_size", "ZERO_TICK_SIZE", true);
        finds(r#"{"lot_size": "0"}"#, "lot_size", "ZERO_LOT_SIZE", true);
        finds(r#"{"max_quantity": "0"}"#, "max_quantity", "ZERO_MAX_QUANTITY", true);
        finds(r#"{"min_quantity": "2", "max_quantity": "1.99"}"#, "min_quantity", "MIN_ABOVE_MAX", true);
    }

    #[test]
    fn a_least_order_between_two_lots_is_odd() {
        finds(r#"{"lot_size": "0.1", "min_quantity": "0.25"}"#, "min_quantity", "MIN_NOT_IN_LOTS", false);
        assert_eq!(found(None, r#"{"lot_size": "0.1", "min_quantity": "0.3"}"#), []);
    }

    #[test]
    fn fees_in_per_cent_are_refused() {
        finds(r#"{"taker_fee": "0.1"}"#, "taker_fee", "FEE_TOO_HIGH", true);
        finds(r#"{"maker_fee": "0.0500001"}"#, "maker_fee", "FEE_TOO_HIGH", true);
        finds(r#"{"maker_fee": "-0.01"}"#, "maker_fee", "REBATE_TOO_HIGH", true);
        finds(r#"{"taker_fee": "-0.0001"}"#, "taker_fee", "NEGATIVE_TAKER_FEE", true);
        finds(r#"{"maker_fee": "0.002", "taker_fee": "0.001"}"#, "taker_fee", "TAKER_BELOW_MAKER", false);
        assert_eq!(found(None, r#"{"maker_fee": "0.05", "taker_fee": "0.05"}"#), []);
    }

    #[test]
    fn a_least_value_beyond_reason_is_refused() {
        finds(r#"{"min_notional": "1000000.01"}"#, "min_notional", "MIN_NOTIONAL_TOO_HIGH", true);
        finds(r#"{"min_notional": "-1"}"#, "min_notional", "NEGATIVE_MIN_NOTIONAL", true);
    }

    #[test]
    fn an_update_is_judged_by_the_amounts_it_changes() {
        let odd = r#"{"tick_size": "0", "maker_fee": "0.06"}"#;
        assert_eq!(found(Some(odd), r#"{"tick_size": "0.0", "maker_fee": "0.06", "lot_size": "1"}"#), []);
        let worse = found(Some(odd), r#"{"tick_size": "0", "maker_fee": "0.6"}"#);
        assert_eq!(worse, [("maker_fee".to_owned(), "FEE_TOO_HIGH".to_owned(), true)]);
    }
}
