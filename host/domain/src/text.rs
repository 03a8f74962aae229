//! The bounds of every string, list and map, such that any entity stays far below 512 KiB.

use std::collections::BTreeMap;

use crate::violation::Violations;

/// Labels: at most 64, keys 1 to 63 characters, values at most 255.
pub type Labels = BTreeMap<String, String>;

/// What a text field may hold.
#[derive(Debug, Clone, Copy)]
pub struct TextBounds {
    /// The fewest characters.
    pub min: usize,
    /// The most characters.
    pub max: usize,
}

/// A name for people.
pub const NAME: TextBounds = TextBounds { min: 1, max: 200 };
/// An asset's symbol.
pub const ASSET_SYMBOL: TextBounds = TextBounds { min: 1, max: 32 };
/// A venue's code for an asset.
pub const VENUE_CODE: TextBounds = TextBounds { min: 1, max: 64 };
/// A venue's symbol for a market.
pub const VENUE_SYMBOL: TextBounds = TextBounds { min: 1, max: 128 };
/// What a source calls an entity.
pub const EXTERNAL_ID: TextBounds = TextBounds { min: 1, max: 256 };
/// The name of a protocol.
pub const PROTOCOL_NAME: TextBounds = TextBounds { min: 0, max: 64 };
/// Why a write is made.
pub const REASON: TextBounds = TextBounds { min: 0, max: 1000 };
/// A free-form category.
pub const CATEGORY: TextBounds = TextBounds { min: 0, max: 64 };
/// A description.
pub const DESCRIPTION: TextBounds = TextBounds { min: 0, max: 4000 };
/// An address on a chain.
pub const ADDRESS: TextBounds = TextBounds { min: 0, max: 128 };
/// A contract as a venue names it.
pub const CONTRACT: TextBounds = TextBounds { min: 0, max: 512 };
const LABEL_KEY: TextBounds = TextBounds { min: 1, max: 63 };
const LABEL_VALUE: TextBounds = TextBounds { min: 0, max: 255 };
const URL: TextBounds = TextBounds { min: 0, max: 2048 };
/// The most labels of one entity.
pub const MAX_LABELS: usize = 64;

impl TextBounds {
    /// Notes under `field` what is wrong with `value`. Control characters (the zero byte among them) are refused
    /// everywhere: no venue uses them, and they corrupt terminals, CSV and PostgreSQL text.
    pub fn check(self, field: &str, value: &str, found: &mut Violations) {
        // Bytes first: a 100 MB string is not counted character by character.
        if value.len() > self.max * 4 || value.chars().count() > self.max {
            found.add(field, "TOO_LONG", format_args!("must be at most {} characters", self.max));
        } else if value.is_empty() && self.min > 0 {
            found.add(field, "REQUIRED", format_args!("must be given, 1 to {} characters", self.max));
        } else if value.chars().any(|c| c.is_control() && !(self.max == DESCRIPTION.max && matches!(c, '\n' | '\t'))) {
            found.add(field, "CONTROL_CHARACTER", "must not contain control characters");
        } else if value.trim() != value {
            found.add(field, "SURROUNDING_SPACE", "must not begin or end with white space");
        }
    }
}

/// Notes what is wrong with a URL of one of the schemes; the empty string is none.
pub fn check_url(field: &str, value: &str, schemes: &[&str], found: &mut Violations) {
    URL.check(field, value, found);
    let has_scheme =
        |scheme: &&str| value.strip_prefix(*scheme).is_some_and(|rest| rest.starts_with("://") && rest.len() > 3);
    if !value.is_empty() && (!schemes.iter().any(has_scheme) || value.contains(char::is_whitespace)) {
        found.add(field, "INVALID_URL", format_args!("must be a URL with one of the schemes {}", schemes.join(", ")));
    }
}

/// The schemes of pages for people.
pub const WEB: &[&str] = &["https", "http"];
/// The schemes of JSON-RPC endpoints.
pub const RPC: &[&str] = &["https", "http", "wss", "ws"];

/// Notes what is wrong with labels.
pub fn check_labels(labels: &Labels, found: &mut Violations) {
    if labels.len() > MAX_LABELS {
        found.add("labels", "TOO_MANY", format_args!("must be at most {MAX_LABELS} labels"));
    }
    for (key, value) in labels.iter().take(MAX_LABELS) {
        LABEL_KEY.check("labels", key, found);
        LABEL_VALUE.check(&format!("labels.{}", key.chars().take(63).collect::<String>()), value, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(check: impl FnOnce(&mut Violations)) -> Vec<String> {
        let mut found = Violations::default();
        check(&mut found);
        found.into_vec().into_iter().map(|v| v.code).collect()
    }

    #[test]
    fn texts_are_bounded_and_free_of_control_characters() {
        assert_eq!(codes(|f| NAME.check("name", "Bitcoin", f)), [""; 0]);
        assert_eq!(codes(|f| NAME.check("name", "币安人生", f)), [""; 0]);
        assert_eq!(codes(|f| NAME.check("name", "", f)), ["REQUIRED"]);
        assert_eq!(codes(|f| NAME.check("name", "a\0b", f)), ["CONTROL_CHARACTER"]);
        assert_eq!(codes(|f| NAME.check("name", &"x".repeat(10_000), f)), ["TOO_LONG"]);
        assert_eq!(codes(|f| NAME.check("name", " x", f)), ["SURROUNDING_SPACE"]);
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        assert_eq!(codes(|f| check_url("u", "https://bitcoin.org", WEB, f)), [""; 0]);
        for bad in ["bitcoin.org", "javascript:alert(1)", "https://", "https://a b"] {
            assert_eq!(codes(|f| check_url("u", bad, WEB, f)), ["INVALID_URL"], "{bad}");
        }
    }
}
