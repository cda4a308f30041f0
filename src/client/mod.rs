//! The client: the session (sans-I/O), its outbox on disk, the line editor, and the terminal.

pub mod editor;
pub mod session;
pub mod show;
pub mod store;
pub mod width;
