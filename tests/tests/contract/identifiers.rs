//! Identifiers: what others call entities, and what is called so.

use cqar_proto::v1::{
    BatchResolveIdentifiersRequest, Deployment, ExternalId, IdentifiedEntity, Identifier, ListIdentifiersRequest,
    Mutation, ResolveIdentifierRequest, ResolveIdentifierResponse, TokenStandard, batch_resolve_identifiers_response,
    entity::Entity as Message, identified_entity::Entity as Key,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{
        Clients, SampleRegistry, asset, create, deployment, identifier, ids, mutation, named, reason, says, status_of,
        update, wrong_fields,
    },
    kinds::{Kind, Write},
};
use tonic::{Code, Status};

cqar_tests::in_both_environments! {
    what_a_source_calls_an_entity_names_it_and_no_other
    ids_of_standards_have_their_check_digits_and_forms
    one_identifier_of_a_source_is_the_primary_one
    caip19_ids_follow_from_deployments_without_being_written
    a_batch_resolves_ids_of_several_sources
    what_has_identifiers_is_not_deleted
}

fn external(source: &str, id: &str) -> ExternalId {
    ExternalId { source: source.into(), external_id: id.into() }
}

async fn resolve(clients: &mut Clients, source: &str, id: &str) -> Result<ResolveIdentifierResponse, Status> {
    let request = ResolveIdentifierRequest { external: Some(external(source, id)), ..Default::default() };
    clients.identifiers.resolve_identifier(request).await.map(tonic::Response::into_inner)
}

fn id_of(key: &Key) -> &str {
    match key {
        Key::AssetId(id) | Key::DeploymentId(id) | Key::InstrumentId(id) | Key::MarketId(id) | Key::VenueId(id) => id,
    }
}

async fn made(clients: &mut Clients, new: Identifier) -> Result<Identifier, Status> {
    Identifier::create(clients, new, Write::default()).await.map(|made| made.value)
}

async fn what_a_source_calls_an_entity_names_it_and_no_other(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    assert_eq!(reason(&resolve(&mut clients, "coingecko", "bitcoin").await.unwrap_err()), "IDENTIFIER_UNKNOWN");
    let keys = [
        Key::AssetId(small.btc.clone()),
        Key::InstrumentId(small.spot.clone()),
        Key::MarketId(small.kraken.clone()),
        Key::VenueId("kraken".into()),
    ];
    for (n, key) in keys.into_iter().enumerate() {
        let id = format!("id {n}");
        let there = made(&mut clients, identifier(key.clone(), "internal", &id)).await.unwrap();
        let found = resolve(&mut clients, "internal", &id).await.unwrap();
        assert_eq!(found.identifier.as_ref(), Some(&there));
        let named = found.entity.unwrap().entity.unwrap();
        assert_eq!(named.id(), id_of(&key));
        let again =
            made(&mut clients, identifier(Key::AssetId(small.usdt.clone()), "internal", &id)).await.unwrap_err();
        assert_eq!(
            (again.code(), says(&again, "field").as_deref()),
            (Code::AlreadyExists, Some("identifier.external_id"))
        );
        // Another source may call something else so.
        made(&mut clients, identifier(Key::AssetId(small.usdt.clone()), "messari", &id)).await.unwrap();
        let request =
            ListIdentifiersRequest { entity: Some(IdentifiedEntity { entity: Some(key) }), ..Default::default() };
        let listed = clients.identifiers.list_identifiers(request).await.unwrap().into_inner().identifiers;
        assert_eq!(listed, [there]);
    }
    let of_usdt = |source: &str| ListIdentifiersRequest {
        entity: Some(IdentifiedEntity { entity: Some(Key::AssetId(small.usdt.clone())) }),
        source: source.into(),
        ..Default::default()
    };
    for (source, count) in [("messari", 4), ("internal", 0), ("", 4)] {
        let listed = clients.identifiers.list_identifiers(of_usdt(source)).await.unwrap().into_inner().identifiers;
        assert_eq!(listed.len(), count, "{source}");
    }
    // What it names changes, and so does the answer; what is gone is not found.
    let venue = cqar_proto::v1::Venue { id: "kraken".into(), name: "Kraken Pro".into(), ..Default::default() };
    clients.apply(vec![mutation(update(venue))]).await.unwrap();
    let found = resolve(&mut clients, "internal", "id 3").await.unwrap();
    let Some(Message::Venue(venue)) = found.entity.unwrap().entity else { panic!() };
    assert_eq!(venue.name, "Kraken Pro");
    Identifier::delete(&mut clients, &found.identifier.unwrap().id, "", Write::default()).await.unwrap();
    assert_eq!(reason(&resolve(&mut clients, "internal", "id 3").await.unwrap_err()), "IDENTIFIER_UNKNOWN");
}

