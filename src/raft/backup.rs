//! The backup's side of the log: makes it the same as the PRIMARY's.

use super::Raft;
use super::entry::{Entry, ServerId};
use super::message::{Body, Place};
use crate::mutants::{Mutant, planted};

impl Raft {
    /// Entries to append after `prev`, where this log has that entry (§5.3).
    pub(super) fn on_append(
        &mut self,
        from: ServerId,
        prev: Place,
        commit: u64,
        entries: Vec<Entry>,
    ) {
        if !self.hear_primary(from) {
            return;
        }
        let Place { index: prev_index, term: prev_term, .. } = prev;
        if !well_formed(prev_index, prev_term, self.hard_state.term, &entries) {
            self.violation("an append that is no piece of a log");
            return;
        }
        if self.notices_loss(prev) {
            return;
        }
        if self.log.term(prev_index) != Some(prev_term) {
            let hint_index = self.log.last_with_term_at_most(prev_index, prev_term);
            let hint_term = self.log.term(hint_index).expect("the hint is in the log");
            self.answer(from, Body::Rejected { prev_index, hint_index, hint_term });
            return;
        }
        let last_index = prev_index + entries.len() as u64;
        if !self.take_entries(entries) {
            self.violation("an append that differs where the log was compared or committed");
            return;
        }
        if planted(Mutant::StaleAppendTruncates) && last_index < self.log.last_index() {
            self.truncate_from(last_index + 1);
        }
        self.in_term.verified = self.in_term.verified.max(last_index);
        let owed = self.in_term.ack_owed.map_or(last_index, |owed| owed.max(last_index));
        self.in_term.ack_owed = Some(owed);
        self.learn_commit(commit);
    }

    /// Appends those that are not in the log. Only entries that differ cut it: an old append says
    /// nothing about what follows. Returns false if this would cut what cannot be cut, which no
    /// correct PRIMARY asks for.
    fn take_entries(&mut self, entries: Vec<Entry>) -> bool {
        for entry in entries {
            match self.log.term(entry.index) {
                Some(term) if term == entry.term => continue,
                Some(_) if planted(Mutant::TruncatesCommitted) => self.truncate_from(entry.index),
                Some(_) if entry.index <= self.commit.max(self.in_term.verified) => return false,
                Some(_) => self.truncate_from(entry.index),
                None => {}
            }
            self.append(entry);
        }
        true
    }

    pub(super) fn on_heartbeat(&mut self, from: ServerId, round: u64, commit: u64) {
        if !self.hear_primary(from) {
            return;
        }
        self.learn_commit(commit);
        let durable_term = self.durable.term == self.hard_state.term;
        let verified = self.in_term.verified;
        let match_index = if durable_term { verified.min(self.persisted) } else { 0 };
        self.in_term.acked = self.in_term.acked.max(match_index);
        self.answer(from, Body::HeartbeatReply { round, verified, match_index });
    }

    /// Takes the PRIMARY's commit index as far as this log was compared in this term: past that it
    /// may hold other entries.
    fn learn_commit(&mut self, commit: u64) {
        let verified = self.in_term.verified;
        let known =
            if planted(Mutant::CommitPastVerified) { self.log.last_index() } else { verified };
        self.commit = self.commit.max(commit.min(known));
    }
}

/// Consecutive indexes, and terms that do not go down nor past the sender's.
fn well_formed(prev_index: u64, prev_term: u64, term: u64, entries: &[Entry]) -> bool {
    let mut before = (prev_index, prev_term);
    for entry in entries {
        if before.0.checked_add(1) != Some(entry.index) || entry.term < before.1 {
            return false;
        }
        before = (entry.index, entry.term);
    }
    before.1 <= term && (prev_index == 0) == (prev_term == 0)
}
