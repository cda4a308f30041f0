//! Nonblocking sockets: addresses, listeners, connections with bounded buffers, tokens that are
//! never used twice, deadlines, look-ups of names.

pub mod address;
pub mod buffers;
pub mod connect;
pub mod connection;
pub mod deadlines;
pub mod listener;
pub mod network;
pub mod queue;
pub mod resolver;
pub mod slots;
pub mod stream;

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
