//! An instrument to the symbol under which a venue trades it.

use cqar_proto::v1::{
    Asset, BatchFormatSymbolsRequest, DelistMarketRequest, FindMarketsRequest, FormatSymbolRequest,
    FormatSymbolResponse, GetInstrumentRequest, Market,
    batch_format_symbols_request::{Item, item::Key as ItemKey},
    batch_format_symbols_response::result::Result as Formatted,
    find_markets_request::Key as FindKey,
    format_symbol_request::Key,
    get_instrument_request,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, create, market, mutation, named, preconditions, reason, spot, status_of, time,
        venue_asset, wrong_fields,
    },
};
use tonic::{Code, Status};

use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    an_instrument_has_a_symbol_at_each_venue_that_lists_it
    a_code_of_several_instruments_is_ambiguous
    a_batch_is_formatted_item_by_item
    an_instrument_is_found_wherever_it_lives
    a_symbol_is_inferred_only_where_that_is_allowed_and_where_it_reads_back
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

async fn a_batch_is_formatted_item_by_item(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let item = |key: ItemKey, venue: &str| Item { key: Some(key), venue_id: venue.into(), ..Item::default() };
    let code = |code: &str| ItemKey::Code(code.into());
    let requests = vec![
        item(ItemKey::InstrumentId(small.spot.clone()), "kraken"),
        item(code("BTC/USDT:USDT"), "binance"),
        item(code("ETH/USDT"), "binance"),
        item(code("BTC/USDT"), "Not a venue"),
        Item::default(),
        item(code("BTC/USDT"), "mtgox"),
        item(code("BTC/USDT:USDT"), "kraken"),
        item(ItemKey::InstrumentId(small.kraken.clone()), "kraken"),
        item(code("BTC/USDT"), "kraken"),
    ];
    // Twice: from the database, then from the cache, where there is one.
    for _ in 0..2 {
        let request = BatchFormatSymbolsRequest { requests: requests.clone(), ..BatchFormatSymbolsRequest::default() };
        let answer = clients.markets.batch_format_symbols(request).await.unwrap().into_inner();
        assert_eq!(answer.revision, 1);
        let said: Vec<String> = answer
            .results
            .iter()
            .map(|result| match result.result.as_ref().unwrap() {
                Formatted::Formatted(formatted) => formatted.venue_symbol.clone(),
                Formatted::Error(error) => error.reason().unwrap(),
            })
            .collect();
        let invalid = "INVALID_FIELDS";
        let (unknown, absent) = ("CODE_UNKNOWN", "ENTITY_NOT_FOUND");
        assert_eq!(said, ["XBTUSDT", "BTCUSDT", unknown, invalid, invalid, absent, "NOT_LISTED", absent, "XBTUSDT"]);
        let fields = |n: usize| match answer.results[n].result.as_ref().unwrap() {
            Formatted::Error(error) => wrong_fields(&status_of(error)),
            Formatted::Formatted(_) => panic!("{n} is formatted"),
        };
        assert_eq!(fields(3), [("requests[3].venue_id".into(), "INVALID".into())]);
        let named: Vec<String> = fields(4).into_iter().map(|(field, _)| field).collect();
        assert_eq!(named, ["requests[4].instrument_id", "requests[4].venue_id"]);
    }
}

