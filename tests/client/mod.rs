//! The client from outside.

mod fake;
mod session;
mod world;
