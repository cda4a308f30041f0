//! The roles, each with what belongs to it alone.

use std::collections::BTreeMap;

use super::entry::ServerId;
use super::progress::Progress;
use crate::limits;

/// The role now.
#[derive(Clone, Debug)]
pub(super) enum State {
    Backup {
        primary: Followed,
        /// When it holds an election.
        election_deadline_ms: u64,
    },
    Candidate(Candidacy),
    Primary(Box<Primacy>),
}

/// The PRIMARY as a BACKUP knows it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Followed {
    /// Unknown, or silent for too long.
    Nobody,
    /// Its connection was lost, and none was heard since.
    Lost,
    Heard {
        id: ServerId,
        /// When last.
        at_ms: u64,
    },
}

/// What is valid in this term only. It outlives a phase of pre-votes, which changes no term.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InTerm {
    /// How far the log was found to be the PRIMARY's.
    pub(super) verified: u64,
    /// The newest acknowledgment, and an append (its last index) that waits for one.
    pub(super) acked: u64,
    pub(super) ack_owed: Option<u64>,
    /// The vote was asked for and is not answered yet.
    pub(super) vote_owed: bool,
}

/// A pre-vote that was refused because the PRIMARY is heard; the newest of each server.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefusedPreVote {
    pub(super) from: ServerId,
    pub(super) for_term: u64,
    pub(super) last_index: u64,
    pub(super) last_term: u64,
}

/// A CANDIDATE's state.
#[derive(Clone, Debug)]
pub(super) struct Candidacy {
    pub(super) phase: Phase,
    /// When this phase began.
    pub(super) since_ms: u64,
    /// Voters that said yes.
    pub(super) granted: Vec<ServerId>,
    /// When the election starts over.
    pub(super) election_deadline_ms: u64,
}

/// The two questions of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Would you vote for me?
    PreVote,
    /// Vote for me. The requests leave (`asked`) once the own vote is durable.
    Vote { asked: bool, transfer: bool },
}

/// A PRIMARY's state.
#[derive(Clone, Debug)]
pub(super) struct Primacy {
    /// The other servers, by id.
    pub(super) backups: Vec<Progress>,
    /// The newest copies of servers whose log was damaged, including former members; updated at
    /// each change of the members.
    pub(super) copies: BTreeMap<ServerId, u64>,
    /// The index of the no-op that began the term.
    pub(super) first_of_term: u64,
    /// The newest heartbeat.
    pub(super) round: u64,
    pub(super) heartbeat_due_ms: u64,
    pub(super) quorum_check_ms: u64,
    pub(super) uncommitted_bytes: usize,
    pub(super) transfer: Option<Transfer>,
    pub(super) answer_check: Option<AnswerCheck>,
    pub(super) reads: Reads,
}

impl Primacy {
    pub(super) fn backup(&self, id: ServerId) -> Option<&Progress> {
        self.backups.iter().find(|backup| backup.id == id)
    }

    pub(super) fn backup_mut(&mut self, id: ServerId) -> Option<&mut Progress> {
        self.backups.iter_mut().find(|backup| backup.id == id)
    }
}

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) to: ServerId,
    /// When this PRIMARY gives up and takes proposals again.
    pub(super) deadline_ms: u64,
    /// The target was told.
    pub(super) told: bool,
}

/// A heartbeat asks the servers that would have a vote whether they answer; see
/// [`ChangeError::Asking`](super::ChangeError::Asking).
#[derive(Clone, Debug)]
pub(super) struct AnswerCheck {
    pub(super) voters: Vec<ServerId>,
    pub(super) round: u64,
    pub(super) since_ms: u64,
}

/// Reads by their tickets.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// For the next round.
    pub(super) waiting: Vec<u64>,
    /// The round under way.
    pub(super) under_way: Option<Round>,
}

#[derive(Clone, Debug)]
pub(super) struct Round {
    /// A heartbeat that left after all its reads were asked.
    pub(super) heartbeat: u64,
    /// The commit index when it left.
    pub(super) index: u64,
    pub(super) tickets: Vec<u64>,
}

impl Reads {
    pub(super) fn into_tickets(self) -> impl Iterator<Item = u64> {
        let under_way = self.under_way.into_iter().flat_map(|round| round.tickets);
        under_way.chain(self.waiting)
    }

    pub(super) fn check_invariants(&self, newest_round: u64, commit: u64) {
        if let Some(round) = &self.under_way {
            assert!(round.heartbeat <= newest_round && round.index <= commit);
            assert!(!round.tickets.is_empty(), "a round has reads");
        }
        assert!(self.waiting.len() <= limits::RAFT_READS_WAITING);
    }
}
