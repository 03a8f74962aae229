//! Where a query stands in its request, for messages about it.

/// The place of a query.
#[derive(Debug, Clone, Copy)]
pub enum RequestPath {
    /// Its fields are the request's.
    Alone,
    /// It is the request's message of that name.
    Within(&'static str),
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
            Self::Within(message) => format!("{message}.{name}"),
            Self::InBatch(n) => format!("requests[{n}].{name}"),
        }
    }

    /// The path of the query itself; nothing where it is the request.
    pub fn query(self) -> String {
        match self {
            Self::Alone => String::new(),
            Self::Within(message) => message.to_owned(),
            Self::InBatch(n) => format!("requests[{n}]"),
        }
    }
}
