//! Why a server ends, or does not start.

use std::{fmt, io};

use crate::chat::ApplyError;
use crate::raft;
use crate::wal::RecoverError;
use crate::wal::hard_state;

/// Why a server cannot start or go on.
#[derive(Debug)]
pub enum End {
    /// The file with the server's own state cannot be read or written.
    State(hard_state::Error),
    /// The log cannot be recovered.
    Recover(RecoverError),
    /// A write or an fsync of the log failed: what the disk has is known only after a restart.
    Disk(io::Error),
    /// The system has no random bytes.
    Random(io::Error),
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
    /// The cluster's secret cannot be had: why.
    Secret(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::State(error) => write!(f, "{error}"),
            End::Recover(error) => write!(f, "{error}"),
            End::Disk(error) => write!(
                f,
                "cannot write the log: {error}; nothing unwritten was acknowledged. Check the \
                 disk, then start again"
            ),
            End::Random(error) => write!(f, "cannot get random bytes: {error}"),
            End::Damaged(error) => write!(
                f,
                "the log is damaged: {error}; the other servers keep running: start this one \
                 again, and they restore it"
            ),
            End::Core(error) => write!(f, "{error}"),
            End::Entry(error) => write!(f, "{error}"),
            End::Cluster(error) => write!(f, "{error}"),
            End::OldCopy { id, by } => write!(
                f,
                "the data directory is an old copy: {by} has seen a later start of {id}, and \
                 entries acknowledged after the copy was made are missing. It is marked in \
                 server_state.txt, and no server starts on it: move it away, start {id} with an \
                 empty directory, and run chatctl members replace {id}"
            ),
            End::Secret(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for End {}
