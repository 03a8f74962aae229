//! The floor server and the load generator of the benchmarks.
