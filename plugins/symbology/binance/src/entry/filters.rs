//! The filters of an entry: what orders it takes.

use cqar_plugin_symbology::{decimal, fields::Fields};
use serde_json::{Map, Value};

/// Lays what the filters say into the market's document: an amount, or null where the venue switches the limit off. A filter that is
/// not known says nothing that a market has.
pub fn read(fields: &mut Fields<'_>, market: &mut Map<String, Value>) {
    // None of one that cannot be read: the other alone does not tell.
    let mut smallest: Vec<Option<String>> = Vec::new();
    for mut filter in fields.objects("filters") {
        let mut limits: Vec<(&str, &str)> = Vec::new();
        match filter.text("filterType").as_deref() {
            Some("PRICE_FILTER") => limits.push(("tickSize", "tick_size")),
            Some("LOT_SIZE") => {
                limits.extend([("stepSize", "lot_size"), ("minQty", "min_quantity"), ("maxQty", "max_quantity")]);
            }
            Some("MIN_NOTIONAL" | "NOTIONAL") => {
                let name = if filter.has("minNotional") { "minNotional" } else { "notional" };
                if filter.has(name) {
                    smallest.push(filter.decimal(name));
                }
            }
            _ => {}
        }
        for (name, field) in limits {
            if let Some(amount) = filter.decimal(name) {
                market.insert(field.to_owned(), given(amount));
            }
        }
        fields.absorb(filter);
    }
    // Both may stand side by side, either switched off: what both allow is above the larger.
    let amount = |text: &String| decimal::parse(text);
    let smallest: Option<Vec<String>> = smallest.into_iter().collect();
    if let Some(largest) = smallest.into_iter().flatten().max_by(|a, b| amount(a).cmp(&amount(b))) {
        market.insert("min_notional".to_owned(), given(largest));
    }
}

/// Binance switches a limit off by setting it to 0.
fn given(amount: String) -> Value {
    let is_zero = decimal::parse(&amount).is_some_and(|value| value.sign() == decimal::Sign::NoSign);
    if is_zero { Value::Null } else { amount.into() }
}
