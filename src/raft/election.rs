//! Elections: timers, pre-votes, votes.

use super::Raft;
use super::config::HardState;
use super::entry::ServerId;
use super::message::Body;
use super::output::{Role, Why};
use super::roles::{Followed, Phase, RefusedPreVote, State};
use crate::mutants::{Mutant, planted};

impl Raft {
    /// The timers.
    pub(super) fn on_time(&mut self) {
        match &self.state {
            State::Primary(_) => self.on_primary_time(),
            _ if Some(self.now_ms) < self.election_deadline_ms() => {}
            // A non-voter, or a server that is being restored, only forgets the silent PRIMARY.
            State::Backup { .. } if !self.is_voter() || self.is_restoring() => {
                self.become_backup(self.hard_state.term, None, Why::Timeout);
                self.draw_election_deadline();
            }
            // The own vote waits for a slow disk; another term would wait for it as well.
            State::Candidate(candidacy)
                if matches!(candidacy.phase, Phase::Vote { asked: false, .. }) =>
            {
                self.draw_election_deadline();
            }
            State::Backup { .. } | State::Candidate(_) => self.ask_for_pre_votes(),
        }
    }

    /// Returns true if a PRIMARY was heard lately: no time for an election (§4.2.3, §9.6).
    fn hears_primary(&self) -> bool {
        match &self.state {
            State::Backup { primary: Followed::Heard { at_ms, .. }, .. } => {
                self.now_ms < at_ms + self.config.election_timeout_ms
            }
            State::Backup { .. } | State::Candidate(_) => false,
            State::Primary(_) => true,
        }
    }

    /// An append or a heartbeat of this term came from its PRIMARY. False: it cannot be.
    pub(super) fn hear_primary(&mut self, from: ServerId) -> bool {
        let other = self.primary().is_some_and(|primary| primary != from);
        if other || self.role() == Role::Primary {
            self.violation("a second PRIMARY in one term");
            return false;
        }
        self.become_backup(self.hard_state.term, Some(from), Why::PrimaryHeard);
        self.draw_election_deadline();
        true
    }

    /// A closed connection tells sooner than silence that the PRIMARY is gone.
    pub(super) fn on_peer_lost(&mut self, id: ServerId) {
        if let Some(primacy) = self.primacy_mut() {
            if let Some(backup) = primacy.backup_mut(id) {
                backup.probe_again();
                backup.lost = true;
            }
            primacy.transfer = primacy.transfer.filter(|transfer| transfer.to != id);
        } else if self.primary() == Some(id) {
            let stagger_ms = self.random.up_to(self.config.heartbeat_ms / 2);
            self.become_backup(self.hard_state.term, None, Why::PrimaryLost);
            if let State::Backup { primary, election_deadline_ms } = &mut self.state {
                *primary = Followed::Lost;
                *election_deadline_ms = (self.now_ms + stagger_ms).min(*election_deadline_ms);
            }
            self.answer_pre_votes_again();
        }
    }

    /// Messages sent before this connection may be lost: a PRIMARY probes the backup's log again
    /// and repeats its newest heartbeat, a CANDIDATE asks again. A backup has nothing to ask.
    pub(super) fn on_peer_up(&mut self, id: ServerId) {
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        let body = match &mut self.state {
            State::Primary(primacy) => {
                let (round, commit) = (primacy.round, self.commit);
                let Some(backup) = primacy.backup_mut(id) else { return };
                backup.probe_again();
                // Reads may wait for the answer to the newest heartbeat.
                let commit = backup.match_index.min(commit);
                Body::Heartbeat { round, commit }
            }
            State::Candidate(candidacy) => match candidacy.phase {
                Phase::PreVote => {
                    let for_term = self.hard_state.term + 1;
                    Body::PreVote { for_term, last_index, last_term }
                }
                Phase::Vote { asked: true, transfer } => {
                    Body::Vote { last_index, last_term, transfer }
                }
                Phase::Vote { asked: false, .. } => return,
            },
            State::Backup { .. } => return,
        };
        let (is_backup, is_voter) = (self.role() == Role::Primary, self.members().is_voter(id));
        if id != self.config.id && (is_backup || is_voter) {
            self.send(id, body);
        }
    }

    /// The first server to notice that the PRIMARY is gone was refused. Now this one has noticed
    /// too, and answers again: the other need not wait for a timeout to ask.
    fn answer_pre_votes_again(&mut self) {
        for refused in std::mem::take(&mut self.pre_votes_refused) {
            let RefusedPreVote { from, for_term, last_index, last_term } = refused;
            self.on_pre_vote(from, for_term, last_index, last_term);
        }
    }

