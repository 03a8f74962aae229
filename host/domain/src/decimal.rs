//! Exact decimals: amounts, prices, fees and rates.

use std::{cmp::Ordering, fmt, str::FromStr};

use bigdecimal::{BigDecimal, Zero};

/// The most significant digits that a decimal may have: what PostgreSQL, Arrow and SQL's DECIMAL(38) agree on.
pub const MAX_DIGITS: usize = 38;
/// The most digits before, and after, the point. Bounds the plain form at 77 characters.
const MAX_PLACES: i64 = 38;
/// Longer strings are refused before they are read; generous for leading and trailing zeros.
const MAX_LEN: usize = 128;

/// An exact decimal of at most 38 significant digits, at most 38 of them on each side of the point. Never a float.
///
/// Compared by value (`0.0100` equals `0.01`) and written canonically: plain notation, no superfluous zeros.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(BigDecimal);

/// Why a string is not a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a number in plain or scientific notation.
    #[error("must be a decimal number such as 0.01")]
    Malformed,
    /// Too many digits.
    #[error("must have at most {MAX_DIGITS} significant digits, and as many on each side of the point")]
    TooManyDigits,
}

impl Decimal {
    /// One.
    pub fn one() -> Self {
        Self(BigDecimal::from(1))
    }

    /// The number, for products that may have more digits.
    pub fn big(&self) -> &BigDecimal {
        &self.0
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// How it compares with 0.
    pub fn sign(&self) -> Ordering {
        self.0.cmp(&BigDecimal::zero())
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(s: &str) -> Result<Self, DecimalError> {
        check_shape(s)?;
        let value = BigDecimal::from_str(s).map_err(|_| DecimalError::Malformed)?.normalized();
        let (digits, scale) = (value.digits(), value.fractional_digit_count());
        let integer_places = i64::try_from(digits).map_err(|_| DecimalError::TooManyDigits)? - scale;
        if digits > MAX_DIGITS as u64 || scale > MAX_PLACES || integer_places > MAX_PLACES {
            return Err(DecimalError::TooManyDigits);
        }
        Ok(Self(value))
    }
}

/// Bounds length, digits and exponent before any big-integer arithmetic is done on them.
fn check_shape(s: &str) -> Result<(), DecimalError> {
    if s.len() > MAX_LEN {
        return Err(DecimalError::TooManyDigits);
    }
    let unsigned = s.strip_prefix(['-', '+']).unwrap_or(s);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if integer.is_empty() || !is_digits(integer) || !is_digits(fraction) || mantissa.ends_with('.') {
        return Err(DecimalError::Malformed);
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits.is_empty() || !is_digits(digits) {
            return Err(DecimalError::Malformed);
        }
        // Three digits of exponent exceed what any result within bounds can need.
        if digits.len() > 3 {
            return Err(DecimalError::TooManyDigits);
        }
    }
    Ok(())
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_plain_string(f)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<u32> for Decimal {
    fn from(value: u32) -> Self {
        Self(BigDecimal::from(value).normalized())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(s: &str) -> Decimal {
        s.parse().unwrap()
    }

    #[test]
    fn decimals_compare_by_value_and_print_canonically() {
        assert_eq!(decimal("0.0100"), decimal("0.01"));
        assert_eq!(decimal("1e-8").to_string(), "0.00000001");
        assert_eq!(decimal("1000.00").to_string(), "1000");
        assert_eq!(decimal("-0.0").to_string(), "0");
        assert!(decimal("9.99") < decimal("10"));
    }

    #[test]
    fn what_is_not_a_bounded_decimal_is_refused() {
        for bad in ["", "NaN", "inf", "1,5", " 1", "1.", ".5", "0x10", "1e", "--1", "1_000", "١"] {
            assert_eq!(bad.parse::<Decimal>(), Err(DecimalError::Malformed), "{bad:?}");
        }
        for big in [&"9".repeat(60), "1e39", "1e-39", "1e999999999", &"0".repeat(200)] {
            assert_eq!(big.parse::<Decimal>(), Err(DecimalError::TooManyDigits), "{big:?}");
        }
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_value(s in "-?[0-9]{1,30}(\\.[0-9]{1,8})?") {
            let value = decimal(&s);
            let text = value.to_string();
            prop_assert_eq!(&decimal(&text), &value);
            prop_assert_eq!(decimal(&text).to_string(), text);
        }

        #[test]
        fn no_string_panics(s in ".{0,64}") {
            let _ = s.parse::<Decimal>();
        }
    }
}
