//! A symbology that reads `BASE-QUOTE` as spot, and a listing as such symbols, one a line; and does what its settings ask for,
//! which the crate `hostile` says. It implements the bare exports, since what the traits of the SDK allow is not wrong enough.

use cqar_plugin_symbology::{
    bindings::exports::cqar::plugin::{
        lifecycle,
        listing::{self, Coverage, Listed, Page, Rejected, Source},
        symbology::{self, Code, Parsed, Query, Reading},
    },
    empty_page,
    plugin::{Failure, Problem, problem},
    whole_segment,
};
use hostile::{
    Answer, Answers, Export,
    texts::{self, CONTROL_CHARACTERS},
};

/// The symbology.
pub struct HostileSymbology;

const SEGMENT: &str = "spot";
const MILLION: u32 = 1_000_000;

const ANSWERS: &Answers = &[
    (
        Export::Parse,
        &[
            Answer::Remember,
            Answer::LargeAnswer,
            Answer::LargeKind,
            Answer::LargeExtra,
            Answer::ManyExtra,
            Answer::WrongNumber,
            Answer::ControlCharacters,
        ],
    ),
    (
        Export::Format,
        &[Answer::Remember, Answer::LargeAnswer, Answer::LargeKind, Answer::WrongNumber, Answer::ControlCharacters],
    ),
    (Export::NormalizeAssets, &[Answer::Remember, Answer::LargeAnswer, Answer::WrongNumber, Answer::ControlCharacters]),
    (
        Export::ReadListing,
        &[
            Answer::Remember,
            Answer::LargeAnswer,
            Answer::LargeKind,
            Answer::LargeExtra,
            Answer::MillionCoverages,
            Answer::MillionRejected,
            Answer::MillionMarkets,
            Answer::WrongNumber,
            Answer::ControlCharacters,
        ],
    ),
];

impl lifecycle::Guest for HostileSymbology {
    fn describe() -> String {
        serde_json::json!({
            "name": "hostile-symbology", "version": env!("CARGO_PKG_VERSION"), "kind": "symbology",
            "description": "Does what its settings ask for.",
            "subscriptions": [], "grants": [], "segments": [SEGMENT], "settings_schema": {"type": "object"},
        })
        .to_string()
    }

    fn configure(settings: String) -> Result<(), Vec<Problem>> {
        hostile::configure(&settings, ANSWERS)
    }
}

impl symbology::Guest for HostileSymbology {
    fn parse(_: String, symbols: Vec<Query>) -> Result<Vec<Parsed>, Failure> {
        let answer = hostile::call(Export::Parse, symbols.iter().map(|query| &query.symbol))?;
        Ok(one_for_each(&symbols, answer, |query| match answer {
            Some(Answer::Remember) => Parsed::Unknown(hostile::calls().to_string()),
            Some(Answer::LargeAnswer) => Parsed::Unknown(texts::large()),
            Some(Answer::ControlCharacters) => Parsed::Unknown(CONTROL_CHARACTERS.to_owned()),
            Some(Answer::LargeKind | Answer::LargeExtra | Answer::ManyExtra) => Parsed::One(spoilt(answer)),
            _ => match read(&query.symbol) {
                Some(reading) => Parsed::One(reading),
                None => Parsed::Unknown("a symbol is BASE-QUOTE".to_owned()),
            },
        }))
    }

    fn format(_: String, readings: Vec<Reading>) -> Result<Vec<Result<String, Problem>>, Failure> {
        let answer = hostile::call(Export::Format, readings.iter().map(|reading| &reading.base))?;
        Ok(one_for_each(&readings, answer, |reading| match (answer, &reading.quote) {
            (Some(Answer::Remember), _) => Ok(hostile::calls().to_string()),
            (Some(Answer::LargeAnswer), _) => Ok(texts::large()),
            (Some(Answer::LargeKind), _) => Err(problem(texts::large(), "LARGE", "its path is large")),
            (Some(Answer::ControlCharacters), _) => Err(texts::control_characters_problem()),
            (_, Some(quote)) => Ok(format!("{}-{quote}", reading.base)),
            (_, None) => Err(problem("quote", "REQUIRED", "a symbol is BASE-QUOTE")),
        }))
    }

    fn normalize_assets(_: String, codes: Vec<Code>) -> Result<Vec<Option<String>>, Failure> {
        let answer = hostile::call(Export::NormalizeAssets, codes.iter().map(|code| &code.code))?;
        Ok(one_for_each(&codes, answer, |code| match answer {
            Some(Answer::Remember) => Some(hostile::calls().to_string()),
            Some(Answer::LargeAnswer) => Some(texts::large()),
            Some(Answer::ControlCharacters) => Some(CONTROL_CHARACTERS.to_owned()),
            _ => Some(code.code.clone()),
        }))
    }
}

