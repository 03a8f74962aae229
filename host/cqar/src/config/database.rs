//! Where the database is: by a URL, or by its parts. Both become one URL, and no part of a secret is ever said.

use std::{collections::BTreeSet, fmt};

use cqar_store::{url_fault, without_credentials};
use serde::Deserialize;

use super::sections;

/// Where it is if nobody says.
pub const EMBEDDED: &str = "sqlite://data/cqar.db";

/// A complete URL. Its password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// A key, and why its value is refused. It says nothing of the value.
type Refusal = (&'static str, String);

impl DatabaseUrl {
    /// The URL with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether who signed the server's certificate is looked at.
    pub fn verifies(&self) -> bool {
        self.0.contains("sslmode=verify-")
    }

    /// Whether it is the embedded database.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self(EMBEDDED.to_owned())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

/// Whether connections to PostgreSQL are encrypted, as libpq names it. `allow` is not among them: the driver sends plaintext then,
/// whatever the server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Always; whoever signed the certificate.
    Require,
    /// Always; and the certificate must be signed by a known authority.
    VerifyCa,
    /// The same; and it must be of this host.
    VerifyFull,
}

impl SslMode {
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// The one URL of all that is said of the database. `is_port_given` tells a port that somebody wrote from the default.
pub fn locate(database: &sections::Database, is_port_given: bool) -> Result<DatabaseUrl, Refusal> {
    let url = database.url.expose();
    let parts = [
        ("database.host", !database.host.is_empty()),
        ("database.port", is_port_given),
        ("database.user", !database.user.is_empty()),
        ("database.password", !database.password.expose().is_empty()),
        ("database.database", !database.database.is_empty()),
    ];
    let given: Vec<&str> = parts.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key).collect();
    match (url.is_empty(), given.is_empty()) {
        (true, true) => Ok(DatabaseUrl::default()),
        (false, false) => {
            Err(("database.url", format!("must not be set together with {}: unset one or the other", given.join(", "))))
        }
        (true, false) => of_parts(database),
        (false, true) => of_url(url, database),
    }
}

fn of_parts(database: &sections::Database) -> Result<DatabaseUrl, Refusal> {
    if database.host.is_empty() {
        return Err((
            "database.host",
            "must be set beside the other names of the database: DATABASE_HOST=HOST, or a DATABASE_URL alone"
                .to_owned(),
        ));
    }
    if database.user.is_empty() {
        return Err(("database.user", "must be set beside database.host: DATABASE_USER=NAME".to_owned()));
    }
    let sections::Database { host, port, user, password, database: name, .. } = database;
    let name = if name.is_empty() { user } else { name };
    let host = match host.trim_matches(['[', ']']) {
        address if address.contains(':') => format!("[{address}]"),
        // The directory of a socket has slashes.
        host => escaped(host),
    };
    let password = match password.expose() {
        "" => String::new(),
        password => format!(":{}", escaped(password)),
    };
    let url = format!("postgres://{}{password}@{host}:{port}/{}", escaped(user), escaped(name));
    Ok(DatabaseUrl(with_tls(url, database)))
}

fn of_url(url: &str, database: &sections::Database) -> Result<DatabaseUrl, Refusal> {
    let refused = |message: &str| Err(("database.url", message.to_owned()));
    if let Some(address) = url.strip_prefix("sqlite:") {
        return match sqlite_fault(address).or_else(|| url_fault(url)) {
            Some(message) => refused(message),
            None => Ok(DatabaseUrl(url.to_owned())),
        };
    }
    let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return refused("must begin with sqlite:// or postgres://");
    };
    // Its parameters are known before the driver reads it.
    if let Some(message) = postgres_fault(rest).or_else(|| parameter_fault(rest)).or_else(|| url_fault(url)) {
        return refused(message);
    }
    Ok(DatabaseUrl(with_tls(url.to_owned(), database)))
}

/// What is configured of TLS and not said by the URL itself.
fn with_tls(url: String, database: &sections::Database) -> String {
    let settings = [
        ("sslmode", database.ssl_mode.name()),
        ("sslrootcert", database.ssl_root_cert.as_str()),
        ("sslcert", database.ssl_cert.as_str()),
        ("sslkey", database.ssl_key.as_str()),
    ];
    settings.into_iter().filter(|(_, value)| !value.is_empty()).fold(url, |url, (name, value)| {
        if parameter(&url, name).is_some() {
            return url;
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{name}={}", escaped(value))
    })
}

/// What a URL says by a parameter.
fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    parameters(url).find(|(given, _)| *given == name).map(|(_, value)| value)
}

fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|it| !it.is_empty()).map(|it| it.split_once('=').unwrap_or((it, "")))
}

/// What the driver knows. It writes any other to the log, with its value, which may be a secret.
const PARAMETERS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// What is wrong with the parameters of a URL.
fn parameter_fault(rest: &str) -> Option<&'static str> {
    let mut seen = BTreeSet::new();
    for (name, value) in parameters(rest) {
        if !PARAMETERS.contains(&name) {
            return Some(
                "may have the parameters application_name, dbname, host, options, password, port, sslcert, sslkey, sslmode, \
                 sslrootcert and user, spelled so, and no other",
            );
        }
        if !seen.insert(name) {
            return Some("must not have a parameter twice");
        }
        match (name, value) {
            ("sslmode", "disable" | "prefer" | "require" | "verify-ca" | "verify-full") => {}
            ("sslmode", "allow") => {
                return Some(
                    "must not have sslmode=allow, with which passwords are sent in plaintext: write prefer or require",
                );
            }
            ("sslmode", _) => {
                return Some("must have sslmode=disable, prefer, require, verify-ca or verify-full, spelled so");
            }
            _ => {}
        }
    }
    None
}

const ESCAPE: &str = "has a character that must be percent-encoded in a user or a password: # is written %23, / %2F, ? %3F, @ %40, % \
                      %25, : %3A and a space %20; or set DATABASE_HOST, DATABASE_USER and DATABASE_PASSWORD, in which every character stands for itself";

/// What is wrong with what follows `postgres://`. A character that is not escaped would make a host of a piece of the password.
fn postgres_fault(rest: &str) -> Option<&'static str> {
    let is_escaped = |bytes: &[u8]| bytes.len() == 2 && bytes.iter().all(u8::is_ascii_hexdigit);
    let bytes = rest.as_bytes();
    let is_stray = |n: usize| !bytes.get(n + 1..n + 3).is_some_and(is_escaped);
    let is_odd = |byte: &u8| byte.is_ascii_control() || b"# \\".contains(byte);
    if bytes.iter().any(is_odd) || bytes.iter().enumerate().any(|(n, byte)| *byte == b'%' && is_stray(n)) {
        return Some(ESCAPE);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if path.contains('@') || authority.matches('@').count() > 1 {
        return Some(ESCAPE);
    }
    let (credentials, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let port = address.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Some("must have a port, 1 to 65535, or none, behind its host");
    }
    if credentials.matches(':').count() > 1 {
        return Some(ESCAPE);
    }
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if path.trim_start_matches('/').contains('/') {
        return Some(ESCAPE);
    }
    if address.contains(',') {
        return Some("must name one host: a pooler, or a name that leads to the primary, stands for several");
    }
    let host = address.strip_prefix('[').map_or_else(|| address.split(':').next(), |rest| rest.split(']').next());
    let has_host = host.is_some_and(|host| !host.is_empty());
    let by_parameter = authority.is_empty() && parameter(rest, "host").is_some();
    if has_host && credentials.split(':').next().is_none_or(str::is_empty) && parameter(rest, "user").is_none() {
        return Some("must name a user: postgres://USER:PASSWORD@HOST:PORT/NAME");
    }
    (!has_host && !by_parameter).then_some("must name a host: postgres://USER:PASSWORD@HOST:PORT/NAME")
}

/// What is wrong with what follows `sqlite:`.
fn sqlite_fault(address: &str) -> Option<&'static str> {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    let decoded = path.to_ascii_lowercase().replace("%3a", ":");
    if decoded.contains(":memory:") {
        return Some(IN_MEMORY);
    }
    if path.is_empty() {
        return Some("must name a file: sqlite://PATH; without one the database would be gone with its connections");
    }
    if decoded.starts_with("file:") {
        return Some("must be written sqlite://PATH, without `file:`");
    }
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("mode", "rwc") => {}
            ("mode", "rw") => return Some("must not have mode=rw: the file is made when it is absent; leave it out"),
            ("mode", "memory") => return Some(IN_MEMORY),
            ("mode", "ro") | ("immutable", _) => {
                return Some("must be writable: with mode=ro or immutable every write would fail; leave it out");
            }
            ("cache", _) => {
                return Some(
                    "must not have a shared cache, in which readers and the writer lock each other out: leave it out",
                );
            }
            _ => return Some("may have the parameter mode=rwc, which is the default, and no other"),
        }
    }
    None
}

const IN_MEMORY: &str = "must name a file: a database in memory is gone with its connections, and so is all that was acknowledged; write \
                         sqlite://PATH";

/// Percent-encoded, all but what needs it nowhere in a URL.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
