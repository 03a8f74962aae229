//! What stands in the files that the configuration names, and acts again when it changes: who may call, and the certificate of the ports.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use cqar_api::{auth::Caller, listen::Identity};
use sha2::{Digest as _, Sha256};

use super::{
    callers,
    rules::{Violation, shown_path},
    sections::{Config, Server},
};

/// More than any of these files has.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The contents.
#[derive(Clone, Default)]
pub struct Contents {
    /// Who may call.
    pub callers: Vec<Caller>,
    /// What the gRPC port shows of itself, if it speaks TLS.
    pub grpc_tls: Option<Identity>,
    /// What the HTTP ports show, if they do.
    pub http_tls: Option<Identity>,
    /// What stood in the files that a key names, as one hash, to compare it with what does later.
    digests: BTreeMap<&'static str, String>,
    /// Whether all of it could be read.
    is_known: bool,
}

/// The names alone.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.callers).finish()
    }
}

impl Contents {
    /// Reads all of it, and says everything that is wrong.
    pub fn read(config: &Config) -> Result<Self, Vec<Violation>> {
        let mut reader = Reader::default();
        let Server { tls_enabled, http_tls_enabled, tls_cert_file, tls_key_file, tls_client_ca_file, .. } =
            &config.server;
        let mut contents = Self::default();
        if *tls_enabled || *http_tls_enabled {
            let certificates = reader.file("server.tls_cert_file", tls_cert_file);
            let key = reader.file("server.tls_key_file", tls_key_file);
            let is_asked = *tls_enabled && !tls_client_ca_file.as_os_str().is_empty();
            let authorities = is_asked.then(|| reader.file("server.tls_client_ca_file", tls_client_ca_file));
            let identity = Identity { certificates, key, client_authorities: None };
            contents.http_tls = http_tls_enabled.then(|| identity.clone());
            contents.grpc_tls = tls_enabled.then_some(Identity { client_authorities: authorities, ..identity });
        }
        contents.callers = callers::read(&config.auth, &mut reader);
        contents.digests = reader.digests;
        contents.is_known = true;
        if reader.found.is_empty() { Ok(contents) } else { Err(reader.found) }
    }

    /// Whether nobody may call by a key. What could not be read says nothing of that.
    pub fn is_nobody_known(&self) -> bool {
        self.is_known && self.callers.is_empty()
    }

    /// A hash of what stood in the files that the key names; none if it names none.
    pub fn digest(&self, key: &str) -> Option<&str> {
        self.digests.get(key).map(String::as_str)
    }
}

/// Reads files, and notes what is wrong with them.
#[derive(Default)]
pub struct Reader {
    digests: BTreeMap<&'static str, String>,
    found: Vec<Violation>,
}

impl Reader {
    /// Something is wrong with what a key names.
    pub fn refuse(&mut self, key: &'static str, why: impl Into<String>) {
        self.found.push((key, why.into()));
    }

    /// What stands in a file; nothing where it cannot be read, which is noted.
    pub fn file(&mut self, key: &'static str, path: &Path) -> Vec<u8> {
        if path.as_os_str().is_empty() {
            self.refuse(key, "must be set: the path of a PEM file");
            return Vec::new();
        }
        match read(path) {
            Ok(bytes) => {
                self.note(key, &bytes);
                bytes
            }
            Err(error) => {
                self.refuse(key, format!("names {}, which cannot be read: {error}", shown_path(path)));
                Vec::new()
            }
        }
    }

    /// The files of a directory, by their names; those that begin with a dot are how Kubernetes keeps a volume.
    pub fn directory(&mut self, key: &'static str, dir: &Path) -> BTreeMap<String, Vec<u8>> {
        match files_of(dir) {
            Ok(files) => {
                let all = files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]);
                self.note(key, &all.flat_map(|part| [part, &[0]].concat()).collect::<Vec<u8>>());
                files
            }
            Err(error) => {
                self.refuse(key, format!("names {}, which cannot be read: {error}", shown_path(dir)));
                BTreeMap::new()
            }
        }
    }

    fn note(&mut self, key: &'static str, bytes: &[u8]) {
        self.digests.insert(key, sha256_hex(bytes));
    }
}

fn files_of(dir: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path: PathBuf = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if !name.starts_with('.') && path.is_file() {
            files.insert(name.to_owned(), read(&path)?);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The SHA-256, as `sha256sum` writes it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
