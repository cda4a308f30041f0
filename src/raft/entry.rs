//! Entries of the log, and what they carry.

use std::fmt;
use std::sync::Arc;

/// A server's number in its cluster; never given to another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A configuration: the servers of a cluster, each list in rising order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those with a vote.
    pub voters: Vec<ServerId>,
    /// Those that are only sent the log.
    pub nonvoters: Vec<ServerId>,
}

impl Members {
    /// From lists in any order.
    pub fn new(mut voters: Vec<ServerId>, mut nonvoters: Vec<ServerId>) -> Members {
        voters.sort_unstable();
        nonvoters.sort_unstable();
        Members { voters, nonvoters }
    }

    /// Votes and copies that make a majority.
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether a server has a vote.
    pub fn is_voter(&self, id: ServerId) -> bool {
        self.voters.contains(&id)
    }

    /// Whether a server is a member at all.
    pub fn has(&self, id: ServerId) -> bool {
        self.voters.contains(&id) || self.nonvoters.contains(&id)
    }

    /// How many members there are.
    pub fn count(&self) -> usize {
        self.voters.len() + self.nonvoters.len()
    }
}

/// A configuration as an entry carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The servers that count.
    pub members: Members,
    /// The entry's bytes, in which the driver has their names and addresses.
    pub bytes: Box<[u8]>,
}

/// What an entry carries. Shared, since one payload is at the same time in the cache, in a message
/// to each backup and on its way to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a PRIMARY begins its term with it.
    Noop,
    /// A request; its bytes mean nothing here.
    Command(Arc<[u8]>),
    /// The servers from here on.
    Members(Arc<Membership>),
}

impl Payload {
    /// The bytes that the log and the peers' protocol have of it; none of [`Payload::Noop`].
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::Noop => &[],
            Payload::Command(bytes) => bytes,
            Payload::Members(membership) => &membership.bytes,
        }
    }
}

/// One place of the replicated log. Two logs with the same `term` at the same `index` hold the same
/// payload there, and the same entries before it (Raft §5.3, the log matching property).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term whose PRIMARY made it.
    pub term: u64,
    /// Its place, from 1 on.
    pub index: u64,
    /// Its content.
    pub payload: Payload,
}

/// Bytes that an entry takes beside its payload: in a message, and about that in memory.
pub const ENTRY_OVERHEAD_BYTES: usize = 32;

impl Entry {
    /// The bytes it counts for in batches and in the cache.
    pub fn size(&self) -> usize {
        self.payload.bytes().len() + ENTRY_OVERHEAD_BYTES
    }
}
