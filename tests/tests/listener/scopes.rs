//! Every method against every scope: a caller with all other scopes is refused, and one with it is not, whatever else is wrong.

use std::fmt::Write as _;

use cqar_proto::DESCRIPTORS;
use cqar_tests::server::{Options, Server};
use prost_reflect::DescriptorPool;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Request, Status, client::Grpc};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

const SCOPES: [&str; 3] = ["read", "write", "admin"];

/// What a method needs, by its name alone.
fn needs(service: &str, method: &str) -> &'static str {
    let reads = ["Get", "BatchGet", "List", "Resolve", "BatchResolve", "Format", "BatchFormat", "Find", "Watch"];
    if reads.iter().any(|prefix| method.starts_with(prefix)) {
        "read"
    } else if service == "PluginService" {
        "admin"
    } else {
        "write"
    }
}

/// An empty request, of which the method may think what it likes.
async fn call(server: &Server, path: &str, key: &str) -> Result<(), Status> {
    let mut client = Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let mut request = Request::new(futures::stream::iter([()]));
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    client.streaming(request, path.parse().unwrap(), codec).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_needs_its_scope_and_no_other() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    let mut file = String::new();
    let services = ["", ":MarketService"];
    for scope in SCOPES {
        for service in services {
            let (name, hash) = (format!("{scope}{service}").replace(':', "-"), sha256(&format!("{scope}{service}")));
            writeln!(file, "- {{name: {name}, sha256: {hash}, scopes: [\"{scope}{service}\"]}}").unwrap();
        }
    }
    std::fs::write(keys.path(), file).unwrap();
    let options = Options::new().with("AUTH_KEYS_FILE", keys.path().display()).with("SERVER_HOST", "127.0.0.1");
    let server = options.start().await;
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let methods: Vec<_> = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert!(methods.len() > 70, "{}", methods.len());
    for method in methods {
        let (service, name) = (method.parent_service().clone(), method.name());
        for scope in SCOPES {
            for only in services {
                let is_allowed =
                    needs(service.name(), name) == scope && (only.is_empty() || only == format!(":{}", service.name()));
                let path = format!("/{}/{name}", service.full_name());
                let answered = call(&server, &path, &format!("{scope}{only}")).await;
                let refused = answered.err().filter(|status| status.code() == Code::PermissionDenied);
                assert_eq!(refused.is_none(), is_allowed, "{path} with {scope}{only}: {refused:?}");
                if let Some(refused) = refused {
                    assert_eq!(refused.get_details_error_info().unwrap().reason, "SCOPE_MISSING");
                }
            }
        }
    }
}

fn sha256(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
