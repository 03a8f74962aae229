//! A venue's symbol to its market.

use cqar_proto::v1::{
    BatchResolveMarketsRequest, GetStatusRequest, InstrumentKind, Market, MarketStatus, ResolveMarketRequest,
    ResolveMarketResponse, Venue, batch_resolve_markets_response::result::Result as Found, entity_key::Key,
};
use cqar_tests::{
    collect::revision_of,
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, batch_of, create, delete, mutation, preconditions, reason, says, status_of, time,
        venue_asset, wrong_fields,
    },
};
use tonic::{Code, Status};

use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    a_symbol_resolves_to_its_market_with_everything_it_names
    a_symbol_of_several_segments_names_its_candidates
    symbols_match_exactly_and_unknown_ones_are_counted
    a_batch_answers_in_order_item_by_item
    an_unregistered_symbol_is_inferred_only_where_that_is_allowed
}

/// Resolves a symbol, in a segment if one is given.
pub async fn resolve(
    clients: &mut Clients,
    venue: &str,
    venue_symbol: &str,
    segment: Option<&str>,
) -> Result<ResolveMarketResponse, Status> {
    Ok(clients.markets.resolve_market(query(venue, venue_symbol, segment)).await?.into_inner())
}

/// What resolves a symbol.
pub fn query(venue: &str, venue_symbol: &str, segment: Option<&str>) -> ResolveMarketRequest {
    ResolveMarketRequest {
        venue_id: venue.into(),
        venue_symbol: venue_symbol.into(),
        segment: segment.map(str::to_owned),
        ..ResolveMarketRequest::default()
    }
}

/// The id of the market that was resolved.
pub fn id(resolved: &ResolveMarketResponse) -> &str {
    &resolved.market.as_ref().unwrap().id
}

async fn a_symbol_resolves_to_its_market_with_everything_it_names(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let response = clients.markets.resolve_market(query("binance", "BTCUSDT", Some("usdm"))).await.unwrap();
    assert_eq!(revision_of(response.metadata()), 1);
    let resolved = response.into_inner();
    let market = resolved.market.clone().unwrap();
    assert_eq!((market.id.as_str(), market.tick_size.as_str()), (small.binance_usdm.as_str(), "0.01"));
    assert_eq!(resolved.venue.as_ref().unwrap().id, "binance");
    let instrument = resolved.instrument.clone().unwrap();
    assert_eq!((instrument.id.as_str(), instrument.code.as_str()), (small.perpetual.as_str(), "BTC/USDT:USDT"));
    let assets = [&resolved.base_asset, &resolved.quote_asset, &resolved.settle_asset];
    assert_eq!(assets.map(|it| it.as_ref().unwrap().symbol.as_str()), ["BTC", "USDT", "USDT"]);
    assert!(!resolved.inferred && resolved.reading.is_none());

    let spot = resolve(&mut clients, "binance", "BTCUSDT", Some("spot")).await.unwrap();
    assert_eq!((id(&spot), spot.settle_asset.as_ref()), (small.binance_spot.as_str(), None));
    let by_alias = resolve(&mut clients, "binance", "BTC-USDT", None).await.unwrap();
    assert_eq!(by_alias, spot);
    for segment in [None, Some("")] {
        assert_eq!(id(&resolve(&mut clients, "kraken", "XBTUSDT", segment).await.unwrap()), small.kraken);
    }

    // Resolving is no permission to trade.
    let halted = Market { id: small.kraken.clone(), status: MarketStatus::Halted.into(), ..Market::default() };
    Market::update(&mut clients, halted, &["status"], Write::default()).await.unwrap();
    let resolved = resolve(&mut clients, "kraken", "XBTUSDT", None).await.unwrap();
    assert_eq!(resolved.market.unwrap().status(), MarketStatus::Halted);
}

async fn a_symbol_of_several_segments_names_its_candidates(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    // The second answer is from the cache, where there is one.
    for _ in 0..2 {
        let refused = resolve(&mut clients, "binance", "BTCUSDT", None).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "AMBIGUOUS_SYMBOL"));
        let mut candidates = preconditions(&refused);
        candidates.sort();
        let mut expected = [
            (small.binance_spot.clone(), "BTC/USDT in segment spot".to_owned()),
            (small.binance_usdm.clone(), "BTC/USDT:USDT in segment usdm".to_owned()),
        ];
        expected.sort();
        assert_eq!(candidates, expected);
    }
    clients.apply(vec![mutation(delete(Key::MarketId(small.binance_usdm)))]).await.unwrap();
    assert_eq!(id(&resolve(&mut clients, "binance", "BTCUSDT", None).await.unwrap()), small.binance_spot);
}

