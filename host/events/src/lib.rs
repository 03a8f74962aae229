//! The event log as it is followed: by this process (the tailer and its watchers), and by the event bus (the relay).
//!
//! The log in the database is the one source. The tailer reads it, or takes from the writer what it just committed, and
//! keeps the caches of this process in step; watchers are fed from what it applied. The relay copies the log to a
//! JetStream stream that holds every event once, in order. This crate may depend on the domain and proto, and is the
//! only one that names async-nats. The log, the relay's memory and the transforms are ports of the domain, handed in.
//!
//! | module | subject |
//! |---|---|
//! | [`log_tailer`] | the follower of the log: one for each process |
//! | `log_follower` | its task |
//! | [`watch`] | streams of the log from any kept position, then live |
//! | [`relay`] | the relay to JetStream |
//! | `recent` | the newest events, kept in memory for the watchers |
//! | `page` | what a read of the log must look like |
//! | `backoff` | how long to wait before the next attempt |

mod backoff;
mod log_follower;
pub mod log_tailer;
mod page;
mod recent;
pub mod relay;
#[cfg(test)]
mod testing;
pub mod watch;
