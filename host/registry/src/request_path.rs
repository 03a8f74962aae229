//! Where a query stands in its request, for messages about it.

/// The place of a query.
#[derive(Debug, Clone, Copy)]
pub enum RequestPath {
    /// It is the request.
    Alone,
    /// One of `requests`.
    InBatch(usize),
}

impl RequestPath {
    /// That of the only query.
    pub(crate) fn alone(_: usize) -> Self {
        Self::Alone
    }

    /// The path of a field of the query.
    pub fn field(self, name: &str) -> String {
        match self {
            Self::Alone => name.to_owned(),
            Self::InBatch(n) => format!("requests[{n}].{name}"),
        }
    }
}
