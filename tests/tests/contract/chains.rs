//! Chains: what they settle on, what their own coin is called, and that none is ever another.

use cqar_proto::v1::{Chain, ChainStatus, ListChainsRequest, Venue, VenueType, entity_key::Key};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, chain, create, delete, mutation, reason, update, venue, wrong_fields},
    kinds::{Kind, Write},
};
use tonic::Code;

cqar_tests::in_both_environments! {
    layers_settle_on_one_another_and_never_in_a_circle
    two_halves_of_a_circle_do_not_slip_past_each_other
    the_own_coin_has_addresses_of_the_chains_kind
    what_was_once_referred_to_is_deprecated_and_never_deleted
}

fn on(id: &str, caip2: &str, parent: &str) -> Chain {
    Chain { parent_chain_id: parent.into(), ..chain(id, caip2) }
}

async fn layers_settle_on_one_another_and_never_in_a_circle(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let layers = [on("l1", "eip155:1", ""), on("l2", "eip155:2", "l1"), on("l3", "eip155:3", "l2")];
    clients.apply(layers.into_iter().map(|it| mutation(create(it))).collect()).await.unwrap();
    for (parent, code) in [("l1", "CYCLE"), ("l2", "CYCLE"), ("l3", "CYCLE"), ("l9", "UNKNOWN_REFERENCE")] {
        let refused = Chain::update(&mut clients, on("l1", "", parent), &["parent_chain_id"], Write::default()).await;
        let refused = refused.unwrap_err();
        assert_eq!(wrong_fields(&refused), [("chain.parent_chain_id".into(), code.into())]);
    }
    // As deep as they may be, and one deeper.
    for n in 4..=9 {
        let created = Chain::create(
            &mut clients,
            on(&format!("l{n}"), &format!("eip155:{n}"), &format!("l{}", n - 1)),
            Write::default(),
        )
        .await;
        match n {
            9 => assert_eq!(wrong_fields(&created.unwrap_err()), [("chain.parent_chain_id".into(), "TOO_DEEP".into())]),
            _ => drop(created.unwrap()),
        }
    }
    // A layer below all of them does not keep the others from being changed.
    let rooted = [mutation(create(on("l0", "eip155:100", ""))), mutation(update(on("l1", "", "l0")))];
    clients.apply(rooted.into()).await.unwrap();
    let renamed = Chain { name: "The eighth".into(), ..on("l8", "", "l7") };
    Chain::update(&mut clients, renamed, &["name", "parent_chain_id"], Write::default()).await.unwrap();
    let of_l1 = ListChainsRequest { parent_chain_id: "l1".into(), ..ListChainsRequest::default() };
    let listed = clients.chains.list_chains(of_l1).await.unwrap().into_inner().chains;
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["l2"]);
    let refused = Chain::delete(&mut clients, "l1", "", Write::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REFERRED_TO"));
}

async fn two_halves_of_a_circle_do_not_slip_past_each_other(s: TestEnvironment) {
    let server = s.options().start().await;
    let (mut one, mut other) = (Clients::of(&server).await, Clients::of(&server).await);
    for n in 0..20 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let both = [on(&a, &format!("eip155:1{n}"), ""), on(&b, &format!("eip155:2{n}"), "")];
        one.apply(both.into_iter().map(|it| mutation(create(it))).collect()).await.unwrap();
        let half = |on_it: &Chain| vec![mutation(update(on_it.clone()))];
        let (first, second) = (on(&a, "", &b), on(&b, "", &a));
        let (first, second) = tokio::join!(one.apply(half(&first)), other.apply(half(&second)));
        assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1, "one loses");
        let refused = first.err().or(second.err()).unwrap();
        assert_eq!(wrong_fields(&refused), [("mutations[0].update.chain.parent_chain_id".into(), "CYCLE".into())]);
    }
}

async fn the_own_coin_has_addresses_of_the_chains_kind(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let called = |addresses: &[&str]| Chain {
        native_addresses: addresses.iter().map(ToString::to_string).collect(),
        ..chain("ethereum", "eip155:1")
    };
    for (address, code) in [("0xEeee", "INVALID_ADDRESS"), ("native", "REDUNDANT"), ("", "INVALID_ADDRESS")] {
        let refused = Chain::create(&mut clients, called(&[address]), Write::default()).await.unwrap_err();
        assert_eq!(wrong_fields(&refused), [("chain.native_addresses[0]".into(), code.into())]);
    }
    let twice = called(&["0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE", "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"]);
    let refused = Chain::create(&mut clients, twice, Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("chain.native_addresses[1]".into(), "DUPLICATE".into())]);
    let many: Vec<String> = (0..17).map(|n| format!("0x{n:040}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = Chain::create(&mut clients, called(&many), Write::default()).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("chain.native_addresses".into(), "TOO_MANY".into())]);
    let created = Chain::create(
        &mut clients,
        called(&["0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE", "0x0000000000000000000000000000000000000000"]),
        Write::default(),
    );
    let created = created.await.unwrap().value;
    assert_eq!(
        created.native_addresses[0], "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        "in the spelling that is kept"
    );
    assert_eq!(created.status(), ChainStatus::Active);
}

async fn what_was_once_referred_to_is_deprecated_and_never_deleted(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    // One that nothing refers to may have been a mistake: corrected, deleted, and made again.
    Chain::create(&mut clients, chain("base", "eip155:8543"), Write::default()).await.unwrap();
    Chain::update(&mut clients, chain("base", "eip155:8453"), &["caip2"], Write::default()).await.unwrap();
    Chain::delete(&mut clients, "base", "", Write::default()).await.unwrap();
    Chain::create(&mut clients, chain("base", "eip155:8453"), Write::default()).await.unwrap();

    let on_chain = Venue { chain_id: "base".into(), r#type: VenueType::Dex.into(), ..venue("aerodrome") };
    Venue::create(&mut clients, on_chain, Write::default()).await.unwrap();
    let refused = Chain::delete(&mut clients, "base", "", Write::default()).await.unwrap_err();
    assert_eq!(reason(&refused), "REFERRED_TO");
    let left = Venue { chain_id: String::new(), ..venue("aerodrome") };
    Venue::update(&mut clients, left, &["chain_id"], Write::default()).await.unwrap();
    let refused = Chain::delete(&mut clients, "base", "", Write::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ONCE_REFERRED_TO"));
    let refused = clients.apply(vec![mutation(delete(Key::ChainId("base".into())))]).await.unwrap_err();
    assert_eq!(reason(&refused), "ONCE_REFERRED_TO");
    let another = Chain::update(&mut clients, chain("base", "eip155:1"), &["caip2"], Write::default()).await;
    assert_eq!(wrong_fields(&another.unwrap_err()), [("chain.caip2".into(), "IMMUTABLE".into())]);

    let deprecated = Chain { status: ChainStatus::Deprecated.into(), ..chain("base", "") };
    let deprecated = Chain::update(&mut clients, deprecated, &["status"], Write::default()).await.unwrap().value;
    assert_eq!(deprecated.status(), ChainStatus::Deprecated);
    for (status, count) in [(ChainStatus::Deprecated, 1), (ChainStatus::Active, 0)] {
        let request = ListChainsRequest { status: status.into(), ..ListChainsRequest::default() };
        assert_eq!(clients.chains.list_chains(request).await.unwrap().into_inner().chains.len(), count);
    }
}
