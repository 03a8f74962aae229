//! What a symbol means, in the domain's words.

use std::{fmt::Display, str::FromStr};

use cqar_domain::{
    decimal::Decimal,
    entities::instrument::{ExerciseStyle, InstrumentKind, OptionType},
    id::Segment,
    text::VENUE_CODE,
    time::{Date, Timestamp},
};

use crate::{
    runtime::bindings::{
        cqar::plugin::types::FieldResult,
        exports::cqar::plugin::symbology::{self, ExpiryResult, ReadingResult},
    },
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, clean, cleaned},
};

/// A symbol that can be read in more ways than this is as good as unknown.
const MAX_READINGS: usize = 16;
/// The longest code that can be bound: of so many characters, each of at most four bytes.
const MAX_CODE_LENGTH: usize = VENUE_CODE.max * 4;
/// What a symbol says beyond its terms is a word or two.
const MAX_EXTRA: usize = 32;

/// A symbol to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// As the venue writes it.
    pub symbol: String,
    /// In which part of the venue; none where that is not known.
    pub segment: Option<String>,
}

/// A code as the venue writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The code.
    pub code: String,
    /// In which part of the venue; none where that is not known.
    pub segment: Option<String>,
}

/// What a symbol means. Assets are the venue's codes, a known multiplier taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// In which part of the venue.
    pub segment: Segment,
    /// Of any kind.
    pub kind: InstrumentKind,
    /// The venue's code of the base.
    pub base: String,
    /// The venue's code of the quote; none for lending.
    pub quote: Option<String>,
    /// The venue's code of the settle asset; given for derivatives.
    pub settle: Option<String>,
    /// When a dated contract ends; given for dated kinds.
    pub expiry: Option<Expiry>,
    /// Given for options, above 0.
    pub strike: Option<Decimal>,
    /// Given for options.
    pub option_type: Option<OptionType>,
    /// When an option may be exercised; none where the symbol does not say.
    pub exercise_style: Option<ExerciseStyle>,
    /// Units of base per unit of the symbol's base: 1000 for `1000SHIB`; none means 1.
    pub unit_multiplier: Option<Decimal>,
    /// What else the venue's symbol says.
    pub extra: Vec<(String, String)>,
}

/// When a contract ends, as far as a symbol says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// On a date of UTC. Two venues that settle one contract at different hours mean one instrument.
    Date(Date),
    /// At an instant.
    Instant(Timestamp),
}

impl Expiry {
    /// The date of UTC.
    pub fn date(self) -> Date {
        match self {
            Self::Date(date) => date,
            Self::Instant(instant) => instant.date(),
        }
    }

    /// The instant, where it is said.
    pub const fn instant(self) -> Option<Timestamp> {
        match self {
            Self::Date(_) => None,
            Self::Instant(instant) => Some(instant),
        }
    }
}

/// What came of reading a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// It has one meaning.
    One(Reading),
    /// It has several.
    Ambiguous(Vec<Reading>),
    /// It has none, and why.
    Unknown(String),
}

/// Why a reading has no symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatProblem {
    /// The field of the reading.
    pub path: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people.
    pub message: String,
}

impl Reading {
    /// What its texts weigh.
    pub(super) fn bytes(&self) -> usize {
        let codes = [Some(&self.base), self.quote.as_ref(), self.settle.as_ref()];
        let extra = self.extra.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        codes.into_iter().flatten().map(String::len).sum::<usize>() + extra
    }
}

impl Parsed {
    /// What it weighs, about.
    pub(super) fn bytes(&self) -> usize {
        let reading = |reading: &Reading| size_of::<Reading>() + reading.bytes();
        match self {
            Self::One(one) => reading(one),
            Self::Ambiguous(several) => several.iter().map(reading).sum(),
            Self::Unknown(why) => why.len(),
        }
    }
}

