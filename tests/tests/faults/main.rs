//! What happens when the database freezes, falls silent, fills up or refuses to write, and after it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod constraint;
mod disk;
mod freeze;
mod pooler;
mod queue;
mod readonly;
mod silence;
mod standing;
mod start;
mod terminated;
mod writers;
