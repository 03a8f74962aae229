//! Symbols to readings, and back.

use std::slice;

use cqar_plugin_symbology::{
    Expiry, Parsed, Reading,
    plugin::{Problem, problem},
};
use time::{
    Date, Month, OffsetDateTime, UtcOffset,
    format_description::well_known::{Iso8601, Rfc3339},
};

use crate::{multiplier, segment::Segment};

/// The mark of a contract without expiry in COIN-M, where dated ones end in their date.
const PERPETUAL_MARK: &str = "PERP";
/// Longer codes are of no asset: the bound of the registry.
const MAX_CODE_CHARS: usize = 64;

/// The readings of a symbol, in one segment or in all.
pub fn parse(symbol: &str, segment: Option<&str>) -> Parsed {
    let Ok(segment) = segment.map(|name| Segment::from_name(name).ok_or(name)).transpose() else {
        return Parsed::Unknown("the segment must be spot, usdm or coinm".to_owned());
    };
    let segments = segment.as_ref().map_or(Segment::ALL.as_slice(), slice::from_ref);
    let mut readings: Vec<Reading> = Vec::with_capacity(1);
    for segment in segments {
        read(*segment, symbol, &mut readings);
    }
    match <[Reading; 1]>::try_from(readings) {
        Ok([reading]) => Parsed::One(reading),
        Err(none) if none.is_empty() => {
            Parsed::Unknown("it ends in no quote or contract mark that is known".to_owned())
        }
        Err(several) => Parsed::Ambiguous(several),
    }
}

/// The symbol of a reading.
pub fn format(reading: &Reading) -> Result<String, Problem> {
    let segment = Segment::from_name(&reading.segment)
        .ok_or_else(|| problem("segment", "UNKNOWN_SEGMENT", "must be spot, usdm or coinm"))?;
    let code = multiplier::join(&reading.base, reading.unit_multiplier.as_deref()).ok_or_else(|| {
        problem("unit_multiplier", "UNKNOWN_MULTIPLIER", "Binance has no code for so many of the base")
    })?;
    if !is_code(code) {
        return Err(problem("base", "INVALID_CODE", "must be the code of an asset"));
    }
    let quote = reading.quote.as_deref().unwrap_or_default();
    if !segment.quotes().contains(&quote) {
        let message = format!("{} quotes in one of {}", segment.name(), segment.quotes().join(", "));
        return Err(problem("quote", "UNKNOWN_QUOTE", message));
    }
    check_settle(segment, reading)?;
    let pair = format!("{code}{quote}");
    match (segment, reading.kind.as_str(), &reading.expiry) {
        (Segment::Spot, "spot", None) | (Segment::Usdm, "perpetual", None) => Ok(pair),
        (Segment::Coinm, "perpetual", None) => Ok(format!("{pair}_{PERPETUAL_MARK}")),
        (Segment::Usdm | Segment::Coinm, "future", Some(expiry)) => Ok(format!("{pair}_{}", date_mark(expiry)?)),
        (Segment::Usdm | Segment::Coinm, "future", None) => {
            Err(problem("expiry", "REQUIRED", "a future has an expiry"))
        }
        (_, "spot" | "perpetual", Some(_)) => Err(problem("expiry", "UNEXPECTED", "only a future has an expiry")),
        _ => Err(problem("kind", "UNKNOWN_KIND", format!("{} lists no such kind", segment.name()))),
    }
}

/// Whether it can be Binance's code of an asset: letters and digits of any script, none of them lower case.
pub fn is_code(code: &str) -> bool {
    !code.is_empty()
        && code.len() <= MAX_CODE_CHARS * 4
        && code.chars().count() <= MAX_CODE_CHARS
        && code.chars().all(|c| c.is_alphanumeric() && !c.is_lowercase())
}

/// The reading of a pair of codes.
pub fn reading(segment: Segment, kind: &str, base_code: &str, quote: &str, settle: Option<&str>) -> Reading {
    let (base, count) = multiplier::split(base_code);
    Reading {
        segment: segment.name().to_owned(),
        kind: kind.to_owned(),
        base: base.to_owned(),
        quote: Some(quote.to_owned()),
        settle: settle.map(str::to_owned),
        expiry: None,
        strike: None,
        option_type: None,
        exercise_style: None,
        unit_multiplier: count.map(|count| count.to_string()),
        extra: Vec::new(),
    }
}

