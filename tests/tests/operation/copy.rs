//! A client's way to a full copy: list everything, then watch from the revision after the first page's.

use cqar_proto::v1::{
    Asset, ImportListingOptions, Market, MarketStatus, WatchRequest, entity::Entity as Kind, entity_key::Key,
    mutation::Operation,
};
use cqar_tests::{
    collect::{ClientCopy, events_through, status, watch},
    environment::TestEnvironment,
    fixtures, in_both_environments,
    server::Server,
};
use tokio::sync::watch as progress;
use tokio_util::sync::CancellationToken;

use crate::fixture::{
    apply, asset, create, delete, import_listing, instrument, into_binance, listing, market, mutation, undelete, update,
};

in_both_environments! {
    a_copy_taken_under_load_ends_as_what_the_server_holds
}

async fn a_copy_taken_under_load_ends_as_what_the_server_holds(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let spot = instrument(&server, "BTC/USDT").await;
    let (token, (sender, written)) = (CancellationToken::new(), progress::channel(0_u64));
    let mut copy = ClientCopy::default();
    let writing = async {
        let (a, b) = (write(&server, "A", &spot, &token, &sender), write(&server, "B", &spot, &token, &sender));
        tokio::join!(a, b);
    };
    let importing = async {
        let payload = listing("NEW", 500);
        let imported = import_listing(&server, into_binance(), &payload).await.unwrap();
        assert_eq!(imported.created, 500);
        let complete_segments = vec!["spot".to_owned()];
        let delist = ImportListingOptions { delist_absent: true, complete_segments, force: true, ..into_binance() };
        let imported = import_listing(&server, delist, &listing("NEW", 400)).await.unwrap();
        assert!(imported.delisted >= 100, "{}", imported.delisted);
    };
    let copying = async {
        // Between two pages something is written.
        let between = || async {
            let mut written = written.clone();
            written.mark_unchanged();
            written.changed().await.unwrap();
        };
        copy = ClientCopy::list(&server, 20, between).await;
        let start_revision = Some(copy.revision + 1);
        watch(&server, WatchRequest { start_revision, ..Default::default() }).await
    };
    let (mut steps, ()) = tokio::join!(
        async {
            let (steps, ()) = tokio::join!(copying, importing);
            token.cancel();
            steps
        },
        writing
    );
    let last = status(&server).await.revision;
    let events = events_through(&mut steps, last).await;
    println!("from revision {} to {last} with {} events", copy.revision, events.len());
    assert!(events.len() > 500);
    for event in events {
        copy.apply(event);
    }

    let held = ClientCopy::list(&server, 1000, || async {}).await;
    assert_eq!(held.revision, last, "nothing was written since");
    assert_eq!(copy.entities.len(), held.entities.len());
    for (key, held) in &held.entities {
        assert_eq!(copy.entities.get(key), Some(held), "{key}");
    }
}

/// Writes of every sort, round and round, until told to end.
async fn write(server: &Server, name: &str, spot: &str, token: &CancellationToken, written: &progress::Sender<u64>) {
    let send = async |operations: Vec<Operation>| {
        let answer = apply(server, operations.into_iter().map(mutation).collect()).await.unwrap();
        written.send_modify(|count| *count += 1);
        answer.results.into_iter().map(|entity| entity.entity.unwrap()).collect::<Vec<_>>()
    };
    let assets = ["base", "quote"].map(|it| create(asset(&format!("{name}-{it}"))));
    let created = send(assets.into()).await;
    let [Kind::Asset(renamed), Kind::Asset(quote)] = created.as_slice() else { panic!("{created:?}") };
    send(vec![create(fixtures::spot(&renamed.id, &quote.id))]).await;
    for n in 0.. {
        if token.is_cancelled() {
            return;
        }
        let created =
            send(vec![create(asset(&format!("{name}{n}"))), create(market("kraken", &format!("{name}{n}"), spot))])
                .await;
        let [Kind::Asset(asset), Kind::Market(market)] = created.as_slice() else { panic!("{created:?}") };
        send(vec![update(Asset { description: "known".into(), ..asset.clone() })]).await;
        // The instrument's code is of the symbol.
        let symbol = format!("{name}-{n}x");
        send(vec![update(Asset { symbol, etag: String::new(), ..renamed.clone() })]).await;
        let halted = Market { status: MarketStatus::Halted.into(), ..market.clone() };
        send(vec![update(halted), delete(Key::AssetId(asset.id.clone()))]).await;
        match n % 3 {
            0 => send(vec![undelete(Key::AssetId(asset.id.clone()))]).await,
            1 => send(vec![delete(Key::MarketId(market.id.clone()))]).await,
            _ => {
                send(vec![Operation::Delist(cqar_proto::v1::Delisting {
                    market_id: market.id.clone(),
                    delisted_time: None,
                })])
                .await
            }
        };
    }
}