impl FormatProblem {
    /// What its texts weigh.
    pub(super) fn bytes(&self) -> usize {
        self.path.len() + self.code.len() + self.message.len()
    }
}

/// What came of one symbol.
pub(super) fn parsed(raw: symbology::Parsed) -> Result<Parsed, String> {
    match raw {
        symbology::Parsed::One(it) => Ok(Parsed::One(reading(it)?)),
        symbology::Parsed::Ambiguous(several) if (2..=MAX_READINGS).contains(&several.len()) => {
            Ok(Parsed::Ambiguous(several.into_iter().map(reading).collect::<Result<_, _>>()?))
        }
        symbology::Parsed::Ambiguous(several) => {
            Err(format!("{} readings; ambiguous is what has 2 to {MAX_READINGS}", several.len()))
        }
        symbology::Parsed::Unknown(why) => Ok(Parsed::Unknown(cleaned(why, MAX_MESSAGE_BYTES))),
    }
}

/// The name in readings.
pub(super) const fn option_type_name(option_type: OptionType) -> &'static str {
    match option_type {
        OptionType::Call => "call",
        OptionType::Put => "put",
    }
}

/// A reading as a plugin gave it.
pub(super) fn reading(raw: ReadingResult) -> Result<Reading, String> {
    let named =
        |field: &str, text: &str, names: &str| format!("{field}: {:?} must be {names}", clean(text, MAX_CODE_BYTES));
    let kind = InstrumentKind::from_name(&raw.kind).ok_or_else(|| {
        named("kind", &raw.kind, "spot, perpetual, future, option, lending_deposit or lending_borrow")
    })?;
    let option_type = match raw.option_type.as_deref() {
        None => None,
        Some("call") => Some(OptionType::Call),
        Some("put") => Some(OptionType::Put),
        Some(other) => return Err(named("option-type", other, "call or put")),
    };
    let exercise_style = match raw.exercise_style.as_deref() {
        None => None,
        Some("european") => Some(ExerciseStyle::European),
        Some("american") => Some(ExerciseStyle::American),
        Some(other) => return Err(named("exercise-style", other, "european or american")),
    };
    let expiry = match raw.expiry {
        None => None,
        Some(ExpiryResult::Date(date)) => Some(Expiry::Date(field("expiry", &date)?)),
        Some(ExpiryResult::Instant(instant)) => Some(Expiry::Instant(field("expiry", &instant)?)),
    };
    let codes = [("base", Some(&raw.base)), ("quote", raw.quote.as_ref()), ("settle", raw.settle.as_ref())];
    for (field, code) in codes {
        code.map_or(Ok(()), |code| code_length(field, code))?;
    }
    let is_short = |it: &FieldResult| it.key.len() <= MAX_CODE_BYTES && it.value.len() <= MAX_MESSAGE_BYTES;
    if raw.extra.len() > MAX_EXTRA || !raw.extra.iter().all(is_short) {
        return Err(format!(
            "extra: at most {MAX_EXTRA}, with keys of {MAX_CODE_BYTES} and values of {MAX_MESSAGE_BYTES} bytes"
        ));
    }
    let read = Reading {
        segment: field("segment", &raw.segment)?,
        kind,
        base: raw.base,
        quote: raw.quote,
        settle: raw.settle,
        expiry,
        strike: optional("strike", raw.strike.as_deref())?,
        option_type,
        exercise_style,
        unit_multiplier: optional("unit-multiplier", raw.unit_multiplier.as_deref())?,
        extra: raw.extra.into_iter().map(|it| (it.key, it.value)).collect(),
    };
    check(&read)?;
    Ok(read)
}

/// A code of the venue is no longer than a symbol can be.
pub(super) fn code_length(field: &str, code: &str) -> Result<(), String> {
    if code.len() > MAX_CODE_LENGTH {
        return Err(format!("{field}: a code has at most {MAX_CODE_LENGTH} bytes, and this one {}", code.len()));
    }
    Ok(())
}

