//! The server: one event loop around the log, the consensus core and the state machine.
//!
//! | file         | what it has |
//! | ---          | --- |
//! | this one     | what a server consists of |
//! | [`start`]    | start and stop |
//! | [`opening`]  | the ports are opened; what is not there yet is waited for |
//! | [`turn`]     | one round of the loop, in the order of durability: sockets, threads, clocks |
//! | [`cluster`], [`standing`], [`entering`], [`form`] | which servers there are, what this one is; how it gets in |
//! | [`changing`] | other servers come and go |
//! | [`damage`]   | a log that is damaged: set aside, restored by others |
//! | [`links`], [`peering`] | the sockets to them; their part in a turn |
//! | [`trace`], [`lines`] | what an operator is told on standard error, and what of it is folded |
//! | [`service`]  | what is done for clients, without any of these |
//! | [`peers`]    | what servers say to each other, without any of these |
//! | [`time`]     | which time it is, by the clocks of all servers, without any of these |
//! | [`replica`]  | the core, the log and the state, tied together, without any of these |

pub mod changing;
pub mod cluster;
mod damage;
mod entering;
pub mod form;
pub mod lines;
mod links;
mod opening;
pub mod options;
pub mod payload;
mod peering;
pub mod peers;
pub mod replica;
pub mod service;
pub mod standing;
mod start;
pub mod time;
mod trace;
mod turn;

pub use cluster::Listed;
pub use options::{Options, TraceLevel};
pub use standing::{LONE, LONE_NAME};
pub use start::run;

use std::{fmt, io};

use links::Links;
use service::{Now, Service};
use trace::Trace;
use turn::{Socket, Waiting};

use crate::auth::hasher::Hasher;
use crate::chat::ApplyError;
use crate::net::{Deadlines, Listen, Listener};
use crate::sys::signal::Signals;
use crate::{raft, wal};

/// Everything that a server has.
struct Server {
    options: Options,
    trace: Trace,
    now: Now,
    waiting: Waiting,
    signals: Signals,
    listeners: Vec<Listener>,
    /// By the slots of the service's keys.
    sockets: Vec<Option<Socket>>,
    deadlines: Deadlines,
    service: Service,
    writer: wal::Writer,
    /// What `server_state.txt` says, or will once the save under way is done.
    hard_state: wal::hard_state::HardState,
    /// How long the last fsync took, microseconds.
    last_sync_us: u64,
    reader: wal::Reader,
    hasher: Hasher,
    /// The peers' port, where there is one, and the operators' socket.
    links: Links,
    wanted: peering::WantedReads,
    /// What a read has found damaged, so that this server ends.
    damage: Option<String>,
    /// A change of the members that an operator waits for.
    changing: changing::Changing,
    /// At a stop: whether another server was told to be PRIMARY.
    handing_over: bool,
    /// What is being read from a connection.
    scratch: Box<[u8]>,
    /// Whether listeners may have connections, and whether those wait for one of ours to go.
    accepting: bool,
    accept_waits: bool,
    accept_again_ms: Option<u64>,
    /// When a mark is due.
    mark_at_ms: Option<u64>,
    /// When the server stops, done or not.
    stop_by_ms: Option<u64>,
    /// Holds the directory's lock.
    _directory: wal::DataDir,
}

/// Why a server cannot start or go on.
#[derive(Debug)]
pub enum Error {
    /// The data directory cannot be used.
    Directory(wal::data_dir::Error),
    /// The file with the server's own state cannot be read or written.
    State(wal::hard_state::Error),
    /// The log cannot be recovered.
    Recover(wal::RecoverError),
    /// An address cannot be listened at.
    Listen(Listen, io::Error),
    /// The system refuses what every server needs.
    System(&'static str, io::Error),
    /// A write or an fsync of the log failed: what the disk has is known only after a restart.
    Disk(io::Error),
    /// Waiting for events failed.
    Poll(io::Error),
    /// A read has found the log damaged, and others can go on without this server.
    Damaged(String),
    /// The core cannot go on from what the disk has.
    Core(raft::StartError),
    /// An entry of the log cannot be applied.
    Entry(ApplyError),
    /// The directory, the flags and the log do not fit together; the text says why.
    Cluster(String),
    /// The data directory is an old copy.
    OldCopy {
        /// The server's id.
        id: String,
        /// Who has refused it.
        by: String,
    },
    /// The cluster's secret cannot be had.
    Secret(peers::secret::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Directory(error @ wal::data_dir::Error::InUse(_)) => {
                write!(f, "{error}; stop that process, or give another directory with --data-dir")
            }
            Error::Directory(error) => write!(f, "{error}; give another directory with --data-dir"),
            Error::State(error) => write!(f, "{error}"),
            Error::Recover(error) => write!(f, "{error}"),
            Error::Listen(listen, error) => {
                write!(f, "cannot listen at {listen}: {error}; give another address with --listen")
            }
            Error::System(what, error) => write!(f, "{what}: {error}"),
            Error::Disk(error) => write!(
                f,
                "cannot write the log: {error}; nothing unwritten was acknowledged. Check the \
                 disk, then start again"
            ),
            Error::Poll(error) => write!(f, "waiting for events failed: {error}"),
            Error::Damaged(error) => write!(
                f,
                "the log is damaged: {error}; the other servers keep running: start this one \
                 again, and they restore it"
            ),
            Error::Core(error) => write!(f, "{error}"),
            Error::Entry(error) => write!(f, "{error}"),
            Error::Cluster(error) => write!(f, "{error}"),
            Error::OldCopy { id, by } => write!(
                f,
                "the data directory is an old copy: {by} has seen a later start of {id}, and \
                 entries acknowledged after the copy was made are missing. It is marked in \
                 server_state.txt, and no server starts on it: move it away, start {id} with an \
                 empty directory, and run chatctl members replace {id}"
            ),
            Error::Secret(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}