async fn ids_of_standards_have_their_check_digits_and_forms(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let of = |source: &str, id: &str| identifier(Key::AssetId(small.btc.clone()), source, id);
    for (source, good, bad, code) in [
        ("figi", "BBG000BLNNH6", "BBG000BLNNH7", "INVALID_FIGI"),
        ("isin", "US0378331005", "US0378331006", "INVALID_ISIN"),
        ("dti", "4H95J0R2X", "4H95J0R2Z", "INVALID_DTI"),
        ("mic", "XNAS", "xnas", "INVALID_MIC"),
        ("caip19", "eip155:1/slip44:60", "eip155:1/slip44", "INVALID_CAIP19"),
        ("caip19", "bip122:000000000019d6689c085ae165831e93/slip44:0", "eip155:1/erc20:0x12", "INVALID_CAIP19"),
    ] {
        let refused = made(&mut clients, of(source, bad)).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [("identifier.external_id".into(), code.into())]);
        made(&mut clients, of(source, good)).await.unwrap();
    }
    let entity = |entity| Some(IdentifiedEntity { entity });
    for (wrong, field, code) in [
        (of("", "x"), "source", "REQUIRED"),
        (of("CoinGecko", "x"), "source", "INVALID"),
        (of("coingecko", ""), "external_id", "REQUIRED"),
        (of("coingecko", &"x".repeat(257)), "external_id", "TOO_LONG"),
        (of("coingecko", "a\nb"), "external_id", "CONTROL_CHARACTER"),
        (Identifier { entity: None, ..of("coingecko", "x") }, "entity", "REQUIRED"),
        (Identifier { entity: entity(None), ..of("coingecko", "x") }, "entity", "REQUIRED"),
        (
            Identifier { entity: entity(Some(Key::AssetId("x".into()))), ..of("coingecko", "x") },
            "entity.asset_id",
            "INVALID",
        ),
        (
            Identifier { entity: entity(Some(Key::VenueId("nowhere".into()))), ..of("coingecko", "x") },
            "entity",
            "UNKNOWN_REFERENCE",
        ),
    ] {
        let refused = made(&mut clients, wrong).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(format!("identifier.{field}"), code.into())]);
    }
    for (source, id, field, code) in [
        ("", "x", "external.source", "INVALID"),
        ("coingecko", "", "external.external_id", "REQUIRED"),
        ("caip19", "eip155:1", "external.external_id", "INVALID_CAIP19"),
    ] {
        let refused = resolve(&mut clients, source, id).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [(field.into(), code.into())]);
    }
    let refused = clients.identifiers.resolve_identifier(ResolveIdentifierRequest::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("external".into(), "REQUIRED".into())]);
}

async fn one_identifier_of_a_source_is_the_primary_one(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let primary = |source: &str, id: &str| Identifier {
        is_primary: Some(true),
        ..identifier(Key::AssetId(small.btc.clone()), source, id)
    };
    let first = made(&mut clients, primary("coingecko", "bitcoin")).await.unwrap();
    let refused = made(&mut clients, primary("coingecko", "bitcoin-2")).await.unwrap_err();
    assert_eq!(
        (refused.code(), says(&refused, "field").as_deref()),
        (Code::AlreadyExists, Some("identifier.is_primary"))
    );
    made(&mut clients, primary("coinmarketcap", "1")).await.unwrap();
    let second = Identifier { is_primary: None, ..primary("coingecko", "bitcoin-2") };
    let second = made(&mut clients, second).await.unwrap();
    let is = |id: &str, is_primary| {
        mutation(update(Identifier { id: id.into(), is_primary: Some(is_primary), ..Identifier::default() }))
    };
    assert_eq!(reason(&clients.apply(vec![is(&second.id, true)]).await.unwrap_err()), "ENTITY_EXISTS");
    clients.apply(vec![is(&second.id, true), is(&first.id, false)]).await.unwrap();
    // Neither is taken for the other, nor is what is called so.
    let existing = |new| vec![Mutation { allow_existing: true, ..mutation(create(new)) }];
    let refused = clients.apply(existing(primary("coingecko", "bitcoin-3"))).await.unwrap_err();
    let field = says(&refused, "field");
    assert_eq!(
        (refused.code(), field.as_deref()),
        (Code::AlreadyExists, Some("mutations[0].create.identifier.is_primary"))
    );
    assert_eq!(ids(&clients.apply(existing(primary("coingecko", "bitcoin-2"))).await.unwrap()), [second.id.as_str()]);
    let other = identifier(Key::AssetId(small.usdt.clone()), "coingecko", "bitcoin");
    let refused = clients.apply(existing(other)).await.unwrap_err();
    let field = "mutations[0].create.identifier.entity".to_owned();
    assert_eq!(wrong_fields(&refused), [(field, "CONTRADICTION".into())]);
    let changed = Identifier { external_id: "else".into(), etag: String::new(), ..second.clone() };
    let refused = Identifier::update(&mut clients, changed, &["external_id"], Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("identifier.external_id".into(), "IMMUTABLE".into())]);
}