async fn symbols_match_exactly_and_unknown_ones_are_counted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    SampleRegistry::write(&mut clients).await;
    let unknown = [
        ("kraken", "xbtusdt", None),
        ("kraken", "xbtusdt", None),
        ("kraken", "XBTUSDT", Some("spot")),
        ("binance", "BTC-USDT", Some("usdm")),
        ("binance", "XBTUSDT", None),
    ];
    for (venue, symbol, segment) in unknown {
        let refused = resolve(&mut clients, venue, symbol, segment).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "SYMBOL_UNKNOWN"), "{symbol}");
        assert_eq!(says(&refused, "venue_symbol").as_deref(), Some(symbol));
        assert_eq!(says(&refused, "segment").as_deref(), segment);
    }
    let past = ResolveMarketRequest { as_of: Some(time("2020-01-01T00:00:00Z")), ..query("kraken", "OLD", None) };
    clients.markets.resolve_market(past).await.unwrap_err();
    let status = clients.registry.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    let counted = status.unresolved.iter().map(|it| (it.venue_id.as_str(), it.venue_symbol.as_str(), it.count));
    let expected =
        [("kraken", "xbtusdt", 2), ("binance", "BTC-USDT", 1), ("binance", "XBTUSDT", 1), ("kraken", "XBTUSDT", 1)];
    assert_eq!(counted.collect::<Vec<_>>(), expected, "what was asked of the past is not among them");
    assert!(status.unresolved.iter().all(|it| it.last_request_time.is_some()));

    let refused = resolve(&mut clients, "mtgox", "BTCUSD", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
    assert_eq!(says(&refused, "field").as_deref(), Some("venue_id"));
    Venue::create(&mut clients, cqar_tests::fixtures::venue("mtgox"), Write::default()).await.unwrap();
    let refused = resolve(&mut clients, "mtgox", "BTCUSD", None).await.unwrap_err();
    assert_eq!(reason(&refused), "SYMBOL_UNKNOWN", "the venue is known from its creation on");
    Venue::delete(&mut clients, "mtgox", "", Write::default()).await.unwrap();
    let refused = resolve(&mut clients, "mtgox", "BTCUSD", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

async fn a_batch_answers_in_order_item_by_item(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let as_of = Some(time("2020-01-01T00:00:00Z"));
    let requests = vec![
        query("kraken", "XBTUSDT", None),
        query("binance", "BTCUSDT", None),
        query("Not a venue", "BTCUSDT", None),
        query("binance", "BTCUSDT", Some("usdm")),
        query("binance", &"X".repeat(10_000), None),
        query("mtgox", "BTCUSD", None),
        query("kraken", "XBTUSDT", Some("No Segment")),
        ResolveMarketRequest { as_of, ..query("kraken", "XBTUSDT", None) },
        query("kraken", "nothing", None),
        query("kraken", "XBTUSDT", None),
    ];
    // Twice: from the database, then from the cache, where there is one.
    for _ in 0..2 {
        let request = batch_of(&requests);
        let results = clients.markets.batch_resolve_markets(request).await.unwrap().into_inner().results;
        let said: Vec<(Code, String)> = results
            .iter()
            .map(|result| match result.result.as_ref().unwrap() {
                Found::Resolved(resolved) => (Code::Ok, id(resolved).to_owned()),
                Found::Error(error) => (Code::from(error.code), error.reason().unwrap()),
            })
            .collect();
        let expected = [
            (Code::Ok, small.kraken.as_str()),
            (Code::FailedPrecondition, "AMBIGUOUS_SYMBOL"),
            (Code::InvalidArgument, "INVALID_FIELDS"),
            (Code::Ok, small.binance_usdm.as_str()),
            (Code::InvalidArgument, "INVALID_FIELDS"),
            (Code::NotFound, "ENTITY_NOT_FOUND"),
            (Code::InvalidArgument, "INVALID_FIELDS"),
            (Code::Ok, small.kraken.as_str()),
            (Code::NotFound, "SYMBOL_UNKNOWN"),
            (Code::Ok, small.kraken.as_str()),
        ];
        assert_eq!(said, expected.map(|(code, text)| (code, text.to_owned())));
        let field = |n: usize| match results[n].result.as_ref().unwrap() {
            Found::Error(error) => wrong_fields(&status_of(error))[0].clone(),
            Found::Resolved(_) => panic!("{n} is resolved"),
        };
        assert_eq!(field(2), ("requests[2].venue_id".into(), "INVALID".into()));
        assert_eq!(field(4), ("requests[4].venue_symbol".into(), "TOO_LONG".into()));
        assert_eq!(field(6), ("requests[6].segment".into(), "INVALID".into()));
    }
    let ten_thousand = vec![query("kraken", "XBTUSDT", None); 10_000];
    let request = batch_of(&ten_thousand);
    let results = clients.markets.batch_resolve_markets(request).await.unwrap().into_inner().results;
    assert!(results.len() == 10_000 && results.iter().all(|it| matches!(it.result, Some(Found::Resolved(_)))));
    let one_more = [ten_thousand, vec![query("kraken", "XBTUSDT", None)]].concat();
    let refused = clients.markets.batch_resolve_markets(batch_of(&one_more)).await;
    assert_eq!(wrong_fields(&refused.unwrap_err()), [("requests".into(), "TOO_MANY".into())]);
    let empty = clients.markets.batch_resolve_markets(BatchResolveMarketsRequest::default()).await.unwrap();
    assert!(empty.into_inner().results.is_empty());
}

async fn an_unregistered_symbol_is_inferred_only_where_that_is_allowed(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let mut markets = clients.markets.clone();
    let mut infer = async |venue: &str, symbol: &str, segment| {
        let request = ResolveMarketRequest { allow_inferred: true, ..query(venue, symbol, segment) };
        markets.resolve_market(request).await.map(tonic::Response::into_inner)
    };
    let inferred = infer("binance", "1000SHIBUSDT", Some("usdm")).await.unwrap();
    assert!(inferred.inferred && inferred.market.is_none() && inferred.base_asset.is_none());
    assert_eq!(inferred.venue.as_ref().unwrap().id, "binance");
    let reading = inferred.reading.unwrap();
    assert_eq!(
        (reading.base_code.as_str(), reading.quote_code.as_str(), reading.settle_code.as_str()),
        ("SHIB", "USDT", "USDT")
    );
    assert_eq!((reading.unit_multiplier.as_str(), reading.kind()), ("1000", InstrumentKind::Perpetual));
    let dated = infer("binance", "BTCUSD_261225", Some("coinm")).await.unwrap().reading.unwrap();
    assert_eq!((dated.kind(), dated.expiry_time.is_some()), (InstrumentKind::Future, true));

    // Assets and instrument are those to which the venue's own codes lead, and no others.
    for (code, asset) in [("BTC", &small.btc), ("USDT", &small.usdt)] {
        clients.apply(vec![mutation(create(venue_asset("binance", code, asset)))]).await.unwrap();
    }
    clients.apply(vec![mutation(delete(Key::MarketId(small.binance_usdm.clone())))]).await.unwrap();
    let inferred = infer("binance", "BTCUSDT", Some("usdm")).await.unwrap();
    assert!(inferred.inferred && inferred.market.is_none());
    assert_eq!(inferred.instrument.unwrap().id, small.perpetual);
    let asset_ids = [inferred.base_asset, inferred.quote_asset, inferred.settle_asset].map(|it| it.unwrap().id);
    assert_eq!(asset_ids, [small.btc.clone(), small.usdt.clone(), small.usdt.clone()]);
    let dated = infer("binance", "BTCUSDT_261225", Some("usdm")).await.unwrap();
    assert!(dated.instrument.is_none() && dated.base_asset.is_some(), "there is no such instrument");

    let registered = infer("binance", "BTCUSDT", Some("spot")).await.unwrap();
    assert_eq!((id(&registered), registered.inferred), (small.binance_spot.as_str(), false));
    // What the plugin refuses, or reads in two ways, and a venue without a plugin: nothing is guessed.
    for (venue, symbol, segment) in [("binance", "?", None), ("binance", "ETHUSDT", None), ("kraken", "ETHUSDT", None)]
    {
        let refused = infer(venue, symbol, segment).await.unwrap_err();
        assert_eq!(reason(&refused), "SYMBOL_UNKNOWN", "{venue} {symbol}");
    }
    // It was not kept as if it were registered.
    let refused = resolve(&mut clients, "binance", "1000SHIBUSDT", Some("usdm")).await.unwrap_err();
    assert_eq!(reason(&refused), "SYMBOL_UNKNOWN");
    assert_eq!(clients.revision().await, 4);
}
