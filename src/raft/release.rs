//! Holds back what promises durability:
//!
//! | message | waits until durable |
//! | --- | --- |
//! | a vote, and the own vote's count | term and vote |
//! | a request for votes | term and (own) vote |
//! | an acknowledgment, alone or in a heartbeat's answer | the term, and the entries up to the index it names |
//! | the PRIMARY's own count for the commit index | the entries, see `replication.rs` |
//!
//! Nothing is queued: each message is derived from the state when something becomes durable, so a
//! slow disk costs no memory.

use super::Raft;
use super::message::Body;
use super::roles::{InTerm, Phase, State};
use crate::mutants::{Mutant, planted};

impl Raft {
    /// Votes, given and asked for. A term's vote is never changed, so what is durable now is what
    /// was promised then.
    pub(super) fn release_votes(&mut self) {
        if self.durable != self.hard_state && !planted(Mutant::VoteBeforeSync) {
            return;
        }
        if std::mem::take(&mut self.in_term.vote_owed) {
            let to = self.hard_state.voted_for.expect("a vote that is owed was given");
            self.send(to, Body::VoteReply { granted: true });
        }
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        let State::Candidate(candidacy) = &mut self.state else { return };
        if let Phase::Vote { asked: asked @ false, transfer } = &mut candidacy.phase {
            *asked = true;
            let body = Body::Vote { last_index, last_term, transfer: *transfer };
            self.send_to_voters(&body);
            self.count_grant(self.config.id);
        }
    }

    /// As a backup: how far the log is the PRIMARY's and durable. One message stands for all
    /// appends whose entries became durable together.
    pub(super) fn release_acknowledgments(&mut self) {
        let (State::Backup { .. }, Some(primary)) = (&self.state, self.primary()) else { return };
        if self.durable.term != self.hard_state.term {
            return;
        }
        let durable = if planted(Mutant::AckBeforeSync) { u64::MAX } else { self.persisted };
        let InTerm { verified, acked, ack_owed, .. } = &mut self.in_term;
        let match_index = durable.min(*verified);
        let grown = match_index > *acked;
        *acked = match_index.max(*acked);
        if grown | ack_owed.take_if(|last_index| *last_index <= match_index).is_some() {
            self.answer(primary, Body::Accepted { match_index });
        }
    }
}
