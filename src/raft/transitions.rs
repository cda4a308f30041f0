//! Every transition between roles, and nothing else makes one.
//!
//! ```text
//!                 deadline over                      pre-vote won           votes won
//!   BACKUP ---------------------> CANDIDATE pre-vote -------------> vote -----------> PRIMARY
//!     |                            (term stays)                  (term + 1)
//!     +------------------------------------------------------------^  TimeoutNow
//!   any role -> BACKUP: a newer term; a CANDIDATE: a PRIMARY of its term, or its vote for another;
//!   the PRIMARY: no majority answers
//! ```

use std::collections::BTreeMap;

use super::Raft;
use super::config::HardState;
use super::entry::{Payload, ServerId};
use super::output::{Role, Why};
use super::progress::progress_of;
use super::roles::{Candidacy, Followed, InTerm, Phase, Primacy, Reads, State};

impl Raft {
    /// The role now.
    pub fn role(&self) -> Role {
        match self.state {
            State::Backup { .. } => Role::Backup,
            State::Candidate(_) => Role::Candidate,
            State::Primary(_) => Role::Primary,
        }
    }

    /// The PRIMARY of the term, as far as it is known; itself when it is the one.
    pub fn primary(&self) -> Option<ServerId> {
        match &self.state {
            State::Backup { primary: Followed::Heard { id, .. }, .. } => Some(*id),
            State::Backup { .. } | State::Candidate(_) => None,
            State::Primary(_) => Some(self.config.id),
        }
    }

    pub(super) fn primacy(&self) -> Option<&Primacy> {
        match &self.state {
            State::Primary(primacy) => Some(primacy),
            _ => None,
        }
    }

    pub(super) fn primacy_mut(&mut self) -> Option<&mut Primacy> {
        match &mut self.state {
            State::Primary(primacy) => Some(primacy),
            _ => None,
        }
    }

    /// BACKUP in the present term or in a newer one; of `primary`, when that one was heard just
    /// now.
    pub(super) fn become_backup(&mut self, term: u64, primary: Option<ServerId>, why: Why) {
        if term > self.hard_state.term {
            self.enter_term(HardState { term, voted_for: None });
        }
        let changed = self.role() != Role::Backup || self.primary() != primary;
        let before = match &self.state {
            State::Backup { primary, .. } => *primary,
            State::Candidate(_) | State::Primary(_) => Followed::Nobody,
        };
        let primary = match (primary, before) {
            (Some(id), _) => Followed::Heard { id, at_ms: self.now_ms },
            (None, Followed::Lost) => Followed::Lost,
            (None, _) => Followed::Nobody,
        };
        let deadline_ms = self.election_deadline_ms();
        let election_deadline_ms = deadline_ms.unwrap_or_else(|| self.next_election_ms());
        let backup = State::Backup { primary, election_deadline_ms };
        if let State::Primary(primacy) = std::mem::replace(&mut self.state, backup) {
            self.out.reads_refused.extend(primacy.reads.into_tickets());
            // An old term's question is not worth the driver's disk.
            self.out.wanted.clear();
        }
        if changed {
            self.note_change(why);
        }
    }

    /// CANDIDATE that asks whether it would be elected; the term stays.
    pub(super) fn become_pre_candidate(&mut self, why: Why) {
        self.begin_phase(Phase::PreVote, why);
    }

    /// CANDIDATE of the next term, with its own vote.
    pub(super) fn become_candidate(&mut self, transfer: bool, why: Why) {
        let term = self.hard_state.term + 1;
        self.enter_term(HardState { term, voted_for: Some(self.config.id) });
        self.begin_phase(Phase::Vote { asked: false, transfer }, why);
    }

    fn begin_phase(&mut self, phase: Phase, why: Why) {
        assert!(self.role() != Role::Primary, "a PRIMARY holds no election");
        let (since_ms, election_deadline_ms) = (self.now_ms, self.next_election_ms());
        let granted = Vec::new();
        self.state = State::Candidate(Candidacy { phase, since_ms, granted, election_deadline_ms });
        self.note_change(why);
    }

    /// PRIMARY of the present term.
    pub(super) fn become_primary(&mut self) {
        assert!(self.role() == Role::Candidate, "only a candidate is elected");
        assert!(self.durable == self.hard_state, "an election is won with a durable vote");
        let first_of_term = self.log.last_index() + 1;
        let primacy = Primacy {
            backups: progress_of(self.members(), self.config.id, first_of_term, self.now_ms),
            copies: BTreeMap::new(),
            first_of_term,
            round: 0,
            heartbeat_due_ms: self.now_ms + self.config.heartbeat_ms,
            quorum_check_ms: self.now_ms + self.config.election_timeout_ms,
            uncommitted_bytes: self.log.cached_bytes_between(self.commit, first_of_term - 1),
            transfer: None,
            answer_check: None,
            reads: Reads::default(),
        };
        self.state = State::Primary(Box::new(primacy));
        self.note_change(Why::Elected);
        // Only an entry of its own term tells a PRIMARY what is committed (§6.4).
        self.append_own(Payload::Noop);
    }

    /// What was known of the PRIMARY's log belongs to the old term.
    fn enter_term(&mut self, hard_state: HardState) {
        assert!(hard_state.term > self.hard_state.term, "terms go up");
        self.hard_state = hard_state;
        self.in_term = InTerm::default();
    }

    /// When a BACKUP or a CANDIDATE holds the next election.
    pub(super) fn election_deadline_ms(&self) -> Option<u64> {
        match &self.state {
            State::Backup { election_deadline_ms, .. }
            | State::Candidate(Candidacy { election_deadline_ms, .. }) => {
                Some(*election_deadline_ms)
            }
            State::Primary(_) => None,
        }
    }

    pub(super) fn draw_election_deadline(&mut self) {
        let drawn_ms = self.next_election_ms();
        match &mut self.state {
            State::Backup { election_deadline_ms, .. }
            | State::Candidate(Candidacy { election_deadline_ms, .. }) => {
                *election_deadline_ms = drawn_ms;
            }
            State::Primary(_) => {}
        }
    }

    /// A wait of one to two election timeouts, so that two servers seldom stand together (§5.2).
    fn next_election_ms(&mut self) -> u64 {
        let least = self.config.election_timeout_ms;
        self.now_ms + least + self.random.up_to(least)
    }
}
