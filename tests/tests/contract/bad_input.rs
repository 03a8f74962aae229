//! Bad input: refused with the item and the field named, and nothing of it written.

use cqar_proto::v1::{
    Asset, BatchGetAssetsRequest, Chain, CreateAssetRequest, GetInstrumentRequest, ImportListingOptions, Instrument,
    ListAssetsRequest, Market, SpotTerms, UpdateAssetRequest, Venue, VenueAsset, get_instrument_request::Key,
    instrument::Terms,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, chain, create, market, mutation, reason, spot, venue, venue_asset, wrong_fields,
    },
};
use tonic::{Code, Status};

use crate::{listing, resolve::resolve};
use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    wrong_fields_are_named_all_of_them_at_once
    amounts_that_are_none_are_refused
    texts_that_are_too_long_or_hold_a_zero_byte_are_refused_everywhere
    a_listing_that_cannot_be_read_is_refused_whole
    a_message_of_100_megabytes_is_refused
    a_batch_of_10_001_is_refused_whole
}

fn field(field: &str, code: &str) -> (String, String) {
    (field.to_owned(), code.to_owned())
}

/// The refusal of a market.
async fn refused(clients: &mut Clients, market: Market) -> Status {
    let refused = Market::create(clients, market, Write::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    refused
}

async fn wrong_fields_are_named_all_of_them_at_once(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let wrong = Market {
        venue_id: "Kraken!".into(),
        instrument_id: "BTC/USDT".into(),
        status: 0,
        tick_size: "a lot".into(),
        min_quantity: "1,5".into(),
        ..market("kraken", "", "X", "")
    };
    let found = wrong_fields(&refused(&mut clients, wrong).await);
    let expected = [
        field("market.instrument_id", "INVALID"),
        field("market.min_quantity", "INVALID"),
        field("market.status", "REQUIRED"),
        field("market.tick_size", "INVALID"),
        field("market.venue_id", "INVALID"),
    ];
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(sorted, expected);

    let unknown = refused(&mut clients, market("mtgox", "", "BTCUSD", &small.spot)).await;
    assert_eq!(wrong_fields(&unknown), [field("market.venue_id", "UNKNOWN_REFERENCE")]);
    assert_eq!(reason(&unknown), "INVALID_FIELDS");
    let same = Instrument {
        terms: Some(Terms::Spot(SpotTerms { base_asset_id: small.btc.clone(), quote_asset_id: small.btc.clone() })),
        ..Instrument::default()
    };
    let same = Instrument::create(&mut clients, same, Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&same)[0].0, "instrument.spot.quote_asset_id");
    let none = Instrument::create(&mut clients, Instrument::default(), Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&none), [field("instrument.terms", "REQUIRED")]);
    let no_caip2 = Chain::create(&mut clients, chain("ethereum", "1"), Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&no_caip2)[0].0, "chain.caip2");
    let unknown = Venue { mic: "binance".into(), website_url: "binance.com".into(), ..venue("x") };
    let unknown = Venue::create(&mut clients, unknown, Write::default()).await.unwrap_err();
    let fields: Vec<String> = wrong_fields(&unknown).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["venue.website_url", "venue.mic"]);
    let nothing = clients.assets.create_asset(CreateAssetRequest::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&nothing), [field("asset", "REQUIRED")]);
    let nothing = clients.assets.update_asset(UpdateAssetRequest::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&nothing), [field("asset", "REQUIRED")]);
    let code = VenueAsset::create(&mut clients, venue_asset("kraken", "", &small.btc), Write::default()).await;
    assert_eq!(wrong_fields(&code.unwrap_err()), [field("venue_asset.code", "REQUIRED")]);
    assert_eq!(clients.revision().await, 1);
}

