//! What is wrong with a field of the input.

use std::fmt::{self, Display};

/// One field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field, as a path from the request: `market.tick_size`, `mutations[3].create_asset.symbol`.
    pub field: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// The fields found wrong so far. Checking goes on after the first, so that a caller mends all at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes that a field is wrong.
    pub fn add(&mut self, field: impl Into<String>, code: &str, message: impl Display) {
        self.0.push(Violation { field: field.into(), code: code.to_owned(), message: message.to_string() });
    }

    /// Takes the value, or notes the error under the field.
    pub fn take<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, "INVALID", error);
                None
            }
        }
    }

    /// Takes in what was found wrong in a part, under its field.
    pub fn extend_under(&mut self, field: &str, of_part: Self) {
        self.0.extend(of_part.0.into_iter().map(|violation| violation.under(field)));
    }

    /// Whether nothing was found wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was found, if anything.
    pub fn into_result(self) -> Result<(), Vec<Violation>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    /// What was found.
    pub fn into_vec(self) -> Vec<Violation> {
        self.0
    }
}

impl Violation {
    /// The same under a longer path.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        if !prefix.is_empty() {
            self.field = if self.field.is_empty() { prefix.to_owned() } else { format!("{prefix}.{}", self.field) };
        }
        self
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
