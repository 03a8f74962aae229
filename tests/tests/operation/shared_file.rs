//! Two servers on one SQLite file: each writes, and neither answers with what the other has changed.

use cqar_proto::v1::{self, GetAssetRequest, asset_service_client::AssetServiceClient};
use cqar_tests::{
    fixtures::update,
    server::{Options, Server},
};
use tonic::transport::Channel;

use crate::fixture::{apply, asset, create, mutation};

const ROUNDS: usize = 20;

async fn assets(server: &Server) -> AssetServiceClient<Channel> {
    AssetServiceClient::new(server.channel().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_read_what_the_other_wrote_and_no_write_is_lost() {
    let first = Options::new();
    let second = Options::new().with("DATABASE_URL", format!("sqlite://{}", first.folder().join("cqar.db").display()));
    let servers = [first.start().await, second.start().await];
    let id = "01a20f72-b3e5-7587-ac8b-f06a50e6c9c5";
    let created = v1::Asset { id: id.into(), ..asset("SHARED") };
    apply(&servers[0], vec![mutation(create(created.clone()))]).await.unwrap();
    for round in 0..ROUNDS {
        let (writer, reader) = (&servers[round % 2], &servers[(round + 1) % 2]);
        let name = format!("Round {round}");
        let renamed = v1::Asset { name: name.clone(), ..created.clone() };
        let revision = apply(writer, vec![mutation(update(renamed))]).await.unwrap().revision;
        // Without a revision the one that wrote knows; with one, the other does.
        for (server, min_revision) in [(writer, 0), (reader, revision)] {
            let request = GetAssetRequest { asset_id: id.into(), min_revision, ..Default::default() };
            let read = assets(server).await.get_asset(request).await.unwrap().into_inner();
            assert_eq!(read.name, name, "{round}");
        }
    }
    // Both at once, and each write has a revision of its own.
    let many = |n: usize| {
        let server = &servers[n % 2];
        async move { apply(server, vec![mutation(create(asset(&format!("MANY{n}"))))]).await.unwrap().revision }
    };
    let mut revisions = futures::future::join_all((0..40).map(many)).await;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 40);
}
