//! Calls of symbologies as JSON, and the samples of the gate.

use async_trait::async_trait;
use cqar_domain::{entities::instrument::ExerciseStyle, id::Segment, time::Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Code, Expiry, Format, NormalizeAssets, Parse, Query, ReadListing, Reading, Source, Symbology,
    reading::{option_type_name, reading},
};
use crate::{
    error::CallError,
    gate::manifest::Manifest,
    kinds::{Interfaces, case::CaseInput},
    runtime::{
        bindings::{
            cqar::plugin::types::FieldResult,
            exports::cqar::plugin::symbology::{ExpiryResult, ReadingResult},
        },
        memory_budget::EvictIdle as _,
        sandbox::Scope,
    },
};

pub(super) const EXPORTS: [&str; 4] = ["parse", "format", "normalize-assets", "read-listing"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryDocument {
    symbol: String,
    #[serde(default)]
    segment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeDocument {
    code: String,
    #[serde(default)]
    segment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceDocument {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    segment: Option<String>,
    #[serde(default)]
    received_at: Option<String>,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingDocument {
    segment: String,
    kind: String,
    base: String,
    #[serde(default)]
    quote: Option<String>,
    #[serde(default)]
    settle: Option<String>,
    #[serde(default)]
    expiry: Option<ExpiryDocument>,
    #[serde(default)]
    strike: Option<String>,
    #[serde(default)]
    option_type: Option<String>,
    #[serde(default)]
    exercise_style: Option<String>,
    #[serde(default)]
    unit_multiplier: Option<String>,
    #[serde(default)]
    extra: Vec<FieldDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpiryDocument {
    Date(String),
    Instant(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldDocument {
    key: String,
    value: String,
}

impl ReadingDocument {
    fn reading(self) -> Result<Reading, CallError> {
        let raw = ReadingResult {
            segment: self.segment,
            kind: self.kind,
            base: self.base,
            quote: self.quote,
            settle: self.settle,
            expiry: self.expiry.map(|expiry| match expiry {
                ExpiryDocument::Date(date) => ExpiryResult::Date(date),
                ExpiryDocument::Instant(instant) => ExpiryResult::Instant(instant),
            }),
            strike: self.strike,
            option_type: self.option_type,
            exercise_style: self.exercise_style,
            unit_multiplier: self.unit_multiplier,
            extra: self.extra.into_iter().map(|it| FieldResult { key: it.key, value: it.value }).collect(),
        };
        reading(raw).map_err(|why| CallError::Case(format!("input: {why}")))
    }
}

/// A query as a case has it.
pub(super) fn query(query: &Query) -> Value {
    json!({"symbol": query.symbol, "segment": query.segment})
}

/// A code as a case has it.
pub(super) fn code(code: &Code) -> Value {
    json!({"code": code.code, "segment": code.segment})
}

/// A source as a case has it: text, as listings are JSON.
pub(super) fn source(source: &Source) -> Value {
    json!({
        "url": source.url, "segment": source.segment, "received_at": source.received_at.map(|at| at.to_string()),
        "body": String::from_utf8_lossy(&source.body),
    })
}

/// A reading as a case has it.
pub(super) fn reading_value(reading: &Reading) -> Value {
    let expiry = reading.expiry.map(|expiry| match expiry {
        Expiry::Date(date) => json!({"date": date.to_string()}),
        Expiry::Instant(instant) => json!({"instant": instant.to_string()}),
    });
    let extra: Vec<_> = reading.extra.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "segment": reading.segment.as_str(), "kind": reading.kind.name(), "base": reading.base, "quote": reading.quote,
        "settle": reading.settle, "expiry": expiry, "strike": reading.strike.as_ref().map(ToString::to_string),
        "option_type": reading.option_type.map(option_type_name),
        "exercise_style": reading.exercise_style.map(ExerciseStyle::name),
        "unit_multiplier": reading.unit_multiplier.as_ref().map(ToString::to_string), "extra": extra,
    })
}

#[async_trait]
impl Interfaces for Symbology {
    async fn evaluate(&self, input: &CaseInput, scope: Scope) -> Result<Value, CallError> {
        let call = input.context(scope.now).into();
        match input.export.as_str() {
            "parse" => {
                let queries = input.read::<Vec<QueryDocument>>()?.into_iter();
                let queries = queries.map(|it| Query { symbol: it.symbol, segment: it.segment }).collect::<Vec<_>>();
                let range = 0..queries.len();
                self.symbols.evaluate(Parse { call, queries: queries.into(), range }, scope).await
            }
            "format" => {
                let readings = input.read::<Vec<ReadingDocument>>()?.into_iter();
                let readings = readings.map(ReadingDocument::reading).collect::<Result<Vec<_>, _>>()?;
                let range = 0..readings.len();
                self.symbols.evaluate(Format { call, readings: readings.into(), range }, scope).await
            }
            "normalize-assets" => {
                let codes = input.read::<Vec<CodeDocument>>()?.into_iter();
                let codes = codes.map(|it| Code { code: it.code, segment: it.segment }).collect::<Vec<_>>();
                let range = 0..codes.len();
                self.symbols.evaluate(NormalizeAssets { call, codes: codes.into(), range }, scope).await
            }
            "read-listing" => {
                let sources = input.read::<Vec<SourceDocument>>()?.into_iter();
                let sources = sources.map(SourceDocument::source).collect::<Result<Vec<_>, _>>()?;
                self.listings.evaluate(ReadListing { call, sources: sources.into() }, scope).await
            }
            _ => Err(input.unknown_export(&EXPORTS)),
        }
    }

    fn evict_idle(&self) {
        self.symbols.evict_idle();
        self.listings.evict_idle();
    }
}

impl SourceDocument {
    fn source(self) -> Result<Source, CallError> {
        let received_at = self.received_at.map(|at| at.parse::<Timestamp>()).transpose();
        let received_at = received_at.map_err(|error| CallError::Case(format!("input: received_at: {error}")))?;
        Ok(Source { url: self.url, segment: self.segment, received_at, body: self.body.into_bytes() })
    }
}

/// Every export, in every segment, with something and with nothing.
pub(super) fn samples(manifest: &Manifest) -> Vec<CaseInput> {
    let sample = |export: &str, input: Value| CaseInput { export: export.into(), input, ..CaseInput::default() };
    let mut samples = vec![
        sample("parse", json!([{"symbol": "BTCUSDT"}])),
        sample("parse", json!([])),
        sample("format", json!([])),
        sample("normalize-assets", json!([{"code": "BTC"}])),
        sample("read-listing", json!([])),
    ];
    let reading = |segment: &str| json!([{"segment": segment, "kind": "spot", "base": "BTC", "quote": "USDT"}]);
    let segments: Vec<&str> = manifest.segments.iter().map(Segment::as_str).collect();
    for segment in if segments.is_empty() { vec!["spot"] } else { segments } {
        samples.push(sample("parse", json!([{"symbol": "BTCUSDT", "segment": segment}])));
        samples.push(sample("format", reading(segment)));
        samples.push(sample("normalize-assets", json!([{"code": "BTC", "segment": segment}])));
    }
    samples
}
