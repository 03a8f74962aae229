//! The plans that may do what others may not, and why. A new exception is a decision.

/// What a plan does that takes time with the size of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It reads a whole table that grows.
    Scan,
    /// It sorts what it found.
    Sort,
    /// It looks along the primary key for what the filter wants.
    PrimaryKeyAlone,
}

/// The flaw, a part of the statements that have it, and why that is borne.
pub const EXCEPTIONS: &[(Flaw, &str, &str)] = &[];
