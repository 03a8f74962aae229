//! What a row says a symbol means, against what it is stored to mean. A symbol that means something else now, or was read wrongly then,
//! is nobody's to decide but the operator's: such a row is rejected whole, and never passes as unchanged.

use std::fmt::Display;

use cqar_domain::{
    decimal::Decimal,
    entities::instrument::{ExerciseStyle, OptionType, Terms},
    id::AssetId,
};

/// One term that is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contradiction {
    field: &'static str,
    stored: String,
    listed: String,
}

/// What a market is about: its terms, and in which units of the base it counts.
pub(super) struct MarketMeaning<'a> {
    pub(super) terms: &'a Terms,
    pub(super) unit_multiplier: &'a Decimal,
}

/// Every term in which two meanings differ; `symbol` is that of an asset.
pub(super) fn contradictions(
    stored: &MarketMeaning<'_>,
    listed: &MarketMeaning<'_>,
    symbol: impl Fn(AssetId) -> String,
) -> Vec<Contradiction> {
    let (was, is) = (stored.terms, listed.terms);
    // Two assets may have one symbol.
    let asset = |was: Option<AssetId>, is: Option<AssetId>| {
        (was != is).then(|| {
            let is_same_symbol = was.map(&symbol) == is.map(&symbol);
            let text = |id: AssetId| if is_same_symbol { format!("{} ({id})", symbol(id)) } else { symbol(id) };
            (was.map(text), is.map(text))
        })
    };
    let other = |was: Option<String>, is: Option<String>| (was != is).then_some((was, is));
    let kind = |terms: &Terms| Some(terms.kind().name().to_owned());
    let fields = [
        ("kind", other(kind(was), kind(is))),
        ("base", asset(Some(was.base()), Some(is.base()))),
        ("quote", asset(was.quote(), is.quote())),
        ("settle", asset(was.settle(), is.settle())),
        ("expiry", other(text(was.expiry()), text(is.expiry()))),
        ("strike", other(strike(was), strike(is))),
        ("option_type", other(option_type(was), option_type(is))),
        ("exercise_style", other(style(was), style(is))),
        ("unit_multiplier", other(text(Some(stored.unit_multiplier)), text(Some(listed.unit_multiplier)))),
    ];
    let none = || "none".to_owned();
    let found = fields.into_iter().filter_map(|(field, differ)| Some((field, differ?)));
    found
        .map(|(field, (was, is))| Contradiction {
            field,
            stored: was.unwrap_or_else(none),
            listed: is.unwrap_or_else(none),
        })
        .collect()
}

/// All of them, for people.
pub(super) fn described(found: &[Contradiction]) -> String {
    let each = found.iter().map(|it| format!("{} {}, and was {}", it.field, it.listed, it.stored));
    format!(
        "the symbol means {}; --rebind mistake replaces the market, --rebind relisted ends it and begins another",
        each.collect::<Vec<_>>().join("; ")
    )
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn strike(terms: &Terms) -> Option<String> {
    if let Terms::Option { strike, .. } = terms { Some(strike.to_string()) } else { None }
}

fn option_type(terms: &Terms) -> Option<String> {
    let Terms::Option { option_type, .. } = terms else { return None };
    Some(match option_type {
        OptionType::Call => "call".to_owned(),
        OptionType::Put => "put".to_owned(),
    })
}

fn style(terms: &Terms) -> Option<String> {
    let Terms::Option { style, .. } = terms else { return None };
    Some(match style {
        ExerciseStyle::European => "european".to_owned(),
        ExerciseStyle::American => "american".to_owned(),
    })
}
