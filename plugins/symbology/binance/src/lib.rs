//! A symbology: how Binance writes its symbols, and what its listings say.
//!
//! Three segments, each with an API of its own: `spot` (`BTCUSDT`), `usdm`, whose contracts settle in the quote
//! (`BTCUSDT`, `BTCUSDT_211231`), and `coinm`, whose contracts settle in the base (`BTCUSD_PERP`, `BTCUSD_211231`).
//! Without a segment, a symbol is read in each that it fits.
//!
//! | module | subject |
//! |---|---|
//! | [`segment`] | the segments and the assets that they quote in |
//! | [`multiplier`] | the codes that stand for many units of an asset |
//! | [`symbol`] | symbols to readings, and back |
//! | [`listing`] | the responses of `exchangeInfo` |
//! | [`entry`] | one entry of such a response |

pub mod entry;
pub mod listing;
pub mod multiplier;
#[cfg(test)]
mod real_listings;
pub mod segment;
pub mod symbol;

use cqar_plugin_symbology::{
    Call, Code, Page, Parsed, Query, Reading, Source, Symbology,
    plugin::{Failure, ListingSource, Manifest, NoSettings, Plugin, Problem},
};

/// Where the listings begin: one public response for each segment.
const SOURCES: &[ListingSource] = &[
    ListingSource { url: "https://api.binance.com/api/v3/exchangeInfo", segment: "spot" },
    ListingSource { url: "https://fapi.binance.com/fapi/v1/exchangeInfo", segment: "usdm" },
    ListingSource { url: "https://dapi.binance.com/dapi/v1/exchangeInfo", segment: "coinm" },
];

/// The symbology.
pub struct Binance;

impl Plugin for Binance {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest {
            name: "symbology-binance",
            version: env!("CARGO_PKG_VERSION"),
            description: "How Binance writes its symbols, and what its listings say.",
            segments: &["spot", "usdm", "coinm"],
            sources: SOURCES,
            ..Manifest::default()
        }
    }

    fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }
}

impl Symbology for Binance {
    fn parse(&self, _: &Call, query: &Query) -> Parsed {
        symbol::parse(&query.symbol, query.segment.as_deref())
    }

    fn format(&self, _: &Call, reading: &Reading) -> Result<String, Problem> {
        symbol::format(reading)
    }

    /// Binance writes the codes that everybody writes. What it renamed (BCC, BCHABC, PAX) stays apart from its
    /// successor: both were listed at once, and one asset must not come of two codes by a guess.
    fn normalize_asset(&self, _: &Call, code: &Code) -> Option<String> {
        let code = code.code.as_str();
        // A multiple is no asset: to call 1000SHIB SHIB without its multiplier would be wrong by a factor.
        (symbol::is_code(code) && multiplier::split(code).1.is_none()).then(|| code.to_owned())
    }

    fn read_listing(&self, _: &Call, sources: &[Source]) -> Result<Page, Failure> {
        listing::read(sources)
    }
}

cqar_plugin_symbology::export!(Binance);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_symbol_usually_meant() {
        let normalize =
            |code: &str| Binance.normalize_asset(&Call::default(), &Code { code: code.to_owned(), segment: None });
        assert_eq!(normalize("BTC").as_deref(), Some("BTC"));
        assert_eq!(normalize("1INCH").as_deref(), Some("1INCH"));
        assert_eq!(normalize("币安人生").as_deref(), Some("币安人生"));
        for no_code in ["", "btc", "BTC/USDT", "BTC_PERP", " BTC", "A\0B", "1000SHIB", &"X".repeat(65)] {
            assert_eq!(normalize(no_code), None, "{no_code:?}");
        }
    }

    #[test]
    fn settings_that_do_not_exist_are_refused() {
        assert!(serde_json::from_str::<NoSettings>(r#"{"quotes": []}"#).is_err());
    }
}
