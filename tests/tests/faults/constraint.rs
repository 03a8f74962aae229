//! What the registry's rules allow and the database does not: refused by name, and never as an accident.

use cqar_proto::v1::{CreateChainRequest, chain_service_client::ChainServiceClient};
use cqar_tests::{
    fixtures::{chain, reason, says},
    server::Options,
};
use sqlx::{Connection, SqliteConnection};
use tonic::Code;

use crate::writers::{create, told};

#[tokio::test(flavor = "multi_thread")]
async fn what_someone_else_wrote_into_the_tables_is_a_refusal_of_its_own() {
    let server = Options::new().start().await;
    let channel = server.channel().await;
    create(&channel, "BEFORE").await.unwrap();
    let url = format!("sqlite://{}", server.options.folder().join("cqar.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let key = chain("here", "eip155:77");
    let ghost = "INSERT INTO unique_keys (key, entity_id) \
        SELECT substr(key, 1, length(key) - 1) || '77', 'ghost' FROM unique_keys WHERE key LIKE 'chain.caip2:%:1'";
    let mut chains = ChainServiceClient::new(channel.clone());
    let first = CreateChainRequest { chain: Some(chain("one", "eip155:1")), ..CreateChainRequest::default() };
    chains.create_chain(first).await.unwrap();
    let written = sqlx::raw_sql(ghost).execute(&mut connection).await.unwrap();
    assert_eq!(written.rows_affected(), 1, "the key is written as it is here");

    let request = CreateChainRequest { chain: Some(key), ..CreateChainRequest::default() };
    let refused = chains.create_chain(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CONSTRAINT_VIOLATED"));
    assert!(says(&refused, "constraint").unwrap().contains("unique_keys"), "{refused:?}");
    told(&server, "constraint_violated", 1).await;
    create(&channel, "AFTER").await.unwrap();
}
