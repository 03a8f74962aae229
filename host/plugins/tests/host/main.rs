//! The host with the real components, of `target/plugins` and `target/plugins-testing`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod bounds;
mod fixture;
mod gate;
mod limits;
mod swaps;
mod symbology;
mod transforms;
mod unjudged;
mod validators;
mod watching;
