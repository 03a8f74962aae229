//! Files that are no plugin change nothing, and the server says why.

use cqar_proto::v1::{GetPluginRequest, ListMarketsRequest, Market, plugin::State};
use cqar_tests::{
    collect::until,
    environment::TestEnvironment,
    in_both_environments,
    server::{Server, shipped_plugins, testing_plugins},
};
use tonic::{Code, Status};

use crate::{
    fixture::{apply, asset, create, instrument, market, mutation, reason},
    swap::{file, plugin, put, serves},
};

in_both_environments! {
    garbage_changes_nothing_and_the_last_good_serves_on_over_a_restart
    a_required_plugin_that_never_served_stops_writes_and_not_reads
}

const RULE: &str = "market-sanity";

async fn write(server: &Server, market: Market) -> Result<(), Status> {
    apply(server, vec![mutation(create(market))]).await.map(drop)
}

/// The rule is in force: it refuses what it always refused.
async fn assert_in_force(server: &Server, spot: &str) {
    let dear = Market { taker_fee: "0.99".into(), ..market("okx", "DEAR", spot) };
    let refused = write(server, dear).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "REFUSED_BY_VALIDATOR"));
}

async fn garbage_changes_nothing_and_the_last_good_serves_on_over_a_restart(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let spot = instrument(&server, "BTC/USDT").await;
    let good = std::fs::read(shipped_plugins().join("market-sanity.wasm")).unwrap();
    let testing = |name: &str| std::fs::read(testing_plugins().join(format!("{name}.wasm"))).unwrap();
    let before = plugin(&server, RULE).await;
    assert_eq!(before.state(), State::Serving);

    let garbage = [
        (Vec::new(), "compile: the file is empty"),
        (good[..good.len() / 2].to_vec(), "compile: "),
        (testing("core-module"), "compile: the file is a module of WebAssembly and no component"),
        (testing("other-world"), "interface: no interface of cqar:plugin@0.2.0"),
        (testing("wrong-name"), "describe: the manifest's name is \"right-name\""),
        (testing("loop-in-describe"), "describe: took longer than"),
    ];
    let mut rejected_hash = String::new();
    for (n, (bytes, expected)) in garbage.iter().enumerate() {
        if n % 2 == 0 {
            put(&server.options, RULE, bytes);
        } else {
            std::fs::write(file(&server.options, RULE), bytes).unwrap();
        }
        let refused = until(expected, async || {
            let found = plugin(&server, RULE).await;
            let is_new = found.state() == State::ServingLastGood && found.rejected_hash != rejected_hash;
            is_new.then_some(found)
        })
        .await;
        assert!(refused.reason.starts_with(expected), "{}", refused.reason);
        assert_eq!((&refused.hash, refused.generation), (&before.hash, 1));
        write(&server, market("okx", &format!("GARBAGE{n}"), &spot)).await.unwrap();
        assert_in_force(&server, &spot).await;
        rejected_hash = refused.rejected_hash;
    }
    let output = String::from_utf8(server.cli(&["plugin", "list"]).stdout).unwrap();
    let line = output.lines().find(|line| line.starts_with(RULE)).unwrap();
    assert!(line.contains("SERVING_LAST_GOOD") && line.contains("describe: took longer than"), "{line}");
    let (code, ready) = server.http_get(server.http(), "/health/ready").await;
    assert!(code == 200 && ready.contains("degraded") && ready.contains(RULE), "{code} {ready}");

    put(&server.options, RULE, &garbage[1].0);
    let server = server.kill().start().await;
    let restarted = plugin(&server, RULE).await;
    assert_eq!((restarted.state(), &restarted.hash), (State::ServingLastGood, &before.hash));
    assert!(restarted.reason.starts_with("compile: "), "{}", restarted.reason);
    assert_in_force(&server, &spot).await;

    put(&server.options, RULE, &good);
    assert_eq!(serves(&server, RULE, 1).await.hash, before.hash);
    put(&server.options, "refuse-settings", &testing("refuse-settings"));
    let refused = until("settings refused", async || {
        let request = GetPluginRequest { name: "refuse-settings".into() };
        let found = server.plugins().await.get_plugin(request).await.ok()?.into_inner();
        (found.state() == State::Rejected).then_some(found)
    })
    .await;
    assert!(refused.reason.contains("the settings are refused"), "{}", refused.reason);

    // That the deletion counts is seen by the plugin that is not required.
    for name in [RULE, "refuse-settings"] {
        std::fs::remove_file(file(&server.options, name)).unwrap();
    }
    until("the other one is forgotten", async || {
        let request = GetPluginRequest { name: "refuse-settings".into() };
        let answer = server.plugins().await.get_plugin(request).await;
        answer.is_err_and(|status| status.code() == Code::NotFound).then_some(())
    })
    .await;
    assert_in_force(&server, &spot).await;
    println!("deleted: {:?} {}", plugin(&server, RULE).await.state(), plugin(&server, RULE).await.reason);
}

async fn a_required_plugin_that_never_served_stops_writes_and_not_reads(s: TestEnvironment) {
    let options = s.options();
    let server = options.clone().with_starter().start().await;
    let spot = instrument(&server, "BTC/USDT").await;
    server.kill();
    let options = options.with("PLUGINS_REQUIRED", "market-sanity,require-tick");
    put(&options, "require-tick", b"not a component at all");
    let server = options.start().await;

    let found = plugin(&server, "require-tick").await;
    assert_eq!((found.state(), found.required), (State::Rejected, true), "{found:?}");
    let refused = write(&server, market("okx", "UNJUDGED", &spot)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "PLUGIN_NOT_SERVING"));
    let listed = ListMarketsRequest { venue_id: "okx".into(), ..ListMarketsRequest::default() };
    let markets = server.markets().await.list_markets(listed).await.unwrap().into_inner().markets;
    assert!(!markets.is_empty() && markets.iter().all(|market| market.venue_symbol != "UNJUDGED"));
    let output = server.cli(&["resolve", "coinbase", "BTC-USD"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    put(&options, "require-tick", &std::fs::read(testing_plugins().join("require-tick.wasm")).unwrap());
    serves(&server, "require-tick", 1).await;
    write(&server, market("okx", "JUDGED", &spot)).await.unwrap();
    let without = Market { tick_size: String::new(), ..market("okx", "UNTICKED", &spot) };
    assert_eq!(reason(&write(&server, without).await.unwrap_err()), "REFUSED_BY_VALIDATOR");
    apply(&server, vec![mutation(create(asset("FREE")))]).await.unwrap();
}
