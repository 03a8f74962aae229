//! Exact decimals. Floats never: `0.1 + 0.2` is no price.

use std::str::FromStr;

pub use bigdecimal::{BigDecimal, num_bigint::Sign};

/// Longer strings are refused before they are read; the registry's own are at most 77 characters.
const MAX_LEN: usize = 128;
/// More digits of exponent than any decimal within the registry's bounds has.
const MAX_EXPONENT_DIGITS: usize = 3;

/// Reads a decimal in plain or scientific notation; None if it is none, or one that is too large to compute with.
pub fn parse(text: &str) -> Option<BigDecimal> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let is_shaped = text.len() <= MAX_LEN
        && mantissa.starts_with(|c: char| c.is_ascii_digit())
        && mantissa.ends_with(|c: char| c.is_ascii_digit())
        && mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && (1..=MAX_EXPONENT_DIGITS).contains(&exponent.len())
        && exponent.bytes().all(|b| b.is_ascii_digit());
    if is_shaped { BigDecimal::from_str(text).ok() } else { None }
}

/// Whether `value` is a whole number of `step`s; of no step of 0 is it one.
pub fn is_multiple(value: &BigDecimal, step: &BigDecimal) -> bool {
    step.sign() != Sign::NoSign && (value % step).sign() == Sign::NoSign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_and_compared_by_value() {
        assert_eq!(parse("0.0100"), parse("1e-2"));
        assert!(parse("0.1").unwrap() + parse("0.2").unwrap() == parse("0.3").unwrap());
        for bad in ["", "NaN", ".5", "1.", "1..2", "1,5", "--1", "1e", "1e9999", "0x1", &"9".repeat(200)] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn multiples_are_exact_where_floats_are_not() {
        let is = |value, step| is_multiple(&parse(value).unwrap(), &parse(step).unwrap());
        assert!(is("0.3", "0.1"));
        assert!(is("0", "0.1"));
        assert!(!is("0.35", "0.1"));
        assert!(!is("1", "0"));
    }
}
