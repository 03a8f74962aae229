//! Create, read, change and delete, of each type of entity.

use cqar_domain::id::EntityType;
use cqar_proto::v1::{
    Asset, Chain, DelistMarketRequest, Instrument, Market, MarketStatus, UndeleteAssetRequest,
    UndeleteInstrumentRequest, UndeleteVenueRequest, Venue,
};
use cqar_tests::{
    collect,
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, chain, create, market, mutation, preconditions, reason, says, spot, time,
        venue, wrong_fields,
    },
};
use tonic::Code;
use uuid::Uuid;

use cqar_tests::{
    for_each_kind,
    kinds::{Answered, Kind, Write},
};

cqar_tests::in_both_environments! {
    every_entity_is_created_read_changed_and_deleted
    a_try_commits_nothing_and_a_write_without_change_makes_no_revision
    a_deleted_entity_is_got_and_not_listed_until_it_is_undeleted
    what_others_refer_to_is_not_deleted_and_the_referrers_are_named
    a_market_is_delisted_now_or_from_a_moment_on
    what_is_immutable_or_unknown_in_a_mask_is_refused_by_name
}

async fn every_entity_is_created_read_changed_and_deleted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    for_each_kind!(live_through, &mut clients, &small);

    let log = collect::log(&server).await;
    collect::assert_whole(&log);
    let types: Vec<&str> = log.iter().filter(|it| it.revision > 1).map(|it| it.r#type.as_str()).collect();
    let expected = EntityType::ALL.map(|entity| {
        let created = if entity == EntityType::Market { "listed" } else { "created" };
        [created, "updated", "deleted"].map(|what| format!("{entity}_{what}"))
    });
    assert_eq!(types, expected.concat());
}

async fn live_through<K: Kind>(clients: &mut Clients, registry: &SampleRegistry) {
    let sample = K::sample(registry);
    let before = clients.revision().await;
    let Answered { revision, value: created } = K::create(clients, sample.new, Write::default()).await.unwrap();
    assert_eq!((revision, created.revision()), (before + 1, before + 1));
    assert!(created.has_times());
    assert_eq!(K::get(clients, created.id(), revision).await.unwrap(), Answered { revision, value: created.clone() });

    let twice = K::create(clients, created.clone(), Write::default()).await.unwrap_err();
    assert_eq!((twice.code(), reason(&twice).as_str()), (Code::AlreadyExists, "ENTITY_EXISTS"));

    let unknown = if Uuid::try_parse(created.id()).is_ok() { Uuid::now_v7().to_string() } else { "unknown".into() };
    let missing = K::get(clients, &unknown, 0).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "ENTITY_NOT_FOUND"));
    let ids = [created.id(), &unknown, "Not An Id", created.id()].map(str::to_owned);
    let batch = K::batch_get(clients, ids.into()).await.unwrap();
    let codes: Vec<Code> = batch.iter().map(|it| it.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok)).collect();
    assert_eq!(codes, [Code::Ok, Code::NotFound, Code::InvalidArgument, Code::Ok]);
    assert_eq!(batch.first().unwrap().as_ref().unwrap(), &created);

    let changed = created.with_field(&sample.other);
    let Answered { revision, value: updated } =
        K::update(clients, changed.clone(), &[K::FIELD], Write::default()).await.unwrap();
    assert_eq!((revision, updated.revision()), (before + 2, before + 2));
    assert_eq!(updated.field(), sample.other);
    assert_eq!(K::get(clients, created.id(), 0).await.unwrap().value, updated, "the next read is new");

    // `created` still has the etag of its creation.
    let stale = K::update(clients, created.clone(), &[K::FIELD], Write::default()).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
    assert_eq!(says(&stale, "current_etag").as_deref(), Some(updated.etag()));
    let stale = K::delete(clients, created.id(), created.etag(), Write::default()).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
    let missing = K::delete(clients, &unknown, "", Write::default()).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);

    let deleted = K::delete(clients, created.id(), updated.etag(), Write::default()).await.unwrap();
    assert_eq!(deleted.revision, before + 3);
    assert_eq!(clients.revision().await, before + 3, "nothing that was refused made a revision");
}

async fn a_try_commits_nothing_and_a_write_without_change_makes_no_revision(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    for_each_kind!(try_and_repeat, &mut clients, &small);
    assert_eq!(
        collect::log(&server).await.iter().filter(|it| it.revision > 1).count(),
        EntityType::ALL.len(),
        "the creations"
    );
}

