//! `cqar import listing`: what it shows, and how it ends.

use std::{fs, path::PathBuf};

use cqar_tests::{environment::TestEnvironment, in_both_environments, server::Server};
use serde_json::{Value, json};

in_both_environments! {
    an_import_shows_counts_and_problems_and_every_row_on_request
    an_import_ends_with_one_where_something_was_refused
}

/// A file with these entries, as Binance would answer.
fn file(server: &Server, entries: &Value) -> PathBuf {
    let path = server.options.folder().join("listing.json");
    fs::write(&path, json!({"symbols": entries}).to_string()).unwrap();
    path
}

fn spot(symbol: &str, base: &str, status: &str) -> Value {
    let filters = json!([{"filterType": "PRICE_FILTER", "tickSize": "0.1"}]);
    json!({
        "symbol": symbol, "status": status, "baseAsset": base, "quoteAsset": "USDT", "isSpotTradingAllowed": true,
        "filters": filters,
    })
}

/// Imports, and says the exit code, the output and what was complained of.
fn import(server: &Server, entries: &Value, options: &[&str]) -> (Option<i32>, String, String) {
    let file = file(server, entries);
    let all = [&["import", "listing", "--venue", "binance", file.to_str().unwrap()], options].concat();
    let output = server.cli(&all);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

async fn an_import_shows_counts_and_problems_and_every_row_on_request(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let entries =
        json!([spot("AAAUSDT", "AAA", "TRADING"), spot("BBBUSDT", "BBB", "TRADING"), spot("OTHERUSDT", "", "TRADING")]);
    let (code, shown, _) = import(&server, &entries, &["--create-missing-assets"]);
    assert_eq!(code, Some(0));
    let line = |shown: &str, name: &str| {
        let found = shown.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        found.split_whitespace().last().unwrap_or_default().to_owned()
    };
    assert_eq!(["created", "rejected", "codes bound"].map(|name| line(&shown, name)), ["2", "1", "2"]);
    assert!(shown.contains("INVALID_CODE") && !shown.contains("BOUND CODE"), "{shown}");
    // A difference is a line, and nothing is committed.
    let halted = json!([spot("AAAUSDT", "AAA", "BREAK")]);
    let (_, shown, _) = import(&server, &halted, &["--validate-only"]);
    let difference = shown.lines().find(|line| line.contains("AAAUSDT")).unwrap();
    for part in ["UPDATED", "status", "MARKET_STATUS_ACTIVE", "MARKET_STATUS_HALTED"] {
        assert!(difference.contains(part), "{difference}");
    }
    let (_, shown, _) =
        import(&server, &json!([spot("CCCUSDT", "CCC", "TRADING")]), &["--create-missing-assets", "--details"]);
    assert!(shown.contains("BOUND CODE") && shown.contains("CREATED"), "{shown}");
    let (_, shown, _) = import(&server, &entries, &["--output", "name"]);
    assert_eq!(shown, "", "nothing changed that has a name");
    let (_, shown, _) = import(&server, &entries, &["--output", "yaml"]);
    assert!(shown.contains("problems:") && shown.contains("unchanged: 2"), "{shown}");
}

async fn an_import_ends_with_one_where_something_was_refused(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let rejected = json!([spot("AAAUSDT", "", "TRADING")]);
    assert_eq!(import(&server, &rejected, &[]).0, Some(0));
    assert_eq!(import(&server, &rejected, &["--fail-on-rejected"]).0, Some(1));
    // The starter's markets of that segment are absent, and many at once.
    let one = json!([spot("BTCUSDT", "BTC", "TRADING")]);
    let whole = ["--delist-absent", "--complete", "spot"];
    let (code, _, complaint) = import(&server, &one, &whole);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("see --force"), "{complaint}");
    // A response of nowhere proves nothing absent.
    let (code, shown, _) = import(&server, &one, &["--delist-absent"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("NOT_PROVEN_WHOLE") && shown.contains("--complete spot"), "{shown}");
    let (code, ..) = import(&server, &one, &[&whole[..], &["--force"]].concat());
    assert_eq!(code, Some(0));
    let other = json!([spot("BTCUSDT", "ETH", "TRADING")]);
    let (_, shown, _) = import(&server, &other, &[]);
    assert!(shown.contains("INSTRUMENT_CHANGED") && shown.contains("base ETH, and was BTC"), "{shown}");
    let (_, shown, _) = import(&server, &other, &["--rebind", "mistake", "--validate-only"]);
    assert!(shown.contains("DELETED") && shown.contains("CREATED"), "{shown}");
    // Two that contradict each other are refused by the command line itself.
    assert_eq!(import(&server, &one, &["--force"]).0, Some(2));
}
