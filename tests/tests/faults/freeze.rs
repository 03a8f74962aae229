//! A second server that is frozen in the middle of its write.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use cqar_tests::{collect, postgres::Postgres, server::Options, tcp_proxy::TcpProxy};

use crate::writers::{self, COMMIT, Writers, create};

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_writer_stops_the_others_for_five_seconds_at_most() {
    let postgres = Postgres::start();
    let proxy = TcpProxy::start(postgres.address()).await;
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let first = options.start().await;
    let frozen = Options::new().with("DATABASE_URL", postgres.url_at(proxy.port())).start().await;
    let (to_first, to_frozen) = (first.channel().await, frozen.channel().await);
    create(&to_first, "BEFORE").await.unwrap();
    create(&to_frozen, "BEFORE").await.unwrap();

    // It has the counter's lock, and its commit is held back: now it is frozen.
    proxy.silence_at(COMMIT);
    let writing = tokio::spawn(async move { create(&to_frozen, "FROZEN").await });
    proxy.is_silent().await;
    signal("-STOP", frozen.pid());
    let began = Instant::now();
    collect::until("the first one writes", async || create(&to_first, "AFTER").await.ok()).await;
    let took = began.elapsed();
    println!("the first server wrote again after {took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(took > Duration::from_secs(1), "nothing stopped it: the other one had no lock");

    // It is thawed, and learns that its write was taken back.
    proxy.release();
    signal("-CONT", frozen.pid());
    writing.await.unwrap().unwrap_err();
    let writers = Writers::start(&frozen, 2).await;
    writers.go_on(10).await;
    writers::check(&frozen, &writers.end().await).await;
}