async fn try_and_repeat<K: Kind>(clients: &mut Clients, registry: &SampleRegistry) {
    let sample = K::sample(registry);
    let only_try = Write { validate_only: true, request_id: Uuid::now_v7().to_string() };
    let before = clients.revision().await;
    let tried = K::create(clients, sample.new.clone(), only_try.clone()).await.unwrap();
    assert_eq!(tried.revision, before);
    assert_eq!(K::get(clients, tried.value.id(), 0).await.unwrap_err().code(), Code::NotFound);

    let created = K::create(clients, sample.new, Write::default()).await.unwrap().value;
    let changed = created.with_field(&sample.other);
    let tried = K::update(clients, changed.clone(), &[], only_try.clone()).await.unwrap();
    assert_eq!(tried.value.field(), changed.field());
    K::delete(clients, created.id(), "", only_try).await.unwrap();
    assert_eq!(K::get(clients, created.id(), 0).await.unwrap().value, created);

    let same = K::update(clients, created.clone(), &["*"], Write::default()).await.unwrap();
    assert_eq!(same, Answered { revision: before + 1, value: created });
    assert_eq!(clients.revision().await, before + 1);
}

async fn a_deleted_entity_is_got_and_not_listed_until_it_is_undeleted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    macro_rules! check {
        ($Entity:ident in $client:ident: $undelete:ident $request:ident $field:ident $id:ident, $new:expr) => {{
            let created = $Entity::create(&mut clients, $new, Write::default()).await.unwrap().value;
            let deleted = $Entity::delete(&mut clients, &created.id, "", Write::default()).await.unwrap().value;
            assert!(deleted.delete_time.is_some());
            assert_eq!($Entity::get(&mut clients, &created.id, 0).await.unwrap().value, deleted);
            let listed = $Entity::list(&mut clients, 0, "").await.unwrap().0;
            assert!(listed.iter().all(|it| it.id != created.id));

            let again = $Entity::create(&mut clients, created.clone(), Write::default()).await.unwrap_err();
            assert_eq!((again.code(), says(&again, "deleted").as_deref()), (Code::AlreadyExists, Some("true")));
            assert!(again.message().contains("undelete"), "{}", again.message());
            let refused = $Entity::update(&mut clients, deleted, &["*"], Write::default()).await.unwrap_err();
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ENTITY_DELETED"));

            let request = $request { $id: created.id.clone(), ..Default::default() };
            let undeleted = clients.$client.$undelete(request).await.unwrap().into_inner().$field.unwrap();
            assert_eq!(undeleted.delete_time, None);
            let listed = $Entity::list(&mut clients, 0, "").await.unwrap().0;
            assert!(listed.contains(&undeleted));
        }};
    }
    check!(Asset in assets: undelete_asset UndeleteAssetRequest asset asset_id, asset("ETH"));
    check!(Venue in venues: undelete_venue UndeleteVenueRequest venue venue_id, venue("okx"));
    let swapped = spot(&small.usdt, &small.btc);
    check!(Instrument in instruments: undelete_instrument UndeleteInstrumentRequest instrument instrument_id, swapped);
}

