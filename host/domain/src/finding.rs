//! What validators find.

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The write is refused.
    Error,
    /// The write goes through, and says so.
    Warning,
}

/// What a validator plugin found in one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// The path of the field, within the entity.
    pub path: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people.
    pub message: String,
    /// The plugin's name.
    pub plugin: String,
}
