//! The follower of the log, the watch hub, and the relay to JetStream.
