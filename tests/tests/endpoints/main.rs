//! Rules that hold for every method of the contract, tried on every method: they are read from the descriptor set, so a
//! method without a case fails, and so does one to which a rule should apply and cannot be applied.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod call;
mod cases;
mod contract;
mod exceptions;
mod rules;
