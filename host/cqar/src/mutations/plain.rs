//! What the readers of JSON and YAML say of a file, in the words of whoever wrote it: theirs name types of Rust, and list every field that
//! there is.

/// So near a name must be to be what was meant (Jaro-Winkler, 1 for the same).
const NEAR: f64 = 0.8;

/// A message of serde's without what only its authors know.
pub fn plain(message: &str) -> String {
    let (what, place) = parted(message);
    let told = unknown(what, "unknown field `", "field")
        .or_else(|| unknown(what, "unknown variant `", "value"))
        .or_else(|| mistyped(what))
        .unwrap_or_else(|| what.to_owned());
    match place {
        Some(place) => format!("{told} ({place})"),
        None => told,
    }
}

/// The message, and where in the text it was found: `error: line 3 column 5: …`, or `… at line 3 column 5`.
fn parted(message: &str) -> (&str, Option<&str>) {
    let message = message.trim().trim_start_matches("error: ");
    if let Some((place, what)) = message.split_once(": ").filter(|(place, _)| place.starts_with("line ")) {
        return (what, Some(place));
    }
    match message.rfind(" at line ") {
        Some(at) => (message.get(..at).unwrap_or(message), message.get(at + 4..)),
        None => (message, None),
    }
}

/// `unknown field `tick_sise`, expected one of `id`, …`: what was meant, not all that there is.
fn unknown(message: &str, opening: &str, kind: &str) -> Option<String> {
    let (_, rest) = message.split_once(opening)?;
    let (name, expected) = rest.split_once('`')?;
    let known = expected.split('`').skip(1).step_by(2);
    let nearest = known.map(|known| (strsim::jaro_winkler(name, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    Some(match nearest {
        Some((likeness, nearest)) if likeness >= NEAR => format!("unknown {kind} {name:?}; did you mean {nearest:?}?"),
        _ => format!("unknown {kind} {name:?}"),
    })
}

/// `invalid type: map, expected a string`, `cannot deserialize null into string; use Option<String>`, and the like.
fn mistyped(message: &str) -> Option<String> {
    if message.contains("Option<") {
        return Some("must not be null: leave the field out".to_owned());
    }
    let (_, rest) = message.split_once("invalid type: ")?;
    let (found, expected) = rest.split_once(", expected ")?;
    let expected = match expected {
        text if text.starts_with("struct ") || text.contains("::") || text.starts_with("cqar.") => "a map of fields",
        other => other,
    };
    Some(format!("is {found}, and must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_told_with_what_was_meant() {
        let long = "unknown field `tick_sise`, expected one of `id`, `venue_id`, `tickSize`, `tick_size`, `lot_size`";
        assert_eq!(plain(&format!("{long} at line 3 column 5")), "unknown field \"tick_sise\"; did you mean \"tick_size\"? (line 3 column 5)");
        assert_eq!(plain(&format!("error: line 12 column 7: {long}")), "unknown field \"tick_sise\"; did you mean \"tick_size\"? (line 12 column 7)");
        assert_eq!(plain("unknown field `zzz`, expected `id` or `name`"), "unknown field \"zzz\"");
    }

    #[test]
    fn what_is_of_another_type_is_told_without_types_of_rust() {
        assert_eq!(plain("cannot deserialize null into string; use Option<String>"), "must not be null: leave the field out");
        assert_eq!(plain("invalid type: map, expected struct cqar.v1.Asset"), "is map, and must be a map of fields");
        assert_eq!(plain("invalid type: integer `5`, expected a string at line 1 column 40"), "is integer `5`, and must be a string (line 1 column 40)");
    }
}
