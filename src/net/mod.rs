//! Nonblocking sockets: addresses, listeners, connections with bounded buffers, tokens that are
//! never used twice, deadlines, look-ups of names.

pub mod address;
mod buffers;
pub mod connect;
mod connection;
mod deadlines;
pub mod listener;
pub mod network;
mod queue;
pub mod resolver;
mod slots;
mod stream;

pub use address::{Listen, Origin};
pub use buffers::{Inbox, Output, ReadEnd, Spares};
pub use connection::Connection;
pub use deadlines::Deadlines;
pub use listener::Listener;
pub use network::Network;
pub use queue::KeyQueue;
pub use resolver::{LookUp, Resolver};
pub use slots::{Key, Slots};
pub use stream::{Stream, reason};
