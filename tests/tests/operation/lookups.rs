//! A validator that looks up, beside a registry that changes all the time.

use cqar_proto::v1::{CreateAssetRequest, CreateMarketRequest, asset_service_client::AssetServiceClient};
use cqar_tests::{environment::TestEnvironment, in_both_environments, server::testing_plugins};

use crate::{
    fixture::{asset, instrument, market},
    load::Load,
    swap::{put, serves},
};

in_both_environments! {
    other_commits_are_no_reason_to_judge_a_write_again
}

/// Rows are compared, never the revision as a whole: each of the writes is judged while others are committed.
async fn other_commits_are_no_reason_to_judge_a_write_again(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let spot = instrument(&server, "BTC/USDT").await;
    put(&server.options, "lookup", &std::fs::read(testing_plugins().join("lookup.wasm")).unwrap());
    serves(&server, "lookup", 1).await;

    let mut load = Load::default();
    for writer in 0..4 {
        let (channel, mut n) = (server.channel().await, 0);
        load.start(move || {
            n += 1;
            let asset = Some(asset(&format!("W{writer}N{n}")));
            let request = CreateAssetRequest { asset, ..CreateAssetRequest::default() };
            let mut client = AssetServiceClient::new(channel.clone());
            async move { client.create_asset(request).await.map(drop) }
        });
    }
    for judged in 0..2 {
        let (client, spot, mut n) = (server.markets().await, spot.clone(), 0);
        load.start(move || {
            n += 1;
            let market = Some(market("okx", &format!("J{judged}N{n}"), &spot));
            let request = CreateMarketRequest { market, validate_only: n % 5 == 0, ..CreateMarketRequest::default() };
            let mut client = client.clone();
            async move {
                let warnings = client.create_market(request).await?.into_inner().warnings;
                let has_looked_up = warnings.iter().any(|warning| warning.code == "INSTRUMENT_SEEN");
                if has_looked_up { Ok(()) } else { Err(tonic::Status::internal(format!("{warnings:?}"))) }
            }
        });
    }
    for _ in 0..20 {
        load.goes_on().await;
    }
    load.end().await;
}
