//! The canonical code of an instrument, in the grammar of ccxt's unified symbols, plus lending, which ccxt lacks.
//!
//! `BTC/USDT` · `BTC/USDT:USDT` · `BTC/USDT:USDT-261225` · `BTC/USD:BTC-261225-100000-C` · `USDC:DEPOSIT@aave-v3`
//!
//! A code is made of symbols, which two assets may share, and of the last two digits of a year of this century: it names nothing by itself.
//! It can be read again because no symbol has a separator, or a part that looks like a date.

use std::{fmt, str::FromStr};

use crate::{
    decimal::Decimal,
    entities::instrument::{InstrumentKind, OptionType, Terms},
    id::{AssetId, Protocol},
    time::Date,
};

/// The parts of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// Of a spot instrument: base and quote.
    Spot(String, String),
    /// Of a derivative.
    Derivative {
        /// The symbol of the base.
        base: String,
        /// The symbol of the quote.
        quote: String,
        /// The symbol of what it settles in.
        settle: String,
        /// When it ends, and on which terms.
        term: Term,
    },
    /// Of a deposit with a protocol: the symbol, and the protocol.
    Deposit(String, Protocol),
    /// Of a loan from a protocol: the symbol, and the protocol.
    Borrow(String, Protocol),
}

/// When a derivative ends, and on which terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// Never.
    Perpetual,
    /// On a day.
    Future(Date),
    /// On a day, at a strike.
    Option(Date, Decimal, OptionType),
}

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a code is such as BTC/USDT, BTC/USDT:USDT, BTC/USDT:USDT-261225, BTC/USD:BTC-261225-100000-C or USDC:DEPOSIT@aave-v3"
)]
pub struct CodeError;

/// The code of an instrument with these terms, given today's symbols. None if a symbol is not known.
pub fn canonical_code<'a>(terms: &Terms, symbol: impl Fn(AssetId) -> Option<&'a str>) -> Option<String> {
    let symbol = |id| symbol(id).map(str::to_owned);
    let base = symbol(terms.base())?;
    let derivative = |term| {
        let (quote, settle) = (symbol(terms.quote()?)?, symbol(terms.settle()?)?);
        Some(Code::Derivative { base: base.clone(), quote, settle, term })
    };
    let code = match terms {
        Terms::Spot { quote, .. } => Code::Spot(base, symbol(*quote)?),
        Terms::Perpetual(_) => derivative(Term::Perpetual)?,
        Terms::Future { expiry, .. } => derivative(Term::Future(*expiry))?,
        Terms::Option { expiry, strike, option_type, .. } => {
            derivative(Term::Option(*expiry, strike.clone(), *option_type))?
        }
        Terms::LendingDeposit { protocol, .. } => Code::Deposit(base, protocol.clone()),
        Terms::LendingBorrow { protocol, .. } => Code::Borrow(base, protocol.clone()),
    };
    Some(code.to_string())
}

impl Code {
    /// The kind of the instruments that have such a code.
    pub const fn kind(&self) -> InstrumentKind {
        match self {
            Self::Spot(..) => InstrumentKind::Spot,
            Self::Derivative { term: Term::Perpetual, .. } => InstrumentKind::Perpetual,
            Self::Derivative { term: Term::Future(_), .. } => InstrumentKind::Future,
            Self::Derivative { term: Term::Option(..), .. } => InstrumentKind::Option,
            Self::Deposit(..) => InstrumentKind::LendingDeposit,
            Self::Borrow(..) => InstrumentKind::LendingBorrow,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spot(base, quote) => write!(f, "{base}/{quote}"),
            Self::Derivative { base, quote, settle, term } => {
                write!(f, "{base}/{quote}:{settle}")?;
                match term {
                    Term::Perpetual => Ok(()),
                    Term::Future(expiry) => write!(f, "-{}", yymmdd(*expiry)),
                    Term::Option(expiry, strike, option_type) => {
                        write!(f, "-{}-{strike}-{}", yymmdd(*expiry), option_type.letter())
                    }
                }
            }
            Self::Deposit(symbol, protocol) => write!(f, "{symbol}:{DEPOSIT}@{protocol}"),
            Self::Borrow(symbol, protocol) => write!(f, "{symbol}:{BORROW}@{protocol}"),
        }
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        read(text).ok_or(CodeError)
    }
}

const DEPOSIT: &str = "DEPOSIT";
const BORROW: &str = "BORROW";

fn read(text: &str) -> Option<Code> {
    let Some((base, rest)) = text.split_once('/') else { return read_lending(text) };
    let base = read_symbol(base)?;
    let Some((quote, rest)) = rest.split_once(':') else { return Some(Code::Spot(base, read_symbol(rest)?)) };
    let quote = read_symbol(quote)?;
    let (settle, term) = read_term(rest)?;
    Some(Code::Derivative { base, quote, settle: read_symbol(settle)?, term })
}

fn read_lending(text: &str) -> Option<Code> {
    let (symbol, rest) = text.split_once(':')?;
    let (side, protocol) = rest.split_once('@')?;
    let (symbol, protocol) = (read_symbol(symbol)?, protocol.parse().ok()?);
    match side {
        DEPOSIT => Some(Code::Deposit(symbol, protocol)),
        BORROW => Some(Code::Borrow(symbol, protocol)),
        _ => None,
    }
}

