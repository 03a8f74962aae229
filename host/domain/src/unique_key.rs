//! Keys that no two entities share.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::id::EntityType;

/// A key that no two entities share, as text: `chain.caip2:eip155\:1`. It begins with its name, `<entity>.<what>`; the
/// parts follow, in byte order, each after a colon. What is longer than 64 bytes is hashed, so that an index of millions stays
/// small: `instrument.terms#<the first 128 bits of SHA-256, in hex>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey(Arc<str>);

const MAX_BYTES: usize = 64;
/// The hexadecimal digits of a hash.
const HASH_DIGITS: usize = 32;

impl UniqueKey {
    /// The key of that name with these parts. Colons and backslashes within a part are escaped, so that no two lists of
    /// parts have the same text.
    pub fn new(name: &str, parts: &[&str]) -> Self {
        let mut text = String::with_capacity(name.len() + parts.iter().map(|part| part.len() + 2).sum::<usize>());
        text.push_str(name);
        for part in parts {
            text.push(':');
            for piece in part.split_inclusive([':', '\\']) {
                match piece.strip_suffix([':', '\\']) {
                    Some(before) => text.extend([before, "\\", &piece[before.len()..]]),
                    None => text.push_str(piece),
                }
            }
        }
        Self::of_text(text)
    }

    /// The key of a text that may be longer than a key is today.
    pub fn of_text(mut text: String) -> Self {
        if text.len() > MAX_BYTES {
            let end_of_name = text.find([':', '#']).unwrap_or(text.len());
            if text[end_of_name..].starts_with('#') {
                // Was hashed before, and more of the hash was kept.
                text.truncate(end_of_name + 1 + HASH_DIGITS);
            } else {
                let hash = Sha256::digest(text.as_bytes());
                text.truncate(end_of_name);
                text.push('#');
                for byte in hash.iter().take(HASH_DIGITS / 2) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                }
            }
        }
        Self(text.into())
    }

    /// The type of whoever has it: what the key's name begins with.
    pub fn entity_type(&self) -> Option<EntityType> {
        self.0.split_once('.').and_then(|(name, _)| EntityType::from_name(name))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As it is stored.
impl From<String> for UniqueKey {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_its_name_and_its_parts() {
        assert_eq!(UniqueKey::new("chain.caip2", &["eip155:1"]).as_str(), r"chain.caip2:eip155\:1");
        assert_eq!(UniqueKey::new("venue_asset.code", &["kraken", "XBT"]).as_str(), "venue_asset.code:kraken:XBT");
        assert_ne!(UniqueKey::new("a.b", &["x:", "y"]), UniqueKey::new("a.b", &["x", ":y"]));
        assert_ne!(UniqueKey::new("a.b", &[r"x\", "y"]), UniqueKey::new("a.b", &["x:y"]));
    }

    #[test]
    fn a_long_key_is_hashed_and_still_its_own() {
        let long = "é".repeat(300);
        let key = UniqueKey::new("venue_asset.code", &["kraken", &long]);
        assert_eq!(key.as_str().len(), "venue_asset.code#".len() + 32);
        assert_ne!(key, UniqueKey::new("venue_asset.code", &["kraken", &format!("{long}é")]));
        assert_eq!(UniqueKey::new("a.b", &[&"x".repeat(60)]).as_str().len(), MAX_BYTES, "the longest that stays");
        assert_eq!(UniqueKey::of_text(format!("venue_asset.code:kraken:{long}")), key, "as it was stored whole");
        let all_of_it = format!("a.b#{}", "0123456789abcdef".repeat(4));
        assert_eq!(UniqueKey::of_text(all_of_it).as_str(), "a.b#0123456789abcdef0123456789abcdef");
    }

    proptest! {
        #[test]
        fn other_parts_are_another_key(
            a in proptest::collection::vec(r"[:\\a]{0,4}", 1..4),
            b in proptest::collection::vec(r"[:\\a]{0,4}", 1..4),
        ) {
            let key = |parts: &[String]| UniqueKey::new("a.b", &parts.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }
    }
}
