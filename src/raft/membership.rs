//! Changes of the configuration: one server at a time, through the log (§4.1).
//!
//! - The newest configuration in the log counts, committed or not, from when it is appended. If it
//!   is cut, the one before counts again.
//! - A PRIMARY changes it only once an entry of its own term and the change before are committed:
//!   otherwise majorities of two configurations need not overlap (the correction of 2015 to §4.1).
//! - Consecutive configurations differ by one voter at most, so that any two majorities overlap.
//! - A new server begins as a non-voter: it is sent the log, and counts for nothing. It may become
//!   a voter once it has caught up (§4.2.1).
//! - Before a vote is given or taken, a heartbeat asks whether a majority of the new voters answers
//!   now; earlier answers do not count. A change that such a majority does not store cannot be
//!   taken back, and stops even a majority of the old voters.
//! - A request is answered whoever sent it: the server that counts the answers has the right
//!   configuration (§4.1). A server whose log ends before a change can thus be brought up to date,
//!   or vote, for a server that it does not know yet.
//! - A removed server is sent nothing and counts nowhere. It does not disturb: its pre-votes are
//!   refused while a PRIMARY is heard (§4.2.3).

use std::fmt;
use std::sync::Arc;

use super::Raft;
use super::config::check_members;
use super::copy::is_damaged;
use super::entry::{Entry, Members, Membership, Payload, ServerId};
use super::output::ProposeError;
use super::progress::{Progress, progress_of};
use super::roles::AnswerCheck;
use crate::mutants::{Mutant, planted};

impl Raft {
    /// The configuration in force.
    pub fn members(&self) -> &Members {
        self.memberships.members()
    }

    /// The same, with the bytes of its entry.
    pub fn membership(&self) -> &Membership {
        &self.memberships.in_force().1
    }

    /// The newest configuration that is committed, and those after it, one of which may still
    /// count.
    pub fn memberships(&self) -> impl Iterator<Item = &Membership> {
        self.memberships.all()
    }

    /// The index of its entry; 0 for the one that this core was made with.
    pub fn members_index(&self) -> u64 {
        self.memberships.in_force().0
    }

    /// Whether this server has a vote.
    pub fn is_voter(&self) -> bool {
        self.members().is_voter(self.config.id)
    }

    /// Appends an entry with a configuration, which counts at once; returns its index. If it gives
    /// or takes a vote it is first refused with [`ChangeError::Asking`]: the caller repeats the
    /// call after each message, until it is taken or refused for another reason.
    pub fn change_members(&mut self, next: Arc<Membership>) -> Result<u64, ChangeError> {
        self.checked(|raft| raft.on_change_members(next))
    }

    fn on_change_members(&mut self, next: Arc<Membership>) -> Result<u64, ChangeError> {
        check_members(&next.members).map_err(|_| ChangeError::NoConfiguration)?;
        self.may_change()?;
        self.check_step(&next.members)?;
        self.check_answers(&next.members)?;
        self.on_propose(Payload::Members(next)).map_err(ChangeError::Propose)
    }

    /// Whether this server may change the configuration now.
    pub fn may_change(&self) -> Result<(), ChangeError> {
        let Some(primacy) = self.primacy() else {
            let primary = self.primary();
            return Err(ChangeError::Propose(ProposeError::NotPrimary { primary }));
        };
        if let Some(transfer) = &primacy.transfer {
            return Err(ChangeError::Propose(ProposeError::Transferring { to: transfer.to }));
        }
        if self.commit < primacy.first_of_term && !planted(Mutant::ChangeBeforeTermEntry) {
            return Err(ChangeError::NotReady);
        }
        if self.members_index() > self.commit {
            return Err(ChangeError::Busy);
        }
        Ok(())
    }

