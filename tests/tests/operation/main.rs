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
//! | `start` | starts that are refused |
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
mod hostile;
mod keys;
mod load;
mod lookups;
mod misbehaviour;
mod probes;
mod start;
mod swap;
mod traces;
mod watch;
