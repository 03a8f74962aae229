//! TLS of a port: the certificate that it shows, which can be replaced while it serves, and those that clients show.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use x509_parser::{
    extensions::GeneralName,
    parse_x509_certificate,
    prelude::{FromDer as _, X509Certificate},
};

use super::Protocol;

/// What a port shows of itself, and whom it asks for the same: the contents of PEM files.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those that lead from it to an authority.
    pub certificates: Vec<u8>,
    /// The certificate's private key.
    pub key: Vec<u8>,
    /// The authorities whose client certificates are believed. None asks for no certificate; with some, a client may show one.
    pub client_authorities: Option<Vec<u8>>,
}

/// Why an identity cannot be shown. Nothing of the key is said.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is no PEM of what it should be.
    #[error("{what} cannot be read as PEM: {source}")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// There is nothing in it.
    #[error("there is no certificate in {0}")]
    Empty(&'static str),
    /// The certificate is none.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key is not the certificate's, or of a kind that is not known.
    #[error("the certificate and the key do not go together: {0}")]
    Pair(rustls::Error),
    /// An authority's certificate is none.
    #[error("the client authorities cannot be used: {0}")]
    Authorities(String),
    /// It held until before now.
    #[error("the certificate has expired")]
    Expired,
}

/// TLS of a port. Clones share it.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    current: ArcSwap<Shown>,
}

/// What is shown.
#[derive(Debug)]
struct Shown {
    config: Arc<ServerConfig>,
    expires: i64,
}

/// An identity that was checked, to be shown.
#[derive(Debug)]
pub struct Checked(Shown);

impl ServerTls {
    /// Shows an identity.
    pub fn new(identity: &Identity, protocol: Protocol) -> Result<Self, TlsError> {
        let Checked(shown) = check(identity, protocol)?;
        Ok(Self(Arc::new(Shared { protocol, current: ArcSwap::from_pointee(shown) })))
    }

    /// Checks another identity, whose certificate has not expired.
    pub fn check(&self, identity: &Identity) -> Result<Checked, TlsError> {
        let checked = check(identity, self.0.protocol)?;
        // At the start it is shown all the same, so that a late renewal stops nobody's restart; but it replaces none that may hold.
        if checked.0.expires <= unix_seconds(SystemTime::now()) {
            return Err(TlsError::Expired);
        }
        Ok(checked)
    }

    /// Shows another identity to whoever connects from now on.
    pub fn replace(&self, Checked(shown): Checked) {
        self.0.current.store(Arc::new(shown));
    }

    /// When the certificate expires, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.0.current.load().expires
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.load().config)
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn check(identity: &Identity, protocol: Protocol) -> Result<Checked, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&identity.certificates, "the certificate file")?;
    let expires = match chain.first().map(|first| parse_x509_certificate(first)) {
        Some(Ok((_, certificate))) => certificate.validity().not_after.timestamp(),
        Some(Err(error)) => return Err(TlsError::Certificate(error.to_string())),
        None => return Err(TlsError::Empty("the certificate file")),
    };
    let key = PrivateKeyDer::from_pem_slice(&identity.key);
    let key = key.map_err(|source| TlsError::Pem { what: "the key file", source })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Pair)?;
    let builder = match &identity.client_authorities {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut authorities = RootCertStore::empty();
            for authority in certificates(pem, "the file of client authorities")? {
                authorities.add(authority).map_err(|error| TlsError::Authorities(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
            // An API key says who it is as well.
            let verifier = verifier.allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| TlsError::Authorities(error.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Checked(Shown { config: Arc::new(config), expires }))
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|source| TlsError::Pem { what, source })?;
    if read.is_empty() { Err(TlsError::Empty(what)) } else { Ok(read) }
}

/// The names in a client's certificate that say who it is: its URIs and DNS names, as they stand there.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<Arc<str>> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::URI(name) | GeneralName::DNSName(name) => Some(Arc::from(*name)),
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}
