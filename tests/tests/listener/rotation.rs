//! What is replaced while the server serves: its certificate, and the keys of its callers.

use std::{fs, path::PathBuf, sync::Arc, time::Instant};

use cqar_proto::v1::{GetStatusRequest, registry_service_client::RegistryServiceClient};
use cqar_tests::{
    certificates::{CLIENT_URI, Certificates},
    collect::until,
    server::{Options, Server, binary},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

use crate::floods::metric;

/// Trusts the authority of these certificates, and no other.
pub fn client_of(certificates: &Certificates) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.file("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut client =
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    client
}

/// The certificate that a server shows.
async fn shown(server: &Server, certificates: &Certificates) -> CertificateDer<'static> {
    let stream = TcpStream::connect(server.grpc().trim_start_matches("http://")).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client_of(certificates))).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn in_file(certificates: &Certificates) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(certificates.file("server.pem")).unwrap()
}

/// A server that speaks TLS, with this file of keys.
fn options(certificates: &Certificates, keys: &str) -> (Options, PathBuf) {
    let options = Options::new();
    let file = options.folder().join("keys.yaml");
    fs::write(&file, keys).unwrap();
    let options = options
        .with("SERVER_HOST", "127.0.0.1")
        .with("SERVER_TLS_ENABLED", true)
        .with("SERVER_TLS_CERT_FILE", certificates.path("server.pem"))
        .with("SERVER_TLS_KEY_FILE", certificates.path("server.key"))
        .with("SERVER_TLS_CLIENT_CA_FILE", certificates.path("ca.pem"))
        .with("AUTH_KEYS_FILE", file.display());
    (options, file)
}

async fn channel(server: &Server, certificates: &Certificates, with_certificate: bool) -> Channel {
    let pem = |name: &str| fs::read(certificates.file(name)).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem("ca.pem"))).domain_name("localhost");
    let tls =
        if with_certificate { tls.identity(Identity::from_pem(pem("client.pem"), pem("client.key"))) } else { tls };
    let address = server.grpc().replace("http://", "https://");
    Channel::from_shared(address).unwrap().tls_config(tls).unwrap().connect().await.unwrap()
}

async fn status(channel: &Channel, key: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(GetStatusRequest {});
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    RegistryServiceClient::new(channel.clone()).get_status(request).await.map(drop)
}

async fn code(channel: &Channel, key: Option<&str>) -> Code {
    status(channel, key).await.map_or_else(|status| status.code(), |()| Code::Ok)
}

