//! The state machine from outside.
