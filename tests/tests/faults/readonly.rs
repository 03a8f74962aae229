//! A database that may be read only is said to be so, and is served.

use std::process::Command;

use cqar_proto::v1::{GetAssetRequest, asset_service_client::AssetServiceClient, component::State};
use cqar_tests::{
    postgres::Postgres,
    read_only_file::ReadOnlyFile,
    server::{Options, Server},
};
use tonic::Code;

use crate::writers::{becomes, create, lines};

async fn is_served_and_said(server: &Server, asset_id: &str) {
    let why = becomes(server, State::Degraded).await;
    assert!(why.contains("read-only"), "{why}");
    let channel = server.channel().await;
    let request = GetAssetRequest { asset_id: asset_id.to_owned(), ..GetAssetRequest::default() };
    AssetServiceClient::new(channel.clone()).get_asset(request).await.unwrap();
    let refused = create(&channel, "NO").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("read-only"), "{refused:?}");
    assert_eq!(lines(server, "database_writes_fail").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_that_may_not_be_written() {
    let options = Options::new();
    let server = options.start().await;
    let id = create(&server.channel().await, "BEFORE").await.unwrap();
    server.terminate().await;
    let Some(_file) = ReadOnlyFile::mount(&options.folder().join("cqar.db")) else { return };
    let server = options.start().await;
    is_served_and_said(&server, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_takes_no_writes() {
    let postgres = Postgres::start();
    let options = Options::new().with("DATABASE_URL", postgres.url());
    options.migrate_up();
    let server = options.start().await;
    let id = create(&server.channel().await, "BEFORE").await.unwrap();
    server.terminate().await;
    let (_, database) = postgres.url().rsplit_once('/').unwrap();
    let name = database.split('?').next().unwrap();
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    assert!(Command::new("psql").arg(postgres.url()).args(["-qc", &set]).status().unwrap().success());
    let server = options.start().await;
    is_served_and_said(&server, &id).await;
}
