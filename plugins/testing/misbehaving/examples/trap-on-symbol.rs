//! A symbology that traps on the symbol `TRAP`, and knows no other.

use cqar_plugin_symbology::{
    Call, Code, Page, Parsed, Query, Reading, Source, Symbology, empty_page,
    plugin::{Failure, Manifest, NoSettings, Plugin, Problem, problem},
};

/// The symbology.
pub struct TrapOnSymbol;

impl Plugin for TrapOnSymbol {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "trap-on-symbol",
            version: env!("CARGO_PKG_VERSION"),
            description: "Traps on one symbol.",
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Symbology for TrapOnSymbol {
    fn parse(&self, _: &Call, query: &Query) -> Parsed {
        if query.symbol == "TRAP" {
            std::process::abort();
        }
        Parsed::Unknown("knows no symbol".to_owned())
    }

    fn format(&self, _: &Call, _: &Reading) -> Result<String, Problem> {
        Err(problem("", "NO_SYMBOL", "knows no symbol"))
    }

    fn normalize_asset(&self, _: &Call, _: &Code) -> Option<String> {
        None
    }

    fn read_listing(&self, _: &Call, _: &[Source]) -> Result<Page, Failure> {
        Ok(empty_page())
    }
}

cqar_plugin_symbology::export!(TrapOnSymbol);
