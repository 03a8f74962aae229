//! Answers are bounded by bytes, whatever is asked for.

use cqar_proto::v1::{
    ApplyRequest, Asset, BatchGetAssetsRequest, ImportListingOptions, ListAssetsRequest,
    batch_get_assets_response::result::Result as Found, batch_resolve_markets_response::result::Result as Resolved,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, SampleRegistry, asset, batch_of, create, ids, mutation, reason, says, update},
    kinds::{Kind, Write},
};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::{
    listing::{binance_with, creating, raw, spot},
    resolve::query,
};

cqar_tests::in_both_environments! {
    a_batch_of_large_entities_is_answered_as_far_as_one_answer_reaches
    a_batch_of_resolutions_is_answered_as_far_as_one_answer_reaches
    a_page_stays_below_what_clients_receive
    a_request_whose_answer_would_be_too_large_is_refused_and_writes_nothing
    a_large_answer_is_not_kept_and_its_repetition_is_told_the_revision
}

/// About as large as an asset can be.
fn large(symbol: &str) -> Asset {
    let labels = (0..64).map(|n| (format!("key-{n}"), "\u{10348}".repeat(255))).collect();
    Asset { labels, description: "\u{10348}".repeat(4000), ..asset(symbol) }
}

async fn create_large(clients: &mut Clients, count: usize) -> Vec<String> {
    let large = |n: usize| mutation(create(large(&format!("L{n}"))));
    let mut created = Vec::new();
    // Requests are of 16 MiB at most.
    for chunk in (0..count).collect::<Vec<_>>().chunks(100) {
        created.extend(ids(&clients.apply(chunk.iter().map(|n| large(*n)).collect()).await.unwrap()));
    }
    created
}

async fn a_batch_of_large_entities_is_answered_as_far_as_one_answer_reaches(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let id = create_large(&mut clients, 1).await.remove(0);
    let request = BatchGetAssetsRequest { asset_ids: vec![id; 10_000], ..BatchGetAssetsRequest::default() };
    let answer = clients.assets.batch_get_assets(request).await.unwrap().into_inner();
    assert!(answer.encoded_len() < 40 << 20, "{}", answer.encoded_len());
    assert_eq!(answer.results.len(), 10_000);
    let found = answer.results.iter().take_while(|it| matches!(it.result, Some(Found::Asset(_)))).count();
    assert!(found > 250, "{found}");
    for result in &answer.results[found..] {
        let Some(Found::Error(error)) = &result.result else { panic!("{result:?}") };
        assert_eq!(error.code, i32::from(Code::ResourceExhausted));
    }
    let Some(Found::Error(error)) = &answer.results[9999].result else { panic!() };
    let status = Status::with_details(Code::from(error.code), "", error.encode_to_vec().into());
    assert_eq!(status.get_details_error_info().unwrap().reason, "ANSWER_TOO_LARGE");
}

async fn a_page_stays_below_what_clients_receive(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let mut created = create_large(&mut clients, 100).await;
    // With the limit that clients have unless they raise it.
    let mut assets = cqar_proto::v1::asset_service_client::AssetServiceClient::new(server.channel().await);
    let (mut listed, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListAssetsRequest { page_size: 1000, page_token: token, ..ListAssetsRequest::default() };
        let page = assets.list_assets(request).await.unwrap().into_inner();
        listed.extend(page.assets.into_iter().map(|asset| asset.id));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    created.sort();
    assert_eq!(listed, created);
    assert!(pages > 2, "{pages}");
}

async fn a_request_whose_answer_would_be_too_large_is_refused_and_writes_nothing(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let created = create_large(&mut clients, 500).await;
    let revision = clients.revision().await;
    let rename = |id: &String| mutation(update(Asset { id: id.clone(), name: "Renamed".into(), ..Asset::default() }));
    let refused = clients.apply(created.iter().map(rename).collect()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "ANSWER_TOO_LARGE"));
    assert_eq!(clients.revision().await, revision);
    // Each mutation is answered, however many are about the same.
    let refused = clients.apply(vec![rename(&created[0]); 500]).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "ANSWER_TOO_LARGE"));
    assert_eq!(clients.revision().await, revision);
    clients.apply(created[..200].iter().map(rename).collect()).await.unwrap();
}

async fn a_batch_of_resolutions_is_answered_as_far_as_one_answer_reaches(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let base = Asset { id: small.btc.clone(), ..large("BTC") };
    Asset::update(&mut clients, base, &["labels", "description"], Write::default()).await.unwrap();
    let requests = vec![query("kraken", "XBTUSDT", None); 10_000];
    let answer = clients.markets.batch_resolve_markets(batch_of(&requests)).await.unwrap().into_inner();
    assert!(answer.encoded_len() < 40 << 20, "{}", answer.encoded_len());
    assert_eq!(answer.results.len(), 10_000);
    let found = answer.results.iter().take_while(|it| matches!(it.result, Some(Resolved::Resolved(_)))).count();
    assert!(found > 250, "{found}");
    for result in &answer.results[found..] {
        let Some(Resolved::Error(error)) = &result.result else { panic!("{result:?}") };
        assert_eq!(error.code, i32::from(Code::ResourceExhausted));
    }
}

async fn a_large_answer_is_not_kept_and_its_repetition_is_told_the_revision(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let request = ApplyRequest {
        mutations: (0..1000).map(|n| mutation(create(asset(&format!("A{n}"))))).collect(),
        request_id: Uuid::now_v7().to_string(),
        ..ApplyRequest::default()
    };
    let first = clients.registry.apply(request.clone()).await.unwrap().into_inner();
    assert!(first.encoded_len() > 64 << 10);
    let again = clients.registry.apply(request).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "ANSWER_NOT_KEPT"));
    assert_eq!(says(&again, "revision"), Some(first.revision.to_string()));
    assert_eq!(clients.revision().await, first.revision);

    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let listed: Vec<_> = (0..1500).map(|n| spot(&format!("N{n}USDT"), &format!("N{n}"), "USDT")).collect();
    let options = ImportListingOptions { request_id: Uuid::now_v7().to_string(), ..creating() };
    let first = clients.import(options.clone(), &raw(&listed)).await.unwrap();
    assert_eq!((first.created, first.markets.len(), first.rows_omitted), (1500, 1500, false));
    let again = clients.import(options, &raw(&listed)).await.unwrap();
    assert_eq!((again.created, again.markets.len(), again.revision), (1500, 0, first.revision));
    assert!(again.replayed && again.rows_omitted);
}
