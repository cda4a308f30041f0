//! What must hold of a state, and what may change between two. Both panic: a broken core must not
//! go on.

use super::Raft;
use super::config::HardState;
use super::entry::ServerId;
use super::output::Role;
use super::progress::{Fetch, Flow, Progress};
use super::roles::{InTerm, Phase, Primacy, State};
use crate::mutants::{Mutant, planted};

/// What two states are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Which server's.
    pub id: ServerId,
    /// Its role.
    pub role: Role,
    /// Its term and vote.
    pub hard_state: HardState,
    /// What of that is durable.
    pub durable: HardState,
    /// The commit index.
    pub commit: u64,
    /// The log's last index.
    pub last_index: u64,
    /// How often the log was cut.
    pub cuts: u64,
}

/// What one public call may change.
pub fn check_between(before: &Outline, after: &Outline) {
    assert_eq!(before.id, after.id, "two states of one server");
    check_hard_states(before.hard_state, after.hard_state, "the");
    check_hard_states(before.durable, after.durable, "the durable");
    assert!(before.commit <= after.commit, "the commit index never goes back");
    assert!(after.last_index >= before.commit, "what is committed is never cut");
    assert!(before.cuts <= after.cuts, "cuts are counted up");
    let same_log = before.cuts == after.cuts;
    assert!(!same_log || before.last_index <= after.last_index, "only a cut shortens the log");

    let same_term = before.hard_state.term == after.hard_state.term;
    match (before.role, after.role) {
        (Role::Primary, Role::Primary) => {
            assert!(same_term, "a PRIMARY is one of one term");
            assert!(same_log, "a PRIMARY never cuts its log");
        }
        (Role::Candidate, Role::Primary) => assert!(same_term, "elected in its own term"),
        (Role::Backup, Role::Primary) => panic!("only a CANDIDATE is elected"),
        (Role::Primary, Role::Candidate) => panic!("a PRIMARY steps down before it is a CANDIDATE"),
        (_, Role::Backup) | (Role::Backup | Role::Candidate, Role::Candidate) => {}
    }
}

fn check_hard_states(before: HardState, after: HardState, which: &str) {
    assert!(before.term <= after.term, "{which} term never goes back");
    let revoked = before.term == after.term
        && before.voted_for.is_some()
        && before.voted_for != after.voted_for;
    assert!(!revoked, "{which} vote of a term is given once");
}

impl Raft {
    /// What [`check_between`] compares.
    pub fn outline(&self) -> Outline {
        Outline {
            id: self.config.id,
            role: self.role(),
            hard_state: self.hard_state,
            durable: self.durable,
            commit: self.commit,
            last_index: self.log.last_index(),
            cuts: self.generation,
        }
    }

    /// What must hold at any time.
    pub fn check_invariants(&self) {
        self.log.check_invariants();
        let last_index = self.log.last_index();
        let HardState { term, voted_for } = self.hard_state;
        assert!(self.log.last_term() <= term, "no entry is of a later term");
        assert!(self.commit <= last_index, "what is committed is in the log");
        assert!(self.persisted <= last_index, "what is durable is in the log");
        let InTerm { verified, acked, vote_owed, .. } = self.in_term;
        assert!(verified <= last_index, "what was compared is in the log");
        assert!(acked <= verified.min(self.persisted), "acknowledged: same and durable");
        assert!(self.durable.term <= term, "what is durable was the state once");
        if self.durable.term == term && self.durable.voted_for.is_some() {
            assert_eq!(self.durable.voted_for, voted_for, "a durable vote stands");
        }
        assert!(!vote_owed || voted_for.is_some(), "a vote that is owed was given");
        let restores = self.is_restoring() && !planted(Mutant::DamagedVotes);
        assert!(!restores || self.role() == Role::Backup, "no candidate is being restored");
        assert!(!restores || !vote_owed, "nor owes a vote");
        match &self.state {
            State::Backup { .. } => {
                assert!(self.primary() != Some(self.config.id), "no backup of itself");
            }
            State::Candidate(candidacy) => {
                assert!(
                    candidacy.granted.len() < self.memberships.quorum(),
                    "a majority ends an election"
                );
                if let Phase::Vote { asked, .. } = candidacy.phase {
                    assert_eq!(voted_for, Some(self.config.id), "a CANDIDATE votes for itself");
                    assert!(!asked || self.durable == self.hard_state, "asked after it is durable");
                    assert!(asked || candidacy.granted.is_empty(), "no answer without a question");
                }
            }
            State::Primary(primacy) => self.check_primacy(primacy),
        }
    }

    fn check_primacy(&self, primacy: &Primacy) {
        assert_eq!(self.hard_state.voted_for, Some(self.config.id), "it voted for itself");
        assert_eq!(self.durable, self.hard_state, "durably");
        let first = primacy.first_of_term;
        assert_eq!(self.log.term(first), Some(self.hard_state.term), "its term's first entry");
        assert_ne!(self.log.term(first - 1), Some(self.hard_state.term), "none before it");
        assert!(self.is_voter(), "a PRIMARY has a vote");
        assert_eq!(primacy.backups.len() + 1, self.members().count());
        primacy.reads.check_invariants(primacy.round, self.commit);
        for backup in &primacy.backups {
            self.check_backup(backup, primacy.round);
        }
        // Until a new configuration is committed, what was so before is on the old one's majority.
        if self.commit >= first.max(self.members_index()) {
            let voters = primacy.backups.iter().filter(|backup| backup.votes);
            // A copy may have been lost since it was counted.
            let had = |backup: &&Progress| backup.match_index.max(backup.lost_match) >= self.commit;
            let copies = voters.filter(had).count();
            let own = usize::from(self.persisted >= self.commit);
            assert!(
                copies + own >= self.memberships.quorum(),
                "what is committed is on a majority"
            );
        }
    }

    fn check_backup(&self, backup: &Progress, newest_round: u64) {
        let last_index = self.log.last_index();
        assert!(backup.match_index < backup.next, "what matches is not sent again");
        assert!(backup.next <= last_index + 1, "only what is there is sent");
        assert!(backup.match_index <= last_index);
        assert!(backup.acked_round <= newest_round, "only what was asked is answered");
        assert!(backup.in_flight.len() <= self.config.window, "the window holds");
        assert!(backup.in_flight.iter().is_sorted(), "appends leave in order");
        assert!(backup.in_flight.iter().all(|&last| last < backup.next));
        match backup.flow {
            Flow::Probe { sent } => {
                assert!(backup.in_flight.is_empty() && !matches!(backup.fetch, Fetch::Asked(_)));
                let in_log = |sent| sent + 1 >= backup.next && sent <= last_index;
                assert!(sent.is_none_or(in_log), "a probe carries what is there");
            }
            Flow::Pipeline => {
                let asked = matches!(backup.fetch, Fetch::Asked(_));
                assert!(!asked || backup.fetch == Fetch::Asked(backup.next));
            }
        }
    }
}
