//! Every transition between roles, and nothing else makes one.
//!
//! ```text
//!                 deadline over                     pre-vote won           votes won
//!   BACKUP ---------------------> CANDIDATE asking -------------> standing ---------> PRIMARY
//!     |                           (term stays)                    (term + 1)
//!     +-------------------------------------------------------------^  TimeoutNow
//!   any role -> BACKUP: a newer term; a CANDIDATE: a PRIMARY of its term, or its vote for another;
//!   the PRIMARY: no majority answers
//! ```

use std::collections::BTreeMap;

use super::config::HardState;
use super::core::Raft;
use super::entry::{Payload, ServerId};
use super::membership::Question;
use super::output::{Role, Why};
use super::progress::Progress;
use super::reads::Reads;
use super::transfer::Transfer;

/// The role with what belongs to it alone.
#[derive(Clone, Debug)]
pub(super) enum State {
    Backup,
    Candidate(Candidacy),
    Primary(Box<Primacy>),
}

/// How far an election has come.
#[derive(Clone, Debug)]
pub(super) struct Candidacy {
    pub(super) phase: Phase,
    /// When this phase began.
    pub(super) since_ms: u64,
    /// Who said yes.
    pub(super) granted: Vec<ServerId>,
}

/// The two questions of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Would you vote for me? (PreVote)
    Asking,
    /// Vote for me. The requests leave (`asked`) once the own vote is durable.
    Standing { asked: bool, transfer: bool },
}

/// What a PRIMARY keeps.
#[derive(Clone, Debug)]
pub(super) struct Primacy {
    /// The other servers, by id.
    pub(super) backups: Vec<Progress>,
    /// The newest copies of servers whose log was damaged, also when they are no members meanwhile;
    /// up to date after a change of the members.
    pub(super) copies: BTreeMap<ServerId, u64>,
    /// The index of the empty entry that began the term.
    pub(super) first_of_term: u64,
    /// The newest heartbeat.
    pub(super) round: u64,
    pub(super) heartbeat_due_ms: u64,
    pub(super) quorum_check_ms: u64,
    pub(super) uncommitted_bytes: usize,
    pub(super) transfer: Option<Transfer>,
    pub(super) question: Option<Question>,
    pub(super) reads: Reads,
}

impl Raft {
    /// The role now.
    pub fn role(&self) -> Role {
        match self.state {
            State::Backup => Role::Backup,
            State::Candidate(_) => Role::Candidate,
            State::Primary(_) => Role::Primary,
        }
    }

    pub(super) fn primacy(&mut self) -> Option<&mut Primacy> {
        match &mut self.state {
            State::Primary(primacy) => Some(primacy),
            _ => None,
        }
    }

    /// BACKUP in the present term or in a newer one.
    pub(super) fn become_backup(&mut self, term: u64, primary: Option<ServerId>, why: Why) {
        if term > self.hard_state.term {
            self.enter_term(HardState { term, voted_for: None });
        }
        let changed = self.role() != Role::Backup || self.primary != primary;
        if let State::Primary(primacy) = std::mem::replace(&mut self.state, State::Backup) {
            self.draw_election_deadline();
            self.out.reads_refused.extend(primacy.reads.into_tickets());
            // An old term's question is not worth the driver's disk.
            self.out.wanted.clear();
        }
        self.primary = primary;
        if primary.is_none() {
            self.primary_heard_ms = None;
        }
        if changed {
            self.note_change(why);
        }
    }

    /// CANDIDATE that asks whether it would be elected; the term stays.
    pub(super) fn become_asking(&mut self, why: Why) {
        self.become_candidate(Phase::Asking, why);
    }

    /// CANDIDATE of the next term, with its own vote.
    pub(super) fn become_standing(&mut self, transfer: bool, why: Why) {
        let term = self.hard_state.term + 1;
        self.enter_term(HardState { term, voted_for: Some(self.config.id) });
        self.become_candidate(Phase::Standing { asked: false, transfer }, why);
    }

    fn become_candidate(&mut self, phase: Phase, why: Why) {
        assert!(self.role() != Role::Primary, "a PRIMARY does not stand");
        let since_ms = self.now_ms;
        self.state = State::Candidate(Candidacy { phase, since_ms, granted: Vec::new() });
        self.primary = None;
        self.primary_heard_ms = None;
        self.draw_election_deadline();
        self.note_change(why);
    }

    /// PRIMARY of the present term.
    pub(super) fn become_primary(&mut self) {
        assert!(self.role() == Role::Candidate, "only a candidate is elected");
        assert!(self.durable == self.hard_state, "an election is won with a durable vote");
        let first_of_term = self.log.last_index() + 1;
        let primacy = Primacy {
            backups: self.members().progress(self.config.id, first_of_term, self.now_ms),
            copies: BTreeMap::new(),
            first_of_term,
            round: 0,
            heartbeat_due_ms: self.now_ms + self.config.heartbeat_ms,
            quorum_check_ms: self.now_ms + self.config.election_timeout_ms,
            uncommitted_bytes: self.log.cached_bytes_between(self.commit, first_of_term - 1),
            transfer: None,
            question: None,
            reads: Reads::default(),
        };
        self.state = State::Primary(Box::new(primacy));
        self.primary = Some(self.config.id);
        self.note_change(Why::Elected);
        // Only an entry of its own term tells a PRIMARY what is committed (§6.4).
        self.append_own(Payload::Noop);
    }

    /// What was known of the PRIMARY's log belongs to the old term.
    fn enter_term(&mut self, hard_state: HardState) {
        assert!(hard_state.term > self.hard_state.term, "terms go up");
        self.hard_state = hard_state;
        self.verified = 0;
        self.acked = 0;
        self.ack_owed = None;
        self.vote_owed = false;
    }
}
