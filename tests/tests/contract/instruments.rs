//! Instruments of lending, codes, and assets that share a symbol.

use cqar_proto::v1::{
    Asset, AssetType, BatchGetInstrumentsRequest, GetInstrumentRequest, Instrument, LendingTerms, ListAssetsRequest,
    UndeleteAssetRequest, batch_get_instruments_response, get_instrument_request::Key, instrument::Terms,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, create, ids, mutation, preconditions, reason, spot, update, wrong_fields,
    },
    kinds::{Kind, Write},
};
use tonic::{Code, Status};

cqar_tests::in_both_environments! {
    lending_has_its_terms_and_codes
    a_code_of_two_assets_symbols_is_nobodys
    an_asset_is_classified_by_an_update
}

fn lending(terms: fn(LendingTerms) -> Terms, asset: &str, protocol: &str) -> Instrument {
    let terms = terms(LendingTerms { underlying_asset_id: asset.into(), protocol: protocol.into() });
    Instrument { terms: Some(terms), ..Instrument::default() }
}

async fn by_code(clients: &mut Clients, code: &str) -> Result<Instrument, Status> {
    let request = GetInstrumentRequest { key: Some(Key::Code(code.into())), ..GetInstrumentRequest::default() };
    clients.instruments.get_instrument(request).await.map(tonic::Response::into_inner)
}

async fn lending_has_its_terms_and_codes(s: TestEnvironment) {
    use batch_get_instruments_response::result::Result as Found;
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let new = vec![
        mutation(create(lending(Terms::LendingDeposit, &small.usdt, "aave-v3"))),
        mutation(create(lending(Terms::LendingBorrow, &small.usdt, "aave-v3"))),
        mutation(create(lending(Terms::LendingDeposit, &small.usdt, "compound-v3"))),
    ];
    let made = ids(&clients.apply(new.clone()).await.unwrap());
    let codes = ["USDT:DEPOSIT@aave-v3", "USDT:BORROW@aave-v3", "USDT:DEPOSIT@compound-v3"];
    for (id, code) in made.iter().zip(codes) {
        assert_eq!(by_code(&mut clients, code).await.unwrap().id, *id);
    }
    let again = clients.apply(new).await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::AlreadyExists, "ENTITY_EXISTS"),
        "its terms are its own"
    );
    let request = BatchGetInstrumentsRequest { instrument_ids: made.clone(), ..Default::default() };
    let found = clients.instruments.batch_get_instruments(request).await.unwrap().into_inner().results;
    let found: Vec<String> = found
        .into_iter()
        .map(|it| match it.result.unwrap() {
            Found::Instrument(it) => it.code,
            Found::Error(error) => error.message,
        })
        .collect();
    assert_eq!(found, codes);
    for (wrong, field, code) in [
        (lending(Terms::LendingDeposit, "", "aave-v3"), "lending_deposit.underlying_asset_id", "REQUIRED"),
        (lending(Terms::LendingBorrow, &small.usdt, ""), "lending_borrow.protocol", "REQUIRED"),
        (lending(Terms::LendingBorrow, &small.usdt, "Aave v3"), "lending_borrow.protocol", "INVALID"),
        (Instrument::default(), "", "REQUIRED"),
    ] {
        let refused = Instrument::create(&mut clients, wrong, Write::default()).await.unwrap_err();
        let (found, of) = wrong_fields(&refused).remove(0);
        assert!(found.ends_with(field) && of == code, "{refused:?}");
    }
    // A new symbol is in the code at once, and the old code is nobody's.
    let renamed = Asset { id: small.usdt.clone(), symbol: "USD₮".into(), ..Asset::default() };
    clients.apply(vec![mutation(update(renamed))]).await.unwrap();
    assert_eq!(by_code(&mut clients, "USD₮:BORROW@aave-v3").await.unwrap().id, made[1]);
    let unknown = by_code(&mut clients, codes[1]).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "CODE_UNKNOWN"));
    let none = by_code(&mut clients, "BTCUSDT").await.unwrap_err();
    assert!(none.code() == Code::NotFound && none.message().contains("a code is such as BTC/USDT"), "{none:?}");
}

async fn a_code_of_two_assets_symbols_is_nobodys(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let twin = ids(&clients.apply(vec![mutation(create(asset("BTC")))]).await.unwrap()).remove(0);
    let request = ListAssetsRequest { symbol: "BTC".into(), ..ListAssetsRequest::default() };
    let listed = clients.assets.list_assets(request).await.unwrap().into_inner().assets;
    assert_eq!(listed.len(), 2, "two assets may share a symbol");
    let other = Instrument::create(&mut clients, spot(&twin, &small.usdt), Write::default()).await.unwrap().value;
    assert_eq!(other.code, "BTC/USDT");
    let ambiguous = by_code(&mut clients, "BTC/USDT").await.unwrap_err();
    assert_eq!((ambiguous.code(), reason(&ambiguous).as_str()), (Code::FailedPrecondition, "AMBIGUOUS_CODE"));
    assert_eq!(preconditions(&ambiguous).len(), 2);
    Instrument::delete(&mut clients, &other.id, "", Write::default()).await.unwrap();
    assert_eq!(by_code(&mut clients, "BTC/USDT").await.unwrap().id, small.spot);
    for symbol in ["BTC/USD", "BTC:X", "BTC@X", "BT C", "BTC-261225", "BTC-261225-100-C", ""] {
        let refused = Asset::create(&mut clients, asset(symbol), Write::default()).await.unwrap_err();
        assert_eq!(wrong_fields(&refused)[0].0, "asset.symbol", "{symbol:?}");
    }
    Asset::create(&mut clients, asset("BTC-PERP-2026"), Write::default()).await.unwrap();
}

async fn an_asset_is_classified_by_an_update(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let new = Asset { r#type: AssetType::Unclassified.into(), ..asset("NEW") };
    let made = Asset::create(&mut clients, new, Write::default()).await.unwrap().value;
    let classified = Asset { r#type: AssetType::Equity.into(), ..made.clone() };
    let classified = Asset::update(&mut clients, classified, &["type"], Write::default()).await.unwrap().value;
    assert_eq!(classified.r#type(), AssetType::Equity);
    let none = Asset { r#type: 0, etag: String::new(), ..made.clone() };
    let refused = Asset::update(&mut clients, none, &["type"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("asset.type".into(), "REQUIRED".into())]);
    let labels = [("desk".to_owned(), "spot".to_owned())].into();
    let labelled = Asset { id: made.id.clone(), labels, ..Asset::default() };
    Asset::update(&mut clients, labelled, &["labels"], Write::default()).await.unwrap();
    Asset::delete(&mut clients, &made.id, "", Write::default()).await.unwrap();
    let back = UndeleteAssetRequest { asset_id: made.id, ..UndeleteAssetRequest::default() };
    let back = clients.assets.undelete_asset(back).await.unwrap().into_inner().asset.unwrap();
    assert_eq!((back.r#type(), back.labels.len(), back.delete_time), (AssetType::Equity, 1, None));
}
