//! What the end-to-end tests and the benchmarks share: real servers, each on a free loopback port, each ended with the
//! test that started it.
//!
//! It may depend on every crate but `cqar`, whose binary it runs.
//!
//! | module | subject |
//! |---|---|
//! | [`postgres`] | a throwaway PostgreSQL |
//! | [`nats`] | a throwaway NATS server with JetStream |
//! | [`redis_server`] | a throwaway Redis |
//! | [`server`] | the registry itself |
// Everything here serves tests, which may fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::missing_panics_doc)]

pub mod postgres;
