//! Binance as it was in 2021: its own listings, and what others know its symbols to mean.

use std::{collections::HashMap, fs};

use cqar_proto::v1::{
    FormatSymbolRequest, ImportListingOptions, ListMarketsRequest, Market, MarketStatus, ResolveMarketRequest,
    ResolveMarketResponse, batch_resolve_markets_response::result::Result as Found, format_symbol_request::Key,
    imported_market::Outcome, instrument::Terms,
};
use cqar_tests::{
    collect,
    environment::TestEnvironment,
    fixtures::{Clients, Imported, batch_of, reason},
    server::shared_data,
};
use futures::{StreamExt as _, stream};
use serde_json::Value;

use crate::{
    listing::{binance_with, counts, creating, outcomes, rejected},
    resolve::query,
};

cqar_tests::in_both_environments! {
    the_listings_of_binance_are_registered_and_every_symbol_resolves
}

/// Segment, file, and how many markets it has.
const LISTINGS: [(&str, &str, i32); 3] =
    [("spot", "binance", 1_695), ("usdm", "binance_futures", 121), ("coinm", "binance_delivery", 36)];

async fn the_listings_of_binance_are_registered_and_every_symbol_resolves(s: TestEnvironment) {
    let Some(data) = shared_data().map(|data| data.join("venue-listings")) else { return };
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, []).await;
    for (segment, file, markets) in LISTINGS {
        let payload = fs::read(data.join(format!("{file}.json"))).unwrap();
        let report = import_and_repeat(&mut clients, &payload, markets).await;
        assert_eq!(report.covered.iter().map(|it| it.segment.as_str()).collect::<Vec<_>>(), [segment]);
        let expected = if segment == "usdm" { vec![("BTCSTUSDT", "MISSING_CONTRACT_TYPE")] } else { Vec::new() };
        assert_eq!(rejected(&report), expected);
        let listed: Vec<String> =
            outcomes(&report, Outcome::Created).iter().map(|it| it.venue_symbol.clone()).collect();
        let resolved = resolve_all(&mut clients, segment, &report, &listed).await;
        let truth = fs::read_to_string(data.join(format!("truth/{file}.jsonl"))).unwrap();
        for row in truth.lines() {
            truth_holds(&serde_json::from_str(row).unwrap(), &resolved);
        }
        every_symbol_is_written_again(&clients, segment, &report, &resolved).await;
    }
    let spot = markets(&mut clients, "spot").await;
    let with = |status| spot.iter().filter(|market| market.status() == status).count();
    assert_eq!((with(MarketStatus::Active), with(MarketStatus::Halted), spot.len()), (1_262, 433, 1_695));

    // The quarterly contracts of then have ended since.
    for market in markets(&mut clients, "coinm").await {
        let has_ended = market.expiry_time.is_some();
        let refused = clients.markets.resolve_market(query("binance", &market.venue_symbol, Some("coinm"))).await;
        assert_eq!(refused.as_ref().err().map(reason), has_ended.then(|| "SYMBOL_NOT_LIVE".to_owned()));
    }
    collect::assert_whole(&collect::log(&server).await);
    assert_eq!(clients.revision().await, 4, "the venue, and each listing once");
}

/// A try, the import, and the import once more.
async fn import_and_repeat(clients: &mut Clients, payload: &[u8], markets: i32) -> Imported {
    let before = clients.revision().await;
    let only_try = ImportListingOptions { validate_only: true, ..creating() };
    let tried = clients.import(only_try, payload).await.unwrap();
    assert_eq!((tried.created, clients.revision().await), (markets, before));
    let report = clients.import(creating(), payload).await.unwrap();
    assert_eq!((report.created, report.revision), (markets, before + 1));
    assert_eq!(tried.markets.len(), report.markets.len());
    let again = clients.import(creating(), payload).await.unwrap();
    assert_eq!((counts(&again), again.revision), ([0, 0, markets, 0, report.rejected], before + 1));
    assert!(again.bindings.is_empty());
    report
}

/// Every symbol as of the listing's moment.
async fn resolve_all(
    clients: &mut Clients,
    segment: &str,
    report: &Imported,
    symbols: &[String],
) -> HashMap<String, ResolveMarketResponse> {
    let as_of = report.observed_time;
    let requests =
        symbols.iter().map(|symbol| ResolveMarketRequest { as_of, ..query("binance", symbol, Some(segment)) });
    let request = batch_of(&requests.collect::<Vec<_>>());
    let results = clients.markets.batch_resolve_markets(request).await.unwrap().into_inner().results;
    let resolved = results.into_iter().zip(symbols).map(|(result, symbol)| match result.result.unwrap() {
        Found::Resolved(resolved) => (symbol.clone(), resolved),
        Found::Error(error) => panic!("{symbol}: {error:?}"),
    });
    resolved.collect()
}

fn truth_holds(row: &Value, resolved: &HashMap<String, ResolveMarketResponse>) {
    let resolved = &resolved[row["venue_symbol"].as_str().unwrap()];
    let (kind, expiry) = match resolved.instrument.as_ref().unwrap().terms.as_ref().unwrap() {
        Terms::Spot(_) => ("spot", None),
        Terms::Perpetual(_) => ("perpetual", None),
        Terms::Future(terms) => ("future", Some(terms.expiry_date.as_str())),
        other => panic!("{other:?}"),
    };
    assert_eq!((Some(kind), expiry), (row["kind"].as_str(), row["expiry"].as_str()), "{row}");
    assert_eq!(Some(resolved.quote_asset.as_ref().unwrap().symbol.as_str()), row["quote"].as_str());
    // 1000SHIB is 1000 × SHIB.
    let (base, multiplier) =
        (&resolved.base_asset.as_ref().unwrap().symbol, &resolved.market.as_ref().unwrap().unit_multiplier);
    let written = if multiplier == "1" { base.clone() } else { format!("{multiplier}{base}") };
    assert_eq!(Some(written.as_str()), row["base"].as_str(), "{row}");
}

/// The instrument of each symbol has that symbol.
async fn every_symbol_is_written_again(
    clients: &Clients,
    segment: &str,
    report: &Imported,
    resolved: &HashMap<String, ResolveMarketResponse>,
) {
    let formatted = resolved.iter().map(|(symbol, resolved)| {
        let request = FormatSymbolRequest {
            key: Some(Key::InstrumentId(resolved.instrument.as_ref().unwrap().id.clone())),
            venue_id: "binance".into(),
            segment: Some(segment.into()),
            as_of: report.observed_time,
            ..FormatSymbolRequest::default()
        };
        let mut markets = clients.markets.clone();
        async move { (symbol, markets.format_symbol(request).await.unwrap().into_inner().venue_symbol) }
    });
    let mut formatted = stream::iter(formatted).buffer_unordered(64);
    while let Some((symbol, written)) = formatted.next().await {
        assert_eq!(&written, symbol);
    }
}

async fn markets(clients: &mut Clients, segment: &str) -> Vec<Market> {
    let mut request =
        ListMarketsRequest { segment: Some(segment.into()), page_size: 1000, ..ListMarketsRequest::default() };
    let mut markets = Vec::new();
    loop {
        let page = clients.markets.list_markets(request.clone()).await.unwrap().into_inner();
        markets.extend(page.markets);
        if page.next_page_token.is_empty() {
            return markets;
        }
        request.page_token = page.next_page_token;
    }
}
