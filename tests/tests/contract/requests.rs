//! A request with an id is done once, however often it is sent.

use cqar_proto::v1::{ApplyRequest, Asset, CreateAssetRequest, ImportListingOptions, Venue};
use cqar_tests::{
    collect,
    environment::TestEnvironment,
    fixtures::{Clients, asset, create, mutation, named, reason, spot, venue, wrong_fields},
    server::Server,
};
use futures::future::join_all;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::listing::{binance_with, into_binance, raw, spot as listed_spot};
use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    a_repeated_request_gets_the_first_answer_even_after_a_restart
    a_repeated_import_gets_its_report_though_the_venue_could_no_longer_be_imported
    concurrent_twins_commit_once
    a_failed_call_and_a_mere_try_are_not_remembered
    an_id_is_scoped_to_the_caller_and_the_method
}

fn with_id(request_id: &str) -> Write {
    Write { request_id: request_id.into(), ..Write::default() }
}

async fn a_repeated_request_gets_the_first_answer_even_after_a_restart(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let id = Uuid::now_v7().to_string();
    let labelled =
        Asset { labels: (0..20).map(|n| (format!("key-{n}"), "value".to_owned())).collect(), ..asset("BTC") };
    let first = Asset::create(&mut clients, labelled.clone(), with_id(&id)).await.unwrap();
    let other = Asset { name: "Other".into(), ..first.value.clone() };
    Asset::update(&mut clients, other, &["name"], Write::default()).await.unwrap();

    // Looked up before etags and rules: the answer is of then, with the revision of then. The map's order is no body.
    let reordered = Asset { labels: labelled.labels.clone().into_iter().collect(), ..labelled.clone() };
    assert_eq!(Asset::create(&mut clients, reordered, with_id(&id)).await.unwrap(), first);
    let reused = Asset::create(&mut clients, asset("ETH"), with_id(&id)).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    assert_eq!(wrong_fields(&reused)[0].0, "request_id");

    let server = server.kill().start().await;
    let mut clients = Clients::of(&server).await;
    assert_eq!(Asset::create(&mut clients, labelled, with_id(&id)).await.unwrap(), first);
    assert_eq!(clients.revision().await, 2);
    assert_eq!(collect::log(&server).await[0].request_id, id);
    let malformed = Asset::create(&mut clients, asset("ETH"), with_id("mine")).await.unwrap_err();
    assert_eq!(wrong_fields(&malformed), [("request_id".into(), "INVALID".into())]);
}

async fn a_repeated_import_gets_its_report_though_the_venue_could_no_longer_be_imported(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let options = ImportListingOptions { request_id: Uuid::now_v7().to_string(), ..into_binance() };
    let listed = raw(&[listed_spot("BTCUSDT", "BTC", "USDT")]);
    let first = clients.import(options.clone(), &listed).await.unwrap();
    assert_eq!(first.created, 1);
    let unread = Venue { symbology: String::new(), ..venue("binance") };
    Venue::update(&mut clients, unread, &["symbology"], Write::default()).await.unwrap();
    let again = clients.import(options, &listed).await.unwrap();
    assert!(
        (again.replayed, again.progress.len()) == (true, 0) && (first.replayed, first.progress.len()) == (false, 4)
    );
    assert_eq!((again.revision, &again.markets, &again.bindings), (first.revision, &first.markets, &first.bindings));
    let anew = clients.import(into_binance(), &listed).await.unwrap_err();
    assert_eq!(wrong_fields(&anew), [("options.venue_id".into(), "NO_SYMBOLOGY".into())]);
}

async fn concurrent_twins_commit_once(s: TestEnvironment) {
    let server = s.options().start().await;
    let request = ApplyRequest {
        mutations: vec![
            named("btc", create(asset("BTC"))),
            named("usd", create(asset("USD"))),
            mutation(create(spot("$btc", "$usd"))),
        ],
        request_id: Uuid::now_v7().to_string(),
        ..ApplyRequest::default()
    };
    let twin = async |server: &Server| {
        let request = request.clone();
        server.registry().await.apply(request).await.unwrap().into_inner()
    };
    let answers = join_all((0..8).map(|_| twin(&server))).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]) && answers[0].revision == 1);
    assert_eq!(collect::log(&server).await.len(), 3);
}

async fn a_failed_call_and_a_mere_try_are_not_remembered(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let id = Uuid::now_v7().to_string();
    let on_chain = Venue { chain_id: "ethereum".into(), ..venue("dex") };
    let failed = Venue::create(&mut clients, on_chain.clone(), with_id(&id)).await.unwrap_err();
    assert_eq!(wrong_fields(&failed), [("venue.chain_id".into(), "UNKNOWN_REFERENCE".into())]);
    Kind::create(&mut clients, cqar_tests::fixtures::chain("ethereum", "eip155:1"), Write::default()).await.unwrap();
    let only_try = Write { validate_only: true, ..with_id(&id) };
    Venue::create(&mut clients, venue("other"), only_try.clone()).await.unwrap();
    let created = Venue::create(&mut clients, on_chain, with_id(&id)).await.unwrap();
    assert_eq!(created.revision, 2, "the same id, run again");
    let tried = Venue::create(&mut clients, venue("other"), only_try).await.unwrap();
    assert_eq!((tried.value.id.as_str(), tried.value.revision), ("other", 0), "a try matches nothing either");
}

async fn an_id_is_scoped_to_the_caller_and_the_method(s: TestEnvironment) {
    let server = s.options().with("AUTH_API_KEYS", "key-of-alice:alice,key-of-bob:bob").start().await;
    let id = Uuid::now_v7().to_string();
    let call = async |key: &str| -> Result<Response<_>, Status> {
        let request = CreateAssetRequest { asset: Some(asset("BTC")), request_id: id.clone(), ..Default::default() };
        Clients::of(&server).await.assets.create_asset(signed(request, key)).await
    };
    let (alice, bob) = (call("key-of-alice").await.unwrap(), call("key-of-bob").await.unwrap());
    let again = call("key-of-alice").await.unwrap();
    let revisions = [&alice, &bob, &again].map(|it| collect::revision_of(it.metadata()));
    assert_eq!(revisions, [1, 2, 1]);
    assert_eq!(call("unknown").await.unwrap_err().code(), Code::Unauthenticated);

    // Another method with the same id is another request.
    let apply =
        ApplyRequest { mutations: vec![mutation(create(asset("BTC")))], request_id: id.clone(), ..Default::default() };
    let applied = server.registry().await.apply(signed(apply, "key-of-alice")).await.unwrap().into_inner();
    assert_eq!(applied.revision, 3);
}

fn signed<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}
