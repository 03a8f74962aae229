//! The use cases: each write and read of the registry, in one place.
