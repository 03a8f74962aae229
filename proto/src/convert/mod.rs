//! Messages to and from the domain.
//!
//! From the domain is `From`, which cannot fail. To the domain is a [`Reader`], which notes every field that is wrong
//! before it gives up, so that a client mends all of them at once.

mod asset;
mod chain;
mod event;
mod instrument;
mod market;
mod mask;
mod mutation;
mod venue;

use cqar_domain::{
    decimal::Decimal,
    entity::Meta,
    id::IdSource,
    time::Timestamp,
    violation::{Violation, Violations},
};

pub use event::stored;
pub use mutation::{create, mutations, update};

use crate::well_known;

/// Reads messages, and notes what is wrong with their fields.
pub struct Reader<'a> {
    ids: &'a dyn IdSource,
    found: Violations,
}

impl<'a> Reader<'a> {
    /// A reader that makes the ids that a client did not choose.
    pub fn new(ids: &'a dyn IdSource) -> Self {
        Self { ids, found: Violations::default() }
    }

    /// What it read, unless anything was wrong.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Violation>> {
        match read {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found.into_vec()),
        }
    }

    /// An id, or a slug: what must be given and be well-formed.
    fn required<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        if text.is_empty() {
            self.found.add(field, "REQUIRED", "must be given");
            return None;
        }
        self.found.take(field, text.parse())
    }

    /// What may be left out. The outer None means that it was malformed.
    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn optional<T>(&mut self, field: &str, text: &str) -> Option<Option<T>>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        if text.is_empty() { Some(None) } else { self.found.take(field, text.parse()).map(Some) }
    }

    /// An id that the client may choose.
    fn id<T>(&mut self, text: &str, new: impl FnOnce(&dyn IdSource) -> T) -> Option<T>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        if text.is_empty() { Some(new(self.ids)) } else { self.found.take("id", text.parse()) }
    }

    /// A value of an enumeration; 0 is refused.
    fn enumeration<M, T>(&mut self, field: &str, value: i32) -> Option<T>
    where
        M: TryFrom<i32> + TryInto<T>,
    {
        let known = M::try_from(value).ok().and_then(|message| message.try_into().ok());
        if known.is_none() {
            let code = if value == 0 { "REQUIRED" } else { "UNKNOWN_VALUE" };
            let message = if value == 0 { "must be given" } else { "is no value of this enumeration" };
            self.found.add(field, code, message);
        }
        known
    }

    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn time(&mut self, field: &str, time: Option<well_known::Timestamp>) -> Option<Option<Timestamp>> {
        match time {
            None => Some(None),
            Some(time) => self.found.take(field, Timestamp::try_from(time)).map(Some),
        }
    }
}

/// The time of a message, with the field's name in the violation.
pub fn time(field: &str, time: Option<well_known::Timestamp>) -> Result<Option<Timestamp>, Vec<Violation>> {
    let mut found = Violations::default();
    let read = time.map(|time| found.take(field, Timestamp::try_from(time)));
    found.into_result().map(|()| read.flatten())
}

/// The value of an enumeration that a filter asks for; 0 is no condition.
pub fn filter<M, T>(field: &str, value: i32) -> Result<Option<T>, Vec<Violation>>
where
    M: TryFrom<i32> + TryInto<T>,
{
    let mut found = Violations::default();
    let message = M::try_from(value).ok();
    if message.is_none() {
        found.add(field, "UNKNOWN_VALUE", "is no value of this enumeration");
    }
    found.into_result().map(|()| message.and_then(|message| message.try_into().ok()))
}

/// An absent decimal is the empty string.
fn decimal_text(decimal: Option<&Decimal>) -> String {
    decimal.map(ToString::to_string).unwrap_or_default()
}

/// An absent id is the empty string.
fn id_text(id: Option<&impl ToString>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn etag(meta: &Meta) -> String {
    if meta.revision == 0 { String::new() } else { meta.etag() }
}

/// An enumeration of the contract and one of the domain with the same variants.
macro_rules! same_variants {
    ($message:ty, $domain:ty: $($variant:ident),+ $(,)?) => {
        impl From<$domain> for $message {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$variant => Self::$variant),+ }
            }
        }

        impl TryFrom<$message> for $domain {
            /// 0, which is no value.
            type Error = ();

            fn try_from(value: $message) -> Result<Self, ()> {
                match value {
                    $(<$message>::$variant => Ok(Self::$variant),)+
                    <$message>::Unspecified => Err(()),
                }
            }
        }
    };
}
use same_variants;
