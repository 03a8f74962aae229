//! Text that plugins wrote, made fit for logs, answers and rows.

use std::borrow::Cow;

/// A code in `UPPER_SNAKE` of a few words.
pub(crate) const MAX_CODE_BYTES: usize = 64;
/// A path of fields, some levels deep.
pub(crate) const MAX_PATH_BYTES: usize = 256;
/// A paragraph: what a person reads of it.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1000;

/// At most so many bytes, cut between characters, and no control characters.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(max_bytes)).unwrap_or(text);
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same for text that is owned, and as it should be nearly always.
pub(crate) fn cleaned(text: String, max_bytes: usize) -> String {
    if text.len() <= max_bytes && !text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return text;
    }
    clean(&text, max_bytes)
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
    fn text_is_cut_between_characters_and_freed_of_control_characters() {
        assert_eq!(clean("a\0b\nc", 100), "a b c");
        assert_eq!(clean("é", 1), "");
        assert_eq!(cleaned("abc".into(), 2), "ab");
    }

    #[test]
    fn a_long_list_says_how_much_it_leaves_out() {
        assert_eq!(some(["a", "b"].map(String::from).into_iter()), "a; b");
        assert_eq!(some((0..5).map(|i| i.to_string())), "0; 1; 2 and 2 more");
    }
}
