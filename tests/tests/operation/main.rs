//! Running the registry: crashes, copies, plugin swaps, the bus, starts that are refused, probes, and the command line.
//!
//! | module | subject |
//! |---|---|
//! | `fixture` | requests, and a listing that is made up |
//! | `load` | calls made over and over |
//! | `follower` | a consumer of the event bus |
//! | `crash` | SIGKILL loses nothing that was acknowledged |
//! | `copy` | a client's full copy stays one |
//! | `watch` | from where a watch starts, what it lets through, how it ends |
//! | `swap`, `garbage`, `misbehaviour` | plugins come, are refused, and fail |
//! | `hostile` | plugins do their worst, and hurt nobody |
//! | `bus` | what arrives on the event bus, and when it does not |
//! | `start`, `starting` | starts that are refused, and those that wait |
//! | `guide` | the deployment guide's settings and files, as they stand |
//! | `shared_file` | two servers on one SQLite file |
//! | `reload` | a configuration that changes while the server runs |
//! | `tls` | PostgreSQL, Redis, NATS and a collector over TLS |
//! | `stale` | what is answered while the database is away |
//! | `probes`, `keys`, `drain`, `traces` | what operators and their tools rely on |
//! | `cli`, `cli_entities`, `cli_names`, `cli_import` | the command line |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bus;
mod cli;
mod cli_entities;
mod cli_import;
mod cli_names;
mod copy;
mod crash;
mod drain;
mod fixture;
mod follower;
mod garbage;
mod guide;
mod hostile;
mod keys;
mod load;
mod lookups;
mod misbehaviour;
mod probes;
mod reload;
mod shared_file;
mod stale;
mod start;
mod starting;
mod swap;
mod tls;
mod traces;
mod watch;