    /// Checks that the next configuration is one step away, and leaves this server its vote.
    fn check_step(&self, next: &Members) -> Result<(), ChangeError> {
        let now = self.members();
        let added = next.voters.iter().filter(|&&id| !now.is_voter(id)).copied();
        let added: Vec<ServerId> = added.collect();
        let removed = now.voters.iter().filter(|&&id| !next.is_voter(id)).count();
        if added.len() + removed > 1 {
            return Err(ChangeError::TooMuch);
        }
        if !next.is_voter(self.config.id) {
            return Err(ChangeError::Itself);
        }
        if let Some(&id) = added.iter().find(|&&id| !self.has_caught_up(id)) {
            return Err(ChangeError::NotCaughtUp { id });
        }
        Ok(())
    }

    /// Checks that a majority of the new voters answers a heartbeat sent for this change.
    fn check_answers(&mut self, next: &Members) -> Result<(), ChangeError> {
        if next.voters == self.members().voters {
            return Ok(());
        }
        let (now_ms, quorum) = (self.now_ms, next.quorum());
        let timeout_ms = self.config.election_timeout_ms;
        let check = self.primacy_mut().and_then(|primacy| primacy.answer_check.take());
        let check = check.filter(|asked| asked.voters == next.voters);
        let since_ms = check.as_ref().map_or(now_ms, |asked| asked.since_ms);
        let is_over = now_ms >= since_ms + timeout_ms;
        let voters = next.voters.iter().copied();
        let answering: Vec<ServerId> = voters.clone().filter(|&id| self.answers(id)).collect();
        let round = check.as_ref().map(|asked| asked.round);
        let now: Vec<ServerId> = voters.filter(|&id| self.answered(id, round)).collect();
        if planted(Mutant::OldAnswersForChange) && answering.len() >= quorum {
            return Ok(());
        }
        if now.len() >= quorum && !is_over {
            return Ok(());
        }
        if answering.len() < quorum || now.len() < quorum && is_over {
            let answering = if is_over { now } else { answering };
            return Err(ChangeError::NoMajority { answering, quorum });
        }
        let check = check.filter(|_| !is_over).unwrap_or_else(|| {
            let round = self.send_heartbeats();
            AnswerCheck { voters: next.voters.clone(), round, since_ms: now_ms }
        });
        if let Some(primacy) = self.primacy_mut() {
            primacy.answer_check = Some(check);
        }
        Err(ChangeError::Asking)
    }

    /// Whether a server whose log is whole has answered this heartbeat, or a later one.
    fn answered(&self, id: ServerId, round: Option<u64>) -> bool {
        let since = |backup: &Progress| round.is_some_and(|round| backup.acked_round >= round);
        id == self.config.id || self.backup(id).is_some_and(since) && self.answers(id)
    }

    /// The voters after the change for which this PRIMARY waits for answers.
    pub fn asking(&self) -> Option<&[ServerId]> {
        self.primacy()?.answer_check.as_ref().map(|check| check.voters.as_slice())
    }

    /// Whether a server has answered this PRIMARY within the last election timeout or two, and its
    /// log is whole.
    fn answers(&self, id: ServerId) -> bool {
        let whole = |backup: &Progress| backup.answers() && !is_damaged(backup.copy);
        id == self.config.id || self.backup(id).is_some_and(whole)
    }

    /// Whether a non-voter of this PRIMARY lacks so little that it may be made a voter.
    fn has_caught_up(&self, id: ServerId) -> bool {
        let is_done = |backup: &Progress| backup.catch_up.is_some_and(|catch_up| catch_up.done);
        self.backup(id).is_some_and(is_done) && self.answers(id)
    }

    fn backup(&self, id: ServerId) -> Option<&Progress> {
        self.primacy()?.backup(id)
    }

    /// A non-voter that this PRIMARY may make a voter now.
    pub fn caught_up(&self) -> Option<ServerId> {
        self.may_change().ok()?;
        self.members().nonvoters.iter().copied().find(|&id| self.has_caught_up(id))
    }

    /// A non-voter's match index has grown.
    pub(super) fn note_catch_up(&mut self, id: ServerId) {
        let (now_ms, last_index) = (self.now_ms, self.log.last_index());
        let timeout_ms = self.config.election_timeout_ms;
        let Some(backup) = self.primacy_mut().and_then(|primacy| primacy.backup_mut(id)) else {
            return;
        };
        let match_index = backup.match_index;
        let Some(catch_up) = &mut backup.catch_up else { return };
        if match_index >= catch_up.target {
            let quick = now_ms < catch_up.since_ms + timeout_ms;
            catch_up.done |= quick || match_index >= last_index;
            (catch_up.target, catch_up.since_ms) = (last_index, now_ms);
        }
    }

