//! The canonical code of an instrument, in the grammar of ccxt's unified symbols, plus lending, which ccxt lacks.
//!
//! `BTC/USDT` · `BTC/USDT:USDT` · `BTC/USDT:USDT-261225` · `BTC/USD:BTC-261225-100000-C` · `USDC:DEPOSIT@aave-v3`

use crate::{
    entities::instrument::Terms,
    id::{AssetId, Protocol},
    time::Date,
};

/// The code of an instrument with these terms, given today's symbols. None if a symbol is not known.
pub fn canonical_code<'a>(terms: &Terms, symbol: impl Fn(AssetId) -> Option<&'a str>) -> Option<String> {
    let base = symbol(terms.base())?;
    let lending = |side, protocol: &Protocol| Some(format!("{base}:{side}@{protocol}"));
    let quote = match terms {
        Terms::LendingDeposit { protocol, .. } => return lending("DEPOSIT", protocol),
        Terms::LendingBorrow { protocol, .. } => return lending("BORROW", protocol),
        _ => symbol(terms.quote()?)?,
    };
    let settle = terms.settle().map(|id| symbol(id).ok_or(())).transpose().ok()?;
    Some(match (terms, settle) {
        (Terms::Future { expiry, .. }, Some(settle)) => format!("{base}/{quote}:{settle}-{}", yymmdd(*expiry)),
        (Terms::Option { expiry, strike, option_type, .. }, Some(settle)) => {
            format!("{base}/{quote}:{settle}-{}-{strike}-{}", yymmdd(*expiry), option_type.letter())
        }
        (_, Some(settle)) => format!("{base}/{quote}:{settle}"),
        (_, None) => format!("{base}/{quote}"),
    })
}

fn yymmdd(date: Date) -> String {
    format!("{:02}{:02}{:02}", date.year().rem_euclid(100), date.month(), date.day())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        entities::instrument::{DerivativeAssets, ExerciseStyle, OptionType},
        id::SystemIds,
    };

    #[test]
    fn a_code_is_made_of_the_terms_and_the_symbols() {
        let symbols: BTreeMap<AssetId, &str> =
            ["BTC", "USD", "USDT"].into_iter().map(|s| (AssetId::new(&SystemIds), s)).collect();
        let id = |symbol| *symbols.iter().find(|(_, s)| **s == symbol).unwrap().0;
        let (base, quote, settle) = (id("BTC"), id("USD"), id("BTC"));
        let contract = DerivativeAssets { base, quote, settle };
        let expiry = "2026-12-25".parse().unwrap();
        let option = Terms::Option {
            contract,
            expiry,
            strike: "100000".parse().unwrap(),
            option_type: OptionType::Call,
            style: ExerciseStyle::European,
        };
        let cases = [
            (Terms::Spot { base, quote: id("USDT") }, "BTC/USDT"),
            (Terms::Perpetual(DerivativeAssets { base, quote: id("USDT"), settle: id("USDT") }), "BTC/USDT:USDT"),
            (Terms::Perpetual(contract), "BTC/USD:BTC"),
            (Terms::Future { contract, expiry }, "BTC/USD:BTC-261225"),
            (option, "BTC/USD:BTC-261225-100000-C"),
            (Terms::LendingDeposit { underlying: base, protocol: "aave-v3".parse().unwrap() }, "BTC:DEPOSIT@aave-v3"),
        ];
        for (terms, code) in cases {
            let derived = canonical_code(&terms, |id| symbols.get(&id).copied());
            assert_eq!(derived.as_deref(), Some(code));
        }
    }
}