async fn amounts_that_are_none_are_refused(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let new = market("kraken", "", "NEW", &small.spot);
    // 39 digits are one too many, 60 all the more.
    for amount in ["NaN", "inf", "1e999", "0x10", "1.", ".5", " 1"].into_iter().map(str::to_owned).chain([
        "1".repeat(39),
        "1".repeat(60),
        format!("0.{}", "1".repeat(60)),
        "9".repeat(1_000_000),
    ]) {
        let wrong = Market { max_quantity: amount.clone(), contract_size: amount.clone(), ..new.clone() };
        let fields: Vec<String> =
            wrong_fields(&refused(&mut clients, wrong).await).into_iter().map(|it| it.0).collect();
        assert!(fields.contains(&"market.max_quantity".to_owned()), "{amount:.10}: {fields:?}");
    }
    let judged = [
        (Market { tick_size: "0".into(), ..new.clone() }, field("market.tick_size", "ZERO_TICK_SIZE")),
        (
            Market { min_quantity: "2".into(), max_quantity: "1".into(), ..new.clone() },
            field("market.min_quantity", "MIN_ABOVE_MAX"),
        ),
    ];
    for (wrong, expected) in judged {
        let refused = refused(&mut clients, wrong).await;
        assert_eq!(wrong_fields(&refused), [expected]);
        assert_eq!(reason(&refused), "REFUSED_BY_VALIDATOR");
    }
    let negative = Market { tick_size: "-0.01".into(), unit_multiplier: "0".into(), ..new.clone() };
    let found = wrong_fields(&refused(&mut clients, negative).await);
    assert!(found.contains(&field("market.tick_size", "NEGATIVE")), "{found:?}");
    assert!(found.contains(&field("market.unit_multiplier", "NOT_POSITIVE")), "{found:?}");

    // 38 digits are exact, to the last one.
    let exact = format!("0.{}", "1".repeat(38));
    let long = Market { tick_size: exact.clone(), min_notional: "1e3".into(), ..new };
    let stored = Market::create(&mut clients, long, Write::default()).await.unwrap().value;
    let stored = Market::get(&mut clients, &stored.id, 0).await.unwrap().value;
    assert_eq!((stored.tick_size, stored.min_notional.as_str()), (exact, "1000"));
    assert_eq!(clients.revision().await, 2);
}

async fn texts_that_are_too_long_or_hold_a_zero_byte_are_refused_everywhere(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let ten_kb = "X".repeat(10_000);
    let zero = "a\0b";
    for (text, code) in [(ten_kb.as_str(), "TOO_LONG"), (zero, "CONTROL_CHARACTER")] {
        let wrong = Asset { symbol: text.into(), name: text.into(), ..asset("X") };
        let wrong = Asset::create(&mut clients, wrong, Write::default()).await.unwrap_err();
        assert_eq!(wrong_fields(&wrong), [field("asset.symbol", code), field("asset.name", code)]);
        let wrong = refused(&mut clients, market("kraken", "", text, &small.spot)).await;
        assert_eq!(wrong_fields(&wrong), [field("market.venue_symbol", code)]);
        let aliased = Market { aliases: vec!["fine".into(), text.into()], ..market("kraken", "", "X", &small.spot) };
        assert_eq!(wrong_fields(&refused(&mut clients, aliased).await), [field("market.aliases[1]", code)]);
        let wrong = VenueAsset::create(&mut clients, venue_asset("kraken", text, &small.btc), Write::default()).await;
        assert_eq!(wrong_fields(&wrong.unwrap_err()), [field("venue_asset.code", code)]);
        let wrong = resolve(&mut clients, "kraken", text, None).await.unwrap_err();
        assert_eq!(wrong_fields(&wrong), [field("venue_symbol", code)]);
        let wrong = Venue::get(&mut clients, text, 0).await.unwrap_err();
        assert_eq!(wrong_fields(&wrong), [field("venue_id", "INVALID")]);
        let filter = ListAssetsRequest { symbol: text.into(), ..ListAssetsRequest::default() };
        let wrong = clients.assets.list_assets(filter).await.unwrap_err();
        assert_eq!(wrong_fields(&wrong), [field("symbol", code)]);
        let by_code = GetInstrumentRequest { key: Some(Key::Code(format!("{text}/USDT"))), ..Default::default() };
        assert_eq!(reason(&clients.instruments.get_instrument(by_code).await.unwrap_err()), "CODE_UNKNOWN");
        let applied = clients
            .apply(vec![mutation(create(asset("FINE"))), mutation(create(Asset { name: text.into(), ..asset("X") }))])
            .await;
        assert_eq!(wrong_fields(&applied.unwrap_err()), [field("mutations[1].create.asset.name", code)]);
    }
    let labels = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    let labelled = Asset::create(&mut clients, Asset { labels, ..asset("X") }, Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&labelled), [field("asset.labels", "TOO_MANY")]);
    assert_eq!(clients.revision().await, 1);
}

