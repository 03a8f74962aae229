//! A component of another world: it exports `wasi:cli/run` and nothing that a plugin would.

fn main() {}