/// What a kind needs is there, and nothing else.
fn check(reading: &Reading) -> Result<(), String> {
    let kind = reading.kind.name();
    let option = reading.kind == InstrumentKind::Option;
    let is_lending = matches!(reading.kind, InstrumentKind::LendingDeposit | InstrumentKind::LendingBorrow);
    let fields = [
        ("quote", reading.quote.is_some(), !is_lending),
        ("settle", reading.settle.is_some(), !is_lending && reading.kind != InstrumentKind::Spot),
        ("expiry", reading.expiry.is_some(), reading.kind.is_dated()),
        ("strike", reading.strike.is_some(), option),
        ("option-type", reading.option_type.is_some(), option),
    ];
    if reading.exercise_style.is_some() && !option {
        return Err(format!("exercise-style: must not be given for {kind}"));
    }
    for (field, given, needed) in fields {
        if given != needed {
            let must = if needed { "must be given" } else { "must not be given" };
            return Err(format!("{field}: {must} for {kind}"));
        }
    }
    let codes = [Some(&reading.base), reading.quote.as_ref(), reading.settle.as_ref()];
    if codes.into_iter().flatten().any(String::is_empty) {
        return Err("base, quote and settle: must not be empty".into());
    }
    let positive = [("strike", &reading.strike), ("unit-multiplier", &reading.unit_multiplier)];
    for (field, amount) in positive {
        if amount.as_ref().is_some_and(|amount| amount.sign().is_le()) {
            return Err(format!("{field}: must be above 0"));
        }
    }
    Ok(())
}

pub(super) fn optional<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| field(name, text)).transpose()
}

pub(super) fn field<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| clean(&format!("{name}: {error}"), MAX_MESSAGE_BYTES))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn raw() -> ReadingResult {
        ReadingResult {
            segment: "usdm".into(),
            kind: "perpetual".into(),
            base: "BTC".into(),
            quote: Some("USDT".into()),
            settle: Some("USDT".into()),
            expiry: None,
            strike: None,
            option_type: None,
            exercise_style: None,
            unit_multiplier: None,
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_reading_has_what_its_kind_needs_and_nothing_else() {
        assert!(reading(raw()).is_ok());
        let lending = ReadingResult { kind: "lending_deposit".into(), quote: None, settle: None, ..raw() };
        assert!(reading(lending.clone()).is_ok());
        let refused = [
            ReadingResult { quote: Some("USDT".into()), ..lending },
            ReadingResult { quote: None, ..raw() },
            ReadingResult { settle: None, ..raw() },
            ReadingResult { kind: "swap".into(), ..raw() },
            ReadingResult { kind: "future".into(), ..raw() },
            ReadingResult { exercise_style: Some("european".into()), ..raw() },
            ReadingResult { expiry: Some(ExpiryResult::Instant("tomorrow".into())), ..raw() },
            ReadingResult { strike: Some("NaN".into()), ..raw() },
            ReadingResult { unit_multiplier: Some("0".into()), ..raw() },
            ReadingResult { segment: "USD-M".into(), ..raw() },
            ReadingResult { base: String::new(), ..raw() },
        ];
        for raw in refused {
            assert!(reading(raw.clone()).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn a_contract_ends_on_a_date_or_at_an_instant() {
        let future = |expiry| reading(ReadingResult { kind: "future".into(), expiry: Some(expiry), ..raw() });
        let by_date = future(ExpiryResult::Date("2026-12-25".into())).unwrap().expiry.unwrap();
        let by_instant = future(ExpiryResult::Instant("2026-12-25T08:00:00Z".into())).unwrap().expiry.unwrap();
        assert_eq!((by_date.date(), by_date.instant()), (by_instant.date(), None));
        assert!(by_instant.instant().is_some());
        assert!(future(ExpiryResult::Date("2026-02-30".into())).is_err());
        assert!(future(ExpiryResult::Date("2026-12-25T08:00:00Z".into())).is_err());
    }
}
