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

/// Checks that one of the keys signed the component; the error says what to do.
pub(crate) fn verify(keys: &[TrustedKey], component: &ComponentFile, signature: Option<&str>) -> Result<(), String> {
    let Some(text) = signature else {
        return Err("it is not signed, and plugins.trust is `signed`: sign it by `minisign -Sm NAME.wasm`".into());
    };
    let signature = Signature::decode(text).map_err(|error| format!("its signature cannot be read: {error}"))?;
    let signed = |key: &TrustedKey| is_signed(&key.0, component, &signature);
    let mut why = "plugins.trusted_keys is empty".to_owned();
    for key in keys {
        match signed(key) {
            Ok(()) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("none of {} trusted keys signed it: {why}", keys.len()))
}

fn is_signed(key: &PublicKey, component: &ComponentFile, signature: &Signature) -> io::Result<()> {
    let mut verifier = key.verify_stream(signature).map_err(io::Error::other)?;
    let mut file = File::open(component.path())?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return verifier.finalize().map_err(io::Error::other),
            count => verifier.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
