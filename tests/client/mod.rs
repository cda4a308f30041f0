//! The client from outside.

mod editor;
mod endings;
mod fake;
mod hostile;
mod names;
mod outbox;
mod pipes;
mod process;
mod screen;
mod scripted;
mod session;
mod silence;
mod store;
mod typed;
mod waiting;
mod world;
