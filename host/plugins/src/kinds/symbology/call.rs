//! The calls of symbologies.

use std::{ops::Range, sync::Arc};

use cqar_domain::entities::instrument::ExerciseStyle;
use serde_json::Value;
use wasmtime::{Store, component::Instance};

use super::{
    Code, Expiry, FormatProblem, Page, Parsed, Query, Reading, Source, case, listing as pages,
    reading::{self, option_type_name},
};
use crate::{
    runtime::bindings::{
        cqar::plugin::types::{Failure, FieldParam, Problem},
        exports::cqar::plugin::{listing, symbology},
    },
    runtime::instance_pool::{Call, Interface},
    runtime::sandbox::Sandbox,
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, MAX_PATH_BYTES, cleaned},
};

/// No venue has longer symbols or codes; the core refuses more than 128 characters.
const MAX_SYMBOL_BYTES: usize = 512;

/// One call of `parse`.
#[derive(Clone)]
pub(crate) struct Parse {
    pub(crate) call: Arc<str>,
    pub(crate) queries: Arc<[Query]>,
    pub(crate) range: Range<usize>,
}

impl Call<symbology::Guest> for Parse {
    const EXPORT: &'static str = "parse";
    type Raw = Vec<symbology::Parsed>;
    type Answer = Vec<Parsed>;

    async fn run<'a>(
        &'a self,
        guest: &'a symbology::Guest,
        store: &'a mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let queries = self.queries.get(self.range.clone()).unwrap_or_default();
        let queries: Vec<_> = queries
            .iter()
            .map(|query| symbology::Query { symbol: &query.symbol, segment: query.segment.as_deref() })
            .collect();
        guest.call_parse(store, &self.call, &queries).await
    }

    fn context(&self) -> &str {
        &self.call
    }

    fn input(&self) -> Value {
        self.queries.get(self.range.clone()).unwrap_or_default().iter().map(case::query).collect()
    }

    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String> {
        right_number(raw.len(), self.range.len())?;
        raw.into_iter().map(reading::parsed).collect()
    }
}

/// One call of `format`.
#[derive(Clone)]
pub(crate) struct Format {
    pub(crate) call: Arc<str>,
    pub(crate) readings: Arc<[Reading]>,
    pub(crate) range: Range<usize>,
}

impl Call<symbology::Guest> for Format {
    const EXPORT: &'static str = "format";
    type Raw = Vec<Result<String, Problem>>;
    type Answer = Vec<Result<String, FormatProblem>>;

    async fn run<'a>(
        &'a self,
        guest: &'a symbology::Guest,
        store: &'a mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let readings = self.readings.get(self.range.clone()).unwrap_or_default();
        let written: Vec<_> = readings.iter().map(Written::from).collect();
        let arguments: Vec<_> =
            readings.iter().zip(&written).map(|(reading, written)| written.argument(reading)).collect();
        guest.call_format(store, &self.call, &arguments).await
    }

    fn context(&self) -> &str {
        &self.call
    }

    fn input(&self) -> Value {
        self.readings.get(self.range.clone()).unwrap_or_default().iter().map(case::reading_value).collect()
    }

    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String> {
        right_number(raw.len(), self.range.len())?;
        raw.into_iter()
            .map(|answer| match answer {
                Ok(symbol) if symbol.is_empty() || symbol.len() > MAX_SYMBOL_BYTES => {
                    Err(format!("a symbol of {} bytes", symbol.len()))
                }
                Ok(symbol) => Ok(Ok(symbol)),
                Err(problem) => Ok(Err(FormatProblem {
                    path: cleaned(problem.path, MAX_PATH_BYTES),
                    code: cleaned(problem.code, MAX_CODE_BYTES),
                    message: cleaned(problem.message, MAX_MESSAGE_BYTES),
                })),
            })
            .collect()
    }
}

/// An expiry as plugins read it.
enum WrittenExpiry {
    Date(String),
    Instant(String),
}

impl From<Expiry> for WrittenExpiry {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Date(date) => Self::Date(date.to_string()),
            Expiry::Instant(instant) => Self::Instant(instant.to_string()),
        }
    }
}

/// The fields of a reading as plugins read them, where that is another form.
struct Written<'a> {
    expiry: Option<WrittenExpiry>,
    strike: Option<String>,
    unit_multiplier: Option<String>,
    extra: Vec<FieldParam<'a>>,
}

