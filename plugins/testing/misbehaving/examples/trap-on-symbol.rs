//! A symbology that traps on the symbol `TRAP`, and knows no other.

use cqar_plugin_symbology::{
    Page, Parsed, Query, Reading, Source, Symbology,
    plugin::{Failure, Manifest, NoSettings, Plugin, Problem, no_settings, problem},
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
            subscriptions: &[],
            grants: &[],
            settings_schema: no_settings(),
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Symbology for TrapOnSymbol {
    fn parse(&self, _: &str, query: &Query) -> Parsed {
        if query.symbol == "TRAP" {
            std::process::abort();
        }
        Parsed::Unknown("knows no symbol".to_owned())
    }

    fn format(&self, _: &str, _: &Reading) -> Result<String, Problem> {
        Err(problem("", "NO_SYMBOL", "knows no symbol"))
    }

    fn normalize_asset(&self, _: &str) -> Option<String> {
        None
    }

    fn read_listing(&self, _: &[Source]) -> Result<Page, Failure> {
        Ok(Page { complete_segments: Vec::new(), markets: Vec::new(), rejected: Vec::new() })
    }
}

cqar_plugin_symbology::export!(TrapOnSymbol);