/// A key and its line for the file.
fn new_key(name: &str) -> (String, String) {
    let made = std::process::Command::new(binary()).args(["key", "new", name, "-o", "json"]).output().unwrap();
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["entry"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_a_pair_that_does_not_match_to_none() {
    let certificates = Certificates::new();
    let (_, entry) = new_key("desk-1");
    let server = options(&certificates, &entry).0.start().await;
    let first = in_file(&certificates);
    assert_eq!(shown(&server, &certificates).await, first);

    // The certificate of another key: what was shown before is shown.
    certificates.renew("other");
    fs::copy(certificates.file("other.pem"), certificates.file("server.pem")).unwrap();
    until("it is refused", async || {
        (metric(&server, "cqar_config_reloads_total{outcome=\"refused\"} ").await > 0).then_some(())
    })
    .await;
    assert_eq!(shown(&server, &certificates).await, first);
    // And then its key.
    fs::copy(certificates.file("other.key"), certificates.file("server.key")).unwrap();
    until("it is shown", async || (shown(&server, &certificates).await == in_file(&certificates)).then_some(())).await;
    let expires = metric(&server, "cqar_tls_certificate_expiry_timestamp_seconds{port=\"grpc\"} ").await;
    assert!(expires > 1_700_000_000, "{expires}");
    assert!(server.log().iter().all(|line| !line.contains("PRIVATE KEY")));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_overlap_while_they_are_replaced_and_one_that_is_taken_away_is_refused_within_2_s() {
    let certificates = Certificates::new();
    let ((old, old_line), (new, new_line)) = (new_key("desk-1"), new_key("desk-1"));
    let (options, file) = options(&certificates, &old_line);
    let server = options.start().await;
    let channel = channel(&server, &certificates, false).await;
    assert_eq!(code(&channel, Some(&old)).await, Code::Ok);
    assert_eq!(code(&channel, Some(&new)).await, Code::Unauthenticated);
    fs::write(&file, format!("{old_line}\n{new_line}\n")).unwrap();
    until("both are known", async || (code(&channel, Some(&new)).await == Code::Ok).then_some(())).await;
    assert_eq!(code(&channel, Some(&old)).await, Code::Ok);
    fs::write(&file, &new_line).unwrap();
    let taken_away = Instant::now();
    until("the old one is refused", async || (code(&channel, Some(&old)).await == Code::Unauthenticated).then_some(()))
        .await;
    assert!(taken_away.elapsed().as_millis() < 2500, "{:?}", taken_away.elapsed());
    assert_eq!(code(&channel, Some(&new)).await, Code::Ok);
    // A file that is half written takes nobody's key.
    fs::write(&file, &new_line[..new_line.len() / 2]).unwrap();
    until("it is refused", async || {
        (metric(&server, "cqar_config_reloads_total{outcome=\"refused\"} ").await > 0).then_some(())
    })
    .await;
    assert_eq!(code(&channel, Some(&new)).await, Code::Ok);
    assert!(metric(&server, "cqar_auth_failures_total{reason=\"key_unknown\"} ").await >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_says_who_calls_and_a_key_goes_before_it() {
    let certificates = Certificates::new();
    let (key, line) = new_key("desk-1");
    let entry = format!("{line}\n- {{name: gateway, certificate: \"{CLIENT_URI}\", scopes: [write]}}\n");
    let server = options(&certificates, &entry).0.start().await;
    let (with, without) = (channel(&server, &certificates, true).await, channel(&server, &certificates, false).await);
    assert_eq!(code(&without, None).await, Code::Unauthenticated);
    // It is known, and may write alone.
    let refused = status(&with, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().starts_with("gateway may not"), "{}", refused.message());
    assert_eq!(code(&with, Some(&key)).await, Code::Ok);
    assert_eq!(code(&with, Some("wrong")).await, Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_tls_by_options_and_by_a_context() {
    let certificates = Certificates::new();
    let (key, line) = new_key("@desk-1");
    let (options, _) = options(&certificates, &line);
    let server = options.start().await;
    let https = server.grpc().replace("http://127.0.0.1", "https://localhost");
    let folder = server.options.folder().to_owned();
    fs::write(folder.join("key"), format!("{key}\n")).unwrap();
    let cli = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        let command = command.env_clear().env("CQAR_CONTEXTS", folder.join("contexts.yaml")).current_dir(&folder);
        let output = command.args(arguments).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), said)
    };
    let ca = certificates.path("ca.pem");
    let called = cli(&["--server", &https, "--ca", &ca, "--api-key", &key, "status"]);
    assert_eq!(called.0, 0, "{}", called.1);
    let plain = cli(&["--server", server.grpc(), "--api-key", &key, "status"]);
    assert_eq!(plain.0, 6, "{}", plain.1);
    let untrusted = cli(&["--server", &https, "--api-key", &key, "status"]);
    assert!(untrusted.0 == 6 && untrusted.1.contains("UnknownIssuer"), "{}", untrusted.1);
    let left_out = cli(&["--server", server.grpc(), "--ca", &ca, "status"]);
    assert!(left_out.0 == 2 && left_out.1.contains("https://"), "{}", left_out.1);

    let set = cli(&["--server", &https, "--ca", &ca, "context", "set", "here", "--api-key-file", "key"]);
    assert!(set.0 == 0 && set.1.contains("here"), "{}", set.1);
    assert_eq!(cli(&["status"]).0, 0);
    let elsewhere = cli(&["--context", "nowhere", "status"]);
    assert!(elsewhere.0 == 2 && elsewhere.1.contains("there are here"), "{}", elsewhere.1);
    assert_eq!(cli(&["context", "delete", "here"]).0, 0);
    assert_eq!(cli(&["context", "use", "here"]).0, 2);
}
