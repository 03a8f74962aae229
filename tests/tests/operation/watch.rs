//! From where a watch starts, what it lets through, and how it ends.

use cqar_proto::v1::{Event, WatchRequest, entity_key::Key, watch_response::Step};
use cqar_tests::{
    collect::{events_through, status, watch},
    environment::TestEnvironment,
    in_both_environments,
    server::Server,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::fixture::{apply, asset, create, delete, instrument, market, mutation, reason};

in_both_environments! {
    a_watch_starts_where_it_is_told
    filters_let_through_what_they_name_and_progress_marks_the_rest
    a_start_that_cannot_be_is_refused
    a_watch_ends_when_the_server_does
}

/// Makes one revision of so many assets, and returns it.
async fn write(server: &Server, assets: usize) -> i64 {
    let create = |n| mutation(create(asset(&format!("W{n}"))));
    apply(server, (0..assets).map(create).collect()).await.unwrap().revision
}

fn places(events: &[Event]) -> Vec<(i64, i32)> {
    events.iter().map(|event| (event.revision, event.index)).collect()
}

async fn refused(server: &Server, request: WatchRequest) -> Status {
    match server.events().await.watch(request).await {
        Ok(steps) => steps.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    }
}

async fn a_watch_starts_where_it_is_told(s: TestEnvironment) {
    let server = s.options().start().await;
    for assets in [2, 3, 1] {
        write(&server, assets).await;
    }
    let mut from_now = watch(&server, WatchRequest::default()).await;
    assert_eq!(from_now.message().await.unwrap().unwrap().step, Some(Step::Progress(3)), "caught up");
    let last = write(&server, 1).await;
    assert_eq!(last, 4);
    assert_eq!(places(&events_through(&mut from_now, 4).await), [(4, 0)]);

    let from = async |start_revision, start_index| {
        let request = WatchRequest { start_revision: Some(start_revision), start_index, ..Default::default() };
        places(&events_through(&mut watch(&server, request).await, 4).await)
    };
    let all = [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0), (4, 0)];
    assert_eq!(from(0, 0).await, all, "0 is the oldest");
    assert_eq!(from(1, 0).await, all);
    assert_eq!(from(2, 1).await, all[3..], "inclusive");
    assert_eq!(from(2, 3).await, all[5..], "beyond the end of its revision");
    assert_eq!(from(5, 0).await, [], "the next one that will be made");
}

async fn filters_let_through_what_they_name_and_progress_marks_the_rest(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let spot = instrument(&server, "BTC/USDT").await;
    let starter = status(&server).await.revision;
    let one = |operation| vec![mutation(operation)];
    let created = apply(&server, one(create(asset("WATCHED")))).await.unwrap();
    let Some(cqar_proto::v1::entity::Entity::Asset(watched)) = created.results[0].entity.clone() else { panic!() };
    apply(&server, one(create(market("kraken", "WATCHED", &spot)))).await.unwrap();
    apply(&server, one(create(market("okx", "WATCHED", &spot)))).await.unwrap();
    apply(&server, one(delete(Key::AssetId(watched.id.clone())))).await.unwrap();
    let last = starter + 4;

    let seen = async |filter: WatchRequest| {
        let request = WatchRequest { start_revision: Some(starter + 1), ..filter };
        let events = events_through(&mut watch(&server, request).await, last).await;
        events.into_iter().map(|event| (event.revision - starter, event.r#type)).collect::<Vec<_>>()
    };
    let told = |expected: &[(i64, &str)]| expected.iter().map(|(n, t)| (*n, (*t).to_owned())).collect::<Vec<_>>();
    let of_type = |name: &str| WatchRequest { entity_types: vec![name.into()], ..Default::default() };
    assert_eq!(seen(of_type("asset")).await, told(&[(1, "asset_created"), (4, "asset_deleted")]));
    assert_eq!(seen(of_type("market")).await, told(&[(2, "market_listed"), (3, "market_listed")]));
    assert_eq!(seen(of_type("chain")).await, [], "and progress is marked all the same");
    let of_entity = WatchRequest { entity_ids: vec![watched.id], ..Default::default() };
    assert_eq!(seen(of_entity).await, told(&[(1, "asset_created"), (4, "asset_deleted")]));
    let of_venue = WatchRequest { venue_ids: vec!["okx".into()], ..Default::default() };
    assert_eq!(seen(of_venue.clone()).await, told(&[(3, "market_listed")]));
    let both = WatchRequest { entity_types: vec!["asset".into()], ..of_venue };
    assert_eq!(seen(both).await, [], "filters of different sorts must all let it through");

    let status = refused(&server, of_type("marked")).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "entity_types[0]");
}

async fn a_start_that_cannot_be_is_refused(s: TestEnvironment) {
    let server = s.options().start().await;
    let revision = write(&server, 1).await;
    let log_id = status(&server).await.log_id;

    let of_another_log = WatchRequest { log_id: Uuid::now_v7().to_string(), ..Default::default() };
    let status = refused(&server, of_another_log).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "LOG_CHANGED"));
    assert_eq!(status.get_details_error_info().unwrap().metadata["log_id"], log_id);

    let future = WatchRequest { start_revision: Some(revision + 2), log_id: log_id.clone(), ..Default::default() };
    let status = refused(&server, future).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "REVISION_NOT_MADE"));
    assert_eq!(status.get_details_error_info().unwrap().metadata["newest_revision"], revision.to_string());

    for (start_revision, start_index) in [(Some(-1), 0), (Some(1), -1), (None, 1), (Some(0), 1)] {
        let status = refused(&server, WatchRequest { start_revision, start_index, ..Default::default() }).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{start_revision:?}.{start_index}");
    }
    let same = WatchRequest { start_revision: Some(1), log_id: log_id.clone(), ..Default::default() };
    let first = watch(&server, same).await.message().await.unwrap().unwrap();
    assert_eq!(first.log_id, log_id);
}

async fn a_watch_ends_when_the_server_does(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut steps = watch(&server, WatchRequest::default()).await;
    steps.message().await.unwrap();
    let ended = tokio::spawn(async move {
        loop {
            if let Err(status) = steps.message().await {
                return status;
            }
        }
    });
    assert!(server.terminate().await.success());
    let status = ended.await.unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
}