    /// Enters a message's newer term, except a pre-vote's. False: the message is ignored.
    pub(super) fn take_newer_term(&mut self, from: ServerId, term: u64, body: &Body) -> bool {
        let primary = match body {
            Body::PreVote { .. } => return true,
            // A server that was cut off does not depose a PRIMARY that works.
            Body::Vote { transfer: false, .. } if self.hears_primary() => return false,
            Body::Append { .. } | Body::Heartbeat { .. } => Some(from),
            _ => None,
        };
        self.become_backup(term, primary, Why::NewerTerm { from });
        true
    }

    /// Begins an election by asking whether it can be won.
    fn ask_for_pre_votes(&mut self) {
        self.become_pre_candidate(match &self.state {
            State::Backup { primary: Followed::Lost, .. } => Why::PrimaryLost,
            _ => Why::Timeout,
        });
        let body = Body::PreVote {
            for_term: self.hard_state.term + 1,
            last_index: self.log.last_index(),
            last_term: self.log.last_term(),
        };
        self.send_to_voters(&body);
        self.count_grant(self.config.id);
    }

    pub(super) fn on_pre_vote(&mut self, from: ServerId, for_term: u64, index: u64, term: u64) {
        if planted(Mutant::PreVoteRaisesTerm) && for_term > self.hard_state.term {
            self.become_backup(for_term, None, Why::NewerTerm { from });
        }
        let granted = for_term > self.hard_state.term
            && self.log.is_matched_by(index, term)
            && !self.hears_primary()
            && !self.goes_before(from, for_term, index, term)
            && !self.may_not_vote();
        self.pre_votes_refused.retain(|refused| refused.from != from);
        if !granted && self.hears_primary() {
            let refused = RefusedPreVote { from, for_term, last_index: index, last_term: term };
            self.pre_votes_refused.push(refused);
        }
        self.send(from, Body::PreVoteReply { for_term, granted });
    }

    /// Two servers that lost their PRIMARY together may ask each other at the same time. If both
    /// said yes, they would split the votes for a whole timeout: of two equal ones the lower id
    /// goes first.
    fn goes_before(&self, other: ServerId, for_term: u64, index: u64, term: u64) -> bool {
        let State::Candidate(candidacy) = &self.state else { return false };
        let equal = (index, term) == (self.log.last_index(), self.log.last_term());
        let just_asked = candidacy.phase == Phase::PreVote
            && for_term == self.hard_state.term + 1
            && self.now_ms < candidacy.since_ms + self.config.heartbeat_ms;
        just_asked && equal && self.config.id < other
    }

    pub(super) fn on_pre_vote_reply(&mut self, from: ServerId, for_term: u64, granted: bool) {
        let State::Candidate(candidacy) = &self.state else { return };
        let ours = candidacy.phase == Phase::PreVote && for_term == self.hard_state.term + 1;
        if ours && granted {
            self.count_grant(from);
        }
    }

    /// A request for this term's vote: one vote a term, to a log with all that may be committed.
    pub(super) fn on_vote(&mut self, from: ServerId, last_index: u64, last_term: u64) {
        let free = match self.hard_state.voted_for {
            None => self.primary().is_none(),
            Some(voted_for) => voted_for == from || planted(Mutant::SecondVote),
        };
        if !free || self.may_not_vote() || !self.log.is_matched_by(last_index, last_term) {
            self.send(from, Body::VoteReply { granted: false });
            return;
        }
        if self.role() == Role::Candidate {
            self.become_backup(self.hard_state.term, None, Why::Voted);
        }
        self.hard_state = HardState { voted_for: Some(from), ..self.hard_state };
        self.in_term.vote_owed = true;
        self.draw_election_deadline();
        self.release_votes();
    }

    pub(super) fn on_vote_reply(&mut self, from: ServerId, granted: bool) {
        let State::Candidate(candidacy) = &self.state else { return };
        let asked = matches!(candidacy.phase, Phase::Vote { asked: true, .. });
        if asked && granted {
            self.count_grant(from);
        }
    }

    /// Counts a voter's yes; a majority ends the phase.
    pub(super) fn count_grant(&mut self, from: ServerId) {
        let quorum = self.memberships.quorum();
        if !self.members().is_voter(from) && !planted(Mutant::NonvoterCounted) {
            return;
        }
        let State::Candidate(candidacy) = &mut self.state else { return };
        if !candidacy.granted.contains(&from) {
            candidacy.granted.push(from);
        }
        if candidacy.granted.len() < quorum {
            return;
        }
        match candidacy.phase {
            Phase::PreVote => self.become_candidate(false, Why::PreVoteWon),
            Phase::Vote { .. } => self.become_primary(),
        }
    }
}
