//! Several servers on one database through a pooler of transactions.

use cqar_proto::v1::{GetAssetRequest, asset_service_client::AssetServiceClient, component::State};
use cqar_tests::{pgbouncer::PgBouncer, server::Options};

use crate::writers::{self, Writers, becomes, create};

#[tokio::test(flavor = "multi_thread")]
async fn servers_behind_a_pooler_see_each_others_writes() {
    let pgbouncer = PgBouncer::start();
    let options = || Options::new().with("DATABASE_URL", pgbouncer.url()).with("DATABASE_STATEMENT_CACHE", 0);
    options().migrate_up();
    let (first, second) = (options().start().await, options().start().await);
    let writers = [Writers::start(&first, 4).await, Writers::start(&second, 4).await];
    for writers in &writers {
        writers.go_on(50).await;
    }
    let (to_first, to_second) = (first.channel().await, second.channel().await);
    let id = create(&to_first, "SEEN").await.unwrap();
    let revision = cqar_tests::collect::status(&first).await.revision;
    let request = GetAssetRequest { asset_id: id, min_revision: revision, ..GetAssetRequest::default() };
    assert_eq!(AssetServiceClient::new(to_second).get_asset(request).await.unwrap().into_inner().symbol, "SEEN");
    for (server, writers) in [&first, &second].into_iter().zip(writers) {
        let outcomes = writers.end().await;
        assert!(outcomes.refused.is_empty(), "{:?}", outcomes.refused);
        writers::check(server, &outcomes).await;
        becomes(server, State::Ok).await;
    }
}
