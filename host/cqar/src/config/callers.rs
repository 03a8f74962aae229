//! Who may call: from `auth.api_keys`, `auth.keys_file` and `auth.keys_dir`.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use cqar_api::auth::{Caller, CallerLimits, Credential, Grant, RESERVED_NAMES};
use cqar_domain::{quantity::parse_byte_size, time::Timestamp};
use serde::Deserialize;

use super::{contents::Reader, sections::Auth};

const API_KEYS: &str = "auth.api_keys";
const KEYS_FILE: &str = "auth.keys_file";
const KEYS_DIR: &str = "auth.keys_dir";

/// As long as a slug.
const MAX_NAME_CHARS: usize = 64;
/// What the name of a file of [`KEYS_DIR`] ends with; before it stands the name of the caller.
const FILE_SUFFIX: &str = "-key";

/// An entry of the keys file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// Of the key, in hex.
    sha256: Option<String>,
    /// A URI or DNS name of a client certificate.
    certificate: Option<String>,
    scopes: Vec<String>,
    /// RFC 3339.
    expires: Option<String>,
    #[serde(default)]
    limits: EntryLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLimits {
    requests_per_second: Option<u32>,
    concurrent_calls: Option<usize>,
    streams: Option<usize>,
    bytes_in_flight: Option<String>,
}

/// Whether a caller may be called so; otherwise what its name must be.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
    if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_known) {
        return Err("must be 1 to 64 letters, digits, `_`, `-`, `.` and `@`");
    }
    if RESERVED_NAMES.contains(&name) {
        return Err("must not be system, starter, sync or anonymous, by which the registry itself acts");
    }
    Ok(())
}

