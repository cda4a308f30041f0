//! The client from outside.

mod fake;
mod process;
mod scripted;
mod session;
mod world;
