//! What a node is told and what it wants done.

use core::net::SocketAddr;

use super::lines::Line;
use crate::auth::hasher;
use crate::net::{Key, Listen};
use crate::wal::hard_state::HardState;
use crate::wal::{self, Batch, Location, ReadError, SpareRequest};

/// Entries to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadJob {
    /// What the answer is known by.
    pub id: u64,
    /// Where they are.
    pub locations: Vec<Location>,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conn {
    /// A client's.
    Client(Key),
    /// Another server's, or an operator's.
    Peer(Key),
}

/// Who may connect where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Clients.
    Clients,
    /// Other servers, and operators anywhere.
    Peers,
    /// Operators on this machine.
    Operators,
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// The ports that [`Output::Open`] asked for are open, that for the other servers at these
    /// addresses.
    Opened(Vec<SocketAddr>),
    /// A connection may have something to be read.
    Readable(Conn),
    /// A connection has room for more.
    Writable(Conn),
    /// A connection cannot be made or used: why.
    Broken(Conn, String),
    /// A client's connection could not be accepted: why. It is tried again after a moment.
    AcceptFailed(String),
    /// A name was looked up: its addresses, or why there are none.
    Found(String, Result<Vec<SocketAddr>, String>),
    /// A password was hashed.
    Hashed(hasher::Done),
    /// They cannot be read: why; none where too many are being read.
    ReadFailed(u64, Option<ReadError>),
    /// The disk's threads have done something.
    Disk(wal::Done),
    /// The server is to stop.
    Stop,
}

/// What a node wants done.
pub enum Output {
    /// Open the port for the other servers, where there is to be one, and the operators' socket.
    Open(Option<Listen>),
    /// Clients are served from now on.
    Serve,
    /// Read these entries: so many from the first on at once, where the system has them in memory,
    /// the others by a thread.
    Read {
        /// Where they are.
        job: ReadJob,
        /// How many may be tried at once.
        at_once: usize,
    },
    /// Write what [`super::Node::output`] has.
    Write(Conn),
    /// Make this durable in `server_state.txt`.
    Save(HardState),
    /// Make this durable in the log; nothing else is under way there.
    Append(Batch),
    /// Make a spare segment.
    MakeSpare(SpareRequest),
    /// Hash a password.
    Hash(hasher::Job),
    /// Connect to a peer.
    Dial(Key, SocketAddr),
    /// Look up a name.
    LookUp(String),
    /// Close the writing side of a connection.
    Shut(Conn),
    /// Close a connection. A peer's last words may still be on their way.
    Close(Conn),
    /// Listen to clients no more.
    CloseListeners,
    /// Tell the operator.
    Tell(Line),
}