async fn an_instrument_is_found_wherever_it_lives(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let spot = FindMarketsRequest { key: Some(FindKey::Code("BTC/USDT".into())), ..FindMarketsRequest::default() };
    let find = async |clients: &mut Clients, request: FindMarketsRequest| {
        let found = clients.markets.find_markets(request).await?.into_inner();
        let symbols = found.markets.into_iter().map(|it| format!("{}/{}/{}", it.venue_id, it.segment, it.venue_symbol));
        Ok::<_, Status>((found.instrument_id, symbols.collect::<Vec<_>>(), found.revision))
    };
    let everywhere = ["binance/spot/BTCUSDT".to_owned(), "kraken//XBTUSDT".to_owned()];
    for key in [FindKey::Code("BTC/USDT".into()), FindKey::InstrumentId(small.spot.clone())] {
        let found = find(&mut clients, FindMarketsRequest { key: Some(key), ..spot.clone() }).await.unwrap();
        assert_eq!(found, (small.spot.clone(), everywhere.to_vec(), 1));
    }
    let at_kraken = FindMarketsRequest { venue_ids: vec!["kraken".into(), "mtgox".into()], ..spot.clone() };
    assert_eq!(find(&mut clients, at_kraken).await.unwrap().1, everywhere[1..]);

    // What is listed, delisted or renamed meanwhile is seen at once, cached or not.
    let listed =
        Market { listed_time: Some(time("2025-01-01T00:00:00Z")), ..market("kraken", "pro", "PRO", &small.spot) };
    let listed = Market::create(&mut clients, listed, Write::default()).await.unwrap().value;
    let all = [everywhere.to_vec(), vec!["kraken/pro/PRO".into()]].concat();
    assert_eq!(find(&mut clients, spot.clone()).await.unwrap().1, all);
    let delisted_time = Some(time("2026-01-01T00:00:00Z"));
    let delist = DelistMarketRequest { market_id: listed.id, delisted_time, ..DelistMarketRequest::default() };
    clients.markets.delist_market(delist).await.unwrap();
    assert_eq!(find(&mut clients, spot.clone()).await.unwrap().1, everywhere);
    for (as_of, expected) in [("2025-06-01T00:00:00Z", &all[..]), ("2024-06-01T00:00:00Z", &everywhere[..])] {
        let then = FindMarketsRequest { as_of: Some(time(as_of)), ..spot.clone() };
        assert_eq!(find(&mut clients, then).await.unwrap().1, expected, "{as_of}");
    }
    let renamed = Asset { id: small.btc.clone(), symbol: "XBT".into(), ..Asset::default() };
    Asset::update(&mut clients, renamed, &["symbol"], Write::default()).await.unwrap();
    assert_eq!(reason(&find(&mut clients, spot.clone()).await.unwrap_err()), "CODE_UNKNOWN");
    let by_new = FindMarketsRequest { key: Some(FindKey::Code("XBT/USDT".into())), ..spot.clone() };
    assert_eq!(find(&mut clients, by_new).await.unwrap().1, everywhere);

    let nothing = find(&mut clients, FindMarketsRequest { venue_ids: vec!["No".into()], key: None, ..spot }).await;
    let fields: Vec<String> = wrong_fields(&nothing.unwrap_err()).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["instrument_id", "venue_ids[0]"]);
}

async fn a_symbol_is_inferred_only_where_that_is_allowed_and_where_it_reads_back(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let mutations = vec![named("eth", create(asset("ETH"))), mutation(create(spot("$eth", &small.usdt)))];
    let [eth, instrument] = cqar_tests::fixtures::ids(&clients.apply(mutations).await.unwrap()).try_into().unwrap();
    let in_spot = FormatSymbolRequest {
        segment: Some("spot".into()),
        allow_inferred: true,
        ..query(Key::InstrumentId(instrument), "binance")
    };
    // Whose code is not bound is not guessed by its symbol.
    assert_eq!(reason(&format(&mut clients, in_spot.clone()).await.unwrap_err()), "NOT_LISTED");
    for (code, id) in [("ETH", &eth), ("USDT", &small.usdt)] {
        clients.apply(vec![mutation(create(venue_asset("binance", code, id)))]).await.unwrap();
    }
    let inferred = format(&mut clients, in_spot.clone()).await.unwrap();
    assert_eq!((inferred.venue_symbol.as_str(), inferred.segment.as_str()), ("ETHUSDT", "spot"));
    assert!(inferred.inferred && inferred.market_id.is_empty());
    let not_allowed = FormatSymbolRequest { allow_inferred: false, ..in_spot.clone() };
    assert_eq!(reason(&format(&mut clients, not_allowed).await.unwrap_err()), "NOT_LISTED");
    let without_plugin = FormatSymbolRequest { venue_id: "kraken".into(), segment: None, ..in_spot.clone() };
    assert_eq!(reason(&format(&mut clients, without_plugin).await.unwrap_err()), "NOT_LISTED");
    let nowhere = FormatSymbolRequest { segment: Some("nowhere".into()), ..in_spot.clone() };
    assert_eq!(reason(&format(&mut clients, nowhere).await.unwrap_err()), "NOT_LISTED");
    // Two codes of one asset: which one is meant is not guessed.
    clients.apply(vec![mutation(create(venue_asset("binance", "WETH", &eth)))]).await.unwrap();
    assert_eq!(reason(&format(&mut clients, in_spot).await.unwrap_err()), "NOT_LISTED");
}