fn read(segment: Segment, symbol: &str, readings: &mut Vec<Reading>) {
    let (pair, mark) = match symbol.split_once('_') {
        Some((pair, mark)) => (pair, Some(mark)),
        None => (symbol, None),
    };
    let (kind, expiry) = match (segment, mark) {
        (Segment::Spot, None) => ("spot", None),
        (Segment::Usdm, None) | (Segment::Coinm, Some(PERPETUAL_MARK)) => ("perpetual", None),
        (Segment::Usdm | Segment::Coinm, Some(mark)) => match expiry(mark) {
            Some(expiry) => ("future", Some(expiry)),
            None => return,
        },
        (Segment::Spot, Some(_)) | (Segment::Coinm, None) => return,
    };
    for quote in segment.quotes() {
        let Some(code) = pair.strip_suffix(quote).filter(|code| code != quote && is_code(code)) else { continue };
        let settle = match segment {
            Segment::Spot => None,
            Segment::Usdm => Some(*quote),
            Segment::Coinm => Some(multiplier::split(code).0),
        };
        readings.push(Reading { expiry: expiry.clone(), ..reading(segment, kind, code, quote, settle) });
    }
}

/// `YYMMDD` as the instant of delivery, which is at 08:00 UTC for every contract of Binance.
fn expiry(mark: &str) -> Option<Expiry> {
    if mark.len() != 6 || !mark.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |range| mark.get(range).and_then(|digits: &str| digits.parse::<u8>().ok());
    let month = Month::try_from(part(2..4)?).ok()?;
    let date = Date::from_calendar_date(2000 + i32::from(part(0..2)?), month, part(4..6)?).ok()?;
    Some(Expiry::Instant(format!("{date}T08:00:00Z")))
}

/// The UTC date of an expiry as `YYMMDD`.
fn date_mark(expiry: &Expiry) -> Result<String, Problem> {
    let date = match expiry {
        Expiry::Date(date) => Date::parse(date, &Iso8601::DATE).ok(),
        Expiry::Instant(instant) => OffsetDateTime::parse(instant, &Rfc3339)
            .ok()
            .and_then(|instant| instant.checked_to_offset(UtcOffset::UTC))
            .map(OffsetDateTime::date),
    };
    let date = date.ok_or_else(|| problem("expiry", "INVALID_TIME", "must be a date or an instant in RFC 3339"))?;
    match date.year().checked_sub(2000) {
        Some(year @ 0..=99) => Ok(format!("{year:02}{:02}{:02}", u8::from(date.month()), date.day())),
        _ => Err(problem("expiry", "OUT_OF_RANGE", "must be in this century: Binance writes years in two digits")),
    }
}

