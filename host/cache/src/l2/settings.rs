//! Where Redis is and how long it may take.

use std::{fmt, path::PathBuf, time::Duration};

use cqar_domain::entity::DEFAULT_CACHE_TTL;

/// How to reach and use a Redis server of its own or shared, version 4 or newer.
#[derive(Clone)]
pub struct L2Settings {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user, where access is by user.
    pub username: Option<String>,
    /// The password. Never shown.
    pub password: Option<String>,
    /// The number of the database.
    pub database: u16,
    /// How long a reader waits for an answer. A longer one counts as an outage.
    pub timeout: Duration,
    /// What all keys begin with; the log's id follows, so that values of another log never count.
    pub key_prefix: String,
    /// How long what [`DEFAULT_CACHE_TTL`] is for is kept.
    pub default_ttl: Duration,
    /// TLS; none for plaintext.
    pub tls: Option<L2Tls>,
    /// How many changes Redis remembers (some 200 bytes each). A load that takes longer than that many are made in is
    /// not stored.
    pub remembered_changes: u32,
}

/// How Redis is spoken to over TLS. The files are read anew with each connection, for they are renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct L2Tls {
    /// Who may have signed its certificate, PEM; none for whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl L2Settings {
    /// The defaults, for a server at this address.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            username: None,
            password: None,
            database: 0,
            // A look-up takes below 1 ms in one data centre; the database, which is asked instead, some milliseconds.
            timeout: Duration::from_millis(20),
            key_prefix: "cqar".to_owned(),
            default_ttl: DEFAULT_CACHE_TTL,
            tls: None,
            remembered_changes: 50_000,
        }
    }
}

impl fmt::Debug for L2Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            username,
            password,
            database,
            timeout,
            key_prefix,
            default_ttl,
            tls,
            remembered_changes,
        } = self;
        f.debug_struct("L2Settings")
            .field("host", host)
            .field("port", port)
            .field("username", username)
            .field("password", &password.as_ref().map(|_| "redacted"))
            .field("database", database)
            .field("timeout", timeout)
            .field("key_prefix", key_prefix)
            .field("default_ttl", default_ttl)
            .field("tls", tls)
            .field("remembered_changes", remembered_changes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let settings = L2Settings { password: Some("hunter2".into()), ..L2Settings::at("redis", 6379) };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
