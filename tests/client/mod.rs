//! The client from outside.

mod fake;
mod process;
mod screen;
mod scripted;
mod session;
mod world;
