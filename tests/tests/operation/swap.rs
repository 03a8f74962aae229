//! A new build of a plugin replaces the old one under load, and no call fails.

use std::{path::Path, sync::atomic::Ordering};

use cqar_proto::v1::{
    GetPluginRequest, ImportListingOptions, ListPluginsRequest, Plugin, ResolveMarketRequest, plugin::State,
};
use cqar_tests::{
    collect::until,
    environment::TestEnvironment,
    in_both_environments,
    server::{Options, Server, shipped_plugins, testing_plugins},
};
use tonic::Status;

use crate::{
    fixture::{Imported, import, into_binance, listing},
    load::Load,
};

in_both_environments! {
    a_new_build_replaces_the_old_one_and_no_call_fails
}

const SYMBOLOGY: &str = "symbology-binance";

async fn a_new_build_replaces_the_old_one_and_no_call_fails(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let first = plugin(&server, SYMBOLOGY).await;
    assert_eq!((first.generation, first.version.as_str(), first.state()), (1, "0.1.0", State::Serving));

    let mut load = Load::default();
    for n in 0..2 {
        let (client, payload) = (server.registry().await, listing(&format!("L{n}X"), 100));
        load.start(move || {
            let options = ImportListingOptions { validate_only: true, ..into_binance() };
            let (mut client, parts) = (client.clone(), import(options, &payload));
            async move {
                let imported = Imported::receive(client.import_listing(parts).await?.into_inner()).await?;
                if imported.created == 100 { Ok(()) } else { Err(Status::internal(format!("{imported:?}"))) }
            }
        });
        let client = server.markets().await;
        load.start(move || {
            let request = ResolveMarketRequest {
                venue_id: "binance".into(),
                venue_symbol: "NOBODYHASITUSDT".into(),
                segment: Some("spot".into()),
                allow_inferred: true,
                ..ResolveMarketRequest::default()
            };
            let mut client = client.clone();
            async move {
                let resolved = client.resolve_market(request).await?.into_inner();
                if resolved.inferred { Ok(()) } else { Err(Status::internal("not inferred")) }
            }
        });
    }
    load.goes_on().await;
    put(&server.options, SYMBOLOGY, &std::fs::read(testing_plugins().join("v2/symbology-binance.wasm")).unwrap());
    let second = serves(&server, SYMBOLOGY, 2).await;
    assert_eq!(second.version, "0.2.0");
    assert_ne!(second.hash, first.hash);
    load.goes_on().await;
    // As `cp` does it, into the file that is there.
    std::fs::copy(shipped_plugins().join("symbology-binance.wasm"), file(&server.options, SYMBOLOGY)).unwrap();
    let third = serves(&server, SYMBOLOGY, 3).await;
    assert_eq!((third.version, third.hash), (first.version, first.hash));
    load.goes_on().await;
    println!("{} calls", load.calls.load(Ordering::Relaxed));
    load.end().await;

    let listed = server.plugins().await.list_plugins(ListPluginsRequest::default()).await.unwrap().into_inner().plugins;
    let names: Vec<_> = listed.iter().map(|plugin| (plugin.name.as_str(), plugin.failed_calls)).collect();
    assert_eq!(names, [("market-sanity", 0), ("route-by-venue", 0), ("symbology-binance", 0)]);
}

/// What the server says of a plugin.
pub async fn plugin(server: &Server, name: &str) -> Plugin {
    server.plugins().await.get_plugin(GetPluginRequest { name: name.into() }).await.unwrap().into_inner()
}

/// What the server says of a plugin, if it has seen it.
pub async fn find(server: &Server, name: &str) -> Option<Plugin> {
    let answer = server.plugins().await.get_plugin(GetPluginRequest { name: name.into() }).await;
    Some(answer.ok()?.into_inner())
}

/// Waits until the plugin's newest bytes serve as this generation.
pub async fn serves(server: &Server, name: &str, generation: i64) -> Plugin {
    until(&format!("generation {generation} of {name}"), async || {
        let found = find(server, name).await?;
        (found.state() == State::Serving && found.generation == generation).then_some(found)
    })
    .await
}

/// Replaces a plugin's file at once.
pub fn put(options: &Options, name: &str, bytes: &[u8]) {
    let hidden = options.plugins().join(format!(".{name}.partial"));
    std::fs::write(&hidden, bytes).unwrap();
    std::fs::rename(&hidden, file(options, name)).unwrap();
}

/// A plugin's file.
pub fn file(options: &Options, name: &str) -> impl AsRef<Path> + use<> {
    options.plugins().join(format!("{name}.wasm"))
}
