//! What a core starts from: its settings, and what the disk kept.

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
    /// The servers by the log up to [`Restored::commit`], or as told before the log names them.
    pub membership: Arc<Membership>,
    /// The shortest silence after which a backup holds an election; each wait is drawn from this to
    /// twice this.
    pub election_timeout_ms: u64,
    /// Between two heartbeats; below a third of the election timeout.
    pub heartbeat_ms: u64,
    /// Maximum number of unanswered appends to one backup.
    pub window: usize,
    /// Maximum bytes of entries in one append (one entry always fits).
    pub batch_bytes: usize,
    /// Bytes of entries kept for backups that are a little behind.
    pub cache_bytes: usize,
    /// Seed of the random timeouts; different on each server.
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
            let id = self.id;
            return fault(format!(
                "server {id} is not in the cluster's list: add it, or check the id"
            ));
        }
        check_timeouts(self.election_timeout_ms, self.heartbeat_ms)?;
        if self.window == 0 {
            return fault("a window of 0 appends: give 1 or more".to_owned());
        }
        Ok(())
    }
}

/// Term and vote, durable before any message that relies on them (§5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term known.
    pub term: u64,
    /// The server that got this one's vote in that term.
    pub voted_for: Option<ServerId>,
}

/// What the disk kept. A new server's is `Restored::default()`.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The newest saved hard state.
    pub hard_state: HardState,
    /// The saved number of this copy of the log: 0 until the log is damaged for the first time. An
    /// odd one is being restored; see [`next_damaged`](super::next_damaged).
    pub copy: u64,
    /// The terms of the log's entries.
    pub runs: Vec<Run>,
    /// The log's last index; everything up to it is durable.
    pub last_index: u64,
    /// The log's last entries, consecutive, from any index on; at best all after `commit`, so that
    /// the driver finds each of them with [`super::Raft::entry`] when it is committed. No entry
    /// that is left out after `commit` may have a configuration.
    pub tail: Vec<Entry>,
    /// Everything up to here is committed, and the driver's to apply: the core reports only what is
    /// committed after it.
    pub commit: u64,
}

impl Restored {
    pub(super) fn check(&self) -> Result<(), StartError> {
        let mut before = Run { first_index: 0, term: 0 };
        for run in &self.runs {
            if run.first_index <= before.first_index || run.term <= before.term {
                return terms_out_of_order(run.first_index);
            }
            before = *run;
        }
        let first_index = self.runs.first().map_or(1, |run| run.first_index);
        let wrong_ends = first_index != 1 || before.first_index > self.last_index;
        if wrong_ends || (self.last_index > 0) == self.runs.is_empty() {
            return terms_out_of_order(self.last_index);
        }
        if self.copy > limits::RAFT_COPY {
            return fault(format!("the log's copy has the impossible number {}", self.copy));
        }
        if self.commit > self.last_index {
            return fault(format!(
                "the recovered commit index {} is past the log's end {}: entries are missing, look at \
                 the log with dump-log",
                self.commit, self.last_index
            ));
        }
        let tail_start = (self.last_index + 1).checked_sub(self.tail.len() as u64);
        let starts_right = tail_start.is_some_and(|start| start >= 1);
        let consecutive = |(entry, index): (&Entry, u64)| entry.index == index;
        let from = tail_start.unwrap_or(0);
        if !starts_right || !self.tail.iter().zip(from..).all(consecutive) {
            let last_index = self.last_index;
            return fault(format!("the recovered tail does not end the log at index {last_index}"));
        }
        Ok(())
    }
}

/// Why a core does not start, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(String);

fn fault(why: String) -> Result<(), StartError> {
    Err(StartError(why))
}

fn terms_out_of_order(index: u64) -> Result<(), StartError> {
    fault(format!(
        "the recovered log's terms are out of order at index {index}: look at it with dump-log"
    ))
}

/// Checks that no server is listed twice, and that there are not too many.
pub(super) fn check_members(members: &Members) -> Result<(), StartError> {
    let mut all: Vec<ServerId> = members.voters.iter().chain(&members.nonvoters).copied().collect();
    all.sort_unstable();
    all.dedup();
    if all.len() != members.count() {
        return fault("a server is listed twice in the cluster: list each once".to_owned());
    }
    if members.count() > limits::RAFT_VOTERS {
        let (count, most) = (members.count(), limits::RAFT_VOTERS);
        return fault(format!("{count} servers are listed, the maximum is {most}: list fewer"));
    }
    Ok(())
}

/// Checks that a heartbeat or two may be lost before a backup holds an election.
///
/// # Errors
/// If it does not fit.
pub fn check_timeouts(election_timeout_ms: u64, heartbeat_ms: u64) -> Result<(), StartError> {
    let fits = heartbeat_ms > 0 && election_timeout_ms / 3 >= heartbeat_ms;
    match fits {
        true => Ok(()),
        false => fault(format!(
            "heartbeat {heartbeat_ms} ms, election timeout {election_timeout_ms} ms: the election \
             timeout must be at least three heartbeats, and a heartbeat at least 1 ms"
        )),
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}