async fn a_listing_that_cannot_be_read_is_refused_whole(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    SampleRegistry::write(&mut clients).await;
    let into = |venue: &str| ImportListingOptions { venue_id: venue.into(), ..ImportListingOptions::default() };
    for payload in
        [&b""[..], b"{\"symbols\": [", b"<html>", b"\xff\xfe", b"{\"symbols\": []} trailing", b"{\"a\": \"\0\"}"]
    {
        let refused = clients.import(into("binance"), payload).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(wrong_fields(&refused), [field("payload", "MALFORMED_JSON")], "{payload:?}");
    }
    let refused = clients.import(into("mtgox"), b"{}").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
    let refused = clients.import(into("kraken"), b"{}").await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [field("options.venue_id", "NO_SYMBOLOGY")]);
    let refused = clients.import(into("No Venue"), b"{}").await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [field("options.venue_id", "INVALID")]);
    let too_many: Vec<_> = (0..20_001).map(|n| listing::spot(&format!("A{n}USDT"), &format!("A{n}"), "USDT")).collect();
    let refused = clients.import(listing::creating(), &listing::raw(&too_many)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [field("payload", "TOO_MANY_ROWS")]);
    // JSON of the venue, but no listing: the item is rejected, by name.
    let report = clients.import(into("binance"), br#"{"code": -1003, "msg": "Too many requests."}"#).await.unwrap();
    assert_eq!((report.rejected, report.markets[0].code.as_str()), (1, "NOT_A_LISTING"));
    assert_eq!(clients.revision().await, 1);
}

async fn a_message_of_100_megabytes_is_refused(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let huge = Asset { name: "X".repeat(100 << 20), ..asset("BTC") };
    let refused = Asset::create(&mut clients, huge, Write::default()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        "{refused}"
    );
    assert!(refused.message().contains("16777216"), "it says the limit: {refused}");
    let options = ImportListingOptions { venue_id: "binance".into(), ..ImportListingOptions::default() };
    let refused = clients.import(options, &vec![b' '; 100 << 20]).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "PAYLOAD_TOO_LARGE"), "{refused}");
    assert_eq!(wrong_fields(&refused)[0].0, "chunk");
    // The server goes on, on the same connection.
    Asset::create(&mut clients, asset("BTC"), Write::default()).await.unwrap();
    assert_eq!(clients.revision().await, 1);
}

async fn a_batch_of_10_001_is_refused_whole(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let ids = vec![small.btc.clone(); 10_001];
    let request = BatchGetAssetsRequest { asset_ids: ids.clone(), ..Default::default() };
    let refused = clients.assets.batch_get_assets(request).await.unwrap_err();
    assert_eq!((refused.code(), wrong_fields(&refused)), (Code::InvalidArgument, vec![field("asset_ids", "TOO_MANY")]));
    let request = BatchGetAssetsRequest { asset_ids: ids[1..].to_vec(), ..Default::default() };
    assert_eq!(clients.assets.batch_get_assets(request).await.unwrap().into_inner().results.len(), 10_000);
    // Of a batch of allowed size, a malformed item fails alone.
    let found = Instrument::batch_get(&mut clients, vec![small.spot, "BTC/USDT".into()]).await.unwrap();
    assert!(found[0].is_ok());
    assert_eq!(wrong_fields(found[1].as_ref().unwrap_err()), [field("instrument_ids[1]", "INVALID")]);
    let swapped = spot(&small.usdt, &small.btc);
    assert!(Instrument::create(&mut clients, swapped, Write::default()).await.is_ok());
}
