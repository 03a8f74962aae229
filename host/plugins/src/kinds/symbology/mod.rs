//! What a symbology reads in symbols and listings, in the domain's words.

mod call;
mod case;
mod listing;
mod market;
mod reading;

use std::sync::Arc;

pub(crate) use call::{Format, NormalizeAssets, Parse, ReadListing};
pub(crate) use listing::listing_url;
pub use listing::{Coverage, Listed, ListedAsset, Page, RejectedItem, Source};
pub use market::{ListedMarket, RowProblem, Stated};
pub use reading::{Code, Expiry, FormatProblem, Parsed, Query, Reading};

use super::{Interfaces, Kind, case::CaseInput};
use crate::{
    config::{LISTING_BYTES, MAX_FAILED_ITEMS},
    context::CallContext,
    error::CallError,
    gate::{
        interface::{Answer, Exports},
        manifest::Manifest,
    },
    generation::PoolSettings,
    runtime::{
        bindings::{
            cqar::plugin::types::Problem,
            exports::cqar::plugin::{listing as listing_exports, symbology as symbol_exports},
        },
        chunk::{OutputBudget, chunks},
        instance_pool::{InstancePool, Template},
        sandbox::Scope,
    },
};

/// The symbology plugin of a venue, as it serves now.
#[derive(Clone)]
pub struct Symbology {
    pub(crate) symbols: Arc<InstancePool<symbol_exports::Guest>>,
    pub(crate) listings: Arc<InstancePool<listing_exports::Guest>>,
    /// Whether it looks up, so that its chunks are smaller.
    looks_up: bool,
}

/// The kind.
pub(crate) struct Symbologies;

