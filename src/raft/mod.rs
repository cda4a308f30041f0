//! The consensus core: sans-I/O.