fn check_settle(segment: Segment, reading: &Reading) -> Result<(), Problem> {
    let expected = match segment {
        Segment::Spot => None,
        Segment::Usdm => reading.quote.as_deref(),
        Segment::Coinm => Some(reading.base.as_str()),
    };
    match (reading.settle.as_deref(), expected) {
        (None, _) => Ok(()),
        (Some(settle), Some(expected)) if settle == expected => Ok(()),
        (Some(_), Some(expected)) => {
            Err(problem("settle", "SETTLE_MISMATCH", format!("{} settles in {expected}", segment.name())))
        }
        (Some(_), None) => Err(problem("settle", "UNEXPECTED", "spot does not settle")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(symbol: &str, segment: &str) -> Reading {
        match parse(symbol, Some(segment)) {
            Parsed::One(reading) => reading,
            other => panic!("{symbol}: {other:?}"),
        }
    }

    #[track_caller]
    fn reads(symbol: &str, segment: &str, kind: &str, base: &str, quote: &str) -> Reading {
        let reading = one(symbol, segment);
        assert_eq!((reading.kind.as_str(), reading.base.as_str(), reading.quote.as_deref()), (kind, base, Some(quote)));
        assert_eq!(format(&reading).as_deref(), Ok(symbol));
        reading
    }

    #[test]
    fn each_segment_writes_in_its_own_way() {
        assert_eq!(reads("BTCUSDT", "spot", "spot", "BTC", "USDT").settle, None);
        assert_eq!(reads("BTCUSDT", "usdm", "perpetual", "BTC", "USDT").settle.as_deref(), Some("USDT"));
        assert_eq!(reads("BTCUSD_PERP", "coinm", "perpetual", "BTC", "USD").settle.as_deref(), Some("BTC"));
        let usdm = reads("BTCUSDT_211231", "usdm", "future", "BTC", "USDT");
        assert_eq!(usdm.expiry, Some(Expiry::Instant("2021-12-31T08:00:00Z".to_owned())));
        let coinm = reads("ADAUSD_210924", "coinm", "future", "ADA", "USD");
        assert_eq!(coinm.expiry, Some(Expiry::Instant("2021-09-24T08:00:00Z".to_owned())));
        let by_date = Reading { expiry: Some(Expiry::Date("2021-09-24".to_owned())), ..coinm };
        assert_eq!(format(&by_date).as_deref(), Ok("ADAUSD_210924"), "a date is enough");
        reads("币安人生USDT", "spot", "spot", "币安人生", "USDT");
    }

    #[test]
    fn a_known_multiple_is_its_asset() {
        let shib = reads("1000SHIBUSDT", "usdm", "perpetual", "SHIB", "USDT");
        assert_eq!(shib.unit_multiplier.as_deref(), Some("1000"));
        let doge = reads("1MBABYDOGEUSDT", "spot", "spot", "BABYDOGE", "USDT");
        assert_eq!(doge.unit_multiplier.as_deref(), Some("1000000"));
        assert_eq!(reads("1INCHUSDT", "usdm", "perpetual", "1INCH", "USDT").unit_multiplier, None);
    }

    #[test]
    fn what_reads_in_several_ways_is_ambiguous() {
        let ambiguous = |symbol, segment| match parse(symbol, segment) {
            Parsed::Ambiguous(readings) => {
                let pair = |r: &Reading| format!("{} {}/{}", r.segment, r.base, r.quote.as_deref().unwrap_or_default());
                readings.iter().map(pair).collect::<Vec<_>>()
            }
            other => panic!("{symbol}: {other:?}"),
        };
        assert_eq!(ambiguous("BTCUSDT", None), ["spot BTC/USDT", "usdm BTC/USDT"]);
        assert_eq!(ambiguous("ADAEUR", Some("spot")), ["spot ADA/EUR", "spot AD/AEUR"]);
        assert_eq!(ambiguous("BNBUSD_211231", None), ["usdm BN/BUSD", "coinm BNB/USD"]);
    }

    #[test]
    fn one_segment_that_fits_needs_no_name() {
        assert!(matches!(parse("BTCUSD_PERP", None), Parsed::One(reading) if reading.segment == "coinm"));
        assert!(matches!(parse("BTCTRY", None), Parsed::One(reading) if reading.segment == "spot"));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for symbol in [
            "",
            "USDT",
            "BTC",
            "btcusdt",
            "BTC-USDT",
            "BTC/USDT",
            "BTCUSDX",
            "BTCUSD",
            "USDTUSDT",
            "BTCUSDT_211331",
            "BTCUSDT_2112",
            "BTCUSDT_PERP",
            "BTCUSDT_",
            "_211231",
            "BTCUSD_PERP_1",
            "BTC\0USDT",
            " BTCUSDT",
            "BTCUSDT ",
            &"X".repeat(10_000),
            &format!("{}USDT", "X".repeat(10_000)),
        ] {
            assert!(matches!(parse(symbol, None), Parsed::Unknown(_)), "{symbol:?}");
        }
        assert!(matches!(parse("BTCUSDT", Some("margin")), Parsed::Unknown(_)));
        assert!(matches!(parse("BTCUSDT", Some("")), Parsed::Unknown(_)));
    }

    #[test]
    fn a_reading_without_a_symbol_says_why() {
        let perpetual = one("BTCUSDT", "usdm");
        let future = one("BTCUSDT_211231", "usdm");
        let cases = [
            (Reading { segment: "margin".to_owned(), ..perpetual.clone() }, "segment", "UNKNOWN_SEGMENT"),
            (Reading { kind: "option".to_owned(), ..perpetual.clone() }, "kind", "UNKNOWN_KIND"),
            (Reading { quote: Some("USDX".to_owned()), ..perpetual.clone() }, "quote", "UNKNOWN_QUOTE"),
            (Reading { quote: None, ..perpetual.clone() }, "quote", "UNKNOWN_QUOTE"),
            (Reading { base: "btc".to_owned(), ..perpetual.clone() }, "base", "INVALID_CODE"),
            (Reading { settle: Some("BTC".to_owned()), ..perpetual.clone() }, "settle", "SETTLE_MISMATCH"),
            (
                Reading { unit_multiplier: Some("7".to_owned()), ..perpetual.clone() },
                "unit_multiplier",
                "UNKNOWN_MULTIPLIER",
            ),
            (Reading { expiry: future.expiry.clone(), ..perpetual }, "expiry", "UNEXPECTED"),
            (Reading { expiry: None, ..future.clone() }, "expiry", "REQUIRED"),
            (Reading { expiry: Some(Expiry::Instant("2021".to_owned())), ..future.clone() }, "expiry", "INVALID_TIME"),
            (
                Reading { expiry: Some(Expiry::Instant("9999-12-31T23:59:59-23:00".to_owned())), ..future.clone() },
                "expiry",
                "INVALID_TIME",
            ),
            (Reading { expiry: Some(Expiry::Date("2121-12-31".to_owned())), ..future }, "expiry", "OUT_OF_RANGE"),
        ];
        for (reading, path, code) in cases {
            let problem = format(&reading).unwrap_err();
            assert_eq!((problem.path.as_str(), problem.code.as_str()), (path, code), "{reading:?}");
        }
    }
}
