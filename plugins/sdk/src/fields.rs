//! A venue's JSON object, read field by field. Feeds drift: a number becomes a string, a list becomes null. What can be read exactly
//! is read; what cannot costs its field, and is named.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{decimal, document::is_object, plugin::Problem};

/// The most of a value that a problem shows.
const SHOWN: usize = 64;

/// The most problems that are told of one object.
const MAX_PROBLEMS: usize = 32;

/// The fields of an object, and what of them could not be read so far.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    /// Where the object stands, as `filters[2].`; empty for the entry itself.
    path: String,
    values: BTreeMap<Cow<'a, str>, &'a RawValue>,
    problems: Vec<Problem>,
}

/// A key may have escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    /// The fields of an object; None if it is none.
    pub fn read(json: &'a str) -> Option<Self> {
        Self::read_at(String::new(), json)
    }

    fn read_at(path: String, json: &'a str) -> Option<Self> {
        if !is_object(json) {
            return None;
        }
        let values: BTreeMap<Key<'a>, &RawValue> = serde_json::from_str(json).ok()?;
        Some(Self {
            path,
            values: values.into_iter().map(|(Key(key), value)| (key, value)).collect(),
            problems: Vec::new(),
        })
    }

    /// What could not be read, by the venue's own names of the fields; of many the first.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.truncate(MAX_PROBLEMS);
        self.problems
    }

    /// Takes over what could not be read of a part.
    pub fn absorb(&mut self, part: Self) {
        self.problems.extend(part.problems);
    }

    /// Whether the field is there, and not null.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A text; of a number its digits, as they stand.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let raw = self.value(name)?;
        let read = match raw.bytes().next() {
            Some(b'"') => serde_json::from_str(raw).ok(),
            Some(b'-' | b'0'..=b'9') => Some(raw.to_owned()),
            _ => None,
        };
        self.or_problem(name, raw, "is no text", read)
    }

    /// An exact decimal, from a string or a number, as it stands: `0.00010000`, `1E-7`.
    pub fn decimal(&mut self, name: &str) -> Option<String> {
        let raw = self.value(name)?;
        let text = unquoted(raw).filter(|text| decimal::parse(text).is_some());
        self.or_problem(name, raw, "is no decimal", text)
    }

    /// A whole number, from a number or a string.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        let raw = self.value(name)?;
        let whole = unquoted(raw).and_then(|text| decimal::parse(&text)).filter(decimal::BigDecimal::is_integer);
        let read = whole.and_then(|whole| whole.with_scale(0).to_string().parse().ok());
        self.or_problem(name, raw, "is no whole number", read)
    }

    /// The objects of a list; what of it is none is named.
    pub fn objects(&mut self, name: &str) -> Vec<Self> {
        let Some(raw) = self.value(name) else { return Vec::new() };
        let items: Option<Vec<&'a RawValue>> = serde_json::from_str(raw).ok();
        let Some(items) = self.or_problem(name, raw, "is no list", items) else { return Vec::new() };
        let mut objects = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{n}]");
            let object = Self::read_at(format!("{}{place}.", self.path), item.get());
            objects.extend(self.or_problem(&place, item.get(), "is no object", object));
        }
        objects
    }

    /// A list of lists of texts, or of texts, as a list of lists.
    pub fn sets(&mut self, name: &str) -> Option<Vec<Vec<String>>> {
        let raw = self.value(name)?;
        let nested: Option<Vec<Vec<String>>> = serde_json::from_str(raw).ok();
        let flat = || serde_json::from_str::<Vec<String>>(raw).ok().map(|set| vec![set]);
        self.or_problem(name, raw, "is no list of lists", nested.or_else(flat))
    }

    /// Names a field that says what nobody understands.
    pub fn not_understood(&mut self, name: &str, code: &str, message: String) {
        self.problems.push(Problem { path: format!("{}{name}", self.path), code: code.to_owned(), message });
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).map(|value| value.get()).filter(|raw| *raw != "null")
    }

    fn or_problem<T>(&mut self, name: &str, raw: &str, what: &str, read: Option<T>) -> Option<T> {
        if read.is_none() {
            let shown: String = raw.chars().take(SHOWN).collect();
            self.problems.push(Problem {
                path: format!("{}{name}", self.path),
                code: "MALFORMED_FIELD".to_owned(),
                message: format!("{shown} {what}"),
            });
        }
        read
    }
}

/// The text of a string or of a number.
fn unquoted(raw: &str) -> Option<String> {
    if raw.starts_with('"') { serde_json::from_str(raw).ok() } else { Some(raw.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_exactly_is_read_whatever_its_type() {
        let mut fields = Fields::read(
            r#"{"a": 0.0001, "b": "0.0001", "c": "1E-7", "d": 4133404800000, "e": "4133404800000", "f": 4.1e3, "g": null,
            "h": [["SPOT"], ["A", "B"]], "i": ["SPOT"], "j": 7}"#,
        )
        .unwrap();
        assert_eq!(["a", "b", "c"].map(|name| fields.decimal(name).unwrap()), ["0.0001", "0.0001", "1E-7"]);
        assert_eq!(
            ["d", "e", "f"].map(|name| fields.integer(name).unwrap()),
            [4_133_404_800_000, 4_133_404_800_000, 4100]
        );
        assert_eq!((fields.decimal("g"), fields.has("g"), fields.integer("missing")), (None, false, None));
        assert_eq!(fields.sets("h").unwrap(), [vec!["SPOT"], vec!["A", "B"]]);
        assert_eq!(
            (fields.sets("i").unwrap(), fields.text("j").as_deref()),
            (vec![vec!["SPOT".to_owned()]], Some("7"))
        );
        assert_eq!(fields.into_problems().len(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let mut fields =
            Fields::read(r#"{"a": "ten", "b": [1], "c": 1.5, "d": {"x": 1}, "filters": [{"step": true}, 7], "e": {}}"#)
                .unwrap();
        assert_eq!((fields.decimal("a"), fields.text("b"), fields.integer("c")), (None, None, None));
        assert_eq!((fields.objects("d").len(), fields.sets("e")), (0, None));
        let mut filters = fields.objects("filters");
        assert_eq!((filters.len(), filters[0].decimal("step")), (1, None));
        fields.absorb(filters.remove(0));
        let problems: Vec<_> = fields.into_problems().into_iter().map(|it| it.path).collect();
        assert_eq!(problems, ["a", "b", "c", "d", "e", "filters[1]", "filters[0].step"]);
        for no_object in ["[]", "7", "null", "", "{"] {
            assert!(Fields::read(no_object).is_none(), "{no_object}");
        }
    }
}
