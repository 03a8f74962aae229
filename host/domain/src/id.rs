//! Identifiers: the id of each type of entity, and the key that names an entity of any type. A UUIDv7 names what people
//! and venues rename; a slug names what the operator names once. Which type has which is in the list of
//! [`crate::entities`].

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use uuid::Uuid;

use crate::entities::all_types;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID of version 7.
    #[error("must be a UUID of version 7, such as 0192f0c1-2345-7abc-8def-0123456789ab")]
    NotUuidV7,
    /// Not a slug.
    #[error("must be a slug: 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit")]
    NotSlug,
}

macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id from the source.
            pub fn new(ids: &dyn IdSource) -> Self {
                Self(ids.uuid())
            }

            /// Takes a UUID of version 7.
            pub fn from_uuid(uuid: Uuid) -> Result<Self, IdError> {
                if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(IdError::NotUuidV7) }
            }

            /// The UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(s: &str) -> Result<Self, IdError> {
                // The hyphenated form alone: one id has one spelling in caches, tokens and logs.
                if s.len() != 36 {
                    return Err(IdError::NotUuidV7);
                }
                Uuid::try_parse(s).map_err(|_| IdError::NotUuidV7).and_then(Self::from_uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

pub(crate) fn is_slug(s: &str) -> bool {
    let bytes = s.as_bytes();
    matches!(bytes.first(), Some(b'a'..=b'z' | b'0'..=b'9'))
        && bytes.len() <= 64
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The slug.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;

            fn from_str(s: &str) -> Result<Self, $crate::id::IdError> {
                if $crate::id::is_slug(s) { Ok(Self(s.into())) } else { Err($crate::id::IdError::NotSlug) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

slug! {
    /// Names a lending protocol's market: `aave-v3`.
    Protocol
}

slug! {
    /// Names who gives ids to entities: `coingecko`, `isin`.
    Source
}

/// The part of a venue that a market trades in, such as `spot` or `usdm`; the default, empty, where a venue has no parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Segment(Box<str>);

impl Segment {
    /// The segment as text, empty for none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As people and command lines write it: `''` for none.
    pub fn quoted(&self) -> &str {
        if self.0.is_empty() { "''" } else { &self.0 }
    }
}

impl FromStr for Segment {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        if s.is_empty() || is_slug(s) { Ok(Self(s.into())) } else { Err(IdError::NotSlug) }
    }
}

impl Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id of one type of entity. As a key it says of which.
pub trait EntityId: Clone + Display + FromStr<Err = IdError> + Into<EntityKey> + TryFrom<EntityKey> {
    /// The type of the entities that have such an id.
    const TYPE: EntityType;

    /// The UUID that it is; none if it is a slug.
    fn as_uuid(&self) -> Option<Uuid>;
}

/// What of a type of entity follows from its line in the list: its id, its name, its arm of the key.
macro_rules! types {
    (() $($module:ident $entity:ident($form:ident $id:ident) $described:literal;)+) => {
        $($form! {
            #[doc = concat!("Names ", $described, ".")]
            $id
        })+

        /// The types of entity.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntityType {
            $(#[doc = concat!("Of ", $described, ".")] $entity,)+
        }

        /// Names one entity.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntityKey {
            $(#[doc = concat!("Of ", $described, ".")] $entity($id),)+
        }

        impl EntityType {
            /// All of them, each after those that it may refer to, but for a chain's native asset.
            pub const ALL: [Self; [$(stringify!($entity)),+].len()] = [$(Self::$entity),+];

            /// The name in events, plugins and error details.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$entity => stringify!($module)),+ }
            }

            /// Whether the ids are UUIDs, and not names.
            pub const fn has_uuid(self) -> bool {
                match self { $(Self::$entity => types!(@has_uuid $form)),+ }
            }
        }

        impl EntityKey {
            /// The key of the entity of that type and id.
            pub fn parse(entity_type: EntityType, id: &str) -> Result<Self, IdError> {
                Ok(match entity_type { $(EntityType::$entity => Self::$entity(id.parse()?)),+ })
            }

            fn typed_id(&self) -> (EntityType, &dyn Display, Option<Uuid>) {
                match self { $(Self::$entity(id) => (EntityType::$entity, id, id.as_uuid())),+ }
            }
        }

        $(
            impl EntityId for $id {
                const TYPE: EntityType = EntityType::$entity;

                fn as_uuid(&self) -> Option<Uuid> {
                    types!(@as_uuid $form self)
                }
            }

            impl From<$id> for EntityKey {
                fn from(id: $id) -> Self {
                    Self::$entity(id)
                }
            }

            impl TryFrom<EntityKey> for $id {
                /// The key, which is of another type.
                type Error = EntityKey;

                fn try_from(key: EntityKey) -> Result<Self, EntityKey> {
                    if let EntityKey::$entity(id) = key { Ok(id) } else { Err(key) }
                }
            }
        )+
    };
    (@has_uuid uuid) => { true };
    (@has_uuid slug) => { false };
    (@as_uuid uuid $id:ident) => { Some($id.0) };
    (@as_uuid slug $id:ident) => {{
        let _ = $id;
        None
    }};
}
all_types!(types!());

impl EntityType {
    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity_type| entity_type.name() == name)
    }
}

impl Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl EntityKey {
    /// The type of the entity.
    pub fn entity_type(&self) -> EntityType {
        self.typed_id().0
    }

    /// The id as text.
    pub fn id(&self) -> String {
        self.typed_id().1.to_string()
    }

    /// The UUID that the id is; none if it is a slug.
    pub fn uuid(&self) -> Option<Uuid> {
        self.typed_id().2
    }
}

impl Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entity_type, id, _) = self.typed_id();
        write!(f, "{entity_type} {id}")
    }
}

/// Makes new ids. A parameter, so that tests can fix them.
pub trait IdSource: Send + Sync {
    /// A new UUID of version 7.
    fn uuid(&self) -> Uuid;
}

/// Ids from the clock and the operating system's randomness, ordered by time (RFC 9562 §5.7).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_lower_case_and_short() {
        for good in ["binance", "aave-v3", "0x", "a_b", &"a".repeat(64)] {
            assert!(good.parse::<VenueId>().is_ok(), "{good}");
        }
        for bad in ["", "Binance", "-a", "_a", "a b", "a\0", "é", &"a".repeat(65)] {
            assert!(bad.parse::<VenueId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_in_its_hyphenated_form() {
        let id = AssetId::new(&SystemIds);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.uuid().simple().to_string().parse::<AssetId>().is_err());
        assert!("6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse::<AssetId>().is_err(), "version 4");
    }

    #[test]
    fn the_empty_segment_means_none() {
        assert_eq!("".parse(), Ok(Segment::default()));
        assert!("USDM".parse::<Segment>().is_err());
    }
}