/// All of them. What is wrong is noted.
pub fn read(auth: &Auth, reader: &mut Reader) -> Vec<Caller> {
    let limits = default_limits(auth);
    let mut callers: Vec<(&'static str, Caller)> = Vec::new();
    for key in &auth.api_keys {
        callers.push((API_KEYS, of_key(&key.name, key.key.expose().as_bytes(), limits)));
    }
    if !auth.keys_file.as_os_str().is_empty() {
        let bytes = reader.file(KEYS_FILE, &auth.keys_file);
        callers.extend(of_file(&bytes, limits, reader).into_iter().map(|caller| (KEYS_FILE, caller)));
    }
    if !auth.keys_dir.as_os_str().is_empty() {
        let files = reader.directory(KEYS_DIR, &auth.keys_dir);
        callers.extend(of_directory(&files, limits, reader).into_iter().map(|caller| (KEYS_DIR, caller)));
    }
    let mut known = HashSet::new();
    for (key, caller) in &callers {
        if let Err(why) = check_name(&caller.name) {
            reader.refuse(key, format!("has the name `{}`, which {why}", caller.name));
        }
        if !known.insert(caller.credential.clone()) {
            let message = format!(
                "has a key or certificate of {} that stands somewhere else, too: each is one caller's",
                caller.name
            );
            reader.refuse(key, message);
        }
    }
    callers.into_iter().map(|(_, caller)| caller).collect()
}

fn default_limits(auth: &Auth) -> CallerLimits {
    CallerLimits {
        requests_per_second: NonZeroU32::new(auth.requests_per_second),
        concurrent_calls: auth.concurrent_calls.get(),
        streams: auth.streams.get(),
        bytes_in_flight: auth.bytes_in_flight,
    }
}

fn of_key(name: &str, key: &[u8], limits: CallerLimits) -> Caller {
    Caller { name: name.to_owned(), credential: Credential::of_key(key), grants: Grant::all(), expires: None, limits }
}

fn of_file(bytes: &[u8], limits: CallerLimits, reader: &mut Reader) -> Vec<Caller> {
    let options = serde_saphyr::options! { with_snippet: false };
    let text = String::from_utf8_lossy(bytes);
    let entries = match serde_saphyr::from_str_with_options::<Option<Vec<Entry>>>(&text, options) {
        Ok(entries) => entries.unwrap_or_default(),
        Err(error) => {
            let message =
                format!("must be a list of entries such as {{name: desk-1, sha256: …, scopes: [read]}}: {error}");
            reader.refuse(KEYS_FILE, message);
            return Vec::new();
        }
    };
    let mut callers = Vec::new();
    for entry in entries {
        let name = entry.name.clone();
        match caller(entry, limits) {
            Ok(caller) => callers.push(caller),
            Err(why) => reader.refuse(KEYS_FILE, format!("has an entry {name} {why}")),
        }
    }
    callers
}

/// The caller of an entry, or what is wrong with it, to follow its name.
fn caller(entry: Entry, defaults: CallerLimits) -> Result<Caller, String> {
    let Entry { name, sha256, certificate, scopes, expires, limits } = entry;
    let credential = match (sha256, certificate) {
        (Some(hash), None) => {
            Credential::KeyHash(parse_hash(&hash).ok_or("whose sha256 must be the 64 hex digits of the key's SHA-256")?)
        }
        (None, Some(certificate)) if !certificate.is_empty() => Credential::Certificate(certificate),
        _ => return Err("which must have one of sha256 and certificate".to_owned()),
    };
    if scopes.is_empty() {
        return Err("whose scopes must name what it may do: read, write, admin, or read:MarketService".to_owned());
    }
    let grant = |scope: &String| scope.parse::<Grant>().map_err(|error| format!("whose scope `{scope}` {error}"));
    let grants = scopes.iter().map(grant).collect::<Result<_, _>>()?;
    let expires = match expires {
        None => None,
        Some(text) => {
            let time: Timestamp = text
                .parse()
                .map_err(|_| format!("whose expires `{text}` must be a time such as 2027-01-31T00:00:00Z"))?;
            let micros = u64::try_from(time.micros()).unwrap_or(0);
            Some(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
        }
    };
    let bytes = limits.bytes_in_flight.map(|text| parse_byte_size(&text)).transpose();
    let bytes = bytes.map_err(|_| "whose bytes_in_flight must be a size such as 16MiB".to_owned())?;
    let limits = CallerLimits {
        requests_per_second: limits.requests_per_second.map_or(defaults.requests_per_second, NonZeroU32::new),
        concurrent_calls: limits.concurrent_calls.unwrap_or(defaults.concurrent_calls),
        streams: limits.streams.unwrap_or(defaults.streams),
        bytes_in_flight: bytes.unwrap_or(defaults.bytes_in_flight),
    };
    Ok(Caller { name, credential, grants, expires, limits })
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}

/// Each file has the key of a caller, or, while it is replaced, several, one a line.
fn of_directory(files: &BTreeMap<String, Vec<u8>>, limits: CallerLimits, reader: &mut Reader) -> Vec<Caller> {
    let mut callers = Vec::new();
    for (file, bytes) in files {
        let Some(name) = file.strip_suffix(FILE_SUFFIX) else {
            reader.refuse(
                KEYS_DIR,
                format!("has a file {file}: those of keys are named NAME-key; keep others elsewhere"),
            );
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        let keys: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if keys.is_empty() || keys.iter().any(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            reader.refuse(
                KEYS_DIR,
                format!("has a file {file} that must hold a key without white space, or several, one a line"),
            );
            continue;
        }
        callers.extend(keys.into_iter().map(|key| of_key(name, key.as_bytes(), limits)));
    }
    callers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hex_digits() {
        let digits = "00ff".repeat(16);
        assert_eq!(parse_hash(&digits), Some([[0, 255]; 16].concat().try_into().unwrap()));
        assert_eq!(parse_hash(&format!("sha256:{digits}")), parse_hash(&digits.to_uppercase()));
        for wrong in ["", &digits[1..], &format!("{digits}0"), &digits.replace('f', "g")] {
            assert_eq!(parse_hash(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_one_that_the_log_takes_and_the_registry_does_not() {
        for right in ["desk-1", "cqmd", "a@b.c_d"] {
            check_name(right).unwrap();
        }
        for wrong in ["", "a b", "ä", "system", "anonymous", &"x".repeat(65)] {
            check_name(wrong).unwrap_err();
        }
    }
}
