//! The command line about what else names lead to: `cqar lookup`, `cqar variants`, `cqar members`; and lists of new entities.

use cqar_tests::{environment::TestEnvironment, in_both_environments, server::Server};
use serde_json::Value;

in_both_environments! {
    names_are_looked_up_together_and_each_is_told
    variants_are_told_by_the_ways_that_lead_to_them
    members_are_shown_and_changed_one_by_one
    tables_show_what_other_entities_are_called
    lists_of_messages_are_options_that_may_be_repeated
}

fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = server.cli(arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

async fn names_are_looked_up_together_and_each_is_told(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let usdc = "ethereum/0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
    let (code, shown, told) = run(&server, &["lookup", "deployment", usdc, "eip155:1/slip44:60", "base/0x12"]);
    assert_eq!(code, Some(4), "that of the first that means nothing");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[1].contains("USDC") && lines[1].ends_with("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"), "{shown}");
    assert!(lines[2].ends_with("native"), "{shown}");
    assert!(told.starts_with("error: base/0x12: ") && told.contains("40 hexadecimal digits"), "{told}");
    let json = server.cli_json(&["lookup", "deployment", usdc]);
    assert_eq!(json["results"][0]["resolved"]["asset"]["symbol"], "USDC");
    let (code, _, why) = run(&server, &["lookup", "deployment", "base/0x1111111111111111111111111111111111111111"]);
    assert!(code == Some(3) && why.contains("DEPLOYMENT_UNKNOWN"), "{why}");
    let nothing = ["lookup", "identifier", "coingecko/nothing", "-o", "json"];
    let (code, json, _) = run(&server, &nothing);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(code == Some(3) && json["results"][0]["error"]["message"].is_string(), "{json}");
    assert_eq!(run(&server, &["lookup", "deployment", "USDC"]).0, Some(2));

    let ids = ["lookup", "identifier", "coingecko/usd-coin", "dti/4H95J0R2X", "caip19/eip155:1/slip44:60"];
    let (code, shown, _) = run(&server, &ids);
    let columns = shown.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect::<Vec<_>>();
    assert_eq!((code, columns), (Some(0), vec!["USDC", "BTC", "ETH"]), "{shown}");
    assert!(shown.contains("deployment/"), "{shown}");
    let (_, names, _) = run(&server, &[&ids[..], &["-o", "name"]].concat());
    assert_eq!(
        names.lines().map(|line| line.split('/').next().unwrap()).collect::<Vec<_>>(),
        ["asset", "asset", "deployment"]
    );
    assert_eq!(run(&server, &["lookup", "identifier", "coingecko/nothing"]).0, Some(3));
    assert_eq!(run(&server, &["lookup", "identifier", "bitcoin"]).0, Some(2));

    let (code, shown, _) = run(&server, &["lookup", "venue-asset", "binance/USDT"]);
    assert!(code == Some(0) && shown.lines().count() > 5 && shown.contains("tron"), "{shown}");
    let one = server.cli_json(&["lookup", "venue-asset", "okx/USDT", "--network", "USDT-TRC20"]);
    let networks = one["results"][0]["resolved"]["networks"].as_array().unwrap();
    assert_eq!((networks.len(), &networks[0]["caip2"]), (1, &Value::from("tron:728126428")));
    let (code, _, why) = run(&server, &["lookup", "venue-asset", "okx/USDT", "--network", "TRX"]);
    assert!(code == Some(3) && why.contains("USDT-TRC20"), "{why}");
    assert_eq!(run(&server, &["lookup", "venue-asset", "nowhere/USDT"]).0, Some(3));
}

async fn variants_are_told_by_the_ways_that_lead_to_them(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let (code, shown, _) = run(&server, &["variants", "ETH"]);
    assert_eq!(code, Some(0));
    assert!(
        shown.lines().any(|line| line.starts_with("wstETH") && line.contains("< stakes stETH < wraps wstETH")),
        "{shown}"
    );
    assert!(shown.lines().any(|line| line.split_whitespace().take(2).eq(["WETH", "1"])), "{shown}");
    let (_, below, _) = run(&server, &["variants", "wstETH"]);
    assert!(below.contains("> wraps stETH > stakes ETH < wraps WETH"), "{below}");
    let (_, shallow, told) = run(&server, &["variants", "ETH", "--max-depth", "1"]);
    assert!(!shallow.contains("wstETH") && told.contains("--max-depth"), "{shallow}{told}");
    assert_eq!(server.cli_json(&["variants", "BTC"])["root_asset_ids"].as_array().unwrap().len(), 1);
    assert_eq!(run(&server, &["variants", "NOTHING"]).0, Some(3));
    let create = ["create", "relationship", "--from-asset-id", "DAI", "--to-asset-id", "USDC", "--type", "migrates-to"];
    assert_eq!(run(&server, &[&create[..], &["--rate-kind", "fixed", "--conversion-rate", "1"]].concat()).0, Some(0));
    let (_, shown, _) = run(&server, &["variants", "DAI"]);
    assert!(shown.lines().last().unwrap().split_whitespace().take(3).eq(["DAI", "USDC", "1"]), "{shown}");
}

