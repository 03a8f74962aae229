//! The Binance symbology over the venue's real listings, where they are at hand.

use std::{fs, path::Path, time::Instant};

use cqar_domain::entities::{instrument::InstrumentKind, market::MarketStatus};
use cqar_plugins::{CallContext, CallError, Code, Coverage, Page, Parsed, Query, Reading, Source, Symbology};
use serde_json::Value;

use crate::fixture::{Fixture, Running, now};

fn data(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/venue-listings").join(name);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is not there", path.display());
    }
    text
}

async fn binance() -> (Fixture, Running, Symbology) {
    let fixture = Fixture::with(&["symbology-binance"]);
    let running = fixture.start().await;
    let symbology = running.host.snapshot().symbology("symbology-binance").unwrap();
    (fixture, running, symbology)
}

async fn read(symbology: &Symbology, listing: &str) -> Page {
    let wrapped: Value = serde_json::from_str(listing).unwrap();
    let source = |response: &Value| Source {
        url: response["url"].as_str().map(str::to_owned),
        segment: None,
        received_at: None,
        body: response["body"].to_string().into_bytes(),
    };
    let sources = wrapped["responses"].as_array().unwrap().iter().map(source).collect();
    symbology.read_listing(&call(), sources).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_market_of_a_real_listing_is_read_written_and_read_again() {
    let listings = [("binance", "spot", 1695), ("binance_futures", "usdm", 121), ("binance_delivery", "coinm", 36)];
    let (_fixture, running, symbology) = binance().await;
    for (name, segment, count) in listings {
        let (Some(listing), Some(truth)) = (data(&format!("{name}.json")), data(&format!("truth/{name}.jsonl"))) else {
            continue;
        };
        let started = Instant::now();
        let page = read(&symbology, &listing).await;
        println!("{name}: {} markets in {:?}", page.markets.len(), started.elapsed());
        assert_eq!(page.markets.len(), count, "{:?}", page.rejected.first());
        let whole = Coverage {
            sources: vec![0],
            segment: segment.parse().unwrap(),
            kind: None,
            base: None,
            quote: None,
            settle: None,
        };
        assert_eq!(page.covered, [whole]);
        assert!(page.markets.iter().all(|it| it.problems.is_empty()));

        let queries: Vec<_> = page
            .markets
            .iter()
            .map(|it| Query { symbol: it.symbol.clone(), segment: Some(segment.to_owned()) })
            .collect();
        let parsed = all(symbology.parse(&call(), queries).await);
        let readings: Vec<Reading> = page.markets.iter().map(|it| it.reading.clone()).collect();
        for (market, parsed) in page.markets.iter().zip(&parsed) {
            // ADAEUR is ADA/EUR, and might be AD/AEUR: the registered market tells, the symbol alone does not.
            let readings = match parsed {
                Parsed::One(reading) => std::slice::from_ref(reading),
                Parsed::Ambiguous(readings) => readings,
                Parsed::Unknown(why) => panic!("{}: {why}", market.symbol),
            };
            let means = |it: &Reading| (&it.base, &it.quote) == (&market.reading.base, &market.reading.quote);
            assert!(readings.iter().any(means), "{}: {readings:?}", market.symbol);
        }
        let symbols = symbology.format(&call(), readings).await.unwrap();
        for (market, symbol) in page.markets.iter().zip(symbols) {
            assert_eq!(symbol.as_deref(), Ok(market.symbol.as_str()));
        }
        check_truth(&page, &truth);
    }
    let spot = data("binance.json");
    if let Some(listing) = spot {
        let page = read(&symbology, &listing).await;
        let of = |status| page.markets.iter().filter(|it| it.market.status == Some(status)).count();
        assert_eq!((of(MarketStatus::Active), of(MarketStatus::Halted)), (1262, 433));
    }
    running.stop().await;
}

fn check_truth(page: &Page, truth: &str) {
    for row in truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let symbol = row["venue_symbol"].as_str().unwrap();
        let reading = &page.markets.iter().find(|it| it.symbol == symbol).unwrap_or_else(|| panic!("{symbol}")).reading;
        let multiplier = reading.unit_multiplier.as_ref().map(ToString::to_string).unwrap_or_default();
        let base = row["base"].as_str().unwrap();
        assert!(base == reading.base || base == format!("{multiplier}{}", reading.base), "{row} {reading:?}");
        assert_eq!(row["quote"].as_str(), reading.quote.as_deref(), "{row}");
        assert_eq!(row["kind"].as_str(), Some(reading.kind.name()), "{row}");
        assert_eq!(row["expiry"].as_str().map(str::to_owned), reading.expiry.map(|it| it.date().to_string()), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn symbols_are_read_in_order_however_many_they_are() {
    let (_fixture, running, symbology) = binance().await;
    let symbols = ["BTCUSDT", "ETHBTC", "1000SHIBUSDT", "no such symbol"];
    let query = |index: usize| Query { symbol: symbols[index % 4].into(), segment: Some("usdm".into()) };
    let parsed = all(symbology.parse(&call(), (0..2000).map(query).collect()).await);
    assert_eq!(parsed.len(), 2000);
    for four in parsed.chunks(4) {
        let Parsed::One(reading) = &four[0] else { panic!("{four:?}") };
        assert_eq!((reading.kind, reading.settle.as_deref()), (InstrumentKind::Perpetual, Some("USDT")));
        let Parsed::One(reading) = &four[2] else { panic!("{four:?}") };
        assert_eq!((reading.base.as_str(), reading.unit_multiplier.clone()), ("SHIB", Some(1000.into())));
        assert!(matches!(four[3], Parsed::Unknown(_)));
    }
    let code = |code: &str| Code { code: code.into(), segment: Some("usdm".into()) };
    let codes = symbology.normalize_assets(&call(), vec![code("BTC"), code("SHIB")]).await.unwrap();
    assert_eq!(codes, [Some("BTC".to_owned()), Some("SHIB".to_owned())]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_none_fails_and_names_the_source() {
    let (_fixture, running, symbology) = binance().await;
    let source = |body: &[u8]| Source { url: None, segment: None, received_at: None, body: body.to_vec() };
    let failed = symbology.read_listing(&call(), vec![source(b"{\"symbols\": [")]).await;
    assert!(matches!(&failed, Err(CallError::Failure { .. })), "{failed:?}");
    let too_large = symbology.read_listing(&call(), vec![source(&vec![b' '; 65 << 20])]).await;
    assert!(matches!(too_large, Err(CallError::Input { .. })));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_symbology_says_what_it_is() {
    let fixture = Fixture::with(&["market-sanity"]);
    let running = fixture.start().await;
    let plugins = running.host.snapshot();
    let error = |name: &str| plugins.symbology(name).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error("market-sanity"), "the plugin market-sanity does not serve: it is a validator");
    assert!(error("kraken").contains("there is no file of that name"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_traps_fails_alone() {
    let fixture = Fixture::with(&["trap-on-symbol"]);
    let running = fixture.start().await;
    let symbology = running.host.snapshot().symbology("trap-on-symbol").unwrap();
    let query = |n: usize| Query { symbol: if n == 300 { "TRAP".into() } else { format!("S{n}") }, segment: None };
    let parsed = symbology.parse(&call(), (0..600).map(query).collect()).await;
    assert_eq!(parsed.len(), 600);
    for (n, parsed) in parsed.iter().enumerate() {
        let expected = if n == 300 { matches!(parsed, Err(CallError::Trap { .. })) } else { parsed.is_ok() };
        assert!(expected, "{n}: {parsed:?}");
    }
    running.stop().await;
}

fn call() -> CallContext {
    CallContext { venue: "binance".parse().ok(), ..CallContext::at(now()) }
}

fn all(parsed: Vec<Result<Parsed, CallError>>) -> Vec<Parsed> {
    parsed.into_iter().map(Result::unwrap).collect()
}
