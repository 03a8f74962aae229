//! The plugin against listings as Binance sent them, and against what their symbols are known to mean.
//!
//! The data is not part of the repository: where it is absent, these tests say so and pass.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use cqar_plugin_symbology::{Expiry, Listed, Page, Parsed, Source};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{listing, symbol};

/// One row of what is known.
#[derive(Deserialize)]
struct Truth {
    venue_symbol: String,
    kind: String,
    base: String,
    quote: String,
    expiry: Option<String>,
}

fn data(file: &str) -> Option<String> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../../../shared/data/venue-listings", file].iter().collect();
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        // Not by `eprintln!`, which the test runner swallows while the test passes.
        let _ = io::stderr().write_all(format!("skipped: there is no {}\n", path.display()).as_bytes());
    }
    text
}

fn sources(name: &str) -> Option<Vec<Source>> {
    #[derive(Deserialize)]
    struct Wrapped {
        responses: Vec<Response>,
    }
    #[derive(Deserialize)]
    struct Response {
        url: String,
        body: Box<RawValue>,
    }
    let wrapped: Wrapped = serde_json::from_str(&data(&format!("{name}.json"))?).unwrap();
    let source = |Response { url, body }| Source {
        url: Some(url),
        segment: None,
        received_at: None,
        body: body.get().as_bytes().to_vec(),
    };
    Some(wrapped.responses.into_iter().map(source).collect())
}

fn page(name: &str) -> Option<Page> {
    sources(name).map(|sources| listing::read(&sources).unwrap())
}

/// The segments that are covered whole.
fn covered(page: &Page) -> Vec<&str> {
    assert!(page.covered.iter().all(|it| (&it.kind, &it.base, &it.quote, &it.settle) == (&None, &None, &None, &None)));
    page.covered.iter().map(|it| it.segment.as_str()).collect()
}

fn statuses(markets: &[Listed]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for listed in markets {
        let market: Value = serde_json::from_str(&listed.market).unwrap();
        *counts.entry(market["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Every symbol reads as the listing says it, alone or among others, and is written from its reading again.
fn symbols_agree_with(markets: &[Listed]) {
    for Listed { symbol, reading, .. } in markets {
        match symbol::parse(symbol, Some(&reading.segment)) {
            Parsed::One(parsed) => assert_eq!(parsed, *reading, "{symbol}"),
            Parsed::Ambiguous(all) => assert!(all.contains(reading), "{symbol}: {all:?}"),
            Parsed::Unknown(why) => panic!("{symbol}: {why}"),
        }
        assert_eq!(symbol::format(reading).as_ref(), Ok(symbol));
    }
}

fn truth_holds(name: &str, markets: &[Listed]) {
    let Some(rows) = data(&format!("truth/{name}.jsonl")) else { return };
    let by_symbol: HashMap<_, _> = markets.iter().map(|listed| (listed.symbol.as_str(), &listed.reading)).collect();
    for row in rows.lines() {
        let truth: Truth = serde_json::from_str(row).unwrap();
        let reading = by_symbol[truth.venue_symbol.as_str()];
        let multiplier = reading.unit_multiplier.as_deref().unwrap_or_default();
        let bases = [reading.base.clone(), format!("{multiplier}{}", reading.base)];
        assert!(bases.contains(&truth.base), "{row}: {reading:?}");
        assert_eq!((&reading.kind, reading.quote.as_ref()), (&truth.kind, Some(&truth.quote)), "{row}");
        let date = reading.expiry.as_ref().map(|expiry| match expiry {
            Expiry::Instant(instant) => instant.split_once('T').unwrap().0,
            Expiry::Date(date) => date.as_str(),
        });
        assert_eq!(date, truth.expiry.as_deref(), "{row}");
    }
}

#[test]
fn the_spot_listing_is_read_whole() {
    let Some(page) = page("binance") else { return };
    assert_eq!((page.markets.len(), page.rejected.len()), (1695, 0));
    let statuses = statuses(&page.markets);
    assert_eq!((statuses["MARKET_STATUS_ACTIVE"], statuses["MARKET_STATUS_HALTED"]), (1262, 433));
    assert_eq!(covered(&page), ["spot"]);
    symbols_agree_with(&page.markets);
    truth_holds("binance", &page.markets);
}

#[test]
fn the_usd_margined_listing_is_read_but_for_the_entry_without_a_type() {
    let Some(page) = page("binance_futures") else { return };
    assert_eq!(page.markets.len(), 121);
    let rejected: Vec<_> =
        page.rejected.iter().map(|r| (r.symbol.as_deref().unwrap_or_default(), r.code.as_str())).collect();
    assert_eq!(rejected, [("BTCSTUSDT", "MISSING_CONTRACT_TYPE")]);
    assert_eq!(covered(&page), ["usdm"]);
    symbols_agree_with(&page.markets);
    truth_holds("binance_futures", &page.markets);
}

#[test]
fn the_coin_margined_listing_is_read_whole() {
    let Some(page) = page("binance_delivery") else { return };
    assert_eq!((page.markets.len(), page.rejected.len()), (36, 0));
    assert_eq!(covered(&page), ["coinm"]);
    symbols_agree_with(&page.markets);
    truth_holds("binance_delivery", &page.markets);
}

#[test]
fn all_listings_at_once_are_three_segments() {
    let all: Option<Vec<_>> = ["binance", "binance_futures", "binance_delivery"].into_iter().map(sources).collect();
    let Some(all) = all else { return };
    let page = listing::read(&all.concat()).unwrap();
    assert_eq!(page.markets.len(), 1695 + 121 + 36);
    assert_eq!(covered(&page), ["spot", "usdm", "coinm"]);
}

#[test]
fn no_other_venues_listing_is_taken_for_one_of_binance() {
    for venue in ["bitmex", "bybit", "coinbase", "deribit", "gateio", "gemini", "huobi", "kraken", "kucoin", "okx"] {
        let Some(page) = page(venue) else { return };
        assert_eq!((page.markets.len(), page.covered.len()), (0, 0), "{venue}");
        assert!(page.rejected.iter().all(|r| r.code == "NOT_A_LISTING"), "{venue}");
    }
}

/// Prints the rate; run with `--release -- --ignored --nocapture` to measure.
#[test]
#[ignore = "a measurement"]
fn how_many_symbols_are_parsed_in_a_second() {
    let Some(page) = page("binance") else { return };
    let (rounds, start) = (200, Instant::now());
    for _ in 0..rounds {
        for listed in &page.markets {
            std::hint::black_box(symbol::parse(&listed.symbol, Some("spot")));
        }
    }
    let parsed = u32::try_from(rounds * page.markets.len()).unwrap();
    println!("{:.0} symbols/s", f64::from(parsed) / start.elapsed().as_secs_f64());
}
