//! The codes that stand for many units of an asset.
//!
//! Known ones only, never any leading digits: 1INCH is an asset of that name.

use cqar_plugin_symbology::decimal::{self, BigDecimal};

/// The code, the asset, and how many of it: the `baseAsset`s of `/fapi/v1/exchangeInfo` and `/api/v3/exchangeInfo`
/// whose contract specification, or listing announcement, says that one unit is many.
const MULTIPLES: &[(&str, &str, u32)] = &[
    ("1000SHIB", "SHIB", 1_000),
    ("1000XEC", "XEC", 1_000),
    ("1000BTTC", "BTTC", 1_000),
    ("1000LUNC", "LUNC", 1_000),
    ("1000PEPE", "PEPE", 1_000),
    ("1000FLOKI", "FLOKI", 1_000),
    ("1000BONK", "BONK", 1_000),
    ("1000SATS", "SATS", 1_000),
    ("1000RATS", "RATS", 1_000),
    ("1000CAT", "CAT", 1_000),
    ("1000CHEEMS", "CHEEMS", 1_000),
    ("1000WHY", "WHY", 1_000),
    ("1000X", "X", 1_000),
    ("1MBABYDOGE", "BABYDOGE", 1_000_000),
    ("1000000MOG", "MOG", 1_000_000),
    ("1000000BOB", "BOB", 1_000_000),
];

/// The asset that a code stands for, and how many of it where that is not one.
pub fn split(code: &str) -> (&str, Option<u32>) {
    // Every code of the table begins with a 1, and hardly any other does.
    match MULTIPLES.iter().find(|(multiple, ..)| code.starts_with('1') && *multiple == code) {
        Some((_, asset, count)) => (asset, Some(*count)),
        None => (code, None),
    }
}

/// The code for so many of an asset; None where Binance has none.
pub fn join<'a>(asset: &'a str, count: Option<&str>) -> Option<&'a str> {
    let count = count.map_or_else(|| Some(BigDecimal::from(1)), decimal::parse)?;
    if count == 1 {
        return split(asset).1.is_none().then_some(asset);
    }
    MULTIPLES.iter().find(|(_, of, multiple)| *of == asset && count == *multiple).map(|(code, ..)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_multiples_are_taken_off_and_put_on() {
        for (code, asset, count) in MULTIPLES {
            assert_eq!(split(code), (*asset, Some(*count)));
            assert_eq!(join(asset, Some(&count.to_string())), Some(*code));
            assert_eq!(join(asset, Some(&format!("{count}.00"))), Some(*code));
        }
    }

    #[test]
    fn other_leading_digits_are_part_of_the_name() {
        for code in ["1INCH", "1INCHUP", "2Z", "4", "0G", "1000ABC", "1000", "10SET"] {
            assert_eq!(split(code), (code, None));
            assert_eq!(join(code, None), Some(code));
        }
    }

    #[test]
    fn a_count_without_a_code_has_none() {
        assert_eq!(join("SHIB", Some("10")), None);
        assert_eq!(join("BTC", Some("1000")), None);
        assert_eq!(join("SHIB", Some("many")), None);
        assert_eq!(join("1000SHIB", None), None, "its symbol would be read as 1000 SHIB");
        assert_eq!(join("SHIB", Some("1.0")), Some("SHIB"));
    }
}
