//! Signals are heard while the server starts, whatever that waits for.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cqar_tests::{postgres::Postgres, server::Options, tcp_proxy::TcpProxy};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_a_silent_database_ends_when_it_is_told_to() {
    let postgres = Postgres::start();
    let proxy = TcpProxy::start(postgres.address()).await;
    proxy.silence();
    let options = Options::new()
        .with("DATABASE_URL", postgres.url_at(proxy.port()))
        .with("DATABASE_CONNECT_TIMEOUT", "10m")
        .with("LOG_LEVEL", "debug");
    let mut child = options.command().arg("serve").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = tokio::task::spawn_blocking(move || {
        let began = lines.any(|line| line.unwrap().contains("connecting_to_database"));
        (began, lines)
    });
    let (began, _lines) = told.await.unwrap();
    assert!(began);
    let told = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
    assert!(ended.success(), "{ended:?}");
}