    /// An entry was appended: its configuration, if it has one, counts from now on.
    pub(super) fn take_members(&mut self, entry: &Entry) {
        if let Payload::Members(membership) = &entry.payload {
            self.memberships.forget(self.commit);
            self.memberships.push(entry.index, membership.clone());
            self.on_members();
        }
    }

    /// The log was cut from `index` on: the configuration before counts again.
    pub(super) fn revert_members(&mut self, index: u64) {
        if !self.memberships.truncate_from(index) {
            return;
        }
        if !planted(Mutant::CutQuorumStays) {
            self.on_members();
        }
    }

    fn on_members(&mut self) {
        self.out.members_changed = true;
        self.out.memberships_changed = true;
        let members = self.members().clone();
        self.memberships.count_quorum();
        let (id, now_ms, next) = (self.config.id, self.now_ms, self.log.last_index() + 1);
        let timeout_ms = self.config.election_timeout_ms;
        let Some(primacy) = self.primacy_mut() else { return };
        primacy.quorum_check_ms = now_ms + timeout_ms;
        primacy.transfer = primacy.transfer.filter(|transfer| members.is_voter(transfer.to));
        let before = std::mem::take(&mut primacy.backups);
        primacy.backups = progress_of(&members, id, next, now_ms);
        let copies = before.iter().map(|backup| (backup.id, backup.copy));
        primacy.copies.extend(copies.filter(|(_, copy)| *copy > 0));
        for backup in &mut primacy.backups {
            backup.copy = primacy.copies.get(&backup.id).copied().unwrap_or(0);
        }
        for mut old in before {
            if let Some(backup) = primacy.backup_mut(old.id) {
                old.votes = backup.votes;
                old.catch_up = backup.catch_up.map(|begun| old.catch_up.unwrap_or(begun));
                *backup = old;
            }
        }
        self.out.wanted.retain(|wanted| members.has(wanted.to));
    }
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// A command would have been refused as well.
    Propose(ProposeError),
    /// This PRIMARY has not committed an entry of its term yet.
    NotReady,
    /// The change before is not committed yet.
    Busy,
    /// No cluster can have it.
    NoConfiguration,
    /// More than one server would get or lose its vote.
    TooMuch,
    /// The PRIMARY itself would lose its vote: it must hand over first.
    Itself,
    /// A server would get a vote before it has caught up as a non-voter.
    NotCaughtUp {
        /// Which.
        id: ServerId,
    },
    /// Waiting for answers from the servers that would have a vote.
    Asking,
    /// The new voters that answer are not a majority: nothing could be committed.
    NoMajority {
        /// Who answers, this server included.
        answering: Vec<ServerId>,
        /// How many would be needed.
        quorum: usize,
    },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Propose(error) => error.fmt(f),
            ChangeError::NotReady => {
                write!(f, "this PRIMARY has not committed an entry of its term: try again soon")
            }
            ChangeError::Busy => {
                write!(f, "the previous membership change is not committed yet: try again soon")
            }
            ChangeError::NoConfiguration => write!(f, "no cluster can have these members"),
            ChangeError::TooMuch => {
                write!(f, "more than one server would get or lose its vote: change one at a time")
            }
            ChangeError::Itself => {
                write!(f, "the PRIMARY cannot remove its own vote: it must hand over first")
            }
            ChangeError::NotCaughtUp { id } => {
                write!(f, "server {id} has not caught up yet: it gets a vote then")
            }
            ChangeError::Asking => {
                write!(f, "waiting for answers from the servers that would have a vote")
            }
            ChangeError::NoMajority { answering, quorum } => write!(
                f,
                "{} of the servers that would have a vote answer, {quorum} are needed: nothing \
                 could be committed any more",
                answering.len()
            ),
        }
    }
}

impl std::error::Error for ChangeError {}