async fn caip19_ids_follow_from_deployments_without_being_written(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
    let id = format!("eip155:11155111/erc20:{address}");
    assert_eq!(reason(&resolve(&mut clients, "caip19", &id).await.unwrap_err()), "IDENTIFIER_UNKNOWN");
    // Written, for want of a deployment; then there is none that would have it.
    let written = made(&mut clients, identifier(Key::AssetId(small.usdt.clone()), "caip19", &id)).await.unwrap();
    assert_eq!(written.external_id, id.to_ascii_lowercase(), "in one spelling");
    let Message::Asset(named) = resolve(&mut clients, "caip19", &id).await.unwrap().entity.unwrap().entity.unwrap()
    else {
        panic!()
    };
    assert_eq!(named.id, small.usdt);
    let refused = Deployment::create(&mut clients, deployment("testnet", address, &small.btc), Write::default())
        .await
        .unwrap_err();
    assert_eq!((refused.code(), says(&refused, "field").as_deref()), (Code::AlreadyExists, Some("deployment.caip19")));
    Identifier::delete(&mut clients, &written.id, "", Write::default()).await.unwrap();

    let there = Deployment::create(&mut clients, deployment("testnet", address, &small.usdt), Write::default()).await;
    let there = there.unwrap().value;
    let found = resolve(&mut clients, "caip19", &id).await.unwrap();
    assert_eq!(found.identifier, None);
    assert_eq!(found.entity.unwrap().entity, Some(Message::Deployment(there.clone())));
    assert_eq!(found.asset.unwrap().id, small.usdt);
    let refused = made(&mut clients, identifier(Key::AssetId(small.btc.clone()), "caip19", &id)).await.unwrap_err();
    assert_eq!(
        (refused.code(), says(&refused, "field").as_deref()),
        (Code::AlreadyExists, Some("identifier.external_id"))
    );
    // Another standard is another id.
    let other = Deployment { standard: TokenStandard::Erc721.into(), ..there };
    Deployment::update(&mut clients, other, &["standard"], Write::default()).await.unwrap();
    assert_eq!(reason(&resolve(&mut clients, "caip19", &id).await.unwrap_err()), "IDENTIFIER_UNKNOWN");
    made(&mut clients, identifier(Key::AssetId(small.btc.clone()), "caip19", &id)).await.unwrap();
}

async fn a_batch_resolves_ids_of_several_sources(s: TestEnvironment) {
    use batch_resolve_identifiers_response::result::Result as Found;
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let of = |source: &str, id: &str| mutation(create(identifier(Key::AssetId(small.btc.clone()), source, id)));
    clients.apply(vec![of("coingecko", "bitcoin"), of("dti", "4H95J0R2X"), of("coinmarketcap", "1")]).await.unwrap();
    let asked =
        [("dti", "4H95J0R2X"), ("coingecko", "bitcoin"), ("coingecko", "1"), ("Not", "1"), ("coinmarketcap", "1")];
    let requests = asked.map(|(source, id)| external(source, id)).into();
    let request = BatchResolveIdentifiersRequest { requests, ..Default::default() };
    for _ in 0..2 {
        let answer = clients.identifiers.batch_resolve_identifiers(request.clone()).await.unwrap().into_inner();
        let found = answer.results.into_iter().map(|it| match it.result.unwrap() {
            Found::Resolved(it) => it.identifier.unwrap().external_id,
            Found::Error(error) => {
                let status = status_of(&error);
                wrong_fields(&status).first().map_or_else(|| reason(&status), |(field, _)| field.clone())
            }
        });
        let expected = ["4H95J0R2X", "bitcoin", "IDENTIFIER_UNKNOWN", "requests[3].source", "1"];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

async fn what_has_identifiers_is_not_deleted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let both = vec![
        named("new", create(asset("NEW"))),
        mutation(create(identifier(Key::AssetId("$new".into()), "coingecko", "new"))),
    ];
    let made = ids(&clients.apply(both).await.unwrap());
    let request = cqar_proto::v1::DeleteAssetRequest { asset_id: made[0].clone(), ..Default::default() };
    let refused = clients.assets.delete_asset(request.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REFERRED_TO"));
    Identifier::delete(&mut clients, &made[1], "", Write::default()).await.unwrap();
    clients.assets.delete_asset(request).await.unwrap();
    let late = identifier(Key::AssetId(made[0].clone()), "coingecko", "new");
    let refused = Identifier::create(&mut clients, late, Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("identifier.entity".into(), "DELETED_REFERENCE".into())]);
}
