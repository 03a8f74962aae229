//! The command line against a real server: what it prints, and how it ends.

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use cqar_tests::{
    collect::log,
    environment::TestEnvironment,
    in_both_environments,
    server::{Options, Server, shared_data},
};
use serde_json::{Value, json};

use crate::fixture::listing;

in_both_environments! {
    reading_commands_print_tables_and_the_contracts_json
    writing_commands_say_what_changed
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that is to succeed, and returns what it printed.
fn said(server: &Server, arguments: &[&str]) -> String {
    let output = server.cli(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", err(&output));
    out(&output)
}

/// Runs a command that is to end with this code, and returns what it complained of.
fn ends(server: &Server, code: i32, arguments: &[&str]) -> String {
    let output = server.cli(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", out(&output), err(&output));
    err(&output)
}

/// Runs a command with this on its standard input.
fn fed(server: &Server, input: &[u8], arguments: &[&str]) -> Output {
    let mut command = server.cli_command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

async fn reading_commands_print_tables_and_the_contracts_json(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;

    let table = said(&server, &["resolve", "binance", "BTCUSDT", "--segment", "spot"]);
    for part in ["BTC/USDT", "Bitcoin", "tick_size", "lot_size", "ACTIVE"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    assert!(!table.contains('\x1b'), "no colours in a pipe");
    let resolved = server.cli_json(&["resolve", "binance", "BTCUSDT", "--segment", "usdm"]);
    assert_eq!(resolved["instrument"]["code"], "BTC/USDT:USDT");
    assert_eq!(resolved["market"]["venue_symbol"], "BTCUSDT", "the proto's field names");
    assert_eq!(resolved["market"]["status"], "MARKET_STATUS_ACTIVE", "the names of values");
    assert!(resolved["market"]["revision"].is_string(), "64-bit numbers are strings in proto3 JSON");
    let ambiguous = ends(&server, 5, &["resolve", "binance", "BTCUSDT"]);
    for part in ["AMBIGUOUS_SYMBOL", "BTC/USDT in segment spot", "BTC/USDT:USDT in segment usdm"] {
        assert!(ambiguous.contains(part), "{part} is not in {ambiguous}");
    }
    assert!(said(&server, &["resolve", "coinbase", "BTC-USD"]).contains("BTC/USD"));
    let unknown = ends(&server, 3, &["resolve", "coinbase", "NO-SUCH"]);
    assert!(unknown.contains("SYMBOL_UNKNOWN"), "{unknown}");
    let as_json: Value =
        serde_json::from_str(&ends(&server, 3, &["resolve", "coinbase", "NO-SUCH", "--output", "json"])).unwrap();
    assert_eq!(as_json["code"], 5, "a google.rpc.Status");
    assert_eq!(server.cli(&["resolve", "coinbase", "BTC-USD", "NO-SUCH"]).status.code(), Some(3));

    let piped = fed(&server, b"BTC-USD\n\nNO-SUCH\nETH-USD\n", &["resolve", "coinbase", "-"]);
    assert_eq!(piped.status.code(), Some(3));
    let lines: Vec<Value> = out(&piped).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let symbols: Vec<_> = lines.iter().map(|line| line["venue_symbol"].as_str().unwrap()).collect();
    assert_eq!(symbols, ["BTC-USD", "NO-SUCH", "ETH-USD"]);
    assert_eq!(lines[0]["resolved"]["instrument"]["code"], "BTC/USD");
    assert_eq!(lines[1]["error"]["code"], 5);

    assert!(said(&server, &["get", "venue", "binance"]).contains("symbology-binance"));
    let instrument = server.cli_json(&["get", "instrument", "BTC/USDT:USDT"]);
    let id = instrument["id"].as_str().unwrap();
    assert_eq!(server.cli_json(&["get", "instrument", id]), instrument);
    ends(&server, 3, &["get", "venue", "nowhere"]);

    let listed = said(&server, &["list", "chains"]);
    assert!(listed.lines().count() >= 13 && listed.contains("eip155:1"), "{listed}");
    let all = server.cli_json(&["list", "markets", "--all"]);
    assert!(all["markets"].as_array().unwrap().len() >= 200);
    let few = server.cli(&["list", "markets", "--venue", "binance", "--limit", "2"]);
    assert_eq!(out(&few).lines().count(), 3);
    assert!(err(&few).contains("there are more"), "{}", err(&few));
    ends(&server, 2, &["list", "markets", "--status", "sleeping"]);

    let plugins = said(&server, &["plugin", "list"]);
    let head: Vec<_> = plugins.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["NAME", "KIND", "VERSION", "STATE", "GENERATION", "HASH", "CALLS", "FAILED", "REASON"]);
    assert!(plugins.contains("symbology-binance") && plugins.contains("SERVING"), "{plugins}");
    let status = server.cli_json(&["status"]);
    assert_eq!(status["components"][0]["name"], "database");
    assert_eq!(status["unresolved"][0]["venue_symbol"], "NO-SUCH");
    assert!(said(&server, &["status"]).contains("NO-SUCH"));

    let events = said(&server, &["watch", "--from", "0", "--no-follow", "--entity-type", "venue"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 10);
    assert!(events.iter().all(|event| event["type"] == "venue_created" && event["entity_type"] == "venue"));
    // The starter dataset is one revision, larger than what is read of the log at a time.
    let all = said(&server, &["watch", "--from", "0", "--no-follow"]).lines().count();
    assert!(all > 256, "{all}");
    assert_eq!(all, log(&server).await.len());
    ends(&server, 4, &["watch", "--from", "9999", "--no-follow"]);
}

async fn writing_commands_say_what_changed(s: TestEnvironment) {
    let server = s.options().start().await;
    let first = server.cli_json(&["import", "starter"]);
    assert!(first["changed"].as_i64().unwrap() > 200, "{}", first["changed"]);
    let revision = first["revision"].clone();
    let again = server.cli_json(&["import", "starter"]);
    assert_eq!((again["changed"].as_i64(), &again["revision"]), (None, &revision), "nothing, and no revision");
    assert!(said(&server, &["import", "starter"]).contains("changed 0 entities"));

    let folder = server.options.folder().to_owned();
    let file = folder.join("mutations.yaml");
    let yaml = "mutations:\n\
                - ref: abc\n\
                \x20 create: {asset: {symbol: ABC, name: Abacus, type: ASSET_TYPE_TOKEN}}\n\
                - create: {venue_asset: {venue_id: binance, code: ABC, asset_id: $abc}}\n";
    std::fs::write(&file, yaml).unwrap();
    let path = file.to_str().unwrap();
    let tried = said(&server, &["apply", "-f", path, "--validate-only"]);
    assert!(tried.contains("2 mutations would change 2 entities"), "{tried}");
    let none = server.cli_json(&["list", "assets", "--symbol", "ABC"]);
    assert!(none["assets"].is_null() && none["revision"].is_string(), "{none}");
    let applied = server.cli_json(&["apply", "-f", path]);
    assert_eq!(applied["changed"], 2);
    let asset = &applied["results"][0]["asset"];
    assert_eq!(applied["results"][1]["venue_asset"]["asset_id"], asset["id"]);
    let piped = fed(&server, br#"{"mutations": [{"delete": {"asset_id": "no-uuid"}}]}"#, &["apply", "-f", "-"]);
    assert_eq!(piped.status.code(), Some(4));
    assert!(err(&piped).contains("mutations[0].delete"), "{}", err(&piped));
    let referred = format!("{{\"mutations\": [{{\"delete\": {{\"asset_id\": {}}}}}]}}", asset["id"]);
    let refused = fed(&server, referred.as_bytes(), &["apply", "-f", "-"]);
    assert_eq!(refused.status.code(), Some(5), "{}", err(&refused));
    assert!(err(&refused).contains("REFERRED_TO"), "{}", err(&refused));
    let dated = br#"{"mutations": [{"delete": {"chain_id": "x"}}], "effective_time": "2026-01-01T00:00:00Z"}"#;
    let dated = fed(&server, dated, &["apply", "-f", "-"]);
    assert!(err(&dated).contains("FIELD_NOT_SUPPORTED"), "never dropped: {}", err(&dated));
    // What was read may be sent back, whatever its kind.
    for code in ["BTC/USDT", "BTC/USDT:USDT"] {
        let mut read = server.cli_json(&["get", "instrument", code]);
        read["labels"] = json!({"desk": "rates"});
        let update = json!({"mutations": [{"update": {"instrument": read}}]});
        let applied = fed(&server, update.to_string().as_bytes(), &["--output", "json", "apply", "-f", "-"]);
        let applied: Value = serde_json::from_str(&out(&applied)).unwrap_or_else(|_| panic!("{}", err(&applied)));
        assert_eq!(applied["changed"], 1, "{code}");
    }
    std::fs::write(&file, "mutations: [{create_aset: {}}]\n").unwrap();
    assert!(ends(&server, 4, &["apply", "-f", path]).contains("create_aset"));
    ends(&server, 4, &["apply", "-f", "no-such-file.yaml"]);

    let made_up = folder.join("listing.json");
    std::fs::write(&made_up, listing("CLI", 3)).unwrap();
    let import = ["import", "listing", "--venue", "binance", made_up.to_str().unwrap()];
    let rejected = server.cli_json(&import);
    assert_eq!(rejected["summary"]["rejected"], 3);
    assert_eq!(rejected["markets"][0]["code"], "UNKNOWN_ASSET");
    let create = [&import[..], &["--create-missing-assets"]].concat();
    let tried = said(&server, &[&create[..], &["--validate-only"]].concat());
    assert!(tried.contains("CREATED") && tried.contains("CLI2USDT"), "{tried}");
    assert_eq!(server.cli_json(&create)["summary"]["created"], 3);
    assert_eq!(server.cli_json(&create)["summary"]["unchanged"], 3);
    ends(&server, 3, &["import", "listing", "--venue", "nowhere", made_up.to_str().unwrap()]);

    if let Some(data) = shared_data() {
        let spot = data.join("venue-listings/binance.json");
        let spot = ["import", "listing", "--venue", "binance", spot.to_str().unwrap(), "--create-missing-assets"];
        let stale = ends(&server, 5, &spot);
        assert!(stale.contains("STALE_LISTING"), "the one before spoke of today: {stale}");
        let backfilled = server.cli_json(&[&spot[..], &["--backfill"]].concat());
        println!(
            "backfilled: created {}, rejected {}",
            backfilled["summary"]["created"], backfilled["summary"]["rejected"]
        );
        assert!(backfilled["summary"]["created"].as_i64().unwrap() > 1500);
    }
}

#[test]
fn a_server_that_is_not_there_is_exit_code_six() {
    let options = Options::new();
    let run = |arguments: &[&str]| options.command().args(arguments).output().unwrap();
    let away = run(&["--server", "http://127.0.0.1:1", "status"]);
    assert_eq!(away.status.code(), Some(6));
    assert!(err(&away).contains("cannot reach http://127.0.0.1:1"), "{}", err(&away));
    assert_eq!(
        options.command().env("CQAR_SERVER", "http://127.0.0.1:1").arg("status").status().unwrap().code(),
        Some(6)
    );
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(run(&["resolve", "binance"]).status.code(), Some(2));
    assert_eq!(run(&["resolve", "binance", "-", "BTCUSDT"]).status.code(), Some(2), "not at the same time");
    let help = out(&run(&["--help"]));
    assert!(help.contains("Exit codes:") && !help.contains('\x1b'), "{help}");
}

#[test]
fn the_configuration_is_shown_with_its_sources_and_without_its_secrets() {
    let options = Options::new().with("AUTH_API_KEYS", "sesame:desk-1").with("EVENTBUS_TOKEN", "hunter2");
    let folder = options.folder().join("config");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.yaml"), "server: {shutdown_timeout: 7s}\n").unwrap();
    let run = |arguments: &[&str]| options.command().args(arguments).output().unwrap();
    let shown = run(&["config", "show"]);
    assert!(shown.status.success(), "{}", err(&shown));
    let table = out(&shown);
    assert!(!table.contains("sesame") && !table.contains("hunter2"), "{table}");
    let line = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("server.shutdown_timeout").contains("7s") && line("server.shutdown_timeout").contains("config.yaml"));
    assert!(line("log.format").contains("LOG_FORMAT"), "{}", line("log.format"));
    assert!(line("cache.port").contains("6379"));
    let settings: Value = serde_json::from_str(&out(&run(&["config", "show", "--output", "json"]))).unwrap();
    assert!(
        settings.as_array().unwrap().iter().any(|it| it["key"] == "server.shutdown_timeout" && it["value"] == "7s")
    );
    assert!(run(&["config", "check"]).status.success());
    assert!(run(&["config", "check", "--strict"]).status.success());
    let strict =
        options.clone().with("PLUGINS_REQUIRED", "absent").command().args(["config", "check", "--strict"]).output();
    let strict = strict.unwrap();
    assert_eq!(strict.status.code(), Some(1));
    assert!(err(&strict).contains("finding: plugins.required names absent"), "{}", err(&strict));
    let defaults = out(&run(&["config", "defaults"]));
    std::fs::write(folder.join("config.yaml"), defaults).unwrap();
    assert!(run(&["config", "check"]).status.success(), "a file of the defaults is a valid one");
    std::fs::write(folder.join("config.yaml"), "server: {shutdown_time: 7s}\n").unwrap();
    let refused = run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(err(&refused).contains("server.shutdown_timeout"), "{}", err(&refused));
}

#[test]
fn colours_are_for_terminals_and_never_with_no_color() {
    let options = Options::new();
    let binary = cqar_tests::server::binary();
    let on_a_terminal = |no_color: Option<&str>| {
        let mut command = std::process::Command::new("script");
        let run = format!("{} --server http://127.0.0.1:1 status", binary.display());
        command.args(["-qec", &run, "/dev/null"]).current_dir(options.folder()).stdin(Stdio::null());
        command.env_remove("NO_COLOR").envs(no_color.map(|value| ("NO_COLOR", value)));
        match command.output() {
            Ok(output) => Some(out(&output)),
            Err(error) => {
                println!("skipped: script(1): {error}");
                None
            }
        }
    };
    let (Some(coloured), Some(plain)) = (on_a_terminal(None), on_a_terminal(Some("1"))) else { return };
    assert!(coloured.contains("\x1b["), "{coloured:?}");
    assert!(!plain.contains("\x1b[") && plain.contains("cannot reach"), "{plain:?}");
}
