//! The server as real processes.
