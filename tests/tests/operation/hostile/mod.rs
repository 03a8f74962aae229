//! Plugins that do their worst beside well-behaved ones: no call of a neighbour fails, the server lives on, its memory does not
//! grow, and each reason is shown.
//!
//! | module | subject |
//! |---|---|
//! | `calls` | what a plugin does when it is called, one after another and three times over |
//! | `configures` | what it does with its settings |
//! | `events` | what a transform does to the bus |
//! | `floods` | callers that leave, one instance called often, as many rows as an import may have, an import without end |
//! | `files` | files that are no plugins, or none that the server could bear |
//! | `compiler` | what the compiler's process is bounded by |

mod calls;
mod compiler;
mod configures;
mod events;
mod files;
mod floods;

use std::fs;

use cqar_proto::v1::{
    CreateMarketRequest, ImportListingOptions, Plugin, ResolveMarketRequest, Venue, VenueType,
    market_service_client::MarketServiceClient, plugin::State,
};
use cqar_tests::{
    collect::until,
    environment::TestEnvironment,
    fixtures::{asset, ids, named, spot as spot_of, venue_asset},
    server::{Options, Server, testing_plugins},
};
use tonic::transport::Channel;

use crate::{
    fixture::{apply, create, instrument, market, mutation},
    load::Load,
    swap::{plugin, put},
};

const VALIDATOR: &str = "hostile-validator";
const SYMBOLOGY: &str = "hostile-symbology";
/// The highest that the server's memory may ever be: its caches, 64 MiB for each of the calls that eat at a time, 512 MiB for a
/// listing.
const PEAK_KIB: u64 = 1 << 20;

/// What a process has of memory, by a line of its status in KiB.
fn memory_kib(server: &Server, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The text of a file beside a plugin, by which it does this in an export on what contains `HOSTILE`.
fn settings(name: &str, does: &str, export: &str) -> String {
    let grants = if name == VALIDATOR { "grants = [\"registry\"]\n" } else { "" };
    format!("{grants}[settings]\ndoes = \"{does}\"\nin = \"{export}\"\non = \"HOSTILE\"\n")
}

/// Puts the file beside a plugin at once.
fn put_settings(server: &Server, name: &str, text: &str) {
    let partial = server.options.folder().join("partial.toml");
    fs::write(&partial, text).unwrap();
    fs::rename(&partial, server.options.plugins().join(format!("{name}.toml"))).unwrap();
}

/// Waits until a plugin serves with what the file beside it says now.
async fn configured(server: &Server, name: &str, text: &str) -> Plugin {
    let before = plugin(server, name).await;
    // What is the same as before would be no swap.
    put_settings(server, name, &format!("# {}\n{text}", before.generation));
    until(&format!("{name}: {text}"), async || {
        let found = plugin(server, name).await;
        assert_ne!(found.state(), State::ServingLastGood, "{}", found.reason);
        (found.generation == before.generation + 1 && found.state() == State::Serving).then_some(found)
    })
    .await
}

/// Lets a plugin do this on what contains `HOSTILE`.
async fn behave(server: &Server, name: &str, does: &str, export: &str) -> Plugin {
    configured(server, name, &settings(name, does, export)).await
}

/// Callers of everything but what the tests call: answers from memory, of a plugin, and writes that are judged.
fn well_behaved(load: &mut Load, markets: &MarketServiceClient<Channel>, spot: &str) {
    for symbol in ["BTC-USD", "NOBODYHASIT"] {
        let client = markets.clone();
        load.start(move || {
            let inferred = symbol == "NOBODYHASIT";
            let request = ResolveMarketRequest {
                venue_id: if inferred { "binance".into() } else { "coinbase".into() },
                venue_symbol: if inferred { "NOBODYHASITUSDT".into() } else { symbol.into() },
                segment: inferred.then(|| "spot".into()),
                allow_inferred: inferred,
                ..ResolveMarketRequest::default()
            };
            let mut client = client.clone();
            async move { client.resolve_market(request).await.map(drop) }
        });
    }
    // It is judged as any other, and leaves nothing that would have to be told from what a plugin leaves.
    let (client, spot) = (markets.clone(), spot.to_owned());
    let mut count = 0;
    load.start(move || {
        count += 1;
        let market = market("okx", &format!("WELL{count}"), &spot);
        let request =
            CreateMarketRequest { market: Some(market), validate_only: true, ..CreateMarketRequest::default() };
        let mut client = client.clone();
        async move { client.create_market(request).await.map(drop) }
    });
}

/// A server with one of each hostile kind that answers calls.
async fn hostile_server() -> (Server, Registered) {
    start(&TestEnvironment::none(), &[VALIDATOR, SYMBOLOGY], |options| options).await
}

/// What the tests refer to.
struct Registered {
    /// BTC/USDT.
    spot: String,
    /// HOSTILE/USDT, of which the venue `hostile` has no market.
    unlisted: String,
}

async fn start(
    environment: &TestEnvironment,
    plugins: &[&str],
    with: impl FnOnce(Options) -> Options,
) -> (Server, Registered) {
    let options = environment
        .options()
        .with("PLUGINS_GRANTS", format!("{VALIDATOR}:registry"))
        .with("PLUGINS_CALL_TIMEOUT", "2s")
        .with("PLUGINS_COMPILE_MEMORY", "512MiB");
    let options = with(options);
    for name in plugins {
        put(&options, name, &testing_plugin(name));
    }
    let server = options.with_starter().start().await;
    let venue = Venue {
        id: "hostile".into(),
        name: "Hostile".into(),
        r#type: VenueType::Cex.into(),
        symbology: SYMBOLOGY.into(),
        ..Venue::default()
    };
    let mutations = vec![
        mutation(create(venue)),
        named("base", create(asset("HOSTILE"))),
        named("quote", create(asset("QUOTE"))),
        named("unlisted", create(spot_of("$base", "$quote"))),
        mutation(create(venue_asset("hostile", "HOSTILE", "$base"))),
        mutation(create(venue_asset("hostile", "QUOTE", "$quote"))),
    ];
    let unlisted = ids(&apply(&server, mutations).await.unwrap()).swap_remove(3);
    let spot = instrument(&server, "BTC/USDT").await;
    (server, Registered { spot, unlisted })
}

/// How a listing of the venue is imported.
fn into_hostile() -> ImportListingOptions {
    ImportListingOptions { venue_id: "hostile".into(), ..ImportListingOptions::default() }
}

fn testing_plugin(name: &str) -> Vec<u8> {
    fs::read(testing_plugins().join(format!("{name}.wasm"))).unwrap()
}
