//! Transactions that end on the server's side: the connection is not used again, and the next write works.

use std::{process::Command, time::Duration};

use cqar_proto::v1::{CreateAssetRequest, asset_service_client::AssetServiceClient, component::State};
use cqar_tests::{
    environment::TestEnvironment, fixtures::asset, in_both_environments, postgres::Postgres, server::Options,
};

use crate::writers::{self, Writers, becomes};

in_both_environments! {
    a_write_that_its_caller_gave_up_leaves_nothing_behind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_backend_and_a_restart_are_got_over() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let server = options.start().await;
    let writers = Writers::start(&server, 4).await;
    writers.go_on(20).await;
    for _ in 0..10 {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cqar'";
        let ended = Command::new("psql").arg(postgres.url()).args(["-qc", end]).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        writers.go_on(5).await;
    }
    becomes(&server, State::Ok).await;
    writers::check(&server, &writers.end().await).await;
}

/// Calls that are cancelled at any moment: what they began is taken back, and what they had waited for is not begun.
async fn a_write_that_its_caller_gave_up_leaves_nothing_behind(s: TestEnvironment) {
    let server = s.options().start().await;
    let writers = Writers::start(&server, 2).await;
    let mut cancelled = 0;
    for n in 0..200_u64 {
        let mut assets = AssetServiceClient::new(server.channel().await);
        let request = CreateAssetRequest { asset: Some(asset(&format!("C{n}"))), ..CreateAssetRequest::default() };
        let call = assets.create_asset(request);
        cancelled += usize::from(tokio::time::timeout(Duration::from_micros(n * 40), call).await.is_err());
    }
    assert!(cancelled > 10, "{cancelled}");
    writers.go_on(10).await;
    let outcomes = writers.end().await;
    assert!(outcomes.refused.is_empty(), "{:?}", outcomes.refused);
    writers::check(&server, &outcomes).await;
}
