//! Answers are bounded by bytes, whatever is asked for.

use cqar_proto::v1::{
    ApplyRequest, Asset, BatchGetAssetsRequest, FindMarketsRequest, ImportListingOptions, ImportListingRequest,
    ListAssetsRequest, Market, Venue, batch_get_assets_response::result::Result as Found,
    batch_resolve_markets_response::result::Result as Resolved, find_markets_request, import_listing_request::Part,
};
use cqar_tests::{
    collect::until,
    environment::TestEnvironment,
    fixtures::{
        Clients, Imported, SampleRegistry, asset, batch_of, create, ids, import, market, mutation, reason, says,
        update, venue,
    },
    kinds::{Kind, Write},
    server::Server,
};
use futures::StreamExt;
use prost::Message;
use tokio::task::JoinHandle;
use tonic::{Code, Status, codec::CompressionEncoding};
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
    the_markets_of_an_instrument_stay_below_what_clients_receive
    calls_that_hold_the_memory_of_all_refuse_the_next_large_one
    what_comes_compressed_and_in_small_pieces_counts_as_what_it_is
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

async fn the_markets_of_an_instrument_stay_below_what_clients_receive(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let labels = || (0..64).map(|n| (format!("key-{n}"), "\u{10348}".repeat(255))).collect();
    let listed = |n: usize| Market { labels: labels(), ..market("kraken", "", &format!("L{n}"), &small.spot) };
    let of_all = FindMarketsRequest {
        key: Some(find_markets_request::Key::InstrumentId(small.spot.clone())),
        ..FindMarketsRequest::default()
    };
    clients.apply((0..40).map(|n| mutation(create(listed(n)))).collect()).await.unwrap();
    let found = clients.markets.find_markets(of_all.clone()).await.unwrap().into_inner();
    assert!(found.markets.len() > 40, "{}", found.markets.len());
    clients.apply((40..80).map(|n| mutation(create(listed(n)))).collect()).await.unwrap();
    let refused = clients.markets.find_markets(of_all.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "ANSWER_TOO_LARGE"));
    let elsewhere = FindMarketsRequest { venue_ids: vec!["binance".into()], ..of_all };
    clients.markets.find_markets(elsewhere).await.unwrap();
}

async fn memory_of_calls(server: &Server) -> f64 {
    let (_, metrics) = server.http_get(server.metrics(), "/metrics").await;
    metrics.lines().find_map(|line| line.strip_prefix("cqar_grpc_memory_bytes ")).unwrap().parse().unwrap()
}

async fn calls_that_hold_the_memory_of_all_refuse_the_next_large_one(s: TestEnvironment) {
    let server = s.options().with("SERVER_BATCH_MEMORY", "128MiB").start().await;
    let mut clients = Clients::of(&server).await;
    Venue::create(&mut clients, venue("slow"), Write::default()).await.unwrap();
    // Two uploads that never end, of 63 MiB each.
    let uploads: Vec<_> = (0..2)
        .map(|_| {
            let options = ImportListingOptions { venue_id: "slow".into(), ..ImportListingOptions::default() };
            let sent = import(options, &vec![b' '; 63 << 20]).chain(futures::stream::pending());
            let mut registry = clients.registry.clone();
            tokio::spawn(async move { registry.import_listing(sent).await.map(drop) })
        })
        .collect();
    let large = || ApplyRequest {
        mutations: (0..100).map(|n| mutation(create(large(&format!("L{n}"))))).collect(),
        validate_only: true,
        ..ApplyRequest::default()
    };
    let both = f64::from(125 << 20);
    until("all of both is there", async || (memory_of_calls(&server).await > both).then_some(())).await;
    let registry = clients.registry.clone();
    let attempt = async || registry.clone().apply(large()).await;
    let refused = attempt().await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "MEMORY_EXHAUSTED"));
    assert!(refused.get_details_retry_info().is_some());
    clients.apply(vec![mutation(create(asset("SMALL")))]).await.unwrap();
    uploads.iter().for_each(JoinHandle::abort);
    until("it is given back", async || attempt().await.ok()).await;
}

async fn what_comes_compressed_and_in_small_pieces_counts_as_what_it_is(s: TestEnvironment) {
    let server = s.options().with("SERVER_BATCH_MEMORY", "128MiB").start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let mut registry = clients.registry.clone().send_compressed(CompressionEncoding::Gzip);
    // Forty megabytes, mostly of spaces.
    let mut payload = raw(&[spot("BTCUSDT", "BTC", "USDT")]);
    payload.resize(40 << 20, b' ');
    let parts: Vec<Part> = std::iter::once(Part::Options(creating()))
        .chain(payload.chunks(300).map(|chunk| Part::Chunk(chunk.to_vec().into())))
        .collect();
    let messages = parts.into_iter().map(|part| ImportListingRequest { part: Some(part) });
    let steps = registry.import_listing(futures::stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!(Imported::receive(steps).await.unwrap().created, 1);
    let mutations = (0..100).map(|n| mutation(create(large(&format!("L{n}"))))).collect();
    registry.apply(ApplyRequest { mutations, ..ApplyRequest::default() }).await.unwrap();
    until("all of it is given back", async || (memory_of_calls(&server).await == 0.0).then_some(())).await;
}
