//! The edge of the server, as a hostile, careless or merely numerous client finds it.
//!
//! | module | subject |
//! |---|---|
//! | `wire` | frames of HTTP/2 that no library would send |
//! | `floods` | too much, too slowly, or what nobody should send |
//! | `idle` | connections that are merely many |
//! | `drain`, `restart` | the end of a server, and rolling restarts behind Envoy |
//! | `rotation` | certificates and keys that are replaced |
//! | `scopes` | every method against every scope |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod drain;
mod floods;
mod idle;
mod restart;
mod rotation;
mod scopes;
mod wire;
