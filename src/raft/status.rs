//! Getters.

use super::Raft;
use super::config::{Config, HardState};
use super::copy::is_damaged;
use super::entry::{Entry, ServerId};
use super::roles::State;
use crate::mutants::{Mutant, planted};

/// What a PRIMARY knows of one backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupStatus {
    /// Which.
    pub id: ServerId,
    /// Its log is this one up to here, durably.
    pub match_index: u64,
    /// The next index to send to it.
    pub next: u64,
    /// Appends under way to it.
    pub in_flight: usize,
    /// It has answered within the last election timeout or two, and is connected.
    pub heard: bool,
    /// It has a vote.
    pub votes: bool,
    /// Its log was damaged, and is being restored: it does not count.
    pub restoring: bool,
}

impl Raft {
    /// This server.
    pub fn id(&self) -> ServerId {
        self.config.id
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The newest term known.
    pub fn term(&self) -> u64 {
        self.hard_state.term
    }

    /// Term and vote, durable or not yet.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// All up to here is committed.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// Committed and durable here up to this index: what may be stored as the commit index. (A
    /// later one might be read back with a log that lost its entries.)
    pub fn durable_commit(&self) -> u64 {
        if planted(Mutant::CommitHintPastLog) {
            self.commit
        } else {
            self.commit.min(self.persisted)
        }
    }

    /// The log's last index.
    pub fn last_index(&self) -> u64 {
        self.log.last_index()
    }

    /// The log is durable here up to this index.
    pub fn persisted_index(&self) -> u64 {
        self.persisted
    }

    /// The term at `index`: 0 for index 0, None past the end.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.log.term(index)
    }

    /// The entry at `index`, when it is still in memory.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.log.entry(index)
    }

    /// Number of ignored messages that no correct server sends.
    pub fn violations(&self) -> u64 {
        self.violations.count
    }

    /// What was wrong with the newest of them.
    pub fn last_violation(&self) -> Option<&'static str> {
        self.violations.newest
    }

    /// When [`Raft::tick`] must be called at the latest; None if nothing is due.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        match &self.state {
            State::Primary(primacy) if primacy.backups.is_empty() => None,
            State::Primary(primacy) => {
                let timers = primacy.heartbeat_due_ms.min(primacy.quorum_check_ms);
                Some(primacy.transfer.map_or(timers, |t| timers.min(t.deadline_ms)))
            }
            State::Backup { .. } if !self.is_voter() && self.primary().is_none() => None,
            _ => self.election_deadline_ms(),
        }
    }

    /// The server that this PRIMARY is handing over to.
    pub fn transferring_to(&self) -> Option<ServerId> {
        self.primacy()?.transfer.map(|transfer| transfer.to)
    }

    /// The backups as this PRIMARY sees them, by id; none when it is not PRIMARY.
    pub fn backups(&self) -> Vec<BackupStatus> {
        let Some(primacy) = self.primacy() else { return Vec::new() };
        let status = primacy.backups.iter().map(|backup| BackupStatus {
            id: backup.id,
            match_index: backup.match_index,
            next: backup.next,
            in_flight: backup.in_flight.len(),
            heard: backup.answers(),
            votes: backup.votes,
            restoring: is_damaged(backup.copy),
        });
        status.collect()
    }
}
