//! Callers that leave, one instance called often, as many rows as an import may have, an import without end.

use std::time::Duration;

use cqar_proto::v1::{ImportListingOptions, ResolveMarketRequest};
use futures::StreamExt as _;
use tonic::Code;

use super::{PEAK_KIB, SYMBOLOGY, VALIDATOR, behave, hostile_server, into_hostile, memory_kib, well_behaved};
use crate::{
    fixture::{apply, create, import_listing, into_binance, listing, market, mutation},
    load::Load,
    swap::plugin,
};

/// Callers that leave. What they asked for would keep the plugin busy for minutes.
const LEAVE: usize = 2000;

fn resolve(symbol: &str) -> ResolveMarketRequest {
    ResolveMarketRequest {
        venue_id: "hostile".into(),
        venue_symbol: symbol.into(),
        allow_inferred: true,
        ..ResolveMarketRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_take_what_they_wait_for_with_them() {
    let (server, registered) = hostile_server().await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    behave(&server, SYMBOLOGY, "loop", "parse").await;
    let markets = server.markets().await;
    let calls = futures::stream::iter(0..LEAVE).map(|number| {
        let mut markets = markets.clone();
        async move {
            let asked = markets.resolve_market(resolve(&format!("HOSTILE{number}-USDT")));
            tokio::time::timeout(Duration::from_millis(20), asked).await.is_err()
        }
    });
    let left: Vec<bool> = calls.buffer_unordered(100).collect().await;
    assert!(left.iter().filter(|left| **left).count() > LEAVE / 2, "most leave before they are answered");
    // Were they still waiting, this one would come to its deadline first.
    let answered = server.markets().await.resolve_market(resolve("GOOD-USDT")).await.unwrap().into_inner();
    assert!(answered.inferred, "{answered:?}");
    load.goes_on().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_breaks_after_a_hundred_calls_fails_one_of_them() {
    let (server, registered) = hostile_server().await;
    behave(&server, VALIDATOR, "count-traps", "validate").await;
    let mut failed = 0;
    for number in 0..350 {
        let create = mutation(create(market("okx", &format!("HOSTILE{number}"), &registered.spot)));
        let Err(status) = apply(&server, vec![create]).await else { continue };
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("the hundredth call"), "{status:?}");
        failed += 1;
    }
    // Each instance has its hundredth once, and the one in its place begins anew.
    assert!((1..=3).contains(&failed), "{failed}");
    assert_eq!(plugin(&server, VALIDATOR).await.generation, 2, "so few are no reason to go back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_for_each_of_twenty_thousand_rows_is_an_answer() {
    let (server, registered) = hostile_server().await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    behave(&server, VALIDATOR, "findings", "validate").await;
    let options = ImportListingOptions { validate_only: true, ..into_binance() };
    let imported = import_listing(&server, options, &listing("HOSTILE", 20_000)).await.unwrap();
    assert_eq!(imported.created, 20_000);
    load.goes_on().await;
    load.end().await;
    assert!(memory_kib(&server, "VmHWM") < PEAK_KIB, "{}", memory_kib(&server, "VmHWM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_never_read_to_its_end_ends_its_own_import_alone() {
    let (server, registered) = hostile_server().await;
    let mut load = Load::default();
    well_behaved(&mut load, &server.markets().await, &registered.spot);
    behave(&server, SYMBOLOGY, "loop", "read-listing").await;
    let stuck = import_listing(&server, into_hostile(), b"\"HOSTILE-USDT\"");
    let others = async {
        let options = ImportListingOptions { validate_only: true, ..into_binance() };
        import_listing(&server, options, &listing("BESIDE", 100)).await
    };
    let (stuck, others) = tokio::join!(stuck, others);
    let stuck = stuck.unwrap_err();
    assert_eq!(stuck.code(), Code::Unavailable, "{stuck:?}");
    assert!(stuck.message().contains("took longer than"), "{stuck:?}");
    assert_eq!(others.unwrap().created, 100);
    load.goes_on().await;
    load.end().await;
}
