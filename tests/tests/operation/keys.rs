//! Who may call, and whose name a change carries.

use cqar_proto::v1::{
    CreateAssetRequest, GetStatusRequest, WatchRequest, asset_service_client::AssetServiceClient,
    event_service_client::EventServiceClient, registry_service_client::RegistryServiceClient, watch_response::Step,
};
use cqar_tests::{
    environment::TestEnvironment,
    in_both_environments,
    server::{Options, Server},
};
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};

use crate::fixture::{asset, reason};

in_both_environments! {
    only_known_keys_call_and_their_names_are_in_the_log
}

fn locked(options: Options) -> Options {
    options.with("AUTH_API_KEYS", "sesame:desk-1,open-up:desk-2").with("SERVER_HOST", "127.0.0.1")
}

fn with<T>(message: T, header: &'static str, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(header, value.parse().unwrap());
    request
}

async fn only_known_keys_call_and_their_names_are_in_the_log(s: TestEnvironment) {
    let server = locked(s.options()).start().await;
    let mut registry = RegistryServiceClient::new(server.channel().await);
    let missing = registry.get_status(GetStatusRequest {}).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::Unauthenticated, "API_KEY_MISSING"));
    for (header, value) in [("authorization", "Bearer sesam"), ("x-api-key", "desk-1"), ("x-api-key", "")] {
        let refused = registry.get_status(with(GetStatusRequest {}, header, value)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "API_KEY_UNKNOWN"), "{value}");
    }
    let mut assets = AssetServiceClient::new(server.channel().await);
    for (header, value) in [("authorization", "Bearer sesame"), ("x-api-key", "open-up")] {
        let create = CreateAssetRequest { asset: Some(asset("KEY")), ..CreateAssetRequest::default() };
        assets.create_asset(with(create, header, value)).await.unwrap();
    }
    let mut events = EventServiceClient::new(server.channel().await);
    let all = WatchRequest { start_revision: Some(0), ..WatchRequest::default() };
    assert_eq!(events.watch(all.clone()).await.unwrap_err().code(), Code::Unauthenticated);
    let mut steps = events.watch(with(all, "x-api-key", "sesame")).await.unwrap().into_inner();
    for actor in ["desk-1", "desk-2"] {
        let Some(Step::Event(event)) = steps.message().await.unwrap().unwrap().step else { panic!("no event") };
        assert_eq!(event.actor, actor);
    }

    HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    assert!(reflects(&server).await);
    assert_eq!(server.cli(&["status"]).status.code(), Some(7));
    assert!(server.cli(&["--api-key", "sesame", "status"]).status.success());
    assert!(server.cli_command(&["status"]).env("CQAR_API_KEY", "open-up").output().unwrap().status.success());
    let log = server.log().join("\n");
    assert!(!log.contains("sesame") && !log.contains("open-up"), "{log}");

    let options = server.kill().with("SERVER_REFLECTION_REQUIRES_KEY", true);
    assert!(!reflects(&options.start().await).await);
}

/// Whether reflection answers without a key.
async fn reflects(server: &Server) -> bool {
    let requests = tokio_stream::once(ServerReflectionRequest::default());
    ServerReflectionClient::new(server.channel().await).server_reflection_info(requests).await.is_ok()
}
