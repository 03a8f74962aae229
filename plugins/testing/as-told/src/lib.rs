//! A symbology that knows no symbol, and whose listings are pages written as JSON: each source is told what it covers, which
//! markets it has, and what it says of codes. A test says so what it wants the host to make of it.

use std::collections::BTreeMap;

use cqar_plugin_symbology::{
    Call, Code, Coverage, Expiry, Listed, ListedAsset, Page, Parsed, Query, Reading, Rejected, Request, Source,
    Symbology, empty_page,
    plugin::{Failure, Field, Manifest, NoSettings, Plugin, Problem, problem},
};
use serde::Deserialize;
use serde_json::Value;

/// The symbology.
pub struct AsTold;

/// A page, as it is told.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ToldPage {
    covered: Vec<ToldCoverage>,
    markets: Vec<ToldMarket>,
    assets: Vec<ToldAsset>,
    rejected: Vec<ToldRejection>,
    ignored: u32,
    more: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldCoverage {
    segment: String,
    kind: Option<String>,
    base: Option<String>,
    quote: Option<String>,
    settle: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldMarket {
    symbol: String,
    segment: String,
    kind: String,
    base: String,
    quote: Option<String>,
    settle: Option<String>,
    date: Option<String>,
    instant: Option<String>,
    strike: Option<String>,
    option_type: Option<String>,
    exercise_style: Option<String>,
    unit_multiplier: Option<String>,
    market: Value,
    #[serde(default)]
    unread: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldAsset {
    code: String,
    segment: Option<String>,
    #[serde(default)]
    hints: BTreeMap<String, String>,
    venue_asset: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldRejection {
    symbol: Option<String>,
    segment: Option<String>,
    code: String,
}

impl Plugin for AsTold {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "as-told",
            version: env!("CARGO_PKG_VERSION"),
            description: "Reads what it is told.",
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Symbology for AsTold {
    fn parse(&self, _: &Call, _: &Query) -> Parsed {
        Parsed::Unknown("knows no symbol".to_owned())
    }

    fn format(&self, _: &Call, _: &Reading) -> Result<String, Problem> {
        Err(problem("", "NO_SYMBOL", "knows no symbol"))
    }

    fn normalize_asset(&self, _: &Call, code: &Code) -> Option<String> {
        Some(code.code.clone())
    }

    /// A source that is told nothing says what it was called with.
    fn read_listing(&self, call: &Call, sources: &[Source]) -> Result<Page, Failure> {
        let mut page = empty_page();
        for (index, source) in (0..).zip(sources) {
            let told: ToldPage = serde_json::from_slice(&source.body).map_err(|error| Failure {
                code: "NOT_A_PAGE".to_owned(),
                message: format!("{error}; called with {call:?}"),
                retryable: false,
            })?;
            told.read(index, &mut page);
        }
        Ok(page)
    }
}

impl ToldPage {
    fn read(self, source: u32, page: &mut Page) {
        page.covered.extend(self.covered.into_iter().map(|it| Coverage {
            sources: vec![source],
            segment: it.segment,
            kind: it.kind,
            base: it.base,
            quote: it.quote,
            settle: it.settle,
        }));
        page.markets.extend(self.markets.into_iter().map(|it| it.listed(source)));
        page.assets.extend(self.assets.into_iter().map(|it| ListedAsset {
            source,
            code: it.code,
            segment: it.segment,
            hints: it.hints.into_iter().map(|(key, value)| Field { key, value }).collect(),
            venue_asset: it.venue_asset.map(|document| document.to_string()),
        }));
        page.rejected.extend(self.rejected.into_iter().map(|it| Rejected {
            source,
            segment: it.segment,
            symbol: it.symbol,
            code: it.code,
            message: "as told".to_owned(),
        }));
        page.ignored += self.ignored;
        page.more.extend(self.more.into_iter().map(|url| Request { url, segment: None }));
    }
}

impl ToldMarket {
    fn listed(self, source: u32) -> Listed {
        let reading = Reading {
            segment: self.segment,
            kind: self.kind,
            base: self.base,
            quote: self.quote,
            settle: self.settle,
            expiry: self.date.map(Expiry::Date).or_else(|| self.instant.map(Expiry::Instant)),
            strike: self.strike,
            option_type: self.option_type,
            exercise_style: self.exercise_style,
            unit_multiplier: self.unit_multiplier,
            extra: Vec::new(),
        };
        let unread = |path: &String| problem(path, "UNREADABLE", "the venue sent what is none");
        let problems = self.unread.iter().map(unread).collect();
        Listed { source, symbol: self.symbol, reading, market: self.market.to_string(), problems }
    }
}

cqar_plugin_symbology::export!(AsTold);
