//! What the outside sees: the gRPC services, who may call them, the statuses that they answer, their metrics, and the
//! HTTP endpoints for probes and scrapers.
//!
//! It may depend on the domain, the contract and the registry. No use case is here: a handler reads the request, calls
//! one use case of [`cqar_registry::Registry`] and writes the answer.
//!
//! | module | subject |
//! |---|---|
//! | [`listen`] | the ports, and what bounds their connections |
//! | [`server`](serve_grpc) | the gRPC server: its services, and what stands before them |
//! | [`http`](serve_http) | probes and metrics over HTTP |
//! | [`startup`](Startup) | how far the server is |
//! | [`auth`] | who calls, whether they may, and how much at once |
//! | `stale` | what is answered while the database is away |
//! | `calls`, `deadline`, `metrics` | what is counted and traced of each call, and how long it may take |
//! | `memory` | the bytes that calls have in memory |
//! | `services` | one file for each service of the contract |
//! | `reads`, `joins`, `writes` | what the services have in common |
//! | `status`, `status_builder`, `error_info` | from an error to a status with typed details |
//! | `health` | readiness, for probes over gRPC and HTTP |

pub mod auth;
mod calls;
mod deadline;
mod error_info;
mod health;
mod http;
mod joins;
pub mod listen;
mod memory;
mod metrics;
mod reads;
mod server;
mod services;
mod stale;
mod startup;
mod status;
mod status_builder;
mod throttle;
mod writes;

pub use http::{serve_http, serve_metrics};
pub use server::{GrpcSettings, ServeError, serve_grpc};
pub use startup::Startup;
