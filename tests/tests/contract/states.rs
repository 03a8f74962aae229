//! What a request may leave behind, and which of several a creation means.

use cqar_domain::time::{Clock, SystemClock};
use cqar_proto::{
    v1::{Asset, AssetType, Market, MarketStatus, Mutation, Venue, entity_key::Key},
    well_known::Timestamp,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, create, delete, ids, market, mutation, named, reason, spot, time, update,
        venue, wrong_fields,
    },
};
use tonic::Code;

cqar_tests::in_both_environments! {
    what_is_left_deleted_keeps_to_the_rules
    a_status_that_contradicts_its_times_is_refused
    a_creation_that_may_find_takes_the_live_market_and_chooses_none_among_several
    unclassified_assets_are_found_by_symbol_and_name
}

fn or_existing(mutation: Mutation) -> Mutation {
    Mutation { allow_existing: true, ..mutation }
}

async fn what_is_left_deleted_keeps_to_the_rules(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let revision = clients.revision().await;

    let again = vec![
        named("again", create(spot(&small.btc, &small.usdt))),
        mutation(delete(Key::InstrumentId("$again".into()))),
    ];
    let refused = clients.apply(again).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "ENTITY_EXISTS"));

    clients.apply(vec![mutation(create(venue("okx")))]).await.unwrap();
    let nowhere = Venue { id: "okx".into(), chain_id: "nope".into(), ..Venue::default() };
    let gone = vec![mutation(update(nowhere)), mutation(delete(Key::VenueId("okx".into())))];
    let refused = clients.apply(gone).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("mutations[1].delete.chain_id".into(), "UNKNOWN_REFERENCE".into())]);
    assert_eq!(clients.revision().await, revision + 1);

    // What goes together may go together.
    let terms = vec![named("a", create(asset("GONE"))), named("i", create(spot("$a", &small.usdt)))];
    let [asset_id, instrument_id] = ids(&clients.apply(terms).await.unwrap()).try_into().unwrap();
    let both = [Key::InstrumentId(instrument_id), Key::AssetId(asset_id)];
    clients.apply(both.map(delete).map(mutation).into()).await.unwrap();
}

fn from_now(hours: i64) -> Timestamp {
    SystemClock.now().plus_seconds(hours * 3600).into()
}

async fn a_status_that_contradicts_its_times_is_refused(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let of = |status: MarketStatus, listed: i64, delisted: Option<i64>| Market {
        status: status.into(),
        listed_time: Some(from_now(listed)),
        delisted_time: delisted.map(from_now),
        ..market("kraken", "states", "S", &small.spot)
    };
    for wrong in [
        of(MarketStatus::Active, 1, None),
        of(MarketStatus::Active, -2, Some(-1)),
        of(MarketStatus::Delisted, -2, Some(1)),
        of(MarketStatus::Announced, -1, None),
    ] {
        let refused = clients.apply(vec![mutation(create(wrong))]).await.unwrap_err();
        let expected = ("mutations[0].create.market.status".into(), "STATUS_CONTRADICTS_TIMES".into());
        assert_eq!(wrong_fields(&refused), [expected]);
    }
    let announced = of(MarketStatus::Announced, 1, None);
    let id = ids(&clients.apply(vec![mutation(create(announced))]).await.unwrap()).remove(0);
    let early = Market { id: id.clone(), status: MarketStatus::Active.into(), ..Market::default() };
    let refused = clients.apply(vec![mutation(update(early.clone()))]).await.unwrap_err();
    assert_eq!(wrong_fields(&refused)[0].1, "STATUS_CONTRADICTS_TIMES");
    let now = Market { listed_time: Some(from_now(-1)), ..early };
    clients.apply(vec![mutation(update(now))]).await.unwrap();
}

async fn a_creation_that_may_find_takes_the_live_market_and_chooses_none_among_several(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let between = |from: &str, until: Option<&str>| Market {
        status: if until.is_some() { MarketStatus::Delisted } else { MarketStatus::Active }.into(),
        listed_time: Some(time(from)),
        delisted_time: until.map(time),
        ..market("kraken", "again", "A", &small.spot)
    };
    let first = between("2020-01-01T00:00:00Z", Some("2021-01-01T00:00:00Z"));
    let second = between("2022-01-01T00:00:00Z", Some("2023-01-01T00:00:00Z"));
    let live = between("2024-01-01T00:00:00Z", None);
    let created = [first, second].map(create).map(mutation);
    clients.apply(created.into()).await.unwrap();

    // Since ever, and so at the time of both.
    let any = Market { listed_time: None, ..between("2024-01-01T00:00:00Z", None) };
    let refused = clients.apply(vec![or_existing(mutation(create(any.clone())))]).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "ENTITY_EXISTS"));

    let live = ids(&clients.apply(vec![mutation(create(live))]).await.unwrap()).remove(0);
    let found = ids(&clients.apply(vec![or_existing(mutation(create(any)))]).await.unwrap()).remove(0);
    assert_eq!(found, live);
}

async fn unclassified_assets_are_found_by_symbol_and_name(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let unclassified = |name: &str| Asset { name: name.into(), r#type: AssetType::Unclassified.into(), ..asset("NEW") };
    let create = |asset: Asset| or_existing(mutation(create(asset)));
    let mut apply = async |asset: Asset| clients.apply(vec![create(asset)]).await.map(|it| ids(&it).remove(0));
    let first = apply(unclassified("New coin")).await.unwrap();
    assert_eq!(apply(unclassified("New coin")).await.unwrap(), first, "the same, however often");
    let other = apply(unclassified("Another coin")).await.unwrap();
    assert_ne!(other, first);
    assert_eq!(apply(unclassified("Another coin")).await.unwrap(), other);
    // Once somebody classified one, it is what a classified creation means, and an unclassified one keeps its own.
    let classified = apply(asset("NEW")).await.unwrap();
    assert!(classified != first && classified != other);
    assert_eq!(apply(asset("NEW")).await.unwrap(), classified);
    assert_eq!(apply(unclassified("New coin")).await.unwrap(), first);
    assert_eq!(apply(unclassified("A third coin")).await.unwrap(), classified);
}
