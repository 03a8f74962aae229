//! The command line about single entities: what they are called, what each command makes of them, and in which words it refuses.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Output, Stdio},
};

use cqar_tests::{
    collect::DEADLINE,
    environment::TestEnvironment,
    in_both_environments,
    server::{Options, Server, binary},
};
use serde_json::Value;

in_both_environments! {
    an_entity_is_got_by_its_name_and_an_ambiguous_one_lists_its_candidates
    an_entity_is_created_changed_and_deleted_from_options
    what_was_got_as_yaml_can_be_changed_and_sent_back
    a_refusal_names_the_field_and_no_type_of_the_program
}

fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    ended(&server.cli(arguments))
}

fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What a command printed that is to succeed.
fn said(server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = run(server, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    out
}

/// What a command complained of that is to end with this code.
fn refused(server: &Server, code: i32, arguments: &[&str]) -> String {
    let (ended, out, err) = run(server, arguments);
    assert_eq!(ended, Some(code), "{arguments:?}: {out}{err}");
    err
}

async fn an_entity_is_got_by_its_name_and_an_ambiguous_one_lists_its_candidates(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    for (kind, name) in [
        ("asset", "BTC"),
        ("venue", "binance"),
        ("chain", "eip155:1"),
        ("instrument", "BTC/USDT:USDT"),
        ("market", "binance/spot/BTCUSDT"),
        ("market", "kraken/XBT/USD"),
        ("venue-asset", "kraken/XBT"),
        ("deployment", "ethereum/0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
        ("deployment", "eip155:1/slip44:60"),
        ("relationship", "WETH/ETH"),
        ("identifier", "coingecko/bitcoin"),
        ("group", "majors"),
    ] {
        let named = said(&server, &["get", kind, name, "--output", "name"]);
        let (of, id) = named.trim_end().split_once('/').unwrap();
        assert_eq!(of, kind);
        let by_id = server.cli_json(&["get", kind, id]);
        assert_eq!(by_id["id"], id);
        assert_eq!(server.cli_json(&["get", kind, name]), by_id, "{kind} {name}");
        assert_eq!(server.cli_json(&["get", kind, named.trim_end()]), by_id, "what is printed can be given");
    }
    let ambiguous = refused(&server, 5, &["get", "market", "binance/BTCUSDT"]);
    assert!(ambiguous.contains("BTC/USDT in segment spot") && ambiguous.contains("BTC/USDT:USDT"), "{ambiguous}");
    for _ in 0..2 {
        said(&server, &["create", "asset", "--symbol", "TWIN", "--name", "Twin", "--type", "token"]);
    }
    let twins = refused(&server, 5, &["get", "asset", "TWIN"]);
    assert_eq!(twins.lines().filter(|line| line.contains("TWIN Twin, TOKEN")).count(), 2, "{twins}");
    for (kind, name) in [("asset", "btc"), ("market", "binance/spot/NOUSDT"), ("instrument", "BTC/NONE")] {
        refused(&server, 3, &["get", kind, name]);
    }
    refused(&server, 2, &["get", "market", "BTCUSDT"]);
    let listed = said(&server, &["list", "instruments", "--base", "BTC", "--kind", "spot"]);
    assert!(listed.contains("BTC/USDT") && !listed.contains("ETH/USDT"), "{listed}");
    let of_instrument = said(&server, &["list", "markets", "--instrument", "BTC/USDT", "-o", "name"]);
    assert!(of_instrument.lines().count() > 3, "{of_instrument}");

    assert_eq!(said(&server, &["format", "binance", "BTC/USDT", "--segment", "spot"]), "BTCUSDT\n");
    assert_eq!(server.cli_json(&["format", "kraken", "BTC/USD"])["venue_symbol"], "XBT/USD");
    refused(&server, 3, &["format", "coinbase", "BTC/NONE"]);
    let elsewhere = refused(&server, 3, &["resolve", "binance", "BTCUSDT", "--segment", "coinm"]);
    assert!(elsewhere.contains("segments that have it: spot, usdm"), "{elsewhere}");
    // A command that cannot print names is refused before it does anything.
    refused(&server, 2, &["status", "--output", "name"]);
}

async fn an_entity_is_created_changed_and_deleted_from_options(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let asset = ["create", "asset", "--symbol", "ABC", "--name", "Abacus", "--type", "token"];
    let tried = said(&server, &[&asset[..], &["--validate-only"]].concat());
    assert!(tried.contains("nothing was committed"), "{tried}");
    refused(&server, 3, &["get", "asset", "ABC"]);
    let created = server.cli_json(&[&asset[..], &["--labels", "desk=a", "--labels", "tier=2"]].concat());
    assert_eq!((&created["name"], &created["labels"]["tier"]), (&Value::from("Abacus"), &Value::from("2")));
    said(&server, &["create", "instrument", "--spot.base-asset-id", "ABC", "--spot.quote-asset-id", "USDT"]);
    let market = ["create", "market", "--venue-id", "binance", "--segment", "spot", "--venue-symbol", "ABCUSDT"];
    said(
        &server,
        &[&market[..], &["--instrument-id", "ABC/USDT", "--status", "active", "--tick-size", "0.01"]].concat(),
    );

    let name = "binance/spot/ABCUSDT";
    let update = |fields: &[&str]| server.cli_json(&[&["update", "market", name], fields].concat());
    let updated = update(&["--status", "halted", "--funding-interval", "8h", "--aliases", "A", "--aliases", "B"]);
    assert_eq!((&updated["status"], &updated["funding_interval"]), (&"MARKET_STATUS_HALTED".into(), &"28800s".into()));
    assert_eq!((updated["aliases"].as_array().unwrap().len(), &updated["tick_size"]), (2, &"0.01".into()));
    let cleared = update(&["--tick-size", "", "--aliases", "", "--funding-interval", ""]);
    assert!(["tick_size", "aliases", "funding_interval"].iter().all(|field| cleared[*field].is_null()), "{cleared}");
    let nothing = refused(&server, 2, &["update", "market", name]);
    assert!(nothing.contains("at least one field"), "{nothing}");
    let stale = refused(&server, 5, &["delete", "market", name, "--etag", "r1"]);
    assert!(stale.contains("STALE_ETAG"), "{stale}");

    let referred = refused(&server, 5, &["delete", "asset", "ABC"]);
    assert!(referred.contains("REFERRED_TO") && !referred.contains("mutations["), "{referred}");
    said(&server, &["delist", "market", name, "--at", "2026-11-01T00:00:00Z", "--reason", "it ended"]);
    let ended = server.cli_json(&["get", "market", name]);
    assert_eq!(
        (&ended["status"], &ended["delisted_time"]),
        (&"MARKET_STATUS_DELISTED".into(), &"2026-11-01T00:00:00Z".into())
    );
    said(&server, &["delete", "market", name]);
    said(&server, &["delete", "instrument", "ABC/USDT"]);
    said(&server, &["delete", "asset", "ABC"]);
    assert!(said(&server, &["get", "asset", "ABC"]).contains("delete_time"));
    said(&server, &["undelete", "asset", "ABC"]);
    assert!(!said(&server, &["get", "asset", "ABC"]).contains("delete_time"));

    let venue = ["create", "venue", "--id", "here", "--name", "Here", "--type", "cex", "--symbology", "not-there"];
    let (code, _, warned) = run(&server, &venue);
    assert_eq!(code, Some(0), "the plugin may come later");
    assert!(warned.contains("SYMBOLOGY_NOT_SERVING") && warned.contains("symbology: "), "{warned}");
}

async fn what_was_got_as_yaml_can_be_changed_and_sent_back(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let file = server.options.folder().join("entity.yaml");
    let path = file.to_str().unwrap();
    for (kind, name, was, is) in [
        ("asset", "BTC", "name: Bitcoin", "name: The first"),
        ("chain", "ethereum", "name: Ethereum", "name: The second"),
        ("venue", "binance", "name: Binance", "name: The largest"),
        ("market", "binance/spot/BTCUSDT", "tick_size: \"0.01\"", "tick_size: 0.10"),
    ] {
        let yaml = said(&server, &["get", kind, name, "--output", "yaml"]);
        assert!(yaml.contains(was), "{yaml}");
        fs::write(&file, yaml.replace(was, is)).unwrap();
        let changed = said(&server, &["update", kind, "-f", path, "--output", "yaml"]);
        assert!(changed.contains(is.replace("0.10", "\"0.1\"").as_str()), "{kind}: {changed}");
        let stale = refused(&server, 5, &["update", kind, "-f", path]);
        assert!(stale.contains("STALE_ETAG"), "it has the etag of what was read: {stale}");
    }
    // What cannot be changed is refused, not left out.
    let yaml = said(&server, &["get", "market", "kraken/XBT/USD", "--output", "yaml"]);
    fs::write(&file, yaml.replace("XBT/USD", "XBT/EUR")).unwrap();
    let immutable = refused(&server, 4, &["update", "market", "-f", path]);
    assert!(immutable.contains("venue_symbol: ") && immutable.contains("cannot be changed"), "{immutable}");
    fs::write(&file, "{symbol: FROMFILE, name: From a file, type: ASSET_TYPE_TOKEN}").unwrap();
    assert!(said(&server, &["create", "asset", "-f", path, "-o", "name"]).starts_with("asset/"));
}

async fn a_refusal_names_the_field_and_no_type_of_the_program(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let file = server.options.folder().join("entity.yaml");
    let path = file.to_str().unwrap();
    for (text, told) in [
        ("symbl: X", "symbl: unknown field \"symbl\"; did you mean \"symbol\"?"),
        ("symbol: null", "symbol: must not be null: leave the field out"),
        ("symbol: {a: b}", "symbol: "),
        ("type: TOKEN", "type: unknown value \"TOKEN\"; must be one of "),
        ("symbol: A\nsymbol: B", "is given twice: symbol"),
        ("[]", "entity.yaml: "),
        ("revision: [1]", "revision: "),
    ] {
        fs::write(&file, text).unwrap();
        let why = refused(&server, 4, &["create", "asset", "-f", path]);
        assert!(why.contains(told), "{text}: {why}");
        let inner = ["Option<", "struct ", "::", "Policy", "pbjson", "cqar.v1", "untagged", "unit value", "i64"];
        assert!(!inner.iter().any(|inner| why.contains(inner)), "{text}: {why}");
        assert!(why.len() < 400, "{text}: {why}");
    }
    let missing = refused(&server, 4, &["create", "asset", "--symbol", "X"]);
    assert!(missing.contains("\n  type: ") && !missing.contains("mutations["), "{missing}");
    let wrong = refused(&server, 2, &["create", "asset", "--symbol", "X", "--type", "tokn"]);
    assert!(wrong.contains("token") && wrong.contains("stablecoin"), "{wrong}");
}

/// The dataset is in the binary, so that it is there in any folder; what is not is said with the way to get it.
#[test]
fn the_starter_dataset_is_served_from_any_folder_and_a_missing_plugin_is_told() {
    let elsewhere = tempfile::tempdir().unwrap();
    let ports = ["SERVER_GRPC_PORT", "SERVER_HTTP_PORT", "METRICS_PORT"].map(|name| (name, "0"));
    let mut server = std::process::Command::new(binary())
        .args(["serve", "--starter"])
        .env_clear()
        .envs(ports)
        .current_dir(elsewhere.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.trim().strip_prefix("gRPC ")?.trim().to_owned())).unwrap();
    let cli = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        ended(&command.args(["--server", &address]).args(arguments).output().unwrap())
    };
    assert_eq!(cli(&["status", "--wait", &format!("{}s", DEADLINE.as_secs())]).0, Some(0));
    assert_eq!(cli(&["resolve", "binance", "BTCUSDT", "--segment", "spot"]).0, Some(0));
    assert!(std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert!(server.wait().unwrap().success());
    let told: Vec<String> = lines.collect();
    let mend = told.iter().position(|line| line.contains("binance: symbology-binance")).unwrap() + 1;
    assert!(told[mend].contains("cp ") && told[mend].contains(elsewhere.path().to_str().unwrap()), "{told:#?}");
    let refused = cli(&["status", "--wait", "100ms"]);
    assert_eq!(refused.0, Some(6), "{}", refused.2);
}

#[test]
fn a_migration_is_taken_back_only_by_whoever_says_so() {
    let options = Options::new();
    let run = |arguments: &[&str]| ended(&options.command().args(arguments).output().unwrap());
    assert_eq!(run(&["migrate", "up"]).0, Some(0));
    let (code, _, why) = run(&["migrate", "down"]);
    assert_eq!(code, Some(2), "nobody can be asked: {why}");
    assert!(why.contains("--yes"), "{why}");
    let (code, done, _) = run(&["migrate", "down", "--yes"]);
    assert_eq!(code, Some(0));
    assert_eq!(done.matches("taken back: ").count(), 1, "{done}");
}

#[test]
fn completions_are_printed_for_each_shell() {
    let options = Options::new();
    for (shell, has) in [("bash", "complete -F"), ("zsh", "#compdef cqar"), ("fish", "complete -c cqar")] {
        let (code, script, _) = ended(&options.command().args(["completions", shell]).output().unwrap());
        assert_eq!(code, Some(0));
        assert!(script.contains(has) && script.contains("tick-size"), "{shell}");
    }
}
