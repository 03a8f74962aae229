//! Connections that are merely many.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use cqar_tests::{
    certificates::Certificates,
    collect::until,
    server::{Options, Server},
};
use futures::{StreamExt as _, stream};
use rustls::pki_types::ServerName;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    floods::metric,
    rotation::client_of,
    wire::{PREFACE, SETTINGS, frame, greeted},
};

const MANY: u32 = 10_000;

/// The time that a process has computed so far.
fn computed(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The share of a processor that it takes in the next seconds.
async fn share(server: &Server, over: Duration) -> f64 {
    let before = computed(server);
    tokio::time::sleep(over).await;
    computed(server).saturating_sub(before).as_secs_f64() / over.as_secs_f64()
}

fn resident_mib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Probes and new calls are answered.
async fn answers_soon(server: &Server, certificates: Option<&Certificates>) -> Duration {
    let began = Instant::now();
    assert_eq!(server.http_get(server.http(), "/health/ready").await.0, 200);
    let channel = match certificates {
        None => server.channel().await,
        Some(certificates) => {
            let ca = Certificate::from_pem(fs::read(certificates.file("ca.pem")).unwrap());
            let tls = ClientTlsConfig::new().ca_certificate(ca).domain_name("localhost");
            let address = server.grpc().replace("http://", "https://");
            Channel::from_shared(address).unwrap().tls_config(tls).unwrap().connect().await.unwrap()
        }
    };
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_over_tls_cost_next_to_nothing() {
    let certificates = Certificates::new();
    let options = Options::new()
        .with("SERVER_HOST", "127.0.0.1")
        .with("SERVER_TLS_ENABLED", true)
        .with("SERVER_TLS_CERT_FILE", certificates.path("server.pem"))
        .with("SERVER_TLS_KEY_FILE", certificates.path("server.key"))
        .with("SERVER_MAX_CONNECTIONS", MANY + 10);
    let server = options.start().await;
    let before = resident_mib(&server);
    rlimit::increase_nofile_limit(u64::from(MANY) + 1000).unwrap();
    let connector = TlsConnector::from(Arc::new(client_of(&certificates)));
    let address = server.grpc().trim_start_matches("http://").to_owned();
    let connect = async |_| -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(&address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        stream
    };
    let held: Vec<_> = stream::iter(0..MANY).map(connect).buffer_unordered(64).collect().await;
    until("all are open", async || {
        (metric(&server, "cqar_connections{port=\"grpc\"} ").await >= u64::from(MANY)).then_some(())
    })
    .await;
    let (resident, took) = (resident_mib(&server), answers_soon(&server, Some(&certificates)).await);
    let share = share(&server, Duration::from_secs(10)).await;
    println!(
        "{MANY} connections: {resident} MiB resident, {:.1} % of a processor, answered in {took:?}",
        share * 100.0
    );
    assert_eq!(metric(&server, "cqar_connections_refused_total{port=\"grpc\",reason=\"limit\"} ").await, 0);
    // Bounds for a machine that builds something else meanwhile, and for a build that is larger than the one for production, of which
    // the whole is to be below 256 MiB.
    assert!(resident - before < 224 && took < Duration::from_secs(2) && share < 0.25);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_few_files_may_be_opened_the_limit_is_lowered_and_holds() {
    let server = Options::new().with_open_files(1024).start().await;
    let lowered = server.log().iter().any(|line| line.contains("max_connections_lowered"));
    let limit = metric(&server, "cqar_connections_limit{port=\"grpc\"} ").await;
    assert!(lowered && (500..1024).contains(&limit), "{limit}");
    let mut held = Vec::new();
    for _ in 0..1100 {
        held.push(greeted(server.grpc()).await);
    }
    let refused = "cqar_connections_refused_total{port=\"grpc\",reason=\"limit\"} ";
    until("those beyond are refused", async || (metric(&server, refused).await >= 1100 - limit).then_some(())).await;
    assert_eq!(metric(&server, "cqar_accept_errors_total{port=\"grpc\"} ").await, 0);
    let share = share(&server, Duration::from_secs(3)).await;
    println!("{limit} connections of 1100: {:.1} % of a processor", share * 100.0);
    assert!(share < 0.25, "{share}");
    held.truncate(100);
    until("there is room", async || (metric(&server, "cqar_connections{port=\"grpc\"} ").await < limit).then_some(()))
        .await;
    assert!(answers_soon(&server, None).await < Duration::from_secs(2));
}
