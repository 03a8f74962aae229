//! Pages, filters, and the revision that a read reflects or waits for.

use cqar_proto::v1::{
    Asset, AssetType, ExerciseStyle, FutureTerms, Instrument, InstrumentKind, ListAssetsRequest, ListChainsRequest,
    ListInstrumentsRequest, ListMarketsRequest, ListVenueAssetsRequest, ListVenuesRequest, Market, MarketStatus,
    OptionTerms, OptionType, VenueType, instrument::Terms,
};
use cqar_tests::{
    collect::revision_of,
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, chain, create, ids, market, mutation, reason, says, time, venue_asset,
        wrong_fields,
    },
};
use tonic::Code;

use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    pages_hold_everything_once_in_order_and_their_tokens_are_bound_to_the_filter
    filters_choose
    assets_are_found_by_name_category_and_label
    instruments_are_found_by_windows_of_expiry_and_strike
    a_read_waits_for_its_revision_and_then_gives_up
}

async fn pages_hold_everything_once_in_order_and_their_tokens_are_bound_to_the_filter(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let create = |n: usize| mutation(create(asset(if n.is_multiple_of(2) { "EVEN" } else { "ODD" })));
    clients.apply((0..1100).map(create).collect()).await.unwrap();

    let (mut listed, mut token, mut sizes) = (Vec::<Asset>::new(), String::new(), Vec::new());
    loop {
        let (page, next) = Asset::list(&mut clients, 400, &token).await.unwrap();
        sizes.push(page.len());
        listed.extend(page);
        token = next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(sizes, [400, 400, 300]);
    assert!(listed.is_sorted_by(|a, b| a.id < b.id), "each once, in the order of their ids");

    assert_eq!(Asset::list(&mut clients, 0, "").await.unwrap().0.len(), 50);
    assert_eq!(Asset::list(&mut clients, 5000, "").await.unwrap().0.len(), 1000);
    let negative = Asset::list(&mut clients, -1, "").await.unwrap_err();
    assert_eq!(wrong_fields(&negative), [("page_size".into(), "NEGATIVE".into())]);

    let odd = ListAssetsRequest { symbol: "ODD".into(), page_size: 100, ..ListAssetsRequest::default() };
    let page = clients.assets.list_assets(odd.clone()).await.unwrap().into_inner();
    assert!(page.assets.len() == 100 && page.assets.iter().all(|it| it.symbol == "ODD"));
    let foreign = ListAssetsRequest { symbol: "EVEN".into(), page_token: page.next_page_token.clone(), ..odd.clone() };
    for refused in [foreign, ListAssetsRequest { page_token: "made up".into(), ..odd.clone() }] {
        let refused = clients.assets.list_assets(refused).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [("page_token".into(), "FOREIGN_TOKEN".into())]);
    }
    let other_kind = ListChainsRequest { page_token: page.next_page_token.clone(), ..ListChainsRequest::default() };
    assert_eq!(clients.chains.list_chains(other_kind).await.unwrap_err().code(), Code::InvalidArgument);

    // A token names the last entity that was sent, so that a write between two pages moves nothing.
    let first = Asset::delete(&mut clients, &page.assets[0].id, "", Write::default()).await;
    first.unwrap();
    let next = ListAssetsRequest { page_token: page.next_page_token, ..odd };
    let next = clients.assets.list_assets(next).await.unwrap().into_inner().assets;
    assert!(next[0].id > page.assets[99].id && next.len() == 100);
}

