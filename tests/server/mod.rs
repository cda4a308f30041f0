//! The server as real processes.

mod conversation;
