//! The in-process cache and the optional one in Redis, coherent by revision.