impl<'a> From<&'a Reading> for Written<'a> {
    fn from(reading: &'a Reading) -> Self {
        Self {
            expiry: reading.expiry.map(WrittenExpiry::from),
            strike: reading.strike.as_ref().map(ToString::to_string),
            unit_multiplier: reading.unit_multiplier.as_ref().map(ToString::to_string),
            extra: reading.extra.iter().map(|(key, value)| FieldParam { key, value }).collect(),
        }
    }
}

impl Written<'_> {
    fn argument<'a>(&'a self, reading: &'a Reading) -> symbology::ReadingParam<'a> {
        symbology::ReadingParam {
            segment: reading.segment.as_str(),
            kind: reading.kind.name(),
            base: &reading.base,
            quote: reading.quote.as_deref(),
            settle: reading.settle.as_deref(),
            expiry: self.expiry.as_ref().map(|expiry| match expiry {
                WrittenExpiry::Date(date) => symbology::ExpiryParam::Date(date),
                WrittenExpiry::Instant(instant) => symbology::ExpiryParam::Instant(instant),
            }),
            strike: self.strike.as_deref(),
            option_type: reading.option_type.map(option_type_name),
            exercise_style: reading.exercise_style.map(ExerciseStyle::name),
            unit_multiplier: self.unit_multiplier.as_deref(),
            extra: &self.extra,
        }
    }
}

/// One call of `normalize-assets`.
#[derive(Clone)]
pub(crate) struct NormalizeAssets {
    pub(crate) call: Arc<str>,
    pub(crate) codes: Arc<[Code]>,
    pub(crate) range: Range<usize>,
}

impl Call<symbology::Guest> for NormalizeAssets {
    const EXPORT: &'static str = "normalize-assets";
    type Raw = Vec<Option<String>>;
    type Answer = Vec<Option<String>>;

    async fn run<'a>(
        &'a self,
        guest: &'a symbology::Guest,
        store: &'a mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let codes = self.codes.get(self.range.clone()).unwrap_or_default();
        let codes: Vec<_> =
            codes.iter().map(|it| symbology::Code { code: &it.code, segment: it.segment.as_deref() }).collect();
        guest.call_normalize_assets(store, &self.call, &codes).await
    }

    fn context(&self) -> &str {
        &self.call
    }

    fn input(&self) -> Value {
        self.codes.get(self.range.clone()).unwrap_or_default().iter().map(case::code).collect()
    }

    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String> {
        right_number(raw.len(), self.range.len())?;
        match raw.iter().flatten().find(|code| code.is_empty() || code.len() > MAX_SYMBOL_BYTES) {
            Some(code) => Err(format!("an asset code of {} bytes", code.len())),
            None => Ok(raw),
        }
    }
}

/// One call of `read-listing`.
#[derive(Clone)]
pub(crate) struct ReadListing {
    pub(crate) call: Arc<str>,
    pub(crate) sources: Arc<[Source]>,
}

impl Call<listing::Guest> for ReadListing {
    const EXPORT: &'static str = "read-listing";
    const LARGE: bool = true;
    type Raw = listing::Page;
    type Answer = Page;

    async fn run<'a>(
        &'a self,
        guest: &'a listing::Guest,
        store: &'a mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let received: Vec<_> = self.sources.iter().map(|it| it.received_at.map(|at| at.to_string())).collect();
        let sources: Vec<_> = self
            .sources
            .iter()
            .zip(&received)
            .map(|(source, received_at)| listing::Source {
                url: source.url.as_deref(),
                segment: source.segment.as_deref(),
                received_at: received_at.as_deref(),
                body: &source.body,
            })
            .collect();
        guest.call_read_listing(store, &self.call, &sources).await
    }

    fn context(&self) -> &str {
        &self.call
    }

    fn input(&self) -> Value {
        self.sources.iter().map(case::source).collect()
    }

    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String> {
        pages::page(raw, self.sources.len())
    }
}

fn right_number(answers: usize, asked: usize) -> Result<(), String> {
    if answers == asked { Ok(()) } else { Err(format!("{answers} answers to {asked} questions")) }
}

impl Interface for symbology::Guest {
    type Indices = symbology::GuestIndices;

    fn load(indices: &Self::Indices, store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}

impl Interface for listing::Guest {
    type Indices = listing::GuestIndices;

    fn load(indices: &Self::Indices, store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}
