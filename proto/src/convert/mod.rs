//! Messages to and from the domain.
//!
//! From the domain is `From`, which cannot fail. To the domain is a [`Reader`], which notes every field that is wrong
//! before it gives up, so that a client mends all of them at once.

mod entities;
mod event;
mod mask;
mod mutation;
mod refs;

use std::{fmt::Display, str::FromStr};

use cqar_domain::{
    decimal::Decimal,
    entity::{Meta, Revision},
    id::{EntityId, EntityKey, EntityType, IdSource},
    time::{Date, Timestamp},
    violation::{Violation, Violations},
};

pub(crate) use entities::document;
pub use entities::{
    EntityMessage, deserialize, identified, immutable_changes, key, key_field, sample, settable_fields, stored,
    stored_networks,
};
pub use mutation::{create, mutations, update};
use refs::NamedRefs;

use crate::well_known;

/// Reads messages, and notes what is wrong with their fields.
pub struct Reader<'a> {
    ids: &'a dyn IdSource,
    /// None outside of an `Apply`, where `$name` is no id.
    refs: Option<&'a NamedRefs>,
    is_stored: bool,
    found: Violations,
}

impl<'a> Reader<'a> {
    /// A reader of what a client sent, which has the ids that the client did not choose made. What is output-only is left
    /// out.
    fn new(ids: &'a dyn IdSource, refs: Option<&'a NamedRefs>) -> Self {
        Self { ids, refs, is_stored: false, found: Violations::default() }
    }

    /// A reader of what this registry made, with what is output-only.
    fn of_stored(ids: &'a dyn IdSource) -> Self {
        Self { is_stored: true, ..Self::new(ids, None) }
    }

    /// What it read, unless anything was wrong.
    fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Violation>> {
        match read {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found.into_vec()),
        }
    }

    /// What was wrong.
    fn into_found(self) -> Vec<Violation> {
        self.found.into_vec()
    }

    /// What must be given and be well-formed.
    fn required<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        if text.is_empty() { self.missing(field) } else { self.found.take(field, text.parse()) }
    }

    /// Reads each of many; none if one of them cannot be read, and what is wrong with each is noted.
    fn all<T, U, C: FromIterator<U>>(
        &mut self,
        many: impl Iterator<Item = T>,
        mut read: impl FnMut(&mut Self, T) -> Option<U>,
    ) -> Option<C> {
        let read: Vec<Option<U>> = many.map(|it| read(self, it)).collect();
        read.into_iter().collect()
    }

    /// Notes that a field must be given.
    fn missing<T>(&mut self, field: &str) -> Option<T> {
        self.found.add(field, "REQUIRED", "must be given");
        None
    }

    /// Reads a message within the message: what is wrong stands under its field.
    fn within<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::take(&mut self.found);
        let value = read(self);
        let inner = std::mem::replace(&mut self.found, outer);
        self.found.extend_under(field, inner);
        value
    }

    /// The id of another entity, or `$name` of one that this request creates, which is replaced by the id.
    fn reference<T>(&mut self, field: &str, id: &mut String) -> Option<T>
    where
        T: EntityId,
    {
        if self.resolve(field, T::TYPE, id) { self.required(field, id) } else { None }
    }

    /// The same, where it may be left out.
    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn optional_reference<T>(&mut self, field: &str, id: &mut String) -> Option<Option<T>>
    where
        T: EntityId,
    {
        if self.resolve(field, T::TYPE, id) { self.optional(field, id) } else { None }
    }

    /// The key of what the whole message is about.
    fn key(&mut self, field: &str, entity_type: EntityType, id: &mut String) -> Option<EntityKey> {
        if !self.resolve(field, entity_type, id) {
            return None;
        }
        self.found.take(field, EntityKey::parse(entity_type, id))
    }

    fn resolve(&mut self, field: &str, of: EntityType, id: &mut String) -> bool {
        self.refs.is_none_or(|refs| refs.resolve(field, of, id, &mut self.found))
    }

    /// Revision and times.
    fn meta(
        &mut self,
        revision: Revision,
        [create, update, delete]: [Option<well_known::Timestamp>; 3],
    ) -> Option<Meta> {
        if !self.is_stored {
            return Some(Meta::default());
        }
        let create_time = self.time("create_time", create);
        let update_time = self.time("update_time", update);
        let delete_time = self.time("delete_time", delete);
        Some(Meta { revision, create_time: create_time?, update_time: update_time?, delete_time: delete_time? })
    }

    /// A text that is output-only.
    fn output_only(&self, text: &str) -> String {
        if self.is_stored { text.to_owned() } else { String::new() }
    }

    /// What may be left out. The outer None means that it was malformed.
    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn optional<T>(&mut self, field: &str, text: &str) -> Option<Option<T>>
    where
        T: FromStr<Err: Display>,
    {
        if text.is_empty() { Some(None) } else { self.found.take(field, text.parse()).map(Some) }
    }

    /// An id that the client may choose.
    fn id<T>(&mut self, text: &str, new: impl FnOnce(&dyn IdSource) -> T) -> Option<T>
    where
        T: FromStr<Err: Display>,
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

    /// A value of an enumeration that may be left out, as 0. The outer None means that it was no value.
    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn optional_enumeration<M, T>(&mut self, field: &str, value: i32) -> Option<Option<T>>
    where
        M: TryFrom<i32> + TryInto<T>,
    {
        if value == 0 { Some(None) } else { self.enumeration::<M, T>(field, value).map(Some) }
    }

    /// A number that is not negative, and may be left out.
    #[expect(clippy::option_option, reason = "the outer None means malformed, the inner one absent")]
    fn natural(&mut self, field: &str, number: Option<i32>) -> Option<Option<u32>> {
        let read = number.map(u32::try_from).transpose();
        if read.is_err() {
            self.found.add(field, "NEGATIVE", "must not be negative");
        }
        read.ok()
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

/// The UTC date of a message; empty for none.
pub fn date(field: &str, text: &str) -> Result<Option<Date>, Vec<Violation>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut found = Violations::default();
    let date = read_date(text);
    if date.is_none() {
        found.add(field, "INVALID", NO_DATE);
    }
    found.into_result().map(|()| date)
}

/// A date in the contract's one form: jiff reads several.
fn read_date(text: &str) -> Option<Date> {
    text.parse::<Date>().ok().filter(|date| date.to_string() == text && date.year() >= 1970)
}

const NO_DATE: &str = "must be a date such as 2026-12-25";

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
