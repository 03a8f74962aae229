//! Whose plugins may serve: minisign signatures (`<name>.wasm.minisig`, as `minisign -S` writes them).

use std::{
    fs::File,
    io::{self, Read as _},
    str::FromStr,
};

use minisign_verify::{PublicKey, Signature};

use crate::generation_store::ComponentFile;

/// A public key, one of which must have signed each component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey(PublicKey);

impl FromStr for TrustedKey {
    type Err = String;

    /// Reads the last line of a `minisign.pub`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        PublicKey::from_base64(text.trim()).map(Self).map_err(|error| format!("no minisign public key: {error}"))
    }
}

/// Why a component is not taken.
pub(crate) enum Untrusted {
    /// What to do about it.
    Unsigned(String),
    /// It could not be read, which says nothing of it.
    Unread(io::Error),
}

/// Checks that one of the keys signed the component.
pub(crate) fn verify(keys: &[TrustedKey], component: &ComponentFile, signature: Option<&str>) -> Result<(), Untrusted> {
    let Some(text) = signature else {
        let what_to_do = "it is not signed, and plugins.trust is `signed`: sign it by `minisign -Sm NAME.wasm`";
        return Err(Untrusted::Unsigned(what_to_do.into()));
    };
    let signature = Signature::decode(text)
        .map_err(|error| Untrusted::Unsigned(format!("its signature cannot be read: {error}")))?;
    let signed = |key: &TrustedKey| is_signed(&key.0, component, &signature);
    let mut why = "plugins.trusted_keys is empty".to_owned();
    for key in keys {
        match signed(key).map_err(Untrusted::Unread)? {
            Ok(()) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Untrusted::Unsigned(format!("none of {} trusted keys signed it: {why}", keys.len())))
}

/// Whether the key signed it; the outer error is of the disk.
fn is_signed(
    key: &PublicKey,
    component: &ComponentFile,
    signature: &Signature,
) -> io::Result<Result<(), minisign_verify::Error>> {
    let mut verifier = match key.verify_stream(signature) {
        Ok(verifier) => verifier,
        Err(error) => return Ok(Err(error)),
    };
    let mut file = File::open(component.path())?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(verifier.finalize()),
            count => verifier.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
