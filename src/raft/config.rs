//! What a core is made from: its settings, and what its server's disk kept.

use std::fmt;
use std::sync::Arc;

use super::entry::{Entry, Members, Membership, ServerId};
use super::log::Run;
use crate::limits;

/// The settings. Times are milliseconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server.
    pub id: ServerId,
    /// The servers: as the log has them up to [`Restored::commit`], or as they are known before the
    /// log has them.
    pub membership: Arc<Membership>,
    /// The shortest silence after which a backup stands for election; each wait is drawn from this
    /// to twice this.
    pub election_timeout_ms: u64,
    /// Between two heartbeats; below a third of the election timeout.
    pub heartbeat_ms: u64,
    /// Appends on their way to one backup at most.
    pub window: usize,
    /// Bytes of entries in one append at most (one entry always fits).
    pub batch_bytes: usize,
    /// Bytes of entries kept for backups that are a little behind.
    pub cache_bytes: usize,
    /// Where the random timeouts start from; differs between servers.
    pub seed: u64,
}

impl Config {
    /// The usual settings.
    pub fn new(id: ServerId, voters: Vec<ServerId>, seed: u64) -> Config {
        let members = Members::new(voters, Vec::new());
        Config {
            id,
            membership: Arc::new(Membership { members, ..Membership::default() }),
            election_timeout_ms: limits::RAFT_ELECTION_TIMEOUT_MS,
            heartbeat_ms: limits::RAFT_HEARTBEAT_MS,
            window: limits::RAFT_WINDOW,
            batch_bytes: limits::RAFT_BATCH_BYTES,
            cache_bytes: limits::RAFT_CACHE_BYTES,
            seed,
        }
    }

    pub(super) fn check(&self) -> Result<(), StartError> {
        let members = &self.membership.members;
        check_members(members)?;
        if !members.has(self.id) {
            return Err(StartError::NoMember { id: self.id });
        }
        check_timeouts(self.election_timeout_ms, self.heartbeat_ms)?;
        if self.window == 0 {
            return Err(StartError::NoWindow);
        }
        Ok(())
    }
}

/// Term and vote: durable before anything is said that relies on them (§5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term known.
    pub term: u64,
    /// Who got this server's vote in it.
    pub voted_for: Option<ServerId>,
}

/// What the disk kept. A new server's is `Restored::default()`.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The newest hard state that was saved.
    pub hard_state: HardState,
    /// Which copy of the log this is, as it was saved: 0 until the log is damaged for the first
    /// time. An odd one is being restored; [`next_damaged`](super::next_damaged) gives the number
    /// of one from which something was lost.
    pub copy: u64,
    /// The terms of the log's entries.
    pub runs: Vec<Run>,
    /// The log's last index; all up to it is durable.
    pub last_index: u64,
    /// The log's last entries, consecutive, from any index on; at best all after `commit`, so that
    /// the driver finds each of them with [`super::Raft::entry`] when it is committed. No entry that
    /// is left out after `commit` may have a configuration.
    pub tail: Vec<Entry>,
    /// All up to here is known to be committed, and is the driver's to apply: the core reports only
    /// what is committed after it.
    pub commit: u64,
}

impl Restored {
    pub(super) fn check(&self) -> Result<(), StartError> {
        let mut before = Run { first_index: 0, term: 0 };
        for run in &self.runs {
            if run.first_index <= before.first_index || run.term <= before.term {
                return Err(StartError::TermsOutOfOrder { index: run.first_index });
            }
            before = *run;
        }
        let first_index = self.runs.first().map_or(1, |run| run.first_index);
        let wrong_ends = first_index != 1 || before.first_index > self.last_index;
        if wrong_ends || (self.last_index > 0) == self.runs.is_empty() {
            return Err(StartError::TermsOutOfOrder { index: self.last_index });
        }
        if self.copy > limits::RAFT_COPY {
            return Err(StartError::AbsurdCopy { copy: self.copy });
        }
        if self.commit > self.last_index {
            let (commit, last_index) = (self.commit, self.last_index);
            return Err(StartError::CommitPastEnd { commit, last_index });
        }
        let tail_start = (self.last_index + 1).checked_sub(self.tail.len() as u64);
        let starts_right = tail_start.is_some_and(|start| start >= 1);
        let consecutive = |(entry, index): (&Entry, u64)| entry.index == index;
        let from = tail_start.unwrap_or(0);
        if !starts_right || !self.tail.iter().zip(from..).all(consecutive) {
            return Err(StartError::TailElsewhere { last_index: self.last_index });
        }
        Ok(())
    }
}

