//! The types of single values, each read from the text that a file or the environment has.

use std::{collections::BTreeMap, fmt, time::Duration};

use cqar_domain::quantity::{parse_byte_size, parse_duration};
use cqar_plugins::TrustedKey;
use cqar_store::without_credentials;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::callers::check_name;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Empty means that none was given.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself, unless none was given.
    pub fn given(&self) -> Option<String> {
        Some(self.0.clone()).filter(|text| !text.is_empty())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "***" })
    }
}

/// Where spans are sent.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

impl OtlpEndpoint {
    /// The URL with its password, if it has one.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }
}

/// `HOST:PORT` is written as OpenTelemetry's own collector is named everywhere, and means plaintext.
impl<'de> Deserialize<'de> for OtlpEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_url = text.contains("://");
        let url = if is_url { text } else { format!("http://{text}") };
        let uri: Result<tonic::transport::Uri, _> = url.parse();
        let has_port = uri.as_ref().is_ok_and(|uri| uri.port().is_some());
        match uri.as_ref().map(|uri| (uri.scheme_str(), uri.host())) {
            Ok((Some("http" | "https"), Some(host))) if !host.is_empty() && (is_url || has_port) => Ok(Self(url)),
            _ => Err(D::Error::custom("no endpoint")),
        }
    }
}

impl fmt::Debug for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

/// A client that may call, and the name under which its writes are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What it sends.
    pub key: Secret,
    /// Who it is.
    pub name: String,
}

/// `key:name` pairs, as a list or separated by commas. The name follows the last colon; no key stands twice.
pub fn api_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ApiKey>, D::Error> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for pair in names(deserializer)? {
        // The text is a secret: errors do not repeat it.
        let (key, name) = pair.rsplit_once(':').ok_or_else(|| D::Error::custom("a pair without a colon"))?;
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(D::Error::custom("a key that is empty or has white space"));
        }
        check_name(name).map_err(D::Error::custom)?;
        if keys.iter().any(|known| known.key.expose() == key) {
            return Err(D::Error::custom("a key that stands twice"));
        }
        keys.push(ApiKey { key: Secret(key.to_owned()), name: name.to_owned() });
    }
    Ok(keys)
}

/// Texts, as a list or separated by commas.
pub fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        List(Vec<String>),
        Text(String),
    }
    let names = match Written::deserialize(deserializer)? {
        Written::List(names) => names,
        Written::Text(text) => text.split(',').map(ToOwned::to_owned).collect(),
    };
    Ok(names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
}

/// `name:grant` pairs, as a list or separated by commas: what each plugin is granted.
pub fn grants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in names(deserializer)? {
        match pair.split_once(':') {
            Some((name, "registry")) if !name.is_empty() => {
                grants.entry(name.to_owned()).or_default().push("registry".to_owned());
            }
            _ => return Err(D::Error::custom("no NAME:registry")),
        }
    }
    Ok(grants)
}

/// A duration, or `auto` for none.
pub fn duration_or_auto<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "auto" => Ok(None),
        text => parse_duration(text).map(Some).map_err(D::Error::custom),
    }
}

/// Public keys of minisign, as a list or separated by commas.
pub fn trusted_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrustedKey>, D::Error> {
    names(deserializer)?.iter().map(|key| key.parse().map_err(D::Error::custom)).collect()
}

/// The seed of a user's nkey.
pub fn nkey_seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let seed = Secret::deserialize(deserializer)?;
    let is_seed = seed.0.starts_with("SU") && seed.0.bytes().all(|b| b.is_ascii_alphanumeric());
    if seed.0.is_empty() || is_seed { Ok(seed) } else { Err(D::Error::custom("no seed")) }
}

/// Addresses of NATS servers. Credentials have keys of their own, which are never shown.
pub fn servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let servers = names(deserializer)?;
    let refused = |server: &String| {
        server.contains('@') || server.contains(char::is_whitespace) || !cqar_events::relay::is_address(server)
    };
    if servers.iter().any(refused) { Err(D::Error::custom("no address")) } else { Ok(servers) }
}

/// A duration that is not negative.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A duration for which something is waited: 1 ms to 24 hours. Databases take less than a millisecond for no limit at all, and refuse
/// far longer ones.
pub fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let timeout = duration(deserializer)?;
    let is_allowed = (Duration::from_millis(1)..=Duration::from_hours(24)).contains(&timeout);
    if is_allowed { Ok(timeout) } else { Err(D::Error::custom("out of range")) }
}

/// What calls may have in memory together: a listing must fit in twice.
pub fn call_memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let size = byte_size(deserializer)?;
    if size >= cqar_registry::import::MAX_PAYLOAD_BYTES * 2 { Ok(size) } else { Err(D::Error::custom("too small")) }
}

/// A number of bytes, above 0.
pub fn byte_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    parse_byte_size(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A share, 0 to 1.
pub fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(D::Error::custom("out of range")) }
}

/// A name that others print: letters, digits, `_`, `-` and `.`.
pub fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_label = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if is_label { Ok(text) } else { Err(D::Error::custom("not a name")) }
}

/// A host name, an IP address, or the directory of a socket; or empty. What stands around it in a URL has keys of its own.
pub fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let host = String::deserialize(deserializer)?;
    let is_directory = host.starts_with('/') && !host.contains(char::is_whitespace);
    let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c));
    if is_directory || is_host { Ok(host) } else { Err(D::Error::custom("no host")) }
}

/// 1 to 5, as JetStream allows.
pub fn replicas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let replicas = usize::deserialize(deserializer)?;
    if (1..=5).contains(&replicas) { Ok(replicas) } else { Err(D::Error::custom("out of range")) }
}

/// Tokens of letters, digits, `_` and `-`, separated by dots.
pub fn subject<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let subject = String::deserialize(deserializer)?;
    let is_token =
        |token: &str| !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if subject.split('.').all(is_token) { Ok(subject) } else { Err(D::Error::custom("not a subject")) }
}

/// One token.
pub fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let token = subject(deserializer)?;
    if token.contains('.') { Err(D::Error::custom("has a dot")) } else { Ok(token) }
}

/// Directives of a tracing filter. A lone word must be a level: the filter itself would take `verbos` for a module.
pub fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
    let text = String::deserialize(deserializer)?;
    let is_directive = |part: &str| part.contains('=') || LEVELS.contains(&part.trim().to_ascii_lowercase().as_str());
    if text.split(',').all(is_directive) && tracing_subscriber::EnvFilter::try_new(&text).is_ok() {
        Ok(text)
    } else {
        Err(D::Error::custom("not a filter"))
    }
}
