//! A market of markets, made up: always the same for the same seed.

use serde_json::{Value, json};

/// How many of each there are.
pub(super) const VENUES: usize = 20;
pub(super) const ASSETS: usize = 100_000;
pub(super) const FILE_ROWS: usize = 20_000;
const OPTION_BASES: usize = 200;
const QUOTES: [&str; 3] = ["USDT", "USDC", "BTC"];
const SEED: u64 = 20_261_126;

/// `SplitMix64`: small, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new() -> Self {
        Self(SEED)
    }

    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The id of a venue.
pub(super) fn venue(n: usize) -> String {
    format!("venue-{n:02}")
}

/// The symbol of an asset; the quotes are the first.
pub(super) fn asset(n: usize) -> String {
    QUOTES.get(n).map_or_else(|| format!("A{n:05}"), ToString::to_string)
}

/// The `n`th market: sixty of a hundred are options, twenty-five spot, ten perpetuals and five futures.
pub(super) struct MadeUpMarket {
    pub(super) symbol: String,
    kind: &'static str,
    base: String,
    quote: &'static str,
    date: Option<String>,
    strike: Option<u64>,
    is_call: bool,
}

impl MadeUpMarket {
    pub(super) fn new(n: usize) -> Self {
        let (hundred, share) = (n / 100, n % 100);
        match share {
            0..60 => Self::option(hundred * 60 + share),
            60..85 => Self::pair("spot", hundred * 25 + share - 60, None),
            85..95 => Self::pair("perpetual", hundred * 10 + share - 85, None),
            _ => Self::future(hundred * 5 + share - 95),
        }
    }

    /// The canonical code of its instrument.
    pub(super) fn code(&self) -> String {
        let Self { base, quote, date, strike, is_call, .. } = self;
        let date = date.as_ref().map(|date| date.replace('-', "").split_off(2));
        match (self.kind, date, strike) {
            ("spot", ..) => format!("{base}/{quote}"),
            (_, None, _) => format!("{base}/{quote}:{quote}"),
            (_, Some(date), None) => format!("{base}/{quote}:{quote}-{date}"),
            (_, Some(date), Some(strike)) => {
                format!("{base}/{quote}:{quote}-{date}-{strike}-{}", if *is_call { "C" } else { "P" })
            }
        }
    }

    fn option(n: usize) -> Self {
        let (base, terms) = (QUOTES.len() + n % OPTION_BASES, n / OPTION_BASES);
        let (expiry, strike) = (terms % 12, (terms / 12) % 125);
        let is_call = (terms / 1500).is_multiple_of(2);
        let date = format!("20{}-{:02}-25", 30 + terms / 3000, expiry + 1);
        let strike = 100 * (strike as u64 + 1);
        let symbol = format!("{}-{date}-{strike}-{}", asset(base), if is_call { "C" } else { "P" });
        Self {
            symbol,
            kind: "option",
            base: asset(base),
            quote: "USDT",
            date: Some(date),
            strike: Some(strike),
            is_call,
        }
    }

    fn future(n: usize) -> Self {
        let date = format!("2031-{:02}-25", n / (ASSETS - QUOTES.len()) % 12 + 1);
        Self::pair("future", n, Some(date))
    }

    fn pair(kind: &'static str, n: usize, date: Option<String>) -> Self {
        let (base, round) = (QUOTES.len() + n % (ASSETS - QUOTES.len()), n / (ASSETS - QUOTES.len()));
        let quote = QUOTES.get(round % QUOTES.len()).copied().unwrap_or("USDT");
        let suffix = date.as_ref().map(|date| format!("_{date}")).unwrap_or_default();
        let mark = if kind == "perpetual" { "-PERP" } else { "" };
        let symbol = format!("{}{quote}{mark}{suffix}", asset(base));
        Self { symbol, kind, base: asset(base), quote, date, strike: None, is_call: false }
    }

    fn row(&self, random: &mut Random) -> Value {
        let tick = match random.below(4) {
            0 => "0.01",
            1 => "0.001",
            2 => "0.5",
            _ => "0.0001",
        };
        let expiry = self.date.as_ref().map(|date| format!("{date}T08:00:00Z"));
        let mut market = json!({
            "status": if random.below(20) == 0 { "MARKET_STATUS_HALTED" } else { "MARKET_STATUS_ACTIVE" },
            "tick_size": tick, "lot_size": "0.001", "min_quantity": "0.001", "max_quantity": "9000",
            "min_notional": "5", "maker_fee": "0.0002", "taker_fee": "0.0005",
        });
        if let (Some(expiry), Some(fields)) = (expiry, market.as_object_mut()) {
            fields.insert("expiry_time".to_owned(), expiry.into());
        }
        let is_option = self.strike.is_some();
        let settle = (self.kind != "spot").then_some(self.quote);
        json!({
            "symbol": self.symbol, "segment": self.kind, "kind": self.kind, "base": self.base, "quote": self.quote,
            "settle": settle, "date": self.date, "strike": self.strike.map(|strike| strike.to_string()),
            "option_type": is_option.then_some(if self.is_call { "call" } else { "put" }),
            "exercise_style": is_option.then_some("european"), "market": market,
        })
    }
}

/// A file of the listing of a venue, as the plugin `as-told` reads it.
pub(super) fn file(n: usize, rows: usize, random: &mut Random) -> Vec<u8> {
    let markets = (n * FILE_ROWS..n * FILE_ROWS + rows).map(|n| MadeUpMarket::new(n).row(random));
    let page = json!({ "markets": markets.collect::<Vec<_>>() });
    page.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn symbols_and_codes_are_those_of_one_market_each() {
        let markets: Vec<_> = (0..1_000_000).map(MadeUpMarket::new).collect();
        let symbols: HashSet<_> = markets.iter().map(|it| (it.kind, it.symbol.as_str())).collect();
        assert_eq!(symbols.len(), 1_000_000);
        assert_eq!(markets.iter().map(MadeUpMarket::code).collect::<HashSet<_>>().len(), 1_000_000);
        assert_eq!(markets.iter().filter(|it| it.kind == "option").count(), 600_000);
    }
}