impl Kind for Symbologies {
    fn name(&self) -> &'static str {
        "symbology"
    }

    fn check(&self, exports: &Exports<'_>) -> Result<(), String> {
        type Page = Answer<listing_exports::Page>;
        type Parsed = Answer<Vec<symbol_exports::Parsed>>;
        type Normalized = Answer<Vec<Option<String>>>;
        type Formatted = Answer<Vec<Result<String, Problem>>>;
        exports.check::<(&str, &[symbol_exports::Query<'_>]), Parsed>("symbology", "parse")?;
        exports.check::<(&str, &[symbol_exports::ReadingParam<'_>]), Formatted>("symbology", "format")?;
        exports.check::<(&str, &[symbol_exports::Code<'_>]), Normalized>("symbology", "normalize-assets")?;
        exports.check::<(&str, &[listing_exports::Source<'_>]), Page>("listing", "read-listing")
    }

    fn interfaces(
        &self,
        template: &Arc<Template>,
        settings: &PoolSettings<'_>,
    ) -> wasmtime::Result<Arc<dyn Interfaces>> {
        let indices = symbol_exports::GuestIndices::new(&template.component)?;
        let symbols = settings.pool(template, indices, &["parse", "format", "normalize-assets"]);
        let indices = listing_exports::GuestIndices::new(&template.component)?;
        let listings = settings.listing_pool(template, indices, &["read-listing"]);
        Ok(Arc::new(Symbology { symbols, listings, looks_up: template.lookup.is_some() }))
    }

    fn samples(&self, manifest: &Manifest) -> Vec<CaseInput> {
        case::samples(manifest)
    }
}

/// A plugin that was asked for does not serve.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the plugin {plugin} does not serve: {reason}")]
pub struct NotServing {
    /// Which.
    pub plugin: String,
    /// Why.
    pub reason: String,
}

impl Symbology {
    /// Reads symbols: one answer for each, in order. A symbol that makes the plugin trap, or answer nonsense, fails alone.
    pub async fn parse(&self, context: &CallContext, queries: Vec<Query>) -> Vec<Result<Parsed, CallError>> {
        let (document, queries) = (document(context), Arc::<[Query]>::from(queries));
        let mut budget = OutputBudget::new();
        let mut call = async |range| {
            let call = Parse { call: Arc::clone(&document), queries: Arc::clone(&queries), range };
            let bytes = |parsed: &Vec<Parsed>| parsed.iter().map(Parsed::bytes).sum();
            self.symbols.call_within(call, Scope::at(context.now), &mut budget, bytes).await
        };
        let mut answers: Vec<Result<Parsed, CallError>> = Vec::with_capacity(queries.len());
        let mut failed = 0;
        for range in chunks(queries.iter().map(|query| query.symbol.len()), self.looks_up) {
            match call(range.clone()).await {
                Ok(parsed) => answers.extend(parsed.into_iter().map(Ok)),
                Err(CallError::Trap { .. } | CallError::BadAnswer(_))
                    if range.len() > 1 && failed < MAX_FAILED_ITEMS =>
                {
                    for index in range {
                        let answer = match failed {
                            MAX_FAILED_ITEMS => Err(CallError::TooManyFailures),
                            _ => call(index..index + 1).await.map(Vec::into_iter).and_then(|mut it| {
                                it.next().ok_or_else(|| CallError::BadAnswer("no answer".to_owned()))
                            }),
                        };
                        failed += usize::from(answer.is_err() && failed < MAX_FAILED_ITEMS);
                        answers.push(answer);
                    }
                }
                Err(error) => answers.extend(vec![Err(error); range.len()]),
            }
        }
        answers
    }

    /// Writes symbols: one answer for each reading, in order.
    pub async fn format(
        &self,
        context: &CallContext,
        readings: Vec<Reading>,
    ) -> Result<Vec<Result<String, FormatProblem>>, CallError> {
        let (document, readings) = (document(context), Arc::<[Reading]>::from(readings));
        let mut answers = Vec::with_capacity(readings.len());
        let mut budget = OutputBudget::new();
        for range in chunks(readings.iter().map(Reading::bytes), self.looks_up) {
            let call = Format { call: Arc::clone(&document), readings: Arc::clone(&readings), range };
            let bytes = |formatted: &Vec<Result<String, FormatProblem>>| {
                formatted.iter().map(|it| it.as_ref().map_or_else(FormatProblem::bytes, String::len)).sum()
            };
            let mut formatted = self.symbols.call_within(call, Scope::at(context.now), &mut budget, bytes).await?;
            answers.append(&mut formatted);
        }
        Ok(answers)
    }

    /// The symbols that the venue's codes for assets usually mean, in order; none where a code can be no asset's.
    pub async fn normalize_assets(
        &self,
        context: &CallContext,
        codes: Vec<Code>,
    ) -> Result<Vec<Option<String>>, CallError> {
        let (document, codes) = (document(context), Arc::<[Code]>::from(codes));
        let mut answers = Vec::with_capacity(codes.len());
        let mut budget = OutputBudget::new();
        for range in chunks(codes.iter().map(|code| code.code.len()), self.looks_up) {
            let call = NormalizeAssets { call: Arc::clone(&document), codes: Arc::clone(&codes), range };
            let bytes = |normalized: &Vec<Option<String>>| normalized.iter().flatten().map(String::len).sum();
            let mut normalized = self.symbols.call_within(call, Scope::at(context.now), &mut budget, bytes).await?;
            answers.append(&mut normalized);
        }
        Ok(answers)
    }

    /// Reads the venue's own responses. A row that cannot be understood is among the rejected, a field that cannot is
    /// among its row's problems.
    pub async fn read_listing(&self, context: &CallContext, sources: Vec<Source>) -> Result<Page, CallError> {
        let bytes = sources.iter().map(|source| source.body.len()).sum();
        if bytes > LISTING_BYTES {
            return Err(CallError::Input { bytes, limit_bytes: LISTING_BYTES });
        }
        let call = ReadListing { call: document(context), sources: sources.into() };
        self.listings.call(call, Scope::at(context.now)).await
    }
}

fn document(context: &CallContext) -> Arc<str> {
    context.document().into()
}
