//! Symbologies: how a venue writes instruments, and what its listings say.
//!
//! A plugin implements [`plugin::Plugin`] and [`Symbology`], and exports itself with [`export!`]; `symbology/binance` is
//! one. It depends on the SDK's base alone, whose modules it shows again: [`decimal`], [`document`], [`fields`], [`log`],
//! [`plugin`], [`registry`].

pub mod bindings;

use std::marker::PhantomData;

use crate::bindings::exports::cqar::plugin::{lifecycle, listing, symbology};
pub use bindings::exports::cqar::plugin::{
    listing::{Coverage, Listed, ListedAsset, Page, Rejected, Request, Source},
    symbology::{Code, Expiry, Parsed, Query, Reading},
};
pub use cqar_plugin_sdk::{call::Call, decimal, document, fields, log, plugin, registry};
use plugin::{Failure, Plugin, Problem, Slot};

/// A plugin that knows how one venue writes its symbols.
pub trait Symbology: Plugin {
    /// What a symbol means at the time that is asked about. What can be read in several ways is ambiguous, never guessed.
    fn parse(&self, call: &Call, query: &Query) -> Parsed;

    /// The symbol of a reading: the inverse of `parse`.
    fn format(&self, call: &Call, reading: &Reading) -> Result<String, Problem>;

    /// The symbol usually meant by the venue's code of an asset; None if it cannot be one.
    fn normalize_asset(&self, call: &Call, code: &Code) -> Option<String>;

    /// The markets in the venue's own responses.
    fn read_listing(&self, call: &Call, sources: &[Source]) -> Result<Page, Failure>;
}

/// Exports a [`Symbology`] as a component.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::sdk::slot!($plugin);
            type Component = $crate::Component<$plugin>;
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

/// A page of nothing, to be filled.
pub const fn empty_page() -> Page {
    Page {
        covered: Vec::new(),
        markets: Vec::new(),
        assets: Vec::new(),
        rejected: Vec::new(),
        ignored: 0,
        more: Vec::new(),
    }
}

/// The coverage of a whole segment by one source.
pub fn whole_segment(source: u32, segment: &str) -> Coverage {
    Coverage { sources: vec![source], segment: segment.to_owned(), kind: None, base: None, quote: None, settle: None }
}

#[doc(hidden)]
pub use cqar_plugin_sdk as sdk;

/// A plugin as the world's exports.
#[doc(hidden)]
pub struct Component<P>(PhantomData<P>);

impl<P: Symbology + Slot> lifecycle::Guest for Component<P> {
    fn describe() -> String {
        plugin::describe::<P>("symbology")
    }

    fn configure(settings: String) -> Result<(), Vec<Problem>> {
        plugin::configure::<P>(&settings)
    }
}

impl<P: Symbology + Slot> symbology::Guest for Component<P> {
    fn parse(call: String, symbols: Vec<Query>) -> Result<Vec<Parsed>, Failure> {
        let call = document::read(&call)?;
        plugin::with(|plugin: &P| Ok(symbols.iter().map(|query| plugin.parse(&call, query)).collect()))
    }

    fn format(call: String, readings: Vec<Reading>) -> Result<Vec<Result<String, Problem>>, Failure> {
        let call = document::read(&call)?;
        plugin::with(|plugin: &P| Ok(readings.iter().map(|reading| plugin.format(&call, reading)).collect()))
    }

    fn normalize_assets(call: String, codes: Vec<Code>) -> Result<Vec<Option<String>>, Failure> {
        let call = document::read(&call)?;
        plugin::with(|plugin: &P| Ok(codes.iter().map(|code| plugin.normalize_asset(&call, code)).collect()))
    }
}

impl<P: Symbology + Slot> listing::Guest for Component<P> {
    fn read_listing(call: String, sources: Vec<Source>) -> Result<Page, Failure> {
        let call = document::read(&call)?;
        plugin::with(|plugin: &P| plugin.read_listing(&call, &sources))
    }
}
