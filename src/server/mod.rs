//! The server: one event loop around the log, the consensus core and the state machine.

pub mod options;

pub use options::{Options, TraceLevel};