async fn members_are_shown_and_changed_one_by_one(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let weights = |shown: &str| {
        let columns = shown.lines().skip(1).map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join("="));
        let mut columns: Vec<String> = columns.collect();
        columns.sort();
        columns
    };
    let (code, shown, _) = run(&server, &["members", "majors"]);
    assert_eq!((code, weights(&shown)), (Some(0), vec!["BTC=1".to_owned(), "ETH=1".to_owned()]));
    let change = ["members", "majors", "--put", "BTC=0.6", "--put", "SOL=0.1", "--remove", "ETH"];
    let (code, would, _) = run(&server, &[&change[..], &["--validate-only"]].concat());
    assert_eq!((code, weights(&would)), (Some(0), vec!["BTC=0.6".to_owned(), "SOL=0.1".to_owned()]));
    assert_eq!(run(&server, &["members", "majors"]).1, shown, "nothing was committed");
    let (_, named, _) = run(&server, &[&change[..], &["--output", "name"]].concat());
    assert!(named.starts_with("group/"), "{named}");
    assert_eq!(run(&server, &["members", "majors"]).1, would);
    for (wrong, code, says) in [
        (&["--put", "BTC"][..], 2, "ASSET=WEIGHT"),
        (&["--put", "BTC=0"], 4, "NOT_POSITIVE"),
        (&["--remove", "ETH"], 4, "removed_asset_ids[0]"),
        (&["--put", "NOTHING=1"], 3, "NOTHING"),
        (&["--reason", "none"], 2, "--put or --remove"),
        (&["--put", "BTC=1", "--etag", "old"], 5, "STALE_ETAG"),
    ] {
        let (exit, _, told) = run(&server, &[&["members", "majors"][..], wrong].concat());
        assert!(exit == Some(code) && told.contains(says), "{wrong:?}: {exit:?} {told}");
    }
}

/// Nobody knows ids by heart.
async fn tables_show_what_other_entities_are_called(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    for (list, called) in [
        (&["deployments", "--chain", "tron"][..], "USDT"),
        (&["relationships", "--from", "WETH"], "WETH"),
        (&["relationships", "--from", "WETH"], "ETH"),
        (&["venue-assets", "--venue", "kraken", "--code", "XBT"], "BTC"),
        (&["identifiers", "--source", "coingecko"], "asset/USDC"),
        (&["markets", "--symbol", "BTCUSDT", "--segment", "spot"], "BTC/USDT"),
    ] {
        let (code, shown, _) = run(&server, &[&["list"], list].concat());
        assert_eq!(code, Some(0));
        assert!(shown.lines().skip(1).any(|line| line.split_whitespace().any(|it| it == called)), "{called}: {shown}");
    }
}

async fn lists_of_messages_are_options_that_may_be_repeated(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let create = [
        "create",
        "group",
        "--name",
        "basket",
        "--members",
        "asset-id=BTC,weight=0.4",
        "--members",
        "asset-id=ETH,weight=0.6",
    ];
    let made = server.cli_json(&create);
    assert_eq!(made["members"].as_array().unwrap().len(), 2);
    let replaced = server.cli_json(&["update", "group", "basket", "--members", "asset_id=SOL,weight=1"]);
    assert_eq!(replaced["members"].as_array().unwrap().len(), 1);
    let network = "network=BTC,chain-id=bitcoin,withdraw-fee=0.0001,is-deposit-enabled=true,confirmations=1";
    let bound = server.cli_json(&[
        "create",
        "venue-asset",
        "--venue-id",
        "binance",
        "--code",
        "BTC",
        "--asset-id",
        "BTC",
        "--networks",
        network,
    ]);
    assert_eq!(
        (&bound["networks"][0]["withdraw_fee"], &bound["networks"][0]["confirmations"]),
        (&"0.0001".into(), &1.into())
    );
    for (wrong, says) in [
        ("weight", "FIELD=VALUE"),
        ("colour=red", "asset-id, weight"),
        ("asset-id=BTC,weight=1,weight=2", "\"weight\" twice"),
    ] {
        let (code, _, why) = run(&server, &["create", "group", "--name", "x", "--members", wrong]);
        assert!(code == Some(2) && why.contains(says), "{why}");
    }
    let yes = "network=BTC,is-deposit-enabled=yes";
    let (code, _, why) = run(&server, &["update", "venue-asset", "binance/BTC", "--networks", yes]);
    assert!(code == Some(2) && why.contains("true or false"), "{why}");
    let (_, listed, _) = run(&server, &["list", "groups"]);
    assert!(listed.lines().any(|line| line.starts_with("basket")), "{listed}");
    let (_, of_asset, _) = run(&server, &["list", "deployments", "--asset", "USDC", "--chain", "eip155:10"]);
    assert_eq!(of_asset.lines().count(), 2, "{of_asset}");
    let (_, of_bitcoin, _) = run(&server, &["list", "identifiers", "--of", "asset/BTC", "--source", "dti"]);
    assert!(of_bitcoin.contains("4H95J0R2X"), "{of_bitcoin}");
    let (_, made_of, _) = run(&server, &["list", "relationships", "--from", "stETH"]);
    assert!(made_of.contains("STAKES"), "{made_of}");
    let (_, labelled, _) = run(&server, &["list", "assets", "--category", "meme"]);
    assert!(labelled.contains("DOGE"), "{labelled}");
}
