//! What the readers of JSON and YAML say of a file, in the words of whoever wrote it: theirs name types of Rust, and list every field that
//! there is.

/// So near a name must be to be what was meant (Jaro-Winkler, 1 for the same).
const NEAR: f64 = 0.8;

/// A message of serde's without what only its authors know.
pub fn plain(message: &str) -> String {
    let (what, place) = parted(message);
    let told = unknown_field(what)
        .or_else(|| unknown_value(what))
        .or_else(|| duplicate(what))
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

/// What was meant, and not all that there is: `unknown field tick_sise, expected one of id, …`.
fn unknown_field(message: &str) -> Option<String> {
    let (name, known) = unknown(message, "unknown field `")?;
    // Each stands there twice; the contract's own spelling is the one with underscores.
    let known = known.into_iter().filter(|known| !known.contains(char::is_uppercase));
    let nearest = known.map(|known| (strsim::jaro_winkler(name, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    Some(match nearest {
        Some((likeness, nearest)) if likeness >= NEAR => format!("unknown field {name:?}; did you mean {nearest:?}?"),
        _ => format!("unknown field {name:?}"),
    })
}

/// "unknown variant halted, expected one of `MARKET_STATUS_ACTIVE`, …".
fn unknown_value(message: &str) -> Option<String> {
    let (name, known) = unknown(message, "unknown variant `")?;
    Some(format!("unknown value {name:?}; must be one of {}", known.join(", ")))
}

/// The name, and those that are known.
fn unknown<'a>(message: &'a str, opening: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (_, rest) = message.split_once(opening)?;
    let (name, expected) = rest.split_once('`')?;
    let expected = expected.trim_start_matches(", expected ").trim_start_matches("one of ");
    let known = expected.split([',', ' ', '`']).filter(|word| !word.is_empty() && *word != "or");
    Some((name, known.collect()))
}

/// `duplicate mapping key: a, set DuplicateKeyPolicy in Options if acceptable`.
fn duplicate(message: &str) -> Option<String> {
    let (told, _) = message.split_once(", set DuplicateKeyPolicy")?;
    Some(told.replace("duplicate mapping key", "is given twice"))
}

/// `invalid type: map, expected a string`, `cannot deserialize null into string; use Option<String>`, and the like.
fn mistyped(message: &str) -> Option<String> {
    if message.contains("Option<") {
        return Some("must not be null: leave the field out".to_owned());
    }
    if message.contains("untagged enum") {
        return Some("is of a type that cannot be read here".to_owned());
    }
    let (_, rest) = message.split_once("invalid type: ")?;
    let (found, expected) = rest.split_once(", expected ")?;
    let found = if found == "unit value" { "nothing" } else { found };
    let expected = match expected {
        text if text.starts_with("struct ") || text.contains("::") || text.starts_with("cqar.") => "a map of fields",
        "i32" | "i64" | "u32" | "u64" | "usize" => "a whole number",
        other => other,
    };
    Some(format!("is {found}, and must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_told_with_what_was_meant() {
        let json = "unknown field `tick_sise`, expected one of `id`, `tickSize`, `tick_size` at line 3 column 5";
        let told = "unknown field \"tick_sise\"; did you mean \"tick_size\"? (line 3 column 5)";
        assert_eq!(plain(json), told);
        let yaml = "unknown field `tick_sise`, expected one of id, tickSize, tick_size at line 3, column 5";
        assert_eq!(plain(yaml), told.replace("3 ", "3, "));
        assert_eq!(plain("unknown field `zzz`, expected `id` or `name`"), "unknown field \"zzz\"");
    }

    #[test]
    fn an_unknown_value_is_told_with_those_that_there_are() {
        let told = "unknown value \"halted\"; must be one of A_ACTIVE, A_HALTED";
        assert_eq!(plain("unknown variant `halted`, expected one of `A_ACTIVE`, `A_HALTED`"), told);
        assert_eq!(plain("unknown variant `halted`, expected one of A_ACTIVE, A_HALTED"), told);
    }

    #[test]
    fn a_field_that_is_given_twice_is_told_without_options_of_a_library() {
        let yaml = "duplicate mapping key: a, set DuplicateKeyPolicy in Options if acceptable at line 2, column 1";
        assert_eq!(plain(yaml), "is given twice: a (line 2, column 1)");
    }

    #[test]
    fn what_is_of_another_type_is_told_without_types_of_rust() {
        assert_eq!(
            plain("cannot deserialize null into string; use Option<String>"),
            "must not be null: leave the field out"
        );
        assert_eq!(plain("invalid type: unit value, expected i64"), "is nothing, and must be a whole number");
        assert_eq!(plain("invalid type: map, expected struct cqar.v1.Asset"), "is map, and must be a map of fields");
        assert_eq!(
            plain("invalid type: integer `5`, expected a string at line 1 column 40"),
            "is integer `5`, and must be a string (line 1 column 40)"
        );
    }
}
