//! A client that is generated from the contract in another language: Python, by protoc's own generator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cqar_tests::server::{Options, repository};
use serde_json::{Value, json};

/// Resolves a symbol, then one that is unknown, and prints what came of both.
const CLIENT: &str = r#"
import json, sys
import grpc
from google.rpc import error_details_pb2, status_pb2
from cqar.v1 import error_pb2, market_pb2, market_pb2_grpc

markets = market_pb2_grpc.MarketServiceStub(grpc.insecure_channel(sys.argv[1]))
resolved = markets.ResolveMarket(
    market_pb2.ResolveMarketRequest(venue_id="binance", venue_symbol="BTCUSDT", segment="usdm"), timeout=30)
try:
    markets.ResolveMarket(market_pb2.ResolveMarketRequest(venue_id="binance", venue_symbol="NOTHING"), timeout=30)
    reason = None
except grpc.RpcError as error:
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    reason = error_pb2.ErrorReason.Value(info.reason)
print(json.dumps({"code": resolved.instrument.code, "active": resolved.venue.is_active, "reason": reason}))
"#;

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `make setup`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The .proto files of a folder of the contract, relative to it.
fn protos(contract: &Path, folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(contract.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| path.strip_prefix(contract).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_resolves_a_symbol_and_reads_why_another_does_not() {
    let (python, contract) = (repository().join(".venv/bin/python"), repository().join("proto"));
    let generated = tempfile::tempdir().unwrap();
    let out = generated.path().display();
    run(Command::new(&python)
        .current_dir(&contract)
        .args(["-m", "grpc_tools.protoc", "-I."])
        .args([format!("--python_out={out}"), format!("--grpc_python_out={out}")])
        .args(protos(&contract, "cqar/v1"))
        .args(protos(&contract, "google/rpc")));
    let server = Options::new().with_starter().start().await;
    let client = generated.path().join("client.py");
    fs::write(&client, CLIENT).unwrap();
    let address = server.grpc().trim_start_matches("http://").to_owned();
    let said = run(Command::new(&python).arg(&client).arg(address));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let unknown = i32::from(cqar_proto::v1::ErrorReason::SymbolUnknown);
    assert_eq!(said, json!({"code": "BTC/USDT:USDT", "active": true, "reason": unknown}));
}
