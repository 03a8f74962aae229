//! `cqar health`: whether the server on this machine lives, for containers, whose images have no other client.

use std::{io, sync::Arc, time::Duration};

use clap::Args;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    ClientArgs, ConfigArgs,
    error::{CliError, Exit},
    output,
};
use crate::config::{Loaded, keys};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar health                      whether it lives: HEALTHCHECK CMD [\"cqar\", \"health\"]
  cqar health --ready              whether it can serve, and how each part is

It asks /health/live, or /health/ready, on server.http_port of this machine, and needs no key. The
exit code is 0 if it does, and 1 if it does not or nothing answers.")]
pub struct HealthArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask whether it can serve, too.
    #[arg(long)]
    ready: bool,
}

/// How long an answer may take, unless `--timeout` says otherwise: as probes of Kubernetes have it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer has.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Asks, and says what was answered.
pub async fn run(args: HealthArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let probed = probed(&args.config);
    let Probed { host, port, .. } = &probed;
    let path = if args.ready { "/health/ready" } else { "/health/live" };
    let within = client.timeout.unwrap_or(TIMEOUT);
    let answered = timeout(within, get(&probed, path)).await;
    let failed =
        |why: String| CliError::from(anyhow::anyhow!("{host}:{port} (server.http_port) does not answer: {why}"));
    let (status, body) = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("within {} ms", within.as_millis()))),
    };
    if body.trim().is_empty() {
        return Err(failed("what answers there is not this server".to_owned()));
    }
    match serde_json::from_str::<Value>(&body) {
        Ok(answer) if client.format().print(&answer)? => {}
        Ok(answer) => {
            let of = |name: &str| answer.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
            let (components, reasons) = (of("components"), of("reasons"));
            let names = components.keys().chain(reasons.keys().filter(|name| !components.contains_key(*name)));
            let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            let rows = names.map(|name| [name.clone(), text(components.get(name)), text(reasons.get(name))]);
            output::line(&text(answer.get("status")))?;
            output::table(["COMPONENT", "STATE", "REASON"], rows)?;
        }
        Err(_) => {
            let answer = serde_json::json!({"status": body.trim_end()});
            if !client.format().print(&answer)? {
                output::line(body.trim_end())?;
            }
        }
    }
    Ok(if status == 200 { Exit::Done } else { Exit::Failed })
}

/// Where the server on this machine answers probes.
struct Probed {
    host: String,
    port: u16,
    is_tls: bool,
}

/// Where the server on this machine listens. A configuration that became wrong since it started is its own matter: it serves on, and
/// is asked where it most probably is.
fn probed(config: &ConfigArgs) -> Probed {
    let (host, port, is_tls) = match config.load() {
        Ok(Loaded { config, .. }) => {
            (config.listen_host().to_owned(), config.server.http_port, config.server.http_tls_enabled)
        }
        Err(error) => {
            eprintln!("warning: {error}");
            let said = |path: &str| {
                let key = keys::holding(path)?;
                std::env::var(key.variable()?).ok().or_else(|| Some(key.default.trim_matches('"').to_owned()))
            };
            (
                said("server.host").unwrap_or_default(),
                said("server.http_port").and_then(|it| it.parse().ok()).unwrap_or(0),
                said("server.http_tls_enabled").is_some_and(|it| it == "true"),
            )
        }
    };
    let host = match host.trim_matches(['[', ']']) {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    Probed { host: host.to_owned(), port, is_tls }
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// The status and the body of an HTTP GET, which needs no more of HTTP than this.
async fn get(probed: &Probed, path: &str) -> io::Result<(u16, String)> {
    let Probed { host, port, is_tls } = probed;
    let connection = TcpStream::connect((host.as_str(), *port)).await?;
    let mut connection: Box<dyn Connection> = if *is_tls {
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        Box::new(TlsConnector::from(Arc::new(AnyCertificate::client()?)).connect(name, connection).await?)
    } else {
        Box::new(connection)
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.take(MAX_ANSWER_BYTES).read_to_string(&mut answer).await?;
    let unreadable = || io::Error::other("what answers there is not this server");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(unreadable)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(unreadable)?;
    Ok((status, body.to_owned()))
}

/// Takes whatever certificate is shown: the one of a server is for its name, and not for this machine's; and what is asked is no secret.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl AnyCertificate {
    fn client() -> io::Result<ClientConfig> {
        let provider = ring::default_provider();
        let client = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        Ok(client.dangerous().with_custom_certificate_verifier(Arc::new(Self(provider))).with_no_client_auth())
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
