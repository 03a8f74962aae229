//! A network that goes silent between server and PostgreSQL, without a reset.

use std::time::{Duration, Instant};

use cqar_proto::v1::component::State;
use cqar_tests::{collect, postgres::Postgres, server::Options, tcp_proxy::TcpProxy};
use tonic::Code;

use crate::writers::{self, COMMIT, Writers, becomes, create, lines};

/// What a write may take on a busy machine beyond the 5 s of a statement.
const SOON: Duration = Duration::from_secs(9);

async fn behind_a_proxy() -> (Postgres, TcpProxy, Options) {
    let postgres = Postgres::start();
    let proxy = TcpProxy::start(postgres.address()).await;
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let options = options.with("DATABASE_URL", postgres.url_at(proxy.port())).with("DATABASE_QUERY_TIMEOUT", "5s");
    (postgres, proxy, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_in_the_middle_of_a_write_refuses_the_others_in_time_and_passes() {
    let (_postgres, proxy, options) = behind_a_proxy().await;
    let server = options.start().await;
    let writers = Writers::start(&server, 4).await;
    writers.go_on(20).await;
    proxy.silence_at(COMMIT);
    proxy.is_silent().await;
    let channel = server.channel().await;
    for _ in 0..3 {
        let began = Instant::now();
        let refused = create(&channel, "DURING").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    // Who asks what is wrong is told, whatever is wrong.
    let (state, why) = writers::database(&server).await;
    assert!(state != State::Ok && !why.is_empty(), "{state:?} {why}");
    let told = server.cli(&["status"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("database"), "{told:?}");

    proxy.release();
    let began = Instant::now();
    writers.go_on(20).await;
    println!("20 writes within {:?} of the end of the silence", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(30));
    becomes(&server, State::Ok).await;
    writers::check(&server, &writers.end().await).await;
}

/// Idle connections are gone without a word: each is found out once at most, and no call waits for one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn connections_from_before_a_silence_are_not_used_again() {
    let (postgres, proxy, options) = behind_a_proxy().await;
    let server = options.start().await;
    let writers = Writers::start(&server, 8).await;
    writers.go_on(100).await;
    let outcomes = writers.end().await;
    proxy.silence();
    let channel = server.channel().await;
    create(&channel, "DURING").await.unwrap_err();
    // The other side ends what is open, and the network loses that, too.
    postgres.terminate("TRUE");
    proxy.release();
    let began = Instant::now();
    collect::until("a write goes through", async || create(&channel, "AFTER").await.ok()).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    writers::check(&server, &outcomes).await;
    assert!(lines(&server, "log_not_read").len() <= 4, "{:#?}", lines(&server, "log_not_read"));
}
