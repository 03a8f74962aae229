//! What the end-to-end tests and the benchmarks share: real servers, each on a free loopback port, each ended with the
//! test that started it.
//!
//! It may depend on every crate but `cqar`, whose binary it runs.
//!
//! | module | subject |
//! |---|---|
//! | [`certificates`] | an authority, and what it signs |
//! | [`collect`] | a server's log, and copies of what it holds |
//! | [`entities`] | entities of the domain, written to a store |
//! | [`fixtures`] | entities to write, requests to send, refusals to read |
//! | [`kinds`] | each type of entity, as tests know it |
//! | [`modules`] | WebAssembly binaries that no compiler would make |
//! | [`postgres`] | a throwaway PostgreSQL |
//! | [`nats`], [`nats_proxy`] | a throwaway NATS server with JetStream, and a proxy that loses messages |
//! | [`port`] | ports for them |
//! | [`read_only_file`] | a file that nobody may write |
//! | [`redis_server`] | a throwaway Redis |
//! | [`server`] | the registry itself |
//! | [`environment`] | what it runs with: alone, or with everything around |
// Everything here serves tests, which may fail loudly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "what helps tests fails as they do, by a panic"
)]

pub mod certificates;
pub mod collect;
pub mod entities;
pub mod environment;
pub mod envoy;
pub mod fixtures;
pub mod kinds;
pub mod modules;
pub mod nats;
pub mod nats_proxy;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod read_only_file;
pub mod redis_server;
pub mod server;
pub mod small_disk;
pub mod tcp_proxy;