/// What a derivative settles in, and its term, from the end: a symbol may have hyphens, but no part that looks like a date.
fn read_term(text: &str) -> Option<(&str, Term)> {
    let mut parts = text.rsplitn(4, '-');
    if let (Some(side), Some(strike), Some(expiry), Some(settle)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
        && is_date(expiry)
    {
        let option_type = match side {
            "C" => OptionType::Call,
            "P" => OptionType::Put,
            _ => return None,
        };
        // A decimal has one spelling here.
        let strike: Decimal = strike.parse().ok().filter(|it: &Decimal| it.to_string() == strike)?;
        return Some((settle, Term::Option(read_date(expiry)?, strike, option_type)));
    }
    match text.rsplit_once('-').filter(|(_, expiry)| is_date(expiry)) {
        Some((settle, expiry)) => Some((settle, Term::Future(read_date(expiry)?))),
        None => Some((text, Term::Perpetual)),
    }
}

fn read_symbol(text: &str) -> Option<String> {
    let is_symbol = !text.is_empty() && !text.contains(CODE_SEPARATORS) && !has_date(text);
    is_symbol.then(|| text.to_owned())
}

/// Separate the parts of a code, so no symbol may contain one.
pub(crate) const CODE_SEPARATORS: [char; 3] = ['/', ':', '@'];

/// Whether a part of a symbol, after a hyphen, looks like a date of a code.
pub(crate) fn has_date(symbol: &str) -> bool {
    symbol.split('-').skip(1).any(is_date)
}

fn is_date(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_at_checked(2)?;
    let (month, day) = rest.split_at_checked(2)?;
    format!("20{year}-{month}-{day}").parse().ok()
}

fn yymmdd(date: Date) -> String {
    format!("{:02}{:02}{:02}", date.year().rem_euclid(100), date.month(), date.day())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        entities::{
            asset::check_asset_symbol,
            instrument::{DerivativeAssets, ExerciseStyle},
        },
        id::SystemIds,
        violation::Violations,
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
            (Terms::LendingBorrow { underlying: quote, protocol: "aave-v3".parse().unwrap() }, "USD:BORROW@aave-v3"),
        ];
        for (terms, code) in cases {
            let derived = canonical_code(&terms, |id| symbols.get(&id).copied());
            assert_eq!(derived.as_deref(), Some(code));
            assert_eq!(code.parse::<Code>().unwrap().kind(), terms.kind());
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for bad in [
            "",
            "BTC",
            "BTCUSDT",
            "/",
            "BTC/",
            "/USDT",
            "BTC/USDT:",
            "BTC/USDT:USDT-261325",
            "BTC/USDT:-261225",
            "BTC/USD:BTC-261225-1e5-C",
            "BTC/USD:BTC-261225-0100-C",
            "BTC/USD:BTC-261225-100-X",
            "BTC/USD:BTC-261225-100-C-P",
            "A/B/C",
            "A/B:C:D",
            "USDC:DEPOSIT@",
            "USDC:LEND@aave-v3",
            "USDC@aave-v3",
        ] {
            assert_eq!(bad.parse::<Code>(), Err(CodeError), "{bad}");
        }
    }

    fn symbols() -> impl Strategy<Value = String> {
        let any = prop_oneof![
            "[A-Z0-9$.₿é_-]{1,32}",
            // Like dates, strikes and sides, and beside them.
            "[A-Z]{0,2}(-[0-9]{5,7}){1,2}(-[CP])?",
        ];
        any.prop_filter("a symbol", |symbol| {
            let mut found = Violations::default();
            check_asset_symbol("symbol", symbol, &mut found);
            found.is_empty()
        })
    }

    fn terms() -> impl Strategy<Value = Term> {
        let date = (2000i16..2100, 1i8..13, 1i8..29)
            .prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}").parse::<Date>().unwrap());
        let strike = prop_oneof!["[1-9][0-9]{0,30}", "0\\.[0-9]{0,20}[1-9]", "[1-9][0-9]{0,10}\\.[0-9]{0,20}[1-9]"]
            .prop_map(|text| text.parse::<Decimal>().unwrap());
        let side = prop_oneof![Just(OptionType::Call), Just(OptionType::Put)];
        prop_oneof![
            Just(Term::Perpetual),
            date.clone().prop_map(Term::Future),
            (date, strike, side).prop_map(|(date, strike, side)| Term::Option(date, strike, side)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            base in symbols(), quote in symbols(), settle in symbols(), term in terms(), protocol in "[a-z0-9][a-z0-9_-]{0,20}",
        ) {
            let protocol: Protocol = protocol.parse().unwrap();
            for code in [
                Code::Spot(base.clone(), quote.clone()),
                Code::Derivative { base: base.clone(), quote, settle, term },
                Code::Deposit(base.clone(), protocol.clone()),
                Code::Borrow(base, protocol),
            ] {
                prop_assert_eq!(code.to_string().parse::<Code>(), Ok(code));
            }
        }

        #[test]
        fn what_is_read_is_written_again(text in "[A-C/:@.-]{0,3}[A-C0-9/:@.-]{0,20}") {
            if let Ok(code) = text.parse::<Code>() {
                prop_assert_eq!(code.to_string(), text);
            }
        }
    }
}
