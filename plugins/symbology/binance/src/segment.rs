//! The segments and the assets that they quote in.

/// A part of Binance with symbols of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Spot.
    Spot,
    /// USDⓈ-M: contracts that settle in the quote.
    Usdm,
    /// COIN-M: contracts that settle in the base.
    Coinm,
}

impl Segment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Spot, Self::Usdm, Self::Coinm];

    /// The name in readings and sources.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Usdm => "usdm",
            Self::Coinm => "coinm",
        }
    }

    /// The segment of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|segment| segment.name() == name)
    }

    /// The assets that it quotes in, or once did.
    ///
    /// A symbol is the codes of base and quote without a mark between them, so that only who knows the quotes can read
    /// it. Where one quote ends in another (AEUR and EUR), `ADAEUR` reads in two ways, and is ambiguous.
    pub const fn quotes(self) -> &'static [&'static str] {
        match self {
            Self::Spot => SPOT_QUOTES,
            Self::Usdm => USDM_QUOTES,
            Self::Coinm => COINM_QUOTES,
        }
    }
}

/// The `quoteAsset`s of `/api/v3/exchangeInfo`, those of the past included, the busiest first.
const SPOT_QUOTES: &[&str] = &[
    "USDT", "BTC", "BUSD", "USDC", "FDUSD", "BNB", "ETH", "TRY", "EUR", "BRL", "TUSD", "PAX", "AUD", "BIDR", "GBP",
    "RUB", "BKRW", "NGN", "UAH", "ZAR", "DAI", "IDRT", "USDS", "USDP", "XRP", "TRX", "BVND", "VAI", "GYEN", "UST",
    "USDSB", "DOGE", "DOT", "PLN", "RON", "ARS", "AEUR", "EURI", "JPY", "MXN", "CZK", "COP", "SOL", "USD1",
];
/// The `quoteAsset`s of `/fapi/v1/exchangeInfo`, those of the past included.
const USDM_QUOTES: &[&str] = &["USDT", "USDC", "BUSD", "BTC", "USD1"];
/// The `quoteAsset` of `/dapi/v1/exchangeInfo`.
const COINM_QUOTES: &[&str] = &["USD"];