/// Why a core was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// A server is listed twice.
    VoterTwice,
    /// This server is not listed.
    NoMember {
        /// This server.
        id: ServerId,
    },
    /// More servers than [`limits::RAFT_VOTERS`].
    TooManyVoters {
        /// How many.
        count: usize,
    },
    /// The heartbeat is 0, or more than a third of the election timeout.
    Timeouts {
        /// As given.
        election_timeout_ms: u64,
        /// As given.
        heartbeat_ms: u64,
    },
    /// The window is 0.
    NoWindow,
    /// The log's terms do not go up.
    TermsOutOfOrder {
        /// Where.
        index: u64,
    },
    /// The commit index is past the log's end.
    CommitPastEnd {
        /// As recovered.
        commit: u64,
        /// As recovered.
        last_index: u64,
    },
    /// The number of the log's copy is past [`limits::RAFT_COPY`].
    AbsurdCopy {
        /// As saved.
        copy: u64,
    },
    /// The tail's entries are not the log's last ones.
    TailElsewhere {
        /// The log's last index.
        last_index: u64,
    },
}

/// That no server is there twice, and not too many members.
pub(super) fn check_members(members: &Members) -> Result<(), StartError> {
    let mut all: Vec<ServerId> = members.voters.iter().chain(&members.nonvoters).copied().collect();
    all.sort_unstable();
    all.dedup();
    if all.len() != members.count() {
        return Err(StartError::VoterTwice);
    }
    if members.count() > limits::RAFT_VOTERS {
        return Err(StartError::TooManyVoters { count: members.count() });
    }
    Ok(())
}

/// That a heartbeat or two may be lost before somebody stands for election.
///
/// # Errors
/// [`StartError::Timeouts`].
pub fn check_timeouts(election_timeout_ms: u64, heartbeat_ms: u64) -> Result<(), StartError> {
    let fits = heartbeat_ms > 0 && election_timeout_ms / 3 >= heartbeat_ms;
    if fits { Ok(()) } else { Err(StartError::Timeouts { election_timeout_ms, heartbeat_ms }) }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::VoterTwice => {
                write!(f, "a server is listed twice in the cluster: list each once")
            }
            StartError::NoMember { id } => {
                write!(f, "server {id} is not in the cluster's list: add it, or check the id")
            }
            StartError::TooManyVoters { count } => {
                let most = limits::RAFT_VOTERS;
                write!(f, "a cluster of {count} servers: {most} at most, list fewer")
            }
            StartError::Timeouts { election_timeout_ms, heartbeat_ms } => write!(
                f,
                "heartbeat {heartbeat_ms} ms, election timeout {election_timeout_ms} ms: \
                 the timeout must be three heartbeats or more, and a heartbeat 1 ms or more"
            ),
            StartError::NoWindow => write!(f, "a window of 0 appends: give 1 or more"),
            StartError::TermsOutOfOrder { index } => write!(
                f,
                "the recovered log's terms are out of order at index {index}: \
                 look at it with dump-log"
            ),
            StartError::CommitPastEnd { commit, last_index } => write!(
                f,
                "the recovered commit index {commit} is past the log's end {last_index}: entries \
                 are missing, look at the log with dump-log"
            ),
            StartError::AbsurdCopy { copy } => {
                write!(f, "the log's copy has the impossible number {copy}")
            }
            StartError::TailElsewhere { last_index } => {
                write!(f, "the recovered tail does not end the log at index {last_index}")
            }
        }
    }
}

impl std::error::Error for StartError {}