async fn filters_choose(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let fiat = Asset { r#type: AssetType::Fiat.into(), ..asset("USD") };
    let written = [
        create(fiat),
        create(chain("ethereum", "eip155:1")),
        create(chain("polygon", "eip155:137")),
        create(venue_asset("kraken", "XBT", &small.btc)),
        create(venue_asset("binance", "USDT", &small.usdt)),
    ];
    clients.apply(written.map(mutation).into()).await.unwrap();
    macro_rules! listed {
        ($client:ident $method:ident $request:ident $items:ident . $name:ident, { $($filter:tt)* }) => {{
            let request = $request { $($filter)*, ..Default::default() };
            let page = clients.$client.$method(request).await.unwrap().into_inner().$items;
            page.into_iter().map(|it| it.$name).collect::<Vec<_>>()
        }};
    }
    let fiats = listed!(assets list_assets ListAssetsRequest assets.symbol, { r#type: AssetType::Fiat.into() });
    assert_eq!(fiats, ["USD"]);
    assert_eq!(listed!(chains list_chains ListChainsRequest chains.id, { caip2: "eip155:137".into() }), ["polygon"]);
    let lenders = listed!(venues list_venues ListVenuesRequest venues.id, { r#type: VenueType::Lending.into() });
    assert_eq!(lenders, [""; 0]);
    let codes =
        listed!(venues list_venue_assets ListVenueAssetsRequest venue_assets.code, { venue_id: "kraken".into() });
    assert_eq!(codes, ["XBT"]);
    let codes =
        listed!(venues list_venue_assets ListVenueAssetsRequest venue_assets.code, { asset_id: small.usdt.clone() });
    assert_eq!(codes, ["USDT"]);
    let kind = InstrumentKind::Perpetual.into();
    let codes = listed!(instruments list_instruments ListInstrumentsRequest instruments.code, { kind });
    assert_eq!(codes, ["BTC/USDT:USDT"]);
    let quote = small.btc.clone();
    let codes =
        listed!(instruments list_instruments ListInstrumentsRequest instruments.code, { quote_asset_id: quote });
    assert_eq!(codes, [""; 0]);
    let spots =
        listed!(markets list_markets ListMarketsRequest markets.venue_id, { instrument_id: small.spot.clone() });
    assert_eq!(spots, ["binance", "kraken"]);
    let segment = Some(String::new());
    assert_eq!(listed!(markets list_markets ListMarketsRequest markets.venue_id, { segment }), ["kraken"]);
    let venue_symbol = "BTCUSDT".to_owned();
    let segments = listed!(markets list_markets ListMarketsRequest markets.segment, { venue_symbol });
    assert_eq!(segments, ["spot", "usdm"]);
    let status = MarketStatus::Halted.into();
    assert_eq!(listed!(markets list_markets ListMarketsRequest markets.id, { status }), [""; 0]);

    // Half-open: listed at its beginning, gone at its end, whichever end comes first.
    let (begin, end) = (Some(time("2024-01-01T00:00:00Z")), Some(time("2024-03-01T00:00:00Z")));
    let past = |symbol: &str| Market { listed_time: begin, ..market("kraken", "past", symbol, &small.spot) };
    let delisted = Market { delisted_time: end, status: MarketStatus::Delisted.into(), ..past("DELISTED") };
    let expired = Market { expiry_time: end, status: MarketStatus::Expired.into(), ..past("EXPIRED") };
    let perpetual = Market { instrument_id: dated(&mut clients, &small).await, ..expired };
    clients.apply([delisted, perpetual].map(create).map(mutation).into()).await.unwrap();
    let segment = || Some("past".to_owned());
    for (at, expected) in [
        ("2023-12-31T23:59:59.999999Z", &[][..]),
        ("2024-01-01T00:00:00Z", &["DELISTED", "EXPIRED"]),
        ("2024-02-29T23:59:59.999999Z", &["DELISTED", "EXPIRED"]),
        ("2024-03-01T00:00:00Z", &[]),
    ] {
        let live_at = Some(time(at));
        let mut live = listed!(markets list_markets ListMarketsRequest markets.venue_symbol,
            { segment: segment(), live_at });
        live.sort();
        assert_eq!(live, expected, "{at}");
    }

    let wrong = ListMarketsRequest { instrument_id: "BTC/USDT".into(), ..ListMarketsRequest::default() };
    let refused = clients.markets.list_markets(wrong).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("instrument_id".into(), "INVALID".into())]);
}

/// A future that has expired.
async fn dated(clients: &mut Clients, small: &SampleRegistry) -> String {
    let terms = FutureTerms {
        base_asset_id: small.btc.clone(),
        quote_asset_id: small.usdt.clone(),
        settle_asset_id: small.usdt.clone(),
        expiry_date: "2024-03-01".into(),
    };
    let future = Instrument { terms: Some(Terms::Future(terms)), ..Instrument::default() };
    ids(&clients.apply(vec![mutation(create(future))]).await.unwrap()).remove(0)
}

async fn a_read_waits_for_its_revision_and_then_gives_up(s: TestEnvironment) {
    // Long enough for a write to come through on any machine.
    let options = s.options().with("SERVER_MIN_REVISION_TIMEOUT", "60s");
    let server = options.start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let mut reader = clients.clone();
    let waiting = tokio::spawn(async move { Asset::get(&mut reader, &small.btc, 2).await });
    assert!(!waiting.is_finished());
    Asset::create(&mut clients, asset("ETH"), Write::default()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().revision, 2);

    let options = server.kill().with("SERVER_MIN_REVISION_TIMEOUT", "100ms");
    let server = options.start().await;
    let mut clients = Clients::of(&server).await;
    let refused = Asset::get(&mut clients, &small.usdt, 99).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "REVISION_NOT_REACHED"));
    assert_eq!(says(&refused, "applied_revision").as_deref(), Some("2"));
    let list = ListMarketsRequest { min_revision: 99, ..ListMarketsRequest::default() };
    assert_eq!(clients.markets.list_markets(list).await.unwrap_err().code(), Code::Unavailable);
    let negative = Asset::get(&mut clients, &small.usdt, -1).await.unwrap_err();
    assert_eq!(wrong_fields(&negative), [("min_revision".into(), "NEGATIVE".into())]);
    let list = clients.markets.list_markets(ListMarketsRequest::default()).await.unwrap();
    assert_eq!(revision_of(list.metadata()), 2);
}

async fn assets_are_found_by_name_category_and_label(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let with = |symbol: &str, category: &str, labels: &[(&str, &str)]| Asset {
        category: category.into(),
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..asset(symbol)
    };
    // Values that look like other labels are none.
    let odd = r#"","desk":"spot"#;
    let written = [
        with("A", "meme", &[("desk", "spot")]),
        with("B", "meme", &[("desk", "spot \"1\"")]),
        with("C", "layer-1", &[("note", "desk"), ("desks", "spot")]),
        with("D", "", &[("note", odd)]),
        with("E", "", &[("back\\", "slash"), ("é", "=")]),
    ];
    clients.apply(written.map(create).map(mutation).into()).await.unwrap();
    let base = ListAssetsRequest::default;
    for (request, expected) in [
        (ListAssetsRequest { name: "The B".into(), ..base() }, vec!["B"]),
        (ListAssetsRequest { name: "the b".into(), ..base() }, vec![]),
        (ListAssetsRequest { category: "meme".into(), ..base() }, vec!["A", "B"]),
        (ListAssetsRequest { category: "meme".into(), label: "desk=spot".into(), ..base() }, vec!["A"]),
        (ListAssetsRequest { label: "desk".into(), ..base() }, vec!["A", "B"]),
        (ListAssetsRequest { label: "desk=spot".into(), ..base() }, vec!["A"]),
        (ListAssetsRequest { label: r#"desk=spot "1""#.into(), ..base() }, vec!["B"]),
        (ListAssetsRequest { label: "desk=spo".into(), ..base() }, vec![]),
        (ListAssetsRequest { label: "note=desk".into(), ..base() }, vec!["C"]),
        (ListAssetsRequest { label: r"back\".into(), ..base() }, vec!["E"]),
        (ListAssetsRequest { label: r"back\=slash".into(), ..base() }, vec!["E"]),
        (ListAssetsRequest { label: "é==".into(), ..base() }, vec!["E"]),
    ] {
        let listed = clients.assets.list_assets(request.clone()).await.unwrap().into_inner().assets;
        let symbols: Vec<&str> = listed.iter().map(|it| it.symbol.as_str()).collect();
        assert_eq!(symbols, expected, "{request:?}");
    }
}

async fn instruments_are_found_by_windows_of_expiry_and_strike(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let option = |expiry: &str, strike: &str| {
        let terms = Terms::Option(OptionTerms {
            base_asset_id: small.btc.clone(),
            quote_asset_id: small.usdt.clone(),
            settle_asset_id: small.btc.clone(),
            expiry_date: expiry.into(),
            strike: strike.into(),
            option_type: OptionType::Call.into(),
            exercise_style: ExerciseStyle::European.into(),
        });
        mutation(create(Instrument { terms: Some(terms), ..Instrument::default() }))
    };
    let options = [
        option("2026-03-27", "9"),
        option("2026-03-27", "10.05"),
        option("2026-06-26", "10.5"),
        option("2026-12-25", "100"),
        option("2027-03-26", "0.5"),
    ];
    clients.apply(options.into()).await.unwrap();
    let listed = async |clients: &mut Clients, request: ListInstrumentsRequest| {
        let listed = clients.instruments.list_instruments(request).await?.into_inner().instruments;
        let strike = |it: Instrument| if let Some(Terms::Option(it)) = it.terms { it.strike } else { it.code };
        Ok::<_, tonic::Status>(listed.into_iter().map(strike).collect::<Vec<_>>())
    };
    let base = ListInstrumentsRequest::default;
    for (request, expected) in [
        (ListInstrumentsRequest { min_strike: "10.05".into(), ..base() }, vec!["10.05", "10.5", "100"]),
        (ListInstrumentsRequest { max_strike: "10.050".into(), ..base() }, vec!["9", "10.05", "0.5"]),
        (
            ListInstrumentsRequest { min_strike: "9.5".into(), max_strike: "99.9".into(), ..base() },
            vec!["10.05", "10.5"],
        ),
        (ListInstrumentsRequest { min_strike: "1e2".into(), ..base() }, vec!["100"]),
        (ListInstrumentsRequest { min_expiry_date: "2026-06-26".into(), ..base() }, vec!["10.5", "100", "0.5"]),
        (ListInstrumentsRequest { max_expiry_date: "2026-06-26".into(), ..base() }, vec!["9", "10.05", "10.5"]),
        (
            ListInstrumentsRequest {
                base_asset_id: small.btc.clone(),
                min_expiry_date: "2026-04-01".into(),
                max_expiry_date: "2026-12-31".into(),
                max_strike: "50".into(),
                ..base()
            },
            vec!["10.5"],
        ),
        (ListInstrumentsRequest { settle_asset_id: small.btc.clone(), max_strike: "1".into(), ..base() }, vec!["0.5"]),
        (ListInstrumentsRequest { settle_asset_id: small.usdt.clone(), ..base() }, vec!["BTC/USDT:USDT"]),
        (ListInstrumentsRequest { code: "BTC/USDT:BTC-261225-100-C".into(), ..base() }, vec!["100"]),
    ] {
        assert_eq!(listed(&mut clients, request.clone()).await.unwrap(), expected, "{request:?}");
    }
    for (request, field, code) in [
        (ListInstrumentsRequest { min_strike: "0".into(), ..base() }, "min_strike", "NOT_POSITIVE"),
        (ListInstrumentsRequest { max_strike: "x".into(), ..base() }, "max_strike", "INVALID"),
        (ListInstrumentsRequest { min_expiry_date: "26-12-25".into(), ..base() }, "min_expiry_date", "INVALID"),
        (ListInstrumentsRequest { max_expiry_date: "2026-12-25T00:00".into(), ..base() }, "max_expiry_date", "INVALID"),
    ] {
        let refused = listed(&mut clients, request).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(field.into(), code.into())]);
    }
}
