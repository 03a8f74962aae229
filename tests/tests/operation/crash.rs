//! SIGKILL in the middle of writes and of an import: nothing that was acknowledged is lost, nothing is half there.

use std::{collections::BTreeMap, time::Duration};

use cqar_proto::v1::{
    Asset, BatchGetAssetsRequest, CreateAssetRequest, ListMarketsRequest, UpdateAssetRequest,
    asset_service_client::AssetServiceClient, batch_get_assets_response::result::Result as Got,
    registry_service_client::RegistryServiceClient,
};
use cqar_tests::{
    collect::{assert_whole, log},
    environment::TestEnvironment,
    in_both_environments,
    server::Server,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::{Status, transport::Channel};

use crate::{
    fixture::{Imported, asset, import, into_binance, listing},
    follower::Follower,
};

in_both_environments! {
    what_was_acknowledged_survives_every_kill
}

const WRITERS: usize = 6;
const LISTED: usize = 1500;

/// When the server is killed, counted from the beginning of an import.
#[derive(Debug)]
enum Moment {
    /// After so many writes were acknowledged.
    Acknowledged(usize),
    /// When no write gets through any more, as the import's transaction holds them up.
    HeldUp,
}

async fn what_was_acknowledged_survives_every_kill(s: TestEnvironment) {
    let options = s.options().with_starter();
    let mut server = options.start().await;
    let follower = match s.nats() {
        Some(nats) => Some(Follower::start(nats).await),
        None => None,
    };
    let mut acknowledged = BTreeMap::new();
    let moments = [Moment::Acknowledged(3), Moment::HeldUp, Moment::Acknowledged(60), Moment::HeldUp];
    let mut cut_off = 0;
    for (round, moment) in moments.iter().enumerate() {
        let (sender, mut acks) = unbounded_channel();
        for writer in 0..WRITERS {
            tokio::spawn(write(server.channel().await, format!("R{round}W{writer}"), sender.clone()));
        }
        drop(sender);
        keep(&mut acks, 5, &mut acknowledged).await;
        let mut client = RegistryServiceClient::new(server.channel().await).max_decoding_message_size(64 << 20);
        let payload = listing(&format!("R{round}X"), LISTED);
        let importing = tokio::spawn(async move {
            let answer = client.import_listing(import(into_binance(), &payload)).await?;
            Imported::receive(answer.into_inner()).await
        });
        match moment {
            Moment::Acknowledged(count) => keep(&mut acks, *count, &mut acknowledged).await,
            Moment::HeldUp => {
                while let Ok(Some(asset)) = tokio::time::timeout(Duration::from_millis(100), acks.recv()).await {
                    acknowledged.insert(asset.id.clone(), asset);
                    if importing.is_finished() {
                        break;
                    }
                }
            }
        }
        let options = server.kill();
        keep(&mut acks, usize::MAX, &mut acknowledged).await;
        let imported = importing.await.unwrap();
        cut_off += usize::from(imported.is_err());
        server = options.start().await;

        let markets = markets_like(&server, &format!("R{round}X")).await;
        println!("{moment:?}: {} writes, import {}, {markets} markets", acknowledged.len(), imported.is_ok());
        assert!(markets == LISTED || markets == 0 && imported.is_err(), "{markets} of {LISTED}: {imported:?}");
        assert_kept(&server, &acknowledged).await;
    }
    assert!(cut_off > 0, "no import was cut off");

    let log = log(&server).await;
    assert_whole(&log);
    for asset in acknowledged.values() {
        let is_written =
            |event: &&cqar_proto::v1::Event| event.entity_id == asset.id && event.revision == asset.revision;
        assert_eq!(log.iter().filter(is_written).count(), 1, "{asset:?}");
    }
    if let Some(follower) = follower {
        follower.received(&log).await;
    }
}

/// Creates assets and changes each once, and tells of every acknowledgement, until a call fails.
async fn write(channel: Channel, name: String, acks: UnboundedSender<Asset>) {
    let mut client = AssetServiceClient::new(channel);
    for n in 0.. {
        let create = CreateAssetRequest { asset: Some(asset(&format!("{name}N{n}"))), ..CreateAssetRequest::default() };
        let Ok(created) = client.create_asset(create).await else { return };
        let created = created.into_inner().asset.unwrap();
        let _ = acks.send(created.clone());
        let described = Asset { description: "changed".into(), ..created };
        let update = UpdateAssetRequest { asset: Some(described), ..UpdateAssetRequest::default() };
        let changed: Result<_, Status> = client.update_asset(update).await;
        let Ok(changed) = changed else { return };
        let _ = acks.send(changed.into_inner().asset.unwrap());
    }
}

/// Takes so many acknowledgements, or all that there are.
async fn keep(acks: &mut UnboundedReceiver<Asset>, count: usize, acknowledged: &mut BTreeMap<String, Asset>) {
    for _ in 0..count {
        let Some(asset) = acks.recv().await else { return };
        acknowledged.insert(asset.id.clone(), asset);
    }
}

/// Every acknowledged asset is there at its revision or later.
async fn assert_kept(server: &Server, acknowledged: &BTreeMap<String, Asset>) {
    let mut client = AssetServiceClient::new(server.channel().await).max_decoding_message_size(64 << 20);
    let request = BatchGetAssetsRequest { asset_ids: acknowledged.keys().cloned().collect(), ..Default::default() };
    let results = client.batch_get_assets(request).await.unwrap().into_inner().results;
    assert_eq!(results.len(), acknowledged.len());
    for (result, expected) in results.into_iter().zip(acknowledged.values()) {
        let Some(Got::Asset(found)) = result.result else { panic!("lost: {expected:?}") };
        assert!(found.revision >= expected.revision, "{found:?} is older than {expected:?}");
        if found.revision == expected.revision {
            assert_eq!(&found, expected);
        }
    }
}

async fn markets_like(server: &Server, prefix: &str) -> usize {
    let mut client = server.markets().await;
    let mut request =
        ListMarketsRequest { venue_id: "binance".into(), page_size: 1000, ..ListMarketsRequest::default() };
    let mut found = 0;
    loop {
        let page = client.list_markets(request.clone()).await.unwrap().into_inner();
        found += page.markets.iter().filter(|market| market.venue_symbol.starts_with(prefix)).count();
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}
