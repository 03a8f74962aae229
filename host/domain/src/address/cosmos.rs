//! Denominations of the Cosmos SDK (`x/bank`), and contracts.

use super::bech32_address;

const IBC: &str = "ibc/";

/// A token that came over IBC (ICS 20: `ibc/` and the SHA-256 of its path), a contract in Bech32, or a denomination of the chain's own,
/// such as `uatom` or `factory/<address>/<name>`.
pub(super) fn denomination(text: &str) -> Option<String> {
    if let Some(hash) = text.strip_prefix(IBC) {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_hash.then(|| format!("{IBC}{}", hash.to_ascii_uppercase()));
    }
    bech32_address(text).or_else(|| is_denomination(text).then(|| text.to_owned()))
}

/// The Cosmos SDK's `[a-zA-Z][a-zA-Z0-9/:._-]{2,127}`. Case is kept.
fn is_denomination(text: &str) -> bool {
    (3..=128).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b':' | b'.' | b'_' | b'-'))
}
