//! Text that plugins wrote, made fit for logs, answers and rows.

use std::borrow::Cow;

/// A code in `UPPER_SNAKE` of a few words.
pub(crate) const MAX_CODE_BYTES: usize = 64;
/// A path of fields, some levels deep.
pub(crate) const MAX_PATH_BYTES: usize = 256;
/// A paragraph: what a person reads of it.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1000;

/// At most so many bytes, cut between characters; what would not show as itself is escaped, as in Rust's own texts.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(max_bytes)).unwrap_or(text);
    if !cut.contains(is_invisible) {
        return cut.to_owned();
    }
    let mut escaped = String::with_capacity(cut.len());
    for c in cut.chars() {
        if is_invisible(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
        if escaped.len() >= max_bytes {
            break;
        }
    }
    escaped
}

/// The same for text that is owned, and as it should be nearly always.
pub(crate) fn cleaned(text: String, max_bytes: usize) -> String {
    if text.len() <= max_bytes && !text.contains(is_invisible) { text } else { clean(&text, max_bytes) }
}

/// Control characters, and those that turn, hide or join what stands beside them (Unicode Technical Report 36, 2.10).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Up to three, and how many more.
pub(crate) fn some(mut texts: impl Iterator<Item = String>) -> String {
    let shown: Vec<_> = texts.by_ref().take(3).collect();
    let more = match texts.count() {
        0 => Cow::Borrowed(""),
        n => Cow::Owned(format!(" and {n} more")),
    };
    format!("{}{more}", shown.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_what_does_not_show_is_escaped() {
        assert_eq!(clean("a\x1bb\nc\u{202e}d", 100), "a\\u{1b}b\\nc\\u{202e}d");
        assert_eq!(clean("é", 1), "");
        assert_eq!(cleaned("abc".into(), 2), "ab");
    }

    #[test]
    fn a_long_list_says_how_much_it_leaves_out() {
        assert_eq!(some(["a", "b"].map(String::from).into_iter()), "a; b");
        assert_eq!(some((0..5).map(|i| i.to_string())), "0; 1; 2 and 2 more");
    }
}
