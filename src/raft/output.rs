//! What the core asks of its driver.

use std::fmt;

use super::config::HardState;
use super::entry::{Entry, ServerId};
use super::message::Message;

/// Everything since the output before, in the order in which the driver deals with it; see the
/// module's manual.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Save this term and vote, then say so with [`super::Raft::hard_state_persisted`].
    pub hard_state: Option<HardState>,
    /// Save this as the number of the log's copy, then say so with
    /// [`super::Raft::copy_persisted`].
    pub copy: Option<u64>,
    /// Cut the log on disk from this index on, before `append` is appended.
    pub truncate_from: Option<u64>,
    /// Append these to the log on disk.
    pub append: Vec<Entry>,
    /// Give this to [`super::Raft::persisted`] when the cut and all these entries are durable.
    /// None if there is nothing to write.
    pub mark: Option<Mark>,
    /// Send these at once: none of them must wait for the disk.
    pub messages: Vec<Outgoing>,
    /// Read these entries from the log on disk, and answer with [`super::Raft::provide`].
    pub wanted: Vec<Wanted>,
    /// Apply these.
    pub committed: Option<Committed>,
    /// [`super::Raft::members`] changed.
    pub members_changed: bool,
    /// [`super::Raft::memberships`] changed.
    pub memberships_changed: bool,
    /// Reads that may be answered once everything up to their index is applied.
    pub reads: Vec<ReadGrant>,
    /// Tickets of reads that get no answer: this server is no longer PRIMARY.
    pub reads_refused: Vec<u64>,
    /// Changes of the role or of the known PRIMARY, oldest first.
    pub changes: Vec<RoleChange>,
}

impl Output {
    /// Returns true if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none()
            && self.copy.is_none()
            && self.mark.is_none()
            && self.messages.is_empty()
            && self.wanted.is_empty()
            && self.committed.is_none()
            && !self.memberships_changed
            && self.reads.is_empty()
            && self.reads_refused.is_empty()
            && self.changes.is_empty()
    }
}

/// A state of the log, given back once it is durable; a later one includes all before it. An index
/// would not do: it can be appended, cut and appended again while the disk is busy with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How often the log had been cut.
    pub(super) generation: u64,
    /// The log's last index.
    pub(super) index: u64,
}

/// A message and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The receiver.
    pub to: ServerId,
    /// What it is told.
    pub message: Message,
}

/// The indexes `after + 1 ..= upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The last index that was committed before.
    pub after: u64,
    /// The last index that is committed now.
    pub upto: u64,
}

/// Entries that a backup needs and the cache no longer has: `first ..= last`, or as many of them,
/// one at least, as come to `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// For whom.
    pub to: ServerId,
    /// The first index.
    pub first: u64,
    /// The last index.
    pub last: u64,
    /// Enough bytes, counting each entry as [`Entry::size`] does.
    pub bytes: usize,
    /// The term in which this was asked.
    pub(super) term: u64,
}

/// A read that may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadGrant {
    /// The number it was asked under.
    pub ticket: u64,
    /// Everything up to here must be applied first.
    pub index: u64,
}

/// A server's role in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Keeps what the PRIMARY sends (Raft: follower).
    Backup,
    /// Asks for votes or pre-votes (Raft: candidate).
    Candidate,
    /// Orders the log (Raft: leader).
    Primary,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Backup => "BACKUP",
            Role::Candidate => "CANDIDATE",
            Role::Primary => "PRIMARY",
        })
    }
}

/// A new role, or another PRIMARY known or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// The role now.
    pub role: Role,
    /// The term now.
    pub term: u64,
    /// The PRIMARY, as far as it is known.
    pub primary: Option<ServerId>,
    /// Why.
    pub why: Why,
}