async fn what_others_refer_to_is_not_deleted_and_the_referrers_are_named(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let refused = Asset::delete(&mut clients, &small.btc, "", Write::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REFERRED_TO"));
    let mut named: Vec<String> = preconditions(&refused).into_iter().map(|(subject, _)| subject).collect();
    named.sort();
    let mut expected = [&small.spot, &small.perpetual].map(|id| format!("instrument {id}"));
    expected.sort();
    assert_eq!(named, expected);

    // Of many referrers, ten are named.
    let markets = (0..12).map(|n| market("kraken", "", &format!("XBT{n}"), &small.spot));
    clients.apply(markets.map(|it| mutation(create(it))).collect()).await.unwrap();
    let refused = Instrument::delete(&mut clients, &small.spot, "", Write::default()).await.unwrap_err();
    assert_eq!(preconditions(&refused).len(), 10);
    let refused = Venue::delete(&mut clients, "kraken", "", Write::default()).await.unwrap_err();
    assert_eq!((refused.code(), preconditions(&refused).len()), (Code::FailedPrecondition, 10));

    // A chain is deleted for good, once nothing refers to it.
    let ethereum = chain("ethereum", "eip155:1");
    Kind::create(&mut clients, ethereum, Write::default()).await.unwrap();
    let dex = Venue { chain_id: "ethereum".into(), ..venue("dex") };
    Kind::create(&mut clients, dex, Write::default()).await.unwrap();
    let refused = Chain::delete(&mut clients, "ethereum", "", Write::default()).await.unwrap_err();
    assert_eq!(preconditions(&refused)[0].0, "venue dex");
}

async fn a_market_is_delisted_now_or_from_a_moment_on(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let delist = |id: &str, at: Option<&str>| DelistMarketRequest {
        market_id: id.into(),
        delisted_time: at.map(time),
        ..DelistMarketRequest::default()
    };
    let past = clients.markets.delist_market(delist(&small.kraken, Some("2024-01-01T00:00:00Z"))).await;
    let past = past.unwrap().into_inner().market.unwrap();
    assert_eq!((past.status(), past.delisted_time), (MarketStatus::Delisted, Some(time("2024-01-01T00:00:00Z"))));
    let future = clients.markets.delist_market(delist(&small.binance_usdm, Some("2999-01-01T00:00:00Z"))).await;
    assert_eq!(future.unwrap().into_inner().market.unwrap().status(), MarketStatus::Delisting);
    let now = clients.markets.delist_market(delist(&small.binance_spot, None)).await.unwrap().into_inner();
    let now = now.market.unwrap();
    assert!(now.status() == MarketStatus::Delisted && now.delisted_time.is_some());
    let revision = clients.revision().await;
    let again = clients.markets.delist_market(delist(&small.binance_spot, None)).await.unwrap().into_inner();
    assert_eq!((again.market.unwrap(), clients.revision().await), (now.clone(), revision), "delisted already");

    let mut revived = now;
    revived.set_status(MarketStatus::Active);
    let refused = Kind::update(&mut clients, revived, &["status"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("market.status".into(), "STATUS_TRANSITION".into())]);
    let log = collect::log(&server).await;
    let types: Vec<&str> = log.iter().filter(|it| it.revision > 1).map(|it| it.r#type.as_str()).collect();
    assert_eq!(types, ["market_delisted", "market_status_changed", "market_delisted"]);
    assert_eq!(log.iter().find(|it| it.revision == 2).unwrap().effective_time, Some(time("2024-01-01T00:00:00Z")));

    // The symbol is free again, for a new market.
    let seen_again =
        Market { listed_time: Some(time("2025-01-01T00:00:00Z")), ..market("kraken", "", "XBTUSDT", &small.spot) };
    Kind::create(&mut clients, seen_again, Write::default()).await.unwrap();
    let overlapping = market("kraken", "", "XBTUSDT", &small.spot);
    assert_eq!(
        Kind::create(&mut clients, overlapping, Write::default()).await.unwrap_err().code(),
        Code::AlreadyExists
    );
}

async fn what_is_immutable_or_unknown_in_a_mask_is_refused_by_name(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let stored = Market::get(&mut clients, &small.kraken, 0).await.unwrap().value;
    let renamed = Market { venue_symbol: "XBTUSDT2".into(), segment: "spot".into(), ..stored.clone() };
    let refused = Kind::update(&mut clients, renamed, &[], Write::default()).await.unwrap_err();
    let immutable = |field: &str| (format!("market.{field}"), "IMMUTABLE".to_owned());
    assert_eq!(wrong_fields(&refused), [immutable("segment"), immutable("venue_symbol")]);
    let refused = Kind::update(&mut clients, stored.clone(), &["tick_sise"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused)[0].1, "UNKNOWN_FIELD");

    // Fields outside the mask keep their value; a named field that is unset is cleared.
    let change = Market { tick_size: "7".into(), lot_size: String::new(), ..stored.clone() };
    let changed = Kind::update(&mut clients, change, &["lot_size"], Write::default()).await.unwrap().value;
    assert_eq!((changed.tick_size.as_str(), changed.lot_size.as_str()), (stored.tick_size.as_str(), ""));
    // Equal by value is no change.
    let revision = clients.revision().await;
    let same = Market { tick_size: "0.0100".into(), etag: String::new(), ..changed.clone() };
    assert_eq!(Kind::update(&mut clients, same, &["tick_size"], Write::default()).await.unwrap().value, changed);
    assert_eq!(clients.revision().await, revision);
}
