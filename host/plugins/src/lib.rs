//! The WebAssembly plugin host: engine, gate, generations, watcher, limits.
