//! The canonical code of an instrument, in the grammar of ccxt's unified symbols, plus lending, which ccxt lacks.
//!
//! `BTC/USDT` · `BTC/USDT:USDT` · `BTC/USDT:USDT-261225` · `BTC/USD:BTC-261225-100000-C` · `USDC:DEPOSIT@aave-v3`

use crate::{
    decimal::Decimal,
    entities::instrument::{InstrumentKind, OptionType, Terms},
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

/// What a code says, in symbols. Exercise style is not part of it, so two instruments may share a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedCode {
    /// The kind.
    pub kind: InstrumentKind,
    /// The base or underlying symbol.
    pub base: String,
    /// The quote symbol; empty for lending.
    pub quote: String,
    /// The settle symbol of a derivative.
    pub settle: Option<String>,
    /// The date of expiry; the code's two digits of the year are of this century.
    pub expiry: Option<Date>,
    /// The strike price.
    pub strike: Option<Decimal>,
    /// Call or put.
    pub option_type: Option<OptionType>,
    /// The lending protocol.
    pub protocol: Option<Protocol>,
}

/// Reads a code. None if it is not one. `/`, `:` and `@` occur in no symbol; a settle symbol that itself ends like a
/// date reads as a dated contract, so callers compare the derived code of what they find.
pub fn parse_code(code: &str) -> Option<ParsedCode> {
    if let Some((rest, protocol)) = code.split_once('@') {
        let (base, side) = rest.split_once(':')?;
        let kind = match side {
            "DEPOSIT" => InstrumentKind::LendingDeposit,
            "BORROW" => InstrumentKind::LendingBorrow,
            _ => return None,
        };
        let protocol = Some(protocol.parse().ok()?);
        return Some(ParsedCode { protocol, ..ParsedCode::new(kind, base, "") }).filter(ParsedCode::has_symbols);
    }
    let (base, rest) = code.split_once('/')?;
    let Some((quote, contract)) = rest.split_once(':') else {
        return Some(ParsedCode::new(InstrumentKind::Spot, base, rest)).filter(ParsedCode::has_symbols);
    };
    let dated = option(contract).or_else(|| future(contract));
    let (settle, kind, expiry, strike, option_type) =
        dated.unwrap_or((contract, InstrumentKind::Perpetual, None, None, None));
    let settle = Some(settle.to_owned());
    Some(ParsedCode { settle, expiry, strike, option_type, ..ParsedCode::new(kind, base, quote) })
        .filter(ParsedCode::has_symbols)
}

type ContractCode<'a> = (&'a str, InstrumentKind, Option<Date>, Option<Decimal>, Option<OptionType>);

/// `USDT-261225`
fn future(contract: &str) -> Option<ContractCode<'_>> {
    let (settle, expiry) = contract.rsplit_once('-')?;
    Some((settle, InstrumentKind::Future, Some(parse_yymmdd(expiry)?), None, None))
}

/// `BTC-261225-100000-C`
fn option(contract: &str) -> Option<ContractCode<'_>> {
    let (rest, side) = contract.rsplit_once('-')?;
    let option_type = match side {
        "C" => OptionType::Call,
        "P" => OptionType::Put,
        _ => return None,
    };
    let (rest, strike) = rest.rsplit_once('-')?;
    let (settle, _, expiry, _, _) = future(rest)?;
    Some((settle, InstrumentKind::Option, expiry, Some(strike.parse().ok()?), Some(option_type)))
}

fn parse_yymmdd(s: &str) -> Option<Date> {
    if s.len() != 6 || !s.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| s.get(range)?.parse::<i8>().ok();
    Date::new(2000 + i16::from(part(0..2)?), part(2..4)?, part(4..6)?).ok()
}

impl ParsedCode {
    fn new(kind: InstrumentKind, base: &str, quote: &str) -> Self {
        Self {
            kind,
            base: base.to_owned(),
            quote: quote.to_owned(),
            settle: None,
            expiry: None,
            strike: None,
            option_type: None,
            protocol: None,
        }
    }

    fn has_symbols(&self) -> bool {
        let lending = matches!(self.kind, InstrumentKind::LendingDeposit | InstrumentKind::LendingBorrow);
        let is_symbol = |s: &str| !s.is_empty() && !s.contains(['/', ':', '@']);
        is_symbol(&self.base) && (lending || is_symbol(&self.quote)) && self.settle.as_deref().is_none_or(is_symbol)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        entities::instrument::{DerivativeAssets, ExerciseStyle},
        id::SystemIds,
    };

    #[test]
    fn a_derived_code_reads_back_as_its_terms() {
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
            let parsed = parse_code(code).unwrap();
            assert_eq!(parsed.kind, terms.kind(), "{code}");
            assert_eq!(parsed.base, "BTC");
            assert_eq!(parsed.expiry, terms.expiry());
            assert_eq!(parsed.settle.is_some(), terms.settle().is_some());
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        for bad in
            ["", "BTC", "BTC/", "/USDT", "BTC/USDT:", "BTC:LEND@aave", "BTC:DEPOSIT@", "A/B/C", "A/B:C@d", "A/B:C:D"]
        {
            assert_eq!(parse_code(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(s in ".{0,40}") {
            let _ = parse_code(&s);
        }
    }
}