impl listing::Guest for HostileSymbology {
    fn read_listing(_: String, sources: Vec<Source>) -> Result<Page, Failure> {
        let answer = hostile::call(Export::ReadListing, sources.iter().map(|it| String::from_utf8_lossy(&it.body)))?;
        let mut page = empty_page();
        for (index, source) in (0..).zip(&sources) {
            page.covered.push(whole_segment(index, SEGMENT));
            for line in String::from_utf8_lossy(&source.body).lines() {
                match read(line) {
                    Some(reading) => page.markets.push(listed(index, line, reading)),
                    None => page.rejected.push(rejected(index, line, "NO_SYMBOL", "a symbol is BASE-QUOTE")),
                }
            }
            match answer {
                Some(Answer::Remember) => {
                    page.rejected.push(rejected(index, "CALLS", "HOSTILE", &hostile::calls().to_string()));
                }
                Some(Answer::LargeAnswer) => {
                    page.rejected.push(rejected(index, "LARGE", "HOSTILE", &texts::large()));
                }
                Some(Answer::LargeKind | Answer::LargeExtra) => {
                    page.markets.push(listed(index, "A-B", spoilt(answer)));
                }
                Some(Answer::ControlCharacters) => {
                    page.markets.push(listed(index, CONTROL_CHARACTERS, spoilt(answer)));
                    let text = CONTROL_CHARACTERS;
                    page.rejected
                        .push(Rejected { segment: Some(text.to_owned()), ..rejected(index, text, text, text) });
                }
                _ => {}
            }
        }
        match answer {
            Some(Answer::MillionCoverages) => page.covered = (0..MILLION).map(coverage).collect(),
            Some(Answer::MillionRejected) => {
                let row = |index: u32| rejected(0, &index.to_string(), "HOSTILE", "of many");
                page.rejected = (0..MILLION).map(row).collect();
            }
            Some(Answer::MillionMarkets) => {
                let row = |index: u32| listed(0, &format!("{index}-B"), spot(&index.to_string(), "B"));
                page.markets = (0..MILLION).map(row).collect();
            }
            Some(Answer::WrongNumber) => {
                let after_the_last = u32::try_from(sources.len()).unwrap_or(u32::MAX);
                page.markets.push(listed(after_the_last, "A-B", spot("A", "B")));
            }
            _ => {}
        }
        Ok(page)
    }
}

/// One answer for each item, unless one fewer was asked for.
fn one_for_each<I, A>(items: &[I], answer: Option<Answer>, of: impl FnMut(&I) -> A) -> Vec<A> {
    let mut answers: Vec<_> = items.iter().map(of).collect();
    if answer == Some(Answer::WrongNumber) {
        answers.pop();
    }
    answers
}

fn read(symbol: &str) -> Option<Reading> {
    let (base, quote) = symbol.trim().split_once('-')?;
    (!base.is_empty() && !quote.is_empty()).then(|| spot(base, quote))
}

fn spot(base: &str, quote: &str) -> Reading {
    Reading {
        segment: SEGMENT.to_owned(),
        kind: "spot".to_owned(),
        base: base.to_owned(),
        quote: Some(quote.to_owned()),
        settle: None,
        expiry: None,
        strike: None,
        option_type: None,
        exercise_style: None,
        unit_multiplier: None,
        extra: Vec::new(),
    }
}

/// A reading that is as the answer says.
fn spoilt(answer: Option<Answer>) -> Reading {
    match answer {
        Some(Answer::LargeKind) => Reading { kind: texts::large(), ..spot("A", "B") },
        Some(Answer::LargeExtra) => Reading { extra: texts::extra(32, 64 << 10), ..spot("A", "B") },
        Some(Answer::ManyExtra) => Reading { extra: texts::extra(20, 1000), ..spot("A", "B") },
        _ => spot(CONTROL_CHARACTERS, CONTROL_CHARACTERS),
    }
}

fn listed(source: u32, symbol: &str, reading: Reading) -> Listed {
    Listed { source, symbol: symbol.trim().to_owned(), reading, market: "{}".to_owned(), problems: Vec::new() }
}

fn rejected(source: u32, symbol: &str, code: &str, message: &str) -> Rejected {
    Rejected {
        source,
        segment: None,
        symbol: Some(symbol.to_owned()),
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

/// A segment of its own for each.
fn coverage(index: u32) -> Coverage {
    whole_segment(0, &format!("s{index}"))
}

#[cfg(target_family = "wasm")]
cqar_plugin_symbology::bindings::export!(HostileSymbology with_types_in cqar_plugin_symbology::bindings);