/// Why a role changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No PRIMARY was heard, and no election ended, for an election timeout.
    Timeout,
    /// The last connection to the PRIMARY is gone.
    PrimaryLost,
    /// A majority would vote for this server.
    PreVoteWon,
    /// A majority voted for this server.
    Elected,
    /// The PRIMARY hands over to this server.
    Transfer,
    /// A PRIMARY of this term was heard.
    PrimaryHeard,
    /// This server voted for another one.
    Voted,
    /// A server knows a newer term.
    NewerTerm {
        /// Who.
        from: ServerId,
    },
    /// Less than a majority answered this PRIMARY for an election timeout.
    QuorumLost,
    /// This server's log, which was damaged, holds all again that it must.
    Restored,
    /// This server's log lacks what it has acknowledged to the PRIMARY in this term.
    Lost {
        /// An entry that it lacks.
        index: u64,
        /// The last entry that it has.
        last_index: u64,
    },
    /// This server has told the PRIMARY of a newer copy of its log than it knows of itself.
    OldCopy {
        /// Its own copy's number.
        copy: u64,
        /// The one that the PRIMARY knows of.
        known: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Timeout => write!(f, "heard nothing from a PRIMARY for an election timeout"),
            Why::PrimaryLost => write!(f, "the connection to the PRIMARY is lost"),
            Why::PreVoteWon => write!(f, "a majority would vote for this server"),
            Why::Elected => write!(f, "a majority voted for this server"),
            Why::Transfer => write!(f, "the PRIMARY hands over to this server"),
            Why::PrimaryHeard => write!(f, "heard from a PRIMARY"),
            Why::Voted => write!(f, "this server voted for another one"),
            Why::NewerTerm { from } => write!(f, "server {from} knows a newer term"),
            Why::QuorumLost => write!(f, "no majority answered for an election timeout"),
            Why::Restored => write!(f, "the log is restored: this server votes and counts again"),
            Why::Lost { index, last_index } => write!(
                f,
                "the log lacks entry {index}, which this server has acknowledged, and ends at entry \
                 {last_index}: the disk lost what it had synced, or an old copy of the data \
                 directory was put back. This server neither votes nor acknowledges until the \
                 PRIMARY has restored it; check the disk"
            ),
            Why::OldCopy { copy, known } => write!(
                f,
                "the data directory is an old one: it has copy {copy} of the log, and this server \
                 has told the PRIMARY of copy {known}. This server neither votes nor acknowledges \
                 until the PRIMARY has restored it; check the disk"
            ),
        }
    }
}

/// Why a proposal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Only the PRIMARY takes proposals.
    NotPrimary {
        /// The one to ask, when known.
        primary: Option<ServerId>,
    },
    /// This PRIMARY hands over.
    Transferring {
        /// To this server.
        to: ServerId,
    },
    /// Too much waits to be committed; try again later.
    Full,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProposeError::NotPrimary { primary: Some(id) } => {
                write!(f, "not the PRIMARY: ask server {id}")
            }
            ProposeError::NotPrimary { primary: None } => {
                write!(f, "no PRIMARY is known: try again soon")
            }
            ProposeError::Transferring { to } => {
                write!(f, "the PRIMARY hands over to server {to}: try again soon")
            }
            ProposeError::Full => write!(f, "too much waits to be committed: try again soon"),
        }
    }
}

impl std::error::Error for ProposeError {}

/// Why a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Only the PRIMARY answers reads.
    NotPrimary {
        /// The one to ask, when known.
        primary: Option<ServerId>,
    },
    /// Too many reads wait; try again soon.
    Full,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ReadError::NotPrimary { primary } => ProposeError::NotPrimary { primary }.fmt(f),
            ReadError::Full => write!(f, "too many reads wait: try again soon"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Why a transfer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// Only the PRIMARY can hand over.
    NotPrimary {
        /// The PRIMARY, when known.
        primary: Option<ServerId>,
    },
    /// The target has no vote, or is this server.
    NoBackup {
        /// As asked.
        to: ServerId,
    },
    /// A transfer to another server is under way.
    Busy {
        /// To this one.
        to: ServerId,
    },
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            TransferError::NotPrimary { primary } => ProposeError::NotPrimary { primary }.fmt(f),
            TransferError::NoBackup { to } => {
                write!(f, "server {to} is not a backup of this PRIMARY: choose another")
            }
            TransferError::Busy { to } => write!(f, "the PRIMARY already hands over to {to}"),
        }
    }
}

impl std::error::Error for TransferError {}
