//! SIGTERM: what runs may finish, what never would is ended, nothing new is taken.

use cqar_proto::v1::{GetStatusRequest, ImportListingRequest, WatchRequest};
use cqar_tests::{
    collect::DEADLINE,
    environment::TestEnvironment,
    in_both_environments,
    server::{Options, Server},
};
use futures::StreamExt as _;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::fixture::{Imported, import, into_binance, listing, reason};

in_both_environments! {
    a_running_call_finishes_while_the_server_ends
}

type Import = JoinHandle<Result<Imported, Status>>;

/// An import that has begun, and of which the server waits for more.
async fn begun(server: &Server) -> (Sender<ImportListingRequest>, Import) {
    let (sender, receiver) = channel(1);
    let mut client = server.registry().await;
    let mut same_connection = client.clone();
    let call = tokio::spawn(async move {
        Imported::receive(client.import_listing(ReceiverStream::new(receiver)).await?.into_inner()).await
    });
    let options = import(into_binance(), b"").next().await.unwrap();
    sender.send(options).await.unwrap();
    // The first message is taken when the call's headers are on their way; what follows on this connection is after them.
    sender.reserve().await.unwrap();
    same_connection.get_status(GetStatusRequest {}).await.unwrap();
    (sender, call)
}

async fn a_running_call_finishes_while_the_server_ends(s: TestEnvironment) {
    let server = s.options().with_starter().start().await;
    let (sender, call) = begun(&server).await;
    let mut watching = server.events().await.watch(WatchRequest::default()).await.unwrap().into_inner();
    let grpc = server.grpc().to_owned();
    let ended = tokio::spawn(server.terminate());
    let stopping = loop {
        if let Err(status) = watching.message().await {
            break status;
        }
    };
    assert_eq!((stopping.code(), reason(&stopping).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    for chunk in import(into_binance(), &listing("LATE", 50)).skip(1).collect::<Vec<_>>().await {
        sender.send(chunk).await.unwrap();
    }
    drop(sender);
    let imported = call.await.unwrap().unwrap();
    assert_eq!(imported.created, 50);
    assert!(ended.await.unwrap().success());
    assert!(tokio::net::TcpStream::connect(grpc.trim_start_matches("http://")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_ends_is_cut_off_when_its_time_is_up() {
    let server = Options::new().with("SERVER_SHUTDOWN_TIMEOUT", "500ms").with_starter().start().await;
    let (sender, call) = begun(&server).await;
    let status = tokio::time::timeout(DEADLINE, server.terminate()).await.expect("it ends");
    assert!(status.success(), "{status}");
    assert!(call.await.unwrap().is_err());
    drop(sender);
}
