//! The client from outside.
