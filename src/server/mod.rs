//! The server: one event loop around the log, the consensus core and the state machine.
//!
//! | file         | what it has |
//! | ---          | --- |
//! | this one     | the server's state; start and stop |
//! | [`turn`]     | one round of the loop, in the order of durability |
//! | [`dispatch`] | from bytes to requests; the dispatch |
//! | [`request`]  | the table of requests |
//! | [`accounts`], [`messages`], [`queries`] | the requests |
//! | [`apply`]    | committed entries to replies and pushes |
//! | [`pages`]    | answers of several frames, read from the log |
//! | [`client`], [`sessions`], [`limiter`] | connections, logins, attempts |

mod accounts;
mod apply;
mod client;
mod dispatch;
mod limiter;
mod messages;
pub mod options;
mod pages;
mod queries;
mod reply;
mod request;
mod sessions;
mod start;
mod trace;
mod turn;

pub use options::{Options, TraceLevel};
pub use start::run;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::{fmt, io};

use accounts::Hashing;
use client::Client;
use limiter::Limiter;
use messages::Pending;
use pages::Page;
use sessions::Sessions;
use trace::Trace;
use turn::Waiting;

use crate::auth::hasher::Hasher;
use crate::chat::{ApplyError, State};
use crate::net::connection::Spares;
use crate::net::{Deadlines, Key, Listen, Listener, Slots};
use crate::raft::alone::Alone;
use crate::sys::signal::Signals;
use crate::wal;

/// Everything that a server has.
pub struct Server {
    options: Options,
    trace: Trace,
    waiting: Waiting,
    signals: Signals,
    listeners: Vec<Listener>,
    /// Where clients reach it, as `server_status` says it.
    address: String,
    now_ms: u64,
    unix_now_ms: u64,

    clients: Slots<Client>,
    sessions: Sessions,
    deadlines: Deadlines,
    limiter: Limiter,
    /// Connections to be served, to be written to, to be removed, in this turn.
    queued: VecDeque<Key>,
    dirty: Vec<Key>,
    doomed: Vec<Key>,
    /// Connections whose request waits for room in the log's batch or in the outputs.
    stalled: Vec<Key>,
    scratch: Vec<u8>,
    spares: Spares,
    output_bytes: usize,
    /// Whether listeners may have connections; whether they wait for one of ours to go; whether
    /// that has been said.
    accepting: bool,
    accept_waits: bool,
    full_said: bool,
    accept_again_ms: Option<u64>,
    mark_at_ms: Option<u64>,
    stop_by_ms: Option<u64>,

    wal: wal::Wal,
    writer: wal::Writer,
    reader: wal::Reader,
    raft: Alone,
    /// What is committed and not applied.
    committed: Range<u64>,
    state: State,
    last_time: u64,
    /// Who waits for which entry, in the entries' order.
    pending: VecDeque<Pending>,
    hasher: Hasher,
    hashing: HashMap<u64, Hashing>,
    pages: HashMap<u64, Page>,
    /// Numbers the jobs of the hashing and the reading thread.
    last_job: u64,
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
    /// An entry of the log cannot be applied.
    Entry(ApplyError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Directory(error) => write!(f, "{error}"),
            Error::State(error) => write!(f, "{error}"),
            Error::Recover(error) => write!(f, "{error}"),
            Error::Listen(listen, error) => {
                write!(f, "cannot listen at {listen}: {error}; give another address with --listen")
            }
            Error::System(what, error) => write!(f, "{what}: {error}"),
            Error::Disk(error) => write!(
                f,
                "the log could not be written: {error}; nothing unwritten was acknowledged: look \
                 at the disk, then start again"
            ),
            Error::Poll(error) => write!(f, "waiting for events failed: {error}"),
            Error::Entry(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}
