//! Texts that are wrong in themselves.

use cqar_plugin_sdk::plugin::{Field, Problem, problem};

/// Just within the 8 MiB that the host takes in at once: what comes through is for the checks behind it.
const LARGE_BYTES: usize = (8 << 20) - (64 << 10);

/// What a terminal, a log, a database or a header may take for more than text: NUL, bell and backspace, both line ends, escape
/// sequences with one byte and with two, a delete, separators of lines and paragraphs, a byte order mark, a text that is read
/// from the right, and a character outside Unicode's basic plane.
pub const CONTROL_CHARACTERS: &str = "\0\u{7}\u{8}a\r\nb\n{\"level\":\"ERROR\"}\n\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{7f}\
    \u{85}\u{2028}\u{2029}\u{feff}\u{202e}txet\u{202c}\u{2066}\u{200b}\u{1f4a5}";

/// Nearly 8 MiB of text.
pub fn large() -> String {
    "x".repeat(LARGE_BYTES)
}

/// So many fields, each with so many bytes.
pub fn extra(fields: usize, bytes: usize) -> Vec<Field> {
    (0..fields).map(|index| Field { key: format!("key-{index}"), value: "x".repeat(bytes) }).collect()
}

/// A problem with control characters in all that it says.
pub fn control_characters_problem() -> Problem {
    problem(CONTROL_CHARACTERS, CONTROL_CHARACTERS, CONTROL_CHARACTERS)
}
