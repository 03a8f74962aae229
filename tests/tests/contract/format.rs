//! An instrument to the symbol under which a venue trades it.

use cqar_proto::v1::{
    Asset, DelistMarketRequest, FormatSymbolRequest, FormatSymbolResponse, GetInstrumentRequest, Market,
    format_symbol_request::Key, get_instrument_request,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, create, market, mutation, named, preconditions, reason, spot, time,
        wrong_fields,
    },
};
use tonic::{Code, Status};

use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    an_instrument_has_a_symbol_at_each_venue_that_lists_it
    a_code_of_several_instruments_is_ambiguous
}

async fn format(clients: &mut Clients, request: FormatSymbolRequest) -> Result<FormatSymbolResponse, Status> {
    Ok(clients.markets.format_symbol(request).await?.into_inner())
}

fn query(key: Key, venue: &str) -> FormatSymbolRequest {
    FormatSymbolRequest { key: Some(key), venue_id: venue.into(), ..FormatSymbolRequest::default() }
}

async fn an_instrument_has_a_symbol_at_each_venue_that_lists_it(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let code = |code: &str| Key::Code(code.into());
    for key in [code("BTC/USDT"), Key::InstrumentId(small.spot.clone())] {
        let found = format(&mut clients, query(key, "kraken")).await.unwrap();
        assert_eq!((found.venue_symbol.as_str(), found.segment.as_str()), ("XBTUSDT", ""));
        assert_eq!((found.market_id.as_str(), found.unit_multiplier.as_str()), (small.kraken.as_str(), "1"));
    }
    let found = format(&mut clients, query(code("BTC/USDT:USDT"), "binance")).await.unwrap();
    assert_eq!((found.venue_symbol.as_str(), found.segment.as_str()), ("BTCUSDT", "usdm"));
    for (key, venue, expected) in [
        (code("BTC/USDT:USDT"), "kraken", "NOT_LISTED"),
        (code("ETH/USDT"), "kraken", "CODE_UNKNOWN"),
        (code("BTC/USDT"), "mtgox", "ENTITY_NOT_FOUND"),
        (Key::InstrumentId(small.kraken.clone()), "kraken", "ENTITY_NOT_FOUND"),
    ] {
        let refused = format(&mut clients, query(key, venue)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, expected));
    }
    let refused = format(&mut clients, FormatSymbolRequest::default()).await.unwrap_err();
    let fields: Vec<String> = wrong_fields(&refused).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["instrument_id", "venue_id"]);

    // Two live markets of one instrument: the segment tells them apart.
    let other = Market { unit_multiplier: "1000".into(), ..market("kraken", "pro", "kXBTUSDT", &small.spot) };
    Market::create(&mut clients, other, Write::default()).await.unwrap();
    let refused = format(&mut clients, query(code("BTC/USDT"), "kraken")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "AMBIGUOUS_SYMBOL"));
    assert_eq!(preconditions(&refused).len(), 2);
    let of_segment =
        |segment: &str| FormatSymbolRequest { segment: Some(segment.into()), ..query(code("BTC/USDT"), "kraken") };
    let found = format(&mut clients, of_segment("pro")).await.unwrap();
    assert_eq!((found.venue_symbol.as_str(), found.unit_multiplier.as_str()), ("kXBTUSDT", "1000"));

    // Delisted: no longer, but as of then.
    let delisted_time = Some(time("2024-01-01T00:00:00Z"));
    let delist = DelistMarketRequest { market_id: small.kraken, delisted_time, ..DelistMarketRequest::default() };
    clients.markets.delist_market(delist).await.unwrap();
    assert_eq!(reason(&format(&mut clients, of_segment("")).await.unwrap_err()), "NOT_LISTED");
    let then = FormatSymbolRequest { as_of: Some(time("2023-12-31T23:59:59Z")), ..of_segment("") };
    assert_eq!(format(&mut clients, then).await.unwrap().venue_symbol, "XBTUSDT");
}

async fn a_code_of_several_instruments_is_ambiguous(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let other = vec![named("btc", create(asset("BTC"))), mutation(create(spot("$btc", &small.usdt)))];
    let [other_btc, other_spot] = cqar_tests::fixtures::ids(&clients.apply(other).await.unwrap()).try_into().unwrap();
    let refused = format(&mut clients, query(Key::Code("BTC/USDT".into()), "kraken")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "AMBIGUOUS_CODE"));
    let mut candidates: Vec<String> = preconditions(&refused).into_iter().map(|(subject, _)| subject).collect();
    candidates.sort();
    let mut expected = [small.spot.clone(), other_spot.clone()];
    expected.sort();
    assert_eq!(candidates, expected);
    let get = |code: &str| GetInstrumentRequest {
        key: Some(get_instrument_request::Key::Code(code.into())),
        ..Default::default()
    };
    let refused = clients.instruments.get_instrument(get("BTC/USDT")).await.unwrap_err();
    assert_eq!(reason(&refused), "AMBIGUOUS_CODE");
    let by_id = format(&mut clients, query(Key::InstrumentId(small.spot.clone()), "kraken")).await.unwrap();
    assert_eq!(by_id.venue_symbol, "XBTUSDT", "the id is never ambiguous");

    // Codes are derived from today's symbols.
    let renamed = Asset { id: other_btc, symbol: "BTC2".into(), ..Asset::default() };
    Asset::update(&mut clients, renamed, &[], Write::default()).await.unwrap();
    let found = clients.instruments.get_instrument(get("BTC2/USDT")).await.unwrap().into_inner();
    assert_eq!(found.id, other_spot);
    let by_code = format(&mut clients, query(Key::Code("BTC/USDT".into()), "kraken")).await.unwrap();
    assert_eq!(by_code.market_id, small.kraken);
}
