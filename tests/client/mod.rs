//! The client from outside.

mod fake;
mod scripted;
mod session;
mod world;
